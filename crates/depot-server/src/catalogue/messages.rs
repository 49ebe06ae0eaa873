//! What servers say to each other about the catalogue: one question, one answer, each a version
//! byte and a value in postcard's encoding. Structures as everywhere (`stored`): never reordered.
//!
//! A question names the node that it is for. A server that came back under another life is another
//! node, and must not answer in the place of the one that it was: its word would be counted as the
//! earlier one's, which has lost what it had promised to keep.

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::command::{Applied, Command};
use super::consensus::{Entry, LogId, Types, Vote};
use super::fault::Corrupt;
use super::log_rows::{Progress, StoredEntry, StoredLogId, StoredProgress, StoredVote};
use super::rows::Row;
use super::stored::{
    StoredApplied, StoredCommand, load_applied, load_command, store_applied, store_command,
};

/// The version that this program speaks.
const VERSION: u8 = 1;

/// What is asked.
#[derive(Debug)]
pub(super) enum Question {
    /// Entries of the log, or a heartbeat. `quorum`: whether the leader has reached a majority of
    /// late, so that whoever hears of it knows that there is one.
    Append { request: AppendEntriesRequest<Types>, quorum: bool },
    /// A candidate wants a vote.
    Vote(VoteRequest<u64>),
    /// Commands for the leader to propose.
    Propose(Vec<Command>),
    /// Up to where must the tables have come for a reader who asks now?
    ReadIndex,
    /// A snapshot begins: frames follow, and then the answer.
    Snapshot { cluster: [u8; 16], vote: Vote, progress: Progress },
}

/// What is answered.
#[derive(Debug)]
pub(super) enum Answer {
    Appended(AppendEntriesResponse<u64>),
    Voted(VoteResponse<u64>),
    /// What came of the commands, each.
    Proposed(Vec<Applied>),
    /// This server does not lead, or leads nobody: it has proposed nothing.
    NotProposed,
    /// The commands may have been proposed, and may yet take effect.
    Unsure,
    ReadIndex(u64),
    /// The snapshot is in place, or is not wanted any more.
    Installed(Vote),
    /// No, and why.
    Refused(String),
}

#[derive(Serialize, Deserialize)]
enum StoredQuestion {
    Append {
        vote: StoredVote,
        prev: Option<StoredLogId>,
        committed: Option<StoredLogId>,
        entries: Vec<StoredEntry>,
        quorum: bool,
    },
    Vote {
        vote: StoredVote,
        last: Option<StoredLogId>,
    },
    Propose(Vec<StoredCommand>),
    ReadIndex,
    Snapshot {
        cluster: [u8; 16],
        vote: StoredVote,
        progress: StoredProgress,
    },
}

#[derive(Serialize, Deserialize)]
enum StoredAnswer {
    Appended,
    AppendedUpTo(Option<StoredLogId>),
    Conflict,
    HigherVote(StoredVote),
    Voted { vote: StoredVote, granted: bool, last: Option<StoredLogId> },
    Proposed(Vec<StoredApplied>),
    NotProposed,
    Unsure,
    ReadIndex(u64),
    Installed(StoredVote),
    Refused(String),
}

fn store_id(log_id: &Option<LogId>) -> Option<StoredLogId> {
    log_id.as_ref().map(Row::store)
}

fn load_id(stored: Option<StoredLogId>) -> Result<Option<LogId>, &'static str> {
    stored.map(LogId::load).transpose()
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(value, vec![VERSION])
        .expect("numbers, strings and lists encode into memory")
}

fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, Corrupt> {
    match frame.split_first() {
        Some((&VERSION, encoded)) => postcard::take_from_bytes(encoded)
            .map_err(|error| Corrupt::new(format!("a peer's frame cannot be decoded: {error}")))
            .and_then(|(value, rest)| {
                let whole = rest.is_empty().then_some(value);
                whole.ok_or_else(|| Corrupt::new("a peer's frame goes on behind its end"))
            }),
        Some((version, _)) => Err(Corrupt::new(format!(
            "a peer speaks version {version} of the catalogue's messages, this server version {VERSION}"
        ))),
        None => Err(Corrupt::new("a peer's frame is empty")),
    }
}

impl Question {
    /// The frame of this question to a node.
    pub(super) fn encode(&self, to: u64) -> Vec<u8> {
        let stored = match self {
            Question::Append { request, quorum } => StoredQuestion::Append {
                vote: request.vote.store(),
                prev: store_id(&request.prev_log_id),
                committed: store_id(&request.leader_commit),
                entries: request.entries.iter().map(Row::store).collect(),
                quorum: *quorum,
            },
            Question::Vote(request) => StoredQuestion::Vote {
                vote: request.vote.store(),
                last: store_id(&request.last_log_id),
            },
            Question::Propose(commands) => {
                StoredQuestion::Propose(commands.iter().map(store_command).collect())
            }
            Question::ReadIndex => StoredQuestion::ReadIndex,
            Question::Snapshot { cluster, vote, progress } => StoredQuestion::Snapshot {
                cluster: *cluster,
                vote: vote.store(),
                progress: progress.store(),
            },
        };
        encode(&(to, stored))
    }

