//! The times that a server aborted because going on could lose data. For a day of running after
//! one, each start checks the whole catalogue; after two within a day, the server stays down until a
//! person has looked: a disk that fails its catalogue does not get better by itself.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::home::{Home, HomeError};
use crate::seams::{Disk, Seams};
use crate::volume::{read_file, write_file};

const FILE: &str = "ABORTS";
/// Two aborts this close, in seconds of running time, keep the server down.
const CLOSE: u64 = 24 * 60 * 60;
/// So many are remembered.
const REMEMBERED: usize = 16;
/// A number in decimal digits, and its line end.
const LINE_MAX: u64 = 21;

/// Whether the server aborted within the last day of running; an error where it must stay down.
pub fn look(disk: &dyn Disk, home: &Home, seams: &Seams) -> Result<bool, HomeError> {
    let aborts = read(disk)?;
    let now = home.running(&*seams.clock);
    let recent = aborts.iter().filter(|at| now.saturating_sub(**at) < CLOSE).count();
    if recent >= 2 {
        return Err(HomeError::Damaged(format!(
            "the server aborted {recent} times within a day of running, because the disk failed its catalogue: \
             look at the system's log, check or replace the disk, then remove the file {FILE} from the data folder"
        )));
    }
    Ok(recent > 0)
}

/// The same world, in which an abort is noted in the data folder first.
pub fn noting(seams: &Seams, disk: Arc<dyn Disk>, home: Arc<Home>) -> Seams {
    let (abort, clock) = (Arc::clone(&seams.abort), Arc::clone(&seams.clock));
    let once = AtomicBool::new(false);
    let noting = move |why: &str| {
        if once.swap(true, Ordering::AcqRel) {
            return abort(why); // one fault, told by several
        }
        let note = || -> Result<(), HomeError> {
            let mut aborts = read(&*disk)?;
            aborts.push(home.running(&*clock));
            let lines = aborts.iter().rev().take(REMEMBERED).rev().map(|at| format!("{at}\n"));
            let lines: String = lines.collect();
            write_file(&*disk, Path::new(FILE), lines.as_bytes()).map_err(unusable("write"))
        };
        if let Err(error) = note() {
            tracing::warn!(%error, "cannot note the abort");
        }
        abort(why);
    };
    Seams { abort: Arc::new(noting), ..seams.clone() }
}

fn read(disk: &dyn Disk) -> Result<Vec<u64>, HomeError> {
    let limit = LINE_MAX * REMEMBERED as u64;
    let bytes = read_file(disk, Path::new(FILE), limit).map_err(unusable("read"))?;
    let text = String::from_utf8(bytes.unwrap_or_default());
    let times = text.map(|text| text.lines().map(str::parse).collect::<Result<Vec<u64>, _>>());
    match times {
        Ok(Ok(times)) => Ok(times),
        _ => Err(HomeError::Damaged(format!(
            "the file {FILE} is damaged: remove it after checking the disk"
        ))),
    }
}

fn unusable(doing: &str) -> impl FnOnce(std::io::Error) -> HomeError + '_ {
    move |source| HomeError::Unusable { doing: format!("{doing} {FILE}"), source }
}
