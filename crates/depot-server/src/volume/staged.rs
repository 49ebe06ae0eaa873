//! Reading a payload while it is still coming in: what a lane to another server sends that lags
//! behind the client, or that begins after the upload has.
//!
//! The bytes are read as they lie in the staged file, not held against their checksums: who gets
//! them hashes all of them and takes nothing that has another hash.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::layout::{self, SEGMENT};
use crate::seams::disk::DiskFile;

/// How much of a staged payload is written, told by its writer.
#[derive(Debug, Clone, Default)]
pub(super) struct Written(Arc<AtomicU64>);

impl Written {
    pub(super) fn new(bytes: u64) -> Self {
        Written(Arc::new(AtomicU64::new(bytes)))
    }

    pub(super) fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Release);
    }
}

/// A staged payload's bytes so far. It has the file open by itself: whatever becomes of the
/// payload's name, the bytes stay readable.
#[derive(Debug, Clone)]
pub struct StagedReader {
    file: Arc<dyn DiskFile>,
    written: Written,
}

impl StagedReader {
    pub(super) fn new(file: Box<dyn DiskFile>, written: Written) -> Self {
        StagedReader { file: Arc::from(file), written }
    }

    /// How many bytes can be read.
    pub fn written(&self) -> u64 {
        self.written.0.load(Ordering::Acquire)
    }

    /// Payload bytes from `offset` on: at most `most`, none only where none are written yet.
    pub fn read(&self, offset: u64, most: usize) -> io::Result<Bytes> {
        let end_of_segment = (offset / SEGMENT + 1) * SEGMENT;
        let end = self.written().min(end_of_segment).min(offset.saturating_add(most as u64));
        let Some(length) = end.checked_sub(offset) else { return Ok(Bytes::new()) };
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, layout::payload_offset(offset))?;
        Ok(Bytes::from(bytes))
    }
}
