//! One lane: how one server comes to its copy.

use std::sync::Arc;
use std::time::Duration;

use depot_protocol::ServerName;
use tokio::time::timeout;

use super::{By, Candidate, Lanes};
use crate::catalogue::Receipt;
use crate::deposit::feed::{CannotRead, Next};
use crate::transfer::{Push, TransferError};

/// How long a peer may take to take a piece.
pub(super) const LANE_STALL: Duration = Duration::from_secs(5);
/// How long a peer may take to sync its copy until another is asked for one too.
pub(super) const RECEIPT_PATIENCE: Duration = Duration::from_secs(10);

impl Lanes {
    /// Gets one server to have a copy.
    pub(super) async fn lane(
        self: &Arc<Self>,
        candidate: &Candidate,
    ) -> Result<Receipt, LaneError> {
        let (transfer, server) = (&self.courier.transfer, &candidate.server);
        if let By::Vouching = candidate.by {
            let digest = self.feed.whole().await.ok_or(LaneError::GivenUp)?;
            if let Some(receipt) = transfer.vouch(server, &digest, self.feed.size()).await? {
                return Ok(receipt);
            }
        }
        if self.feed.is_gathered() {
            let digest = self.feed.whole().await.ok_or(LaneError::GivenUp)?;
            let receipt = async {
                let payload = self.feed.gathered();
                Ok(transfer.whole(server, payload, &digest).await?)
            };
            return self.patiently(receipt).await;
        }
        let push = transfer.push(server, self.feed.size()).await?;
        self.send(server, push).await
    }

    async fn send(
        self: &Arc<Self>,
        server: &ServerName,
        mut push: Push,
    ) -> Result<Receipt, LaneError> {
        let mut cursor = self.feed.cursor(&self.courier.seams, &self.courier.buffers);
        let sending = Sending::begin(self, server);
        loop {
            match cursor.next(push.most()).await.inspect_err(|error| self.condemn(error))? {
                Next::Piece(piece) => {
                    let sent = timeout(LANE_STALL, push.data(&piece)).await;
                    sent.map_err(|_late| LaneError::Stalled)?.map_err(TransferError::from)?;
                    sending.taken(piece.len() as u64);
                }
                Next::End(digest) => {
                    drop(cursor);
                    let receipt = async { Ok(push.end(digest).await?) };
                    return self.patiently(receipt).await;
                }
                Next::GivenUp => {
                    if let Err(error) = push.abort().await {
                        tracing::debug!(%error, "a peer was not told that a payload was given up");
                    }
                    return Err(LaneError::GivenUp);
                }
            }
        }
    }

    /// The copy that a lane reads back is bad or gone: it is judged, as for any other reader.
    fn condemn(&self, error: &CannotRead) {
        if let Some(digest) = self.feed.copy().filter(|_| error.condemns()) {
            tracing::error!(blob = %digest, %error, "a copy is bad that others were to be made of");
            self.courier.custody.condemn(digest);
        }
    }

    /// Waits for a receipt; has another server asked for a copy beside this one if it takes long.
    async fn patiently(
        self: &Arc<Self>,
        receipt: impl Future<Output = Result<Receipt, LaneError>>,
    ) -> Result<Receipt, LaneError> {
        tokio::pin!(receipt);
        match timeout(RECEIPT_PATIENCE, &mut receipt).await {
            Ok(receipt) => receipt,
            Err(_late) => {
                tracing::warn!("a peer takes long to sync its copy; the next server is asked too");
                self.start_slot();
                receipt.await
            }
        }
    }
}

/// A lane that sends: while it does, it stands on the board how much of the payload its peer has
/// taken. It does not stand still there for longer than [`LANE_STALL`].
struct Sending<'l> {
    lanes: &'l Lanes,
    server: &'l ServerName,
}

impl<'l> Sending<'l> {
    fn begin(lanes: &'l Lanes, server: &'l ServerName) -> Self {
        let sending = Sending { lanes, server };
        sending.taken(0);
        sending
    }

    fn taken(&self, bytes: u64) {
        self.lanes.change(|board| *board.sending.entry(self.server.clone()).or_default() += bytes);
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.lanes.change(|board| {
            board.sending.remove(self.server);
        });
    }
}

/// A copy was not made on one server.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaneError {
    #[error("the payload was given up")]
    GivenUp,
    #[error("it did not take a piece within {} s", LANE_STALL.as_secs())]
    Stalled,
    #[error(transparent)]
    Transfer(#[from] TransferError),
    #[error(transparent)]
    CannotRead(#[from] CannotRead),
}
