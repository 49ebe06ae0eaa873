//! Where the bytes of a recover come from: this server's copy, else one holder after another, each
//! going on where the one before broke off.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use depot_protocol::{Digest, ServerName};
use tokio::sync::oneshot;

use super::Cut;
use super::check::Check;
use crate::buffers::{LARGE, Lease};
use crate::depot::Depot;
use crate::seams::blocking;
use crate::transfer::{No, Pull, TransferError};
use crate::volume::layout::CHUNK;
use crate::volume::{Blob, BlobError};

/// How long a holder may take for its next piece while there are others to ask.
const PATIENCE: Duration = Duration::from_secs(2);
/// And when all have been asked.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// A piece of this server's copy, and the copy to go on with.
pub(super) type LocalPiece = (Result<Bytes, BlobError>, Blob);

/// The copies that a recover may read.
pub(super) struct Copies {
    /// This server's, its first piece read.
    pub(super) local: Option<LocalPiece>,
    /// The other servers that have one, best first.
    pub(super) holders: Vec<ServerName>,
}

/// One file's bytes.
pub(super) struct Source {
    digest: Digest,
    size: u64,
    /// Up to where bytes have come.
    at: u64,
    /// What has come and can be handed out.
    ready: VecDeque<Bytes>,
    /// Whether any was handed out, or can be.
    begun: bool,
    from: From,
    /// Who is asked next, and how long it may take.
    next: VecDeque<(ServerName, Duration)>,
    /// Who has sent something of this stream.
    senders: Vec<ServerName>,
    /// There while all of the stream came from other servers.
    check: Option<Check>,
    lease: Option<Lease>,
}

/// The copy that is being read.
enum From {
    Nowhere,
    Here(Box<LocalPiece>),
    /// The next piece of this server's copy is being read.
    Ahead(oneshot::Receiver<LocalPiece>),
    Peer(ServerName, Box<Pull>, Duration),
}

impl Source {
    /// The bytes from `offset` on.
    pub(super) fn new(
        depot: &Depot,
        (digest, size): (Digest, u64),
        offset: u64,
        copies: Copies,
    ) -> Self {
        let transfer = &depot.courier.transfer;
        let (up, down): (Vec<_>, Vec<_>) =
            copies.holders.into_iter().partition(|holder| transfer.is_up(holder));
        let once = up.iter().chain(&down).map(|holder| (holder.clone(), PATIENCE));
        let again = up.iter().map(|holder| (holder.clone(), LAST_PATIENCE));
        Source {
            digest,
            size,
            at: offset,
            ready: VecDeque::new(),
            begun: false,
            from: copies.local.map_or(From::Nowhere, |piece| From::Here(Box::new(piece))),
            next: once.chain(again).collect(),
            senders: Vec::new(),
            check: None,
            lease: None,
        }
    }

    /// Has something to hand out, before anything is answered.
    pub(super) async fn begin(&mut self, depot: &Depot) -> Result<(), Cut> {
        if matches!(self.from, From::Nowhere) && self.next.is_empty() {
            return Err(Cut);
        }
        while self.ready.is_empty() && self.at < self.size {
            self.advance(depot).await?;
        }
        Ok(())
    }

