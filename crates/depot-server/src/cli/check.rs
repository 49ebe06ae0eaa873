//! `depot-server check-config`: says what a file means, without doing any of it.

use std::io::{self, Write};

use crate::config::{Loaded, Server};

/// Writes what was found in a configuration.
///
/// # Errors
/// The output cannot be written to.
pub fn describe(loaded: &Loaded, output: &mut impl Write) -> io::Result<()> {
    let config = &loaded.config;
    let servers = config.servers();
    if let Some(name) = &config.cluster().name {
        writeln!(output, "cluster: {name}")?;
    }
    writeln!(output, "servers: {}", servers.len())?;
    for server in servers {
        describe_server(server, output)?;
    }
    let voters = servers.len();
    match config.tolerated_failures() {
        0 => writeln!(output, "voters: {voters}; f = 0: while one is down, nothing is deposited")?,
        f => writeln!(output, "voters: {voters}; f = {f}: {f} may fail while the rest goes on")?,
    }
    for warning in &loaded.warnings {
        writeln!(output, "warning: {warning}")?;
    }
    match loaded.warnings.len() {
        0 => writeln!(output, "The configuration is good."),
        1 => writeln!(output, "The configuration can be used, with 1 warning."),
        n => writeln!(output, "The configuration can be used, with {n} warnings."),
    }
}

fn describe_server(server: &Server, output: &mut impl Write) -> io::Result<()> {
    let Server { name, address, peer, http, data, zone, capacity, witness, line: _ } = server;
    write!(output, "  {name}: clients on {address}")?;
    if let Some(peer) = peer {
        write!(output, ", servers on {peer}")?;
    }
    if let Some(http) = http {
        write!(output, ", health on {http}")?;
    }
    write!(output, ", data in {}", crate::config::shown(data))?;
    if let Some(zone) = zone {
        write!(output, ", zone {zone}")?;
    }
    if let Some(capacity) = capacity {
        write!(output, ", capacity {}", bytesize::ByteSize(*capacity).display().iec())?;
    }
    if *witness {
        write!(output, ", witness")?;
    }
    writeln!(output)
}
