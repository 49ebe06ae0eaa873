//! What `depot-server status` shows of a server that was reached.

use std::io::{self, Write};
use std::time::Duration;

use super::hex;
use crate::cluster::Proven;
use crate::config::Server;
use crate::operator::{BadCopy, RepairStatus, ScrubStatus, Status};

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
        describe_repair(repair, output)?;
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

fn describe_repair(repair: &RepairStatus, output: &mut impl Write) -> io::Result<()> {
    let more = if repair.more { " and more" } else { "" };
    write!(
        output,
        "  copies: {} made since the start, {}{more} wanted here ({} under way)",
        repair.healed, repair.missing, repair.running
    )?;
    match repair.lacking {
        Some(lacking) => writeln!(output, "; {lacking} files lack copies"),
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
        let prefix: String = digest.chars().take(12).collect();
        write!(output, ", {prefix} {} ago", seconds(*ago))?;
    }
    writeln!(output)
}

fn seconds(seconds: u64) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(seconds))
}
