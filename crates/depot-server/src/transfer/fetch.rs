//! Making this server hold a copy that others have: pulled from one holder after another, hashed on
//! the way, sealed only if the hash is right.

use std::time::Duration;

use depot_protocol::{Digest, ServerName};

use super::TransferError;
use super::courier::Courier;
use crate::buffers::{LARGE, pieces};
use crate::custody::CustodyError;
use crate::intake::{Intake, IntakeError};
use crate::seams::blocking;
use crate::volume::layout::CHUNK;
use crate::volume::{Seal, Sealed, Staging, VolumeError};

/// How long a holder may take for its next piece.
const PATIENCE: Duration = Duration::from_secs(10);

/// No copy came to be here.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// This server can't store it.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// Nor have room for it.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// No holder gave all of it; what the last one said.
    #[error("no holder gives a copy")]
    NoHolder(#[source] Option<TransferError>),
    /// The server is going down.
    #[error(transparent)]
    Lost(#[from] blocking::Lost),
}

impl From<IntakeError> for FetchError {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Volume(error) => error.into(),
            IntakeError::Lost(error) => error.into(),
        }
    }
}

impl Courier {
    /// Fetches a copy from these holders, the first one that has it, and goes on from the next
    /// where one breaks off. Where what came from several does not have the hash, each is asked
    /// for all of it.
    pub async fn fetch(
        &self,
        blob: (Digest, u64),
        holders: &[ServerName],
    ) -> Result<Sealed, FetchError> {
        let mut last = None;
        for alone in [false, true] {
            let mut begun: Option<(Staging, usize)> = None;
            let mut mixed = false;
            for holder in holders {
                let (staging, from) = match begun.take().filter(|_| !alone) {
                    Some(begun) => begun,
                    None => (self.custody.stage(blob.1).await??, 0),
                };
                let (staging, pulled) = self.pull(staging, blob, holder).await?;
                match pulled {
                    Ok(()) => match self.run(move || staging.seal(&blob.0)).await?? {
                        Seal::Done(sealed) => return Ok(sealed),
                        Seal::WrongHash => {
                            tracing::error!(%holder, blob = %blob.0, "a holder gave wrong bytes");
                            mixed |= from > 0;
                        }
                    },
                    Err(error) => {
                        tracing::warn!(%holder, blob = %blob.0, %error, "cannot pull a copy");
                        last = Some(error);
                        let fed = usize::from(staging.written() > 0);
                        begun = Some((staging, from + fed));
                    }
                }
            }
            if !mixed {
                break;
            }
        }
        Err(FetchError::NoHolder(last))
    }

    /// Pulls what is missing; one piece is received while the one before is written.
    async fn pull(
        &self,
        staging: Staging,
        blob: (Digest, u64),
        holder: &ServerName,
    ) -> Result<(Staging, Result<(), TransferError>), FetchError> {
        let lease = self.buffers.try_lease();
        let most = if lease.is_some() { LARGE } else { CHUNK as usize };
        let offset = staging.written();
        let mut pull = match self.transfer.pull(holder, blob, offset, most, PATIENCE).await {
            Ok(pull) => pull,
            Err(error) => return Ok((staging, Err(error))),
        };
        let mut intake = Intake::new(&self.seams.blocking, staging, pieces(&lease));
        let pulled = loop {
            match intake.meanwhile(pull.next(PATIENCE)).await? {
                Ok(Some(piece)) => intake.push(piece),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let (mut staging, rest) = intake.end().await?;
        let write = move || staging.append_all(rest).map(|()| staging);
        Ok((self.run(write).await??, pulled))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, blocking::Lost> {
        blocking::run(&self.seams.blocking, work).await
    }
}
