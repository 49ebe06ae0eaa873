//! One deposit on one connection, its hash last: the header, the bytes, the hash line, the answer.

use std::future::Future;

use bytes::{Bytes, BytesMut};
use depot_protocol::{Answer, Deposit, Digest, Reply, Request, encode_hash_line};
use futures_util::future::join;

use crate::connection::{Connection, Sending, converse};
use crate::{Deposited, Error};

/// Where the bytes come from.
pub(crate) trait Pieces: Send {
    /// The next of them; nothing at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Error>> + Send;

    /// The whole file's hash, after the last piece; an error where the bytes are not what was
    /// announced.
    fn finish(&mut self) -> impl Future<Output = Result<Digest, Error>> + Send;
}

/// Sends a deposit whose hash comes last, and returns what was answered. A server may refuse before
/// it has all: then sending stops. Where the bytes turn out not to be what was announced the hash
/// line is not sent, and the caller drops the connection: so nothing is stored.
///
/// `told` is the hash once the hash line is about to go out: from there on it may be done.
pub(crate) async fn upload(
    connection: &mut Connection,
    deposit: &Deposit,
    pieces: &mut impl Pieces,
    advance: impl Fn(u64) + Send + Sync,
    told: &mut Option<Digest>,
) -> Result<Deposited, Error> {
    let mut header = BytesMut::new();
    connection.write(&Request::Deposit(deposit.clone()), &mut header)?;
    let Connection { sending, receiving, sends, .. } = connection;
    *told = None;
    let answered = {
        let send = send_all(sending, header.freeze(), pieces, advance, told);
        converse(sends, send, receiving.reply()).await
    };
    match (answered, *told) {
        (Ok(Reply::Answer(Answer::Refused(refusal))), _) => Err(Error::refused(refusal)),
        (Ok(Reply::Answer(Answer::Deposited { replicas, copies, hash })), Some(told)) => {
            if hash != told {
                return Err(receiving.broken("it has stored another hash than it was sent"));
            }
            let (size, resumed_from) = (deposit.size, deposit.offset());
            Ok(Deposited { replicas, copies, hash, size, resumed_from })
        }
        (Ok(Reply::Answer(_)), None) => Err(receiving.broken("it is done before it has all")),
        (Ok(other), _) => Err(receiving.unexpected(&other)),
        (Err(error), Some(_)) => Err(error.after_a_change()),
        (Err(error), None) => Err(error),
    }
}

/// Sends one piece while the next is read.
async fn send_all(
    sending: &mut Sending,
    header: Bytes,
    pieces: &mut impl Pieces,
    advance: impl Fn(u64) + Send + Sync,
    told: &mut Option<Digest>,
) -> Result<(), Error> {
    let (sent, next) = join(sending.send(&header), pieces.next()).await;
    sent?;
    let mut next = next?;
    while let Some(piece) = next {
        let (sent, after) = join(sending.send(&piece), pieces.next()).await;
        sent?;
        advance(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        next = after?;
    }
    let hash = pieces.finish().await?;
    let mut line = BytesMut::new();
    encode_hash_line(&hash, &mut line);
    *told = Some(hash);
    sending.send(&line).await
}
