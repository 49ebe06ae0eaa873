//! A payload that ends early is a part: kept with its record, read again, gone on with.

use std::cell::Cell;
use std::sync::Arc;

use super::super::layout::{self, BLOCK, CHUNK, SEGMENT};
use super::super::parts::{Part, PartKey};
use super::super::staged::Written;
use super::super::{BlobError, Volume, VolumeError, blob, lock};
use super::Staging;
use crate::seams::disk::OpenMode;

impl Staging {
    /// Makes what is here so far durable as a part, and goes on: after a crash of the server the
    /// client resumes from here. `expires` is in seconds of running time.
    pub fn checkpoint(&mut self, key: PartKey, expires: u64) -> Result<(), VolumeError> {
        self.write_held()?;
        self.flush()?;
        self.told.set(self.written);
        self.sync()?;
        let part = Part {
            file: self.name.clone(),
            announced: self.announced,
            held: self.written,
            hash: self.hash.clone(),
            checksums: self.all_checksums(),
            expires,
        };
        let mut parts = lock(&self.volume.parts);
        let stored = parts.record(&*self.volume.disk, &key, &part);
        stored.map_err(|error| self.failed("record a part", error))?;
        drop(parts);
        (self.recorded, self.checkpointed) = (Some(key), self.written);
        Ok(())
    }

    /// The upload was cut: keeps what is here as a part, until `expires`, instead of whatever the
    /// same upload left before. Nothing is kept of nothing.
    pub fn keep(mut self, key: PartKey, expires: u64) -> Result<(), VolumeError> {
        if self.written == 0 {
            return Ok(());
        }
        self.write_held()?;
        self.flush()?;
        // Cut to what has come, which gives back the room that was reserved ahead.
        let size = layout::payload_offset(self.written);
        let cut = self.file().set_size(size);
        cut.map_err(|error| self.failed("cut a part", error))?;
        self.checkpoint(key, expires)?;
        self.close()
    }

    /// Goes on with a part.
    pub(in crate::volume) fn resume(
        volume: Arc<Volume>,
        key: PartKey,
        part: Part,
    ) -> Result<Self, BlobError> {
        let path = layout::staging().join(&part.file);
        let file = volume.disk.open(&path, OpenMode::Write).map_err(BlobError::Unreadable)?;
        let mut checksums = part.checksums;
        let mut chunk = layout::chunk_crc(part.held / CHUNK);
        let begun = part.held % CHUNK;
        let mut bytes = vec![0; begun as usize];
        if begun > 0 {
            blob::read(&*file, &mut bytes, layout::payload_offset(part.held - begun))?;
            chunk.update(&bytes);
            if checksums.pop() != Some(chunk.clone().finalize()) {
                return Err(BlobError::Corrupt(
                    "the last chunk of a part does not have its checksum",
                ));
            }
        }
        let mut staging = Staging {
            volume,
            held: None,
            file: Some(file),
            direct: None,
            name: part.file,
            announced: part.announced,
            written: part.held,
            told: Written::new(part.held),
            reserved: part.held,
            hash: part.hash,
            chunk,
            checksums,
            recorded: Some(key),
            checkpointed: part.held,
            packed: false,
            spoiled: Cell::new(false),
        };
        let in_block = bytes.len() % BLOCK as usize;
        staging.pass_cache(&bytes[bytes.len() - in_block..]);
        Ok(staging)
    }

    /// Reads the bytes from `from` to the end of that segment again, as they lie on disk, and
    /// holds them against their checksums; says where to go on, `None` at the end. A part is read
    /// again before it is built on: its hash was taken when the bytes came in, which says nothing
    /// of what the disk made of them since.
    pub fn verify(&self, from: u64) -> Result<Option<u64>, BlobError> {
        let segment = from / SEGMENT;
        let end = self.written.min((segment + 1) * SEGMENT);
        let file = self.volume.disk.open(&self.path(), OpenMode::Read);
        let file = &*file.map_err(BlobError::Unreadable)?;
        let sums = if end == (segment + 1) * SEGMENT {
            let mut block = vec![0; BLOCK as usize];
            blob::read(file, &mut block, layout::checksums_offset(segment, end))?;
            layout::decode_checksums(&block)
        } else {
            self.all_checksums()
        };
        let mut at = segment * SEGMENT;
        while at < end {
            let mut bytes = vec![0; (end - at).min(1 << 20) as usize];
            blob::read(file, &mut bytes, layout::payload_offset(at))?;
            let first = at / CHUNK;
            blob::verify(&bytes, first, &sums)?;
            at += bytes.len() as u64;
        }
        Ok((end < self.written).then_some(end))
    }

    /// It is of no use: it goes, file and record, checkpoints too.
    pub fn discard(mut self) {
        self.forget_record();
    }
}