    /// The next piece; none at the end.
    pub(super) async fn next(&mut self, depot: &Depot) -> Result<Option<Bytes>, Cut> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            if self.at == self.size {
                return Ok(None);
            }
            self.advance(depot).await?;
        }
    }

    /// Gets one more piece; it may have to be withheld.
    async fn advance(&mut self, depot: &Depot) -> Result<(), Cut> {
        let piece = self.piece(depot).await?;
        self.at += piece.len() as u64;
        let open = match &mut self.check {
            Some(check) => check.pass(piece).await.map_err(|_lost| Cut)?,
            None => Some(piece),
        };
        self.begun |= open.is_some();
        self.ready.extend(open);
        if self.at < self.size {
            return Ok(());
        }
        self.finish().await;
        let Some(check) = self.check.take() else { return Ok(()) };
        match check.end(&self.digest).await.map_err(|_lost| Cut)? {
            Some(withheld) => {
                self.ready.extend(withheld);
                Ok(())
            }
            None => self.begin_anew(),
        }
    }

    /// The servers that sent this stream sent wrong bytes. Where none of them went on to the client
    /// the others are asked.
    fn begin_anew(&mut self) -> Result<(), Cut> {
        let senders = std::mem::take(&mut self.senders);
        tracing::error!(blob = %self.digest, ?senders, "a holder sends bytes that do not have the hash");
        self.next.retain(|(holder, _)| !senders.contains(holder));
        self.at = 0;
        if self.begun { Err(Cut) } else { Ok(()) }
    }

    /// A piece at this place, from whoever has it.
    async fn piece(&mut self, depot: &Depot) -> Result<Bytes, Cut> {
        loop {
            match std::mem::replace(&mut self.from, From::Nowhere) {
                From::Here(piece) => match self.local(depot, *piece) {
                    Some(piece) => return Ok(piece),
                    None => continue,
                },
                From::Ahead(ahead) => {
                    let piece = ahead.await.map_err(|_lost| Cut)?;
                    if let Some(piece) = self.local(depot, piece) {
                        return Ok(piece);
                    }
                }
                From::Peer(peer, mut pull, patience) => match pull.next(patience).await {
                    Ok(Some(piece)) => {
                        self.from = From::Peer(peer, pull, patience);
                        return Ok(piece);
                    }
                    // It ends only where all has come.
                    Ok(None) => self.leave(&peer, None),
                    Err(error) => self.leave(&peer, Some(error)),
                },
                From::Nowhere => self.open(depot).await?,
            }
        }
    }

    /// A piece of this server's copy; the one after it is read meanwhile. `None`: the copy can't be
    /// read on.
    fn local(&mut self, depot: &Depot, (piece, mut blob): LocalPiece) -> Option<Bytes> {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                tracing::error!(blob = %self.digest, %error, at = self.at, "this server's copy went bad in a recover");
                if error.condemns() {
                    depot.custody.condemn(self.digest);
                }
                return None;
            }
        };
        let next = self.at + piece.len() as u64;
        if next < self.size {
            let most = self.most(depot, next);
            let read = move || (blob.read(next, most), blob);
            self.from = From::Ahead(blocking::start(&depot.seams.blocking, read));
        }
        Some(piece)
    }

    /// Asks the next holder.
    async fn open(&mut self, depot: &Depot) -> Result<(), Cut> {
        let Some((peer, patience)) = self.next.pop_front() else {
            tracing::error!(blob = %self.digest, at = self.at, "a recover found no good copy");
            return Err(Cut);
        };
        let most = self.most(depot, self.at);
        let blob = (self.digest, self.size);
        let pull = depot.courier.transfer.pull(&peer, blob, self.at, most, patience).await;
        match pull {
            Ok(pull) => {
                if self.at == 0 {
                    self.check = Some(Check::new(depot.seams.clone(), self.size));
                    self.senders.clear();
                }
                self.senders.push(peer.clone());
                self.from = From::Peer(peer, Box::new(pull), patience);
            }
            Err(error) => self.leave(&peer, Some(error)),
        }
        Ok(())
    }

    /// Goes on without this holder.
    fn leave(&mut self, peer: &ServerName, error: Option<TransferError>) {
        let why = error.as_ref().map(tracing::field::display);
        tracing::warn!(blob = %self.digest, %peer, at = self.at, why, "a holder does not go on; the next is asked");
        let has_none = matches!(
            error,
            Some(TransferError::Refused(No::Absent | No::Bad | No::Witness)) | None
        );
        if has_none {
            self.next.retain(|(holder, _)| holder != peer);
        }
    }

    /// Hears a holder's last word, so that its connection is kept.
    async fn finish(&mut self) {
        if let From::Peer(peer, mut pull, patience) =
            std::mem::replace(&mut self.from, From::Nowhere)
            && let Err(error) = pull.next(patience).await
        {
            tracing::warn!(%peer, %error, "a holder does not end where its copy ends");
        }
    }

    /// How large a piece may be.
    fn most(&mut self, depot: &Depot, at: u64) -> usize {
        if self.size - at > CHUNK {
            self.lease = self.lease.take().or_else(|| depot.buffers.try_lease());
        }
        if self.lease.is_some() { LARGE } else { CHUNK as usize }
    }
}
