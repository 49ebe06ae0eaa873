//! What `depot-server status` shows of a server that was reached.

use std::io::{self, Write};
use std::time::Duration;

use super::hex;
use crate::cluster::Proven;
use crate::config::Server;
use crate::operator::{BadCopy, MissingCopy, RepairStatus, ScrubStatus, Status, Why};

/// What one server says of itself.
pub(super) fn describe(
    server: &Server,
    met: &Proven,
    status: &Status,
    output: &mut impl Write,
) -> io::Result<()> {
    let name = &server.name;
    let Some(cluster) = &met.cluster else {
        return writeln!(output, "{name}: waits to be founded (init) or admitted (admit)");
    };
    write!(output, "{name}: cluster {}, incarnation {}", hex(cluster), met.start.incarnation)?;
    write!(output, ", up {}", seconds(status.uptime))?;
    write!(output, ", room {}", bytesize::ByteSize(status.room).display().iec())?;
    if status.suspect {
        write!(output, ", READ-ONLY after a disk fault until a scrub has passed")?;
    }
    writeln!(output)?;
    if let Some(catalogue) = &status.catalogue {
        let leader = catalogue.leader.as_deref().unwrap_or("nobody");
        let quorum = if catalogue.quorum { "a majority answers" } else { "NO MAJORITY" };
        let members = catalogue.members.iter().map(|member| match member.votes {
            true => member.server.clone(),
            false => format!("{} (catching up)", member.server),
        });
        writeln!(
            output,
            "  catalogue: {leader} leads in term {}, {quorum}, applied up to {}, voters: {}",
            catalogue.term,
            catalogue.applied,
            members.collect::<Vec<_>>().join(", ")
        )?;
    }
    if let Some(repair) = &status.repair {
        describe_repair(repair, &status.missing, output)?;
    }
    if let Some(scrub) = &status.scrub {
        describe_scrub(scrub, output)?;
    }
    for peer in &status.peers {
        let (name, since) = (&peer.name, seconds(peer.since));
        match &peer.why {
            _ if peer.up => write!(output, "  {name}: up for {since}")?,
            Some(why) => write!(output, "  {name}: DOWN for {since}: {why}")?,
            None => write!(output, "  {name}: DOWN for {since}")?,
        }
        match peer.room {
            Some(room) => writeln!(output, ", room {}", bytesize::ByteSize(room).display().iec())?,
            None => writeln!(output)?,
        }
    }
    Ok(())
}

fn describe_repair(
    repair: &RepairStatus,
    missing: &[MissingCopy],
    output: &mut impl Write,
) -> io::Result<()> {
    let more = if repair.more { " and more" } else { "" };
    write!(
        output,
        "  copies: {} made since the start, {}{more} wanted here ({} under way)",
        repair.healed, repair.missing, repair.running
    )?;
    match repair.lacking {
        Some(lacking) => writeln!(output, "; {lacking} files lack copies")?,
        None => writeln!(output)?,
    }
    for copy in missing {
        describe_missing(copy, output)?;
    }
    match repair.missing.saturating_sub(missing.len() as u64) {
        0 => Ok(()),
        others => writeln!(output, "    and {others} more"),
    }
}

fn describe_missing(copy: &MissingCopy, output: &mut impl Write) -> io::Result<()> {
    let why = match copy.why {
        Why::Deposit => "not brought by its deposit",
        Why::Lacking => "too few copies elsewhere",
        Why::Bad => "the copy here was bad",
        Why::Gone => "the copy here is gone",
        Why::Found => "wanted by a record",
    };
    write!(output, "    {}: {why}, since {}", prefix(&copy.digest), seconds(copy.since))?;
    if copy.running {
        write!(output, ", under way")?;
    }
    match &copy.failure {
        Some(failure) => writeln!(output, ", tried {} times: {failure}", copy.attempts),
        None => writeln!(output),
    }
}

fn describe_scrub(scrub: &ScrubStatus, output: &mut impl Write) -> io::Result<()> {
    let percent = |shard: u8| u32::from(shard) * 100 / 256;
    let (round, read) = (scrub.rounds + 1, percent(scrub.shard));
    write!(output, "  scrub: round {round} at {read} % since {}", seconds(scrub.began))?;
    write!(output, ", new copies {} ago", seconds(scrub.fresh))?;
    if let Some(shard) = scrub.pass {
        write!(output, ", reading everything now: {} %", percent(shard))?;
    }
    write!(output, ", {} read since the start", scrub.read)?;
    match scrub.bad {
        0 => write!(output, ", none was ever bad")?,
        bad => write!(output, ", BAD so far: {bad}")?,
    }
    for BadCopy { digest, ago } in &scrub.found {
        write!(output, ", {} {} ago", prefix(digest), seconds(*ago))?;
    }
    writeln!(output)
}

/// Enough of a hash to find it in the log and on the disk.
fn prefix(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

fn seconds(seconds: u64) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_missing_the_oldest_are_shown_with_their_reasons_and_the_others_counted() {
        let copy = |digest: &str, why| MissingCopy {
            digest: digest.repeat(64),
            why,
            since: 185,
            running: false,
            attempts: 0,
            failure: None,
        };
        let failure = Some("no holder gives a copy".to_owned());
        let missing = [
            MissingCopy { attempts: 7, failure, ..copy("a", Why::Bad) },
            MissingCopy { running: true, ..copy("b", Why::Deposit) },
        ];
        let repair =
            RepairStatus { missing: 40, more: false, running: 1, healed: 3, lacking: Some(5) };
        let mut output = Vec::new();
        describe_repair(&repair, &missing, &mut output).unwrap();
        let expected = "  copies: 3 made since the start, 40 wanted here (1 under way); \
                        5 files lack copies\n    \
                        aaaaaaaaaaaa: the copy here was bad, since 3m 5s, tried 7 times: \
                        no holder gives a copy\n    \
                        bbbbbbbbbbbb: not brought by its deposit, since 3m 5s, under way\n    \
                        and 38 more\n";
        assert_eq!(String::from_utf8(output).unwrap(), expected);
    }
}
