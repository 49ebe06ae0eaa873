//! Where a recovered file goes: beneath its target, whatever its name is.
//!
//! A name is text that somebody chose, perhaps on another system. Its `/` become folders beneath
//! the target; a name that means something else to this system's paths is refused here. That no
//! symbolic link leads out is the library's care ([`crate::Client::recover_beneath`]).

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

/// On this system the name is not that of a file beneath the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name is not one of this system's")]
pub struct TargetError;

/// Whether a name is one of files beneath a folder, and nothing else to the system.
///
/// # Errors
/// The system would read it as something else.
pub(super) fn is_ordinary(name: &str, system: System) -> Result<(), TargetError> {
    let ordinary = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && (system == System::Unix || ordinary_on_windows(segment))
    };
    if name.split('/').all(ordinary) { Ok(()) } else { Err(TargetError) }
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
    fn nothing_leads_out() {
        for name in ["..", "../x", "a/../../x", "/etc/passwd", "a//b", "", "./x", "a/"] {
            assert!(is_ordinary(name, System::Unix).is_err(), "{name}");
        }
        is_ordinary("a/b c/d.txt", System::Unix).unwrap();
    }

    #[test]
    fn what_windows_reads_otherwise_is_refused_there_and_ordinary_here() {
        for name in HOSTILE_ON_WINDOWS {
            assert!(is_ordinary(name, System::Windows).is_err(), "{name}");
            is_ordinary(name, System::Unix).unwrap();
        }
        for name in ["common.txt", "a/config", "comet1", "...x"] {
            assert!(is_ordinary(name, System::Windows).is_ok(), "{name}");
        }
    }
}
