//! Something mounted on a folder: disks that take nothing, or little. Only root may, so tests that
//! need one are skipped for others.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is mounted on a folder, until it is dropped.
#[derive(Debug)]
pub struct Mount(PathBuf);

impl Mount {
    /// An empty file system that takes nothing.
    pub fn read_only(on: &Path) -> Option<Self> {
        Self::by(on, &[&["-t", "tmpfs", "-o", "ro", "depot-tests"]])
    }

    /// The folder itself, as a disk that went read-only.
    pub fn over_itself_read_only(on: &Path) -> Option<Self> {
        let folder = on.to_str().expect("UTF-8");
        Self::by(on, &[&["--bind", folder], &["-o", "remount,bind,ro"]])
    }

    /// An empty disk of so many MiB.
    pub fn small(on: &Path, mebibytes: u64) -> Option<Self> {
        let options = format!("size={mebibytes}M");
        Self::by(on, &[&["-t", "tmpfs", "-o", &options, "depot-tests"]])
    }

    fn by(on: &Path, steps: &[&[&str]]) -> Option<Self> {
        if std::fs::metadata("/proc/self").ok()?.uid() != 0 {
            return None;
        }
        let mounted = Self(on.to_owned());
        let mut all = steps.iter();
        all.all(|args| {
            Command::new("mount").args(*args).arg(on).status().is_ok_and(|status| status.success())
        })
        .then_some(mounted)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a server that still runs may have files of it open.
        let mut umount = Command::new("umount");
        let _ = umount.arg("--lazy").arg(&self.0).stderr(Stdio::null()).status();
    }
}
