//! A look into a server's data folder: what is stored, what is left over, and whether some bytes
//! stand anywhere in it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::content::hex;

/// A data folder, read from outside.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Where something in it is.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.0.join(inside)
    }

    /// The catalogue's file.
    pub fn catalogue(&self) -> PathBuf {
        self.path("catalogue/catalogue.redb")
    }

    /// Where the copy with this hash is or would be.
    pub fn blob(&self, hash: &str) -> PathBuf {
        self.path(&format!("volume/blobs/{}/{hash}", &hash[..2]))
    }

    /// The hashes of all copies, in order: what stands in the shards, beside no marker.
    pub fn blobs(&self) -> Vec<String> {
        let blobs = self.path("volume/blobs");
        let mut found = files(&blobs);
        found.retain(|path| path.parent() != Some(&blobs));
        file_names(&found)
    }

    /// The names in the staging folder: uploads on their way and parts.
    pub fn staged(&self) -> Vec<String> {
        file_names(&files(&self.path("volume/staging")))
    }

    /// The names in the quarantine.
    pub fn quarantined(&self) -> Vec<String> {
        file_names(&files(&self.path("volume/quarantine")))
    }

    /// The data files of parts.
    pub fn part_data(&self) -> Vec<PathBuf> {
        let staged = files(&self.path("volume/staging"));
        staged
            .into_iter()
            .filter(|path| path.extension().is_some_and(|end| end == "data"))
            .collect()
    }

    /// All that lies in the folder, as paths.
    pub fn files(&self) -> Vec<PathBuf> {
        files(&self.0)
    }

    /// The space that the folder takes on the disk, in bytes.
    pub fn disk_use(&self) -> u64 {
        let blocks = |path: &PathBuf| fs::symlink_metadata(path).map_or(0, |meta| meta.blocks());
        self.files().iter().map(blocks).sum::<u64>() * 512
    }

    /// The files that hold `bytes`.
    pub fn holding(&self, bytes: &[u8]) -> Vec<PathBuf> {
        let holds = |path: &PathBuf| fs::read(path).is_ok_and(|content| holds(&content, bytes));
        self.files().into_iter().filter(holds).collect()
    }

    /// No file holds the id in any form, nor is any named so.
    #[track_caller]
    pub fn knows_nothing_of(&self, id: &str) {
        for form in forms_of_id(id) {
            let found = self.holding(&form);
            assert!(found.is_empty(), "the id stands in {found:?}");
            let paths =
                self.files().iter().map(|path| path.display().to_string()).collect::<String>();
            assert!(!holds(paths.as_bytes(), &form), "the id stands in a file's name");
        }
    }
}

/// An id as it might have been written down: as text and as hex in either case, and its 16 bytes.
pub(crate) fn forms_of_id(id: &str) -> Vec<Vec<u8>> {
    let lower = id.to_ascii_lowercase();
    let digits = lower.replace('-', "");
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex digits");
    let raw = (0..32).step_by(2).map(byte).collect::<Vec<_>>();
    debug_assert_eq!(hex(&raw), digits);
    let texts = [lower.to_ascii_uppercase(), lower, digits.to_ascii_uppercase(), digits];
    texts.into_iter().map(String::into_bytes).chain([raw]).collect()
}

/// Whether `needle` stands in `hay`.
pub(crate) fn holds(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

/// All that is not a folder, below `path`; a folder that vanishes meanwhile is empty.
fn files(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map_while(Result::ok).map(|entry| entry.path()) {
        let is_folder = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
        if is_folder { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn file_names(paths: &[PathBuf]) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    paths.iter().filter_map(name).collect()
}