    /// Whom a frame is for, and what it asks.
    pub(super) fn decode(frame: &[u8]) -> Result<(u64, Self), Corrupt> {
        let (to, stored) = decode(frame)?;
        let question = load_question(stored);
        let question = question.map_err(|rule| Corrupt::new(format!("a peer asks: {rule}")))?;
        Ok((to, question))
    }
}

fn load_question(stored: StoredQuestion) -> Result<Question, &'static str> {
    Ok(match stored {
        StoredQuestion::Append { vote, prev, committed, entries, quorum } => {
            let request = AppendEntriesRequest::<Types> {
                vote: Vote::load(vote)?,
                prev_log_id: load_id(prev)?,
                entries: entries.into_iter().map(Entry::load).collect::<Result<_, _>>()?,
                leader_commit: load_id(committed)?,
            };
            let next = request.prev_log_id.map_or(0, |prev| prev.index.saturating_add(1));
            let places = (next..).zip(&request.entries);
            if places.into_iter().any(|(place, entry)| entry.log_id.index != place) {
                return Err("the entries to append have a hole");
            }
            Question::Append { request, quorum }
        }
        StoredQuestion::Vote { vote, last } => {
            Question::Vote(VoteRequest::new(Vote::load(vote)?, load_id(last)?))
        }
        StoredQuestion::Propose(commands) => {
            let commands = commands.into_iter().map(load_command);
            Question::Propose(commands.collect::<Result<_, _>>()?)
        }
        StoredQuestion::ReadIndex => Question::ReadIndex,
        StoredQuestion::Snapshot { cluster, vote, progress } => {
            let (vote, progress) = (Vote::load(vote)?, Progress::load(progress)?);
            Question::Snapshot { cluster, vote, progress }
        }
    })
}

impl Answer {
    pub(super) fn encode(&self) -> Vec<u8> {
        encode(&match self {
            Answer::Appended(AppendEntriesResponse::Success) => StoredAnswer::Appended,
            Answer::Appended(AppendEntriesResponse::PartialSuccess(upto)) => {
                StoredAnswer::AppendedUpTo(store_id(upto))
            }
            Answer::Appended(AppendEntriesResponse::Conflict) => StoredAnswer::Conflict,
            Answer::Appended(AppendEntriesResponse::HigherVote(vote)) => {
                StoredAnswer::HigherVote(vote.store())
            }
            Answer::Voted(response) => StoredAnswer::Voted {
                vote: response.vote.store(),
                granted: response.vote_granted,
                last: store_id(&response.last_log_id),
            },
            Answer::Proposed(applied) => {
                StoredAnswer::Proposed(applied.iter().map(store_applied).collect())
            }
            Answer::NotProposed => StoredAnswer::NotProposed,
            Answer::Unsure => StoredAnswer::Unsure,
            Answer::ReadIndex(index) => StoredAnswer::ReadIndex(*index),
            Answer::Installed(vote) => StoredAnswer::Installed(vote.store()),
            Answer::Refused(why) => StoredAnswer::Refused(why.clone()),
        })
    }

    pub(super) fn decode(frame: &[u8]) -> Result<Self, Corrupt> {
        load_answer(decode(frame)?).map_err(|rule| Corrupt::new(format!("a peer answers: {rule}")))
    }
}

fn load_answer(stored: StoredAnswer) -> Result<Answer, &'static str> {
    Ok(match stored {
        StoredAnswer::Appended => Answer::Appended(AppendEntriesResponse::Success),
        StoredAnswer::AppendedUpTo(upto) => {
            Answer::Appended(AppendEntriesResponse::PartialSuccess(load_id(upto)?))
        }
        StoredAnswer::Conflict => Answer::Appended(AppendEntriesResponse::Conflict),
        StoredAnswer::HigherVote(vote) => {
            Answer::Appended(AppendEntriesResponse::HigherVote(Vote::load(vote)?))
        }
        StoredAnswer::Voted { vote, granted, last } => {
            Answer::Voted(VoteResponse::new(Vote::load(vote)?, load_id(last)?, granted))
        }
        StoredAnswer::Proposed(applied) => {
            let applied = applied.into_iter().map(load_applied);
            Answer::Proposed(applied.collect::<Result<_, _>>()?)
        }
        StoredAnswer::NotProposed => Answer::NotProposed,
        StoredAnswer::Unsure => Answer::Unsure,
        StoredAnswer::ReadIndex(index) => Answer::ReadIndex(index),
        StoredAnswer::Installed(vote) => Answer::Installed(Vote::load(vote)?),
        StoredAnswer::Refused(why) => Answer::Refused(why),
    })
}

#[cfg(test)]
mod tests;
