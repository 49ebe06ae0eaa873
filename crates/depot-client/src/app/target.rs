//! Where a recovered file goes: beneath its target, whatever its name is.
//!
//! A name is text that somebody chose, perhaps on another system. Its `/` become folders beneath
//! the target; a name that means something else to this system's paths is refused, and so is a way
//! that leads through a symbolic link.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use depot_protocol::FileName;

/// How this system reads paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    /// Only `/` separates, and every other character is ordinary.
    Unix,
    /// `\` separates, `:` names drives and streams, and some names are devices.
    Windows,
}

impl System {
    /// The one that this was built for.
    pub(super) const HERE: System = if cfg!(windows) { System::Windows } else { System::Unix };
}

/// Why a name gets no file.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// On this system the name is not that of a file beneath the target.
    #[error("the name is not one of this system's")]
    Name,
    /// A folder on the way is a symbolic link, or no folder.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// A folder cannot be made or looked at.
    #[error("{}", .path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The path of a name beneath a folder. Nothing is touched.
///
/// # Errors
/// The system would read the name as something else.
pub(super) fn beneath(folder: &Path, name: &str, system: System) -> Result<PathBuf, TargetError> {
    let ordinary = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && (system == System::Unix || ordinary_on_windows(segment))
    };
    if !name.split('/').all(ordinary) {
        return Err(TargetError::Name);
    }
    Ok(name.split('/').fold(folder.to_owned(), |path, segment| path.join(segment)))
}

/// Makes the folders of a name beneath `folder`, through no symbolic link.
///
/// # Errors
/// Something on the way is no folder, or cannot be made.
pub(super) fn make_folders(folder: &Path, name: &FileName) -> Result<(), TargetError> {
    let mut path = folder.to_owned();
    let (folders, _) = name.as_str().rsplit_once('/').unwrap_or_default();
    for segment in folders.split('/').filter(|segment| !segment.is_empty()) {
        path.push(segment);
        match fs::create_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let real = fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
                if !real {
                    return Err(TargetError::NotAFolder(path));
                }
            }
            Err(source) => return Err(TargetError::Io { path, source }),
        }
    }
    Ok(())
}

/// Whether Windows takes this for a file's name and nothing else.
fn ordinary_on_windows(segment: &str) -> bool {
    let stem = segment.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let port = |prefix| {
        stem.strip_prefix(prefix).is_some_and(|rest: &str| {
            rest.chars().count() == 1 && rest.chars().all(|c| "0123456789¹²³".contains(c))
        })
    };
    let device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || port("COM")
        || port("LPT");
    !device
        && !segment.contains(['\\', ':', '<', '>', '"', '|', '?', '*'])
        && !segment.ends_with(['.', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE_ON_WINDOWS: [&str; 9] =
        [r"..\..\x", r"C:\x", "C:x", "CON", "aux.txt", "com1", "x.", "a/lpt9.log", "nul .txt"];

    #[test]
    fn slashes_become_folders_beneath() {
        let path = beneath(Path::new("to"), "a/b c/d.txt", System::Unix).unwrap();
        assert_eq!(path, Path::new("to/a/b c/d.txt"));
    }

    #[test]
    fn nothing_leads_out() {
        for name in ["..", "../x", "a/../../x", "/etc/passwd", "a//b", "", "./x", "a/"] {
            assert!(beneath(Path::new("to"), name, System::Unix).is_err(), "{name}");
        }
    }

    #[test]
    fn what_windows_reads_otherwise_is_refused_there_and_ordinary_here() {
        for name in HOSTILE_ON_WINDOWS {
            assert!(beneath(Path::new("to"), name, System::Windows).is_err(), "{name}");
            let here = beneath(Path::new("to"), name, System::Unix).unwrap();
            assert_eq!(here, Path::new("to").join(name));
        }
        for name in ["common.txt", "a/config", "comet1", "...x"] {
            assert!(beneath(Path::new("to"), name, System::Windows).is_ok(), "{name}");
        }
    }

    #[test]
    fn folders_are_made_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let name = |text| FileName::parse(text).unwrap();
        make_folders(folder.path(), &name("a/b/c.txt")).unwrap();
        make_folders(folder.path(), &name("a/b/d.txt")).unwrap();
        assert!(folder.path().join("a/b").is_dir());
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("link")).unwrap();
        let refused = make_folders(folder.path(), &name("link/x/y"));
        assert!(matches!(refused, Err(TargetError::NotAFolder(_))));
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(make_folders(folder.path(), &name("file/x")).is_err());
    }
}
