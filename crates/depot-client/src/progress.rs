//! How far a transfer is, told to whoever wants to show it.

use depot_protocol::FileName;

use crate::Error;

/// Hears how far transfers are. Several may be under way at a time, each under its name.
///
/// For each file that is begun: [`begin`](Progress::begin), any number of
/// [`advance`](Progress::advance), [`end`](Progress::end). A try that failed and is made again says
/// [`retrying`](Progress::retrying), and `begin` once more from where it goes on.
///
/// It is called between pieces of at most 256 KiB, so it must not take long.
pub trait Progress: Send + Sync {
    /// The transfer of a file of `size` bytes begins, or goes on, with the byte at `from`.
    fn begin(&self, name: &FileName, size: u64, from: u64);

    /// So many more bytes were handed to the network, or came from it and were written.
    fn advance(&self, name: &FileName, bytes: u64);

    /// It failed and is about to be tried again.
    fn retrying(&self, name: &FileName, error: &Error) {
        let _ = (name, error);
    }

    /// It is over, well or not; also told of one that failed before it began. Not told of a transfer
    /// whose future was dropped, nor where a call for many files ended with an error.
    fn end(&self, name: &FileName) {
        let _ = name;
    }
}

/// Nobody wants to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn begin(&self, _name: &FileName, _size: u64, _from: u64) {}

    fn advance(&self, _name: &FileName, _bytes: u64) {}
}
