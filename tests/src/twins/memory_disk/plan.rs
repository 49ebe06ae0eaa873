//! What shall go wrong on a memory disk, and the log of what was asked of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

/// One kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Opening a file that exists.
    Open,
    /// Opening a new file.
    Create,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Cutting or growing a file.
    SetSize,
    /// Setting room aside.
    Reserve,
    /// Making bytes durable.
    Sync,
    /// Closing a file explicitly.
    Close,
    /// Locking.
    Lock,
    /// Renaming.
    Rename,
    /// Removing a file.
    Remove,
    /// Making a directory.
    CreateDir,
    /// Making names durable.
    SyncDir,
    /// Making everything durable.
    SyncAll,
    /// Listing a directory.
    List,
    /// Asking for the room left.
    Space,
}

impl Op {
    /// Whether it can change the disk: the operations that a crash is planned at.
    pub fn mutates(self) -> bool {
        match self {
            Op::Create | Op::Write | Op::SetSize | Op::Reserve | Op::Sync => true,
            Op::Rename | Op::Remove | Op::CreateDir | Op::SyncDir | Op::SyncAll => true,
            Op::Open | Op::Read | Op::Close | Op::Lock | Op::List | Op::Space => false,
        }
    }
}

/// One operation that was asked for, whatever came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its kind.
    pub op: Op,
    /// The path; for an open file, the one that it was opened by.
    pub path: PathBuf,
    /// Where a rename leads to.
    pub to: Option<PathBuf>,
}

impl Operation {
    pub(super) fn on(op: Op, path: &Path) -> Self {
        Operation { op, path: path.to_owned(), to: None }
    }

    fn is_under(&self, prefix: &Path) -> bool {
        self.path.starts_with(prefix) || self.to.as_ref().is_some_and(|to| to.starts_with(prefix))
    }
}

/// An error to come.
#[derive(Debug, Clone)]
pub struct Fault {
    nth: u64,
    error: Errno,
    op: Option<Op>,
    prefix: PathBuf,
    for_ever: bool,
}

impl Fault {
    /// The `nth` operation from now on (1 is the next one) fails with `error`.
    pub fn at(nth: u64, error: Errno) -> Self {
        Fault { nth, error, op: None, prefix: PathBuf::new(), for_ever: false }
    }

    /// Counts only operations of this kind.
    pub fn of(self, op: Op) -> Self {
        Fault { op: Some(op), ..self }
    }

    /// Counts only operations on this path and what is beneath it.
    pub fn under(self, prefix: impl Into<PathBuf>) -> Self {
        Fault { prefix: prefix.into(), ..self }
    }

    /// Every operation that counts fails from then on, not only the one.
    pub fn for_ever(self) -> Self {
        Fault { for_ever: true, ..self }
    }

    fn counts(&self, operation: &Operation) -> bool {
        self.op.is_none_or(|op| op == operation.op) && operation.is_under(&self.prefix)
    }
}

/// On which side of an operation the power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Nothing of the operation happens.
    Before,
    /// It happens, and whoever asked for it does not learn so.
    After,
}

/// How an operation is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Go,
    /// Fails as a broken disk does: half done.
    Fail(Errno),
    /// Never arrives at the disk.
    Frozen,
    /// Arrives, and no answer comes back.
    FreezeAfter,
}

#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) log: Vec<Operation>,
    pub(super) mutations: u64,
    pub(super) faults_fired: u64,
    pub(super) frozen: bool,
    pub(super) lost_syncs: Vec<PathBuf>,
    pub(super) lost_dir_syncs: Vec<PathBuf>,
    pub(super) sync_takes: Duration,
    /// The number of the mutation to freeze at.
    pub(super) crash: Option<(u64, When)>,
    faults: Vec<Fault>,
}

impl Plan {
    pub(super) fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// Writes an operation down and says how it is to go.
    pub(super) fn next(&mut self, operation: Operation) -> Verdict {
        if self.frozen {
            return Verdict::Frozen;
        }
        let verdict = self.verdict(&operation);
        self.log.push(operation);
        verdict
    }

    fn verdict(&mut self, operation: &Operation) -> Verdict {
        let mut failure = None;
        self.faults.retain_mut(|fault| {
            if !fault.counts(operation) {
                return true;
            }
            fault.nth = fault.nth.saturating_sub(1);
            if fault.nth == 0 {
                failure = failure.or(Some(fault.error));
            }
            fault.nth > 0 || fault.for_ever
        });
        if operation.op.mutates() {
            self.mutations += 1;
            match self.crash {
                Some((at, when)) if at == self.mutations => {
                    self.frozen = true;
                    return match when {
                        When::Before => Verdict::Frozen,
                        When::After => Verdict::FreezeAfter,
                    };
                }
                _ => {}
            }
        }
        match failure {
            Some(error) => {
                self.faults_fired += 1;
                Verdict::Fail(error)
            }
            None => Verdict::Go,
        }
    }

    /// Whether the disk lies about this sync.
    pub(super) fn lies(&self, operation: &Operation) -> bool {
        let lost = match operation.op {
            Op::Sync => &self.lost_syncs,
            Op::SyncDir => &self.lost_dir_syncs,
            // Whichever of its syncs a disk lies about, it lies about the one of everything.
            Op::SyncAll => return !(self.lost_syncs.is_empty() && self.lost_dir_syncs.is_empty()),
            _ => return false,
        };
        lost.iter().any(|prefix| operation.is_under(prefix))
    }
}
