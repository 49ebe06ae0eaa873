//! Small files, several at a time on one connection: all headers and bytes out, all answers in.

use std::collections::VecDeque;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use depot_protocol::{
    Announced, Answer, Deposit, Digest, FileName, FileSize, Refusal, Reply, Request,
};

use crate::connection::{Connection, converse};
use crate::deposit::Wanted;
use crate::pool::Attempts;
use crate::{Deposited, Error};

/// How many bytes are sent at a time before answers are waited for, but for one file.
pub(crate) const WINDOW: u64 = 512 << 10;

/// A file that was read whole.
pub(crate) struct Small {
    pub(crate) path: PathBuf,
    pub(crate) name: FileName,
    pub(crate) bytes: Bytes,
    pub(crate) hash: Digest,
}

impl Small {
    pub(crate) fn size(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)
    }
}

/// Deposits one small file.
pub(crate) async fn one(wanted: Wanted<'_>, file: Small) -> Result<Deposited, Error> {
    let name = file.name.clone();
    let mut done = None;
    let all = all(wanted, VecDeque::from([file]), |_, told| done = Some(told)).await;
    match (all, done) {
        (_, Some(done)) => done,
        (Err(error), None) => {
            wanted.progress.end(&name);
            Err(error)
        }
        (Ok(()), None) => unreachable!("each file is told of, or there is an error"),
    }
}

/// Deposits small files over one connection, and another when that is cut. Each is told of once,
/// unless there is an error.
pub(crate) async fn all(
    wanted: Wanted<'_>,
    mut files: VecDeque<Small>,
    mut each: impl FnMut(Small, Result<Deposited, Error>) + Send,
) -> Result<(), Error> {
    let mut attempts = Attempts::new(wanted.pool);
    while let Some(first) = files.front() {
        let name = first.name.clone();
        let left = files.len();
        let tried = async {
            let mut connection = attempts.connection().await?;
            while !files.is_empty() {
                window(wanted, &mut connection, &mut files, &mut each).await?;
                if connection.is_severed() {
                    return Ok(()); // the rest over another
                }
            }
            wanted.pool.keep(connection);
            Ok(())
        };
        if let Err(error) = tried.await {
            if files.len() < left {
                attempts.got_on();
            }
            attempts.after(error, |error| wanted.progress.retrying(&name, error)).await?;
        }
    }
    Ok(())
}

/// Sends the first of the files and takes those out that are answered. One that may well be taken
/// at another time stays, and is the error.
async fn window(
    wanted: Wanted<'_>,
    connection: &mut Connection,
    files: &mut VecDeque<Small>,
    each: &mut (impl FnMut(Small, Result<Deposited, Error>) + Send),
) -> Result<(), Error> {
    let (mut out, mut sent, mut size) = (BytesMut::new(), 0_usize, 0);
    for file in files.iter() {
        size += file.size();
        if sent > 0 && size > WINDOW {
            break;
        }
        let deposit = Deposit {
            client: wanted.pool.id,
            replicas: wanted.replicas,
            size: FileSize::new(file.size()).unwrap_or(FileSize::ZERO),
            hash: Announced::Known(file.hash),
            offset: None,
            name: file.name.clone(),
        };
        connection.write(&Request::Deposit(deposit), &mut out)?;
        out.extend_from_slice(&file.bytes);
        wanted.progress.begin(&file.name, file.size(), 0);
        sent += 1;
    }
    let Connection { sending, receiving, sends, .. } = connection;
    let mut later = None;
    // Outside of what is dropped when sending fails: no file may be forgotten.
    let mut again = VecDeque::new();
    let answers = async {
        let mut answered = Ok(());
        for _ in 0..sent {
            let reply = match receiving.reply().await {
                Ok(reply) => reply,
                Err(error) => {
                    answered = Err(error.after_a_change());
                    break;
                }
            };
            let Some(file) = files.pop_front() else { break };
            let done = match reply {
                Reply::Answer(Answer::Deposited { replicas, copies, hash })
                    if hash == file.hash =>
                {
                    let size = FileSize::new(file.size()).unwrap_or(FileSize::ZERO);
                    Ok(Deposited { replicas, copies, hash, size, resumed_from: 0 })
                }
                Reply::Answer(Answer::Deposited { .. }) => {
                    Err(receiving.broken("it has stored another hash than it was sent"))
                }
                Reply::Answer(Answer::Refused(refusal)) => Err(Error::refused(refusal)),
                other => Err(receiving.unexpected(&other)),
            };
            match done {
                Err(Error::Refused(refusal)) if passes(&refusal) => {
                    later = Some(refusal);
                    again.push_back(file);
                }
                done => {
                    if done.is_ok() {
                        wanted.progress.advance(&file.name, file.size());
                    }
                    wanted.progress.end(&file.name);
                    each(file, done);
                }
            }
        }
        answered
    };
    let conversed = converse(sends, sending.send(&out), answers).await;
    files.append(&mut again);
    conversed?;
    later.map_or(Ok(()), |refusal| Err(Error::Refused(refusal)))
}

fn passes(refusal: &Refusal) -> bool {
    Error::Refused(refusal.clone()).may_pass()
}

#[cfg(test)]
#[path = "small_tests.rs"]
mod tests;
