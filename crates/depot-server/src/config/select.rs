//! Which of the servers in the file this one is.

use depot_protocol::ServerName;

use super::error::ConfigError;
use super::{Config, Server};

/// What the command line says about which server of the file this one is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// The server with this name.
    pub name: Option<ServerName>,
    /// The server that takes clients on this port.
    pub port: Option<u16>,
}

/// The one server that is meant.
pub(super) fn select<'a>(
    config: &'a Config,
    selection: &Selection,
) -> Result<&'a Server, ConfigError> {
    match selection {
        Selection { name: Some(name), port } => {
            let server = by_name(config, name)?;
            match port {
                Some(port) if *port != server.address.port() => {
                    Err(wrong(config, other_port(config, server, *port)))
                }
                _ => Ok(server),
            }
        }
        Selection { name: None, port: Some(port) } => by_port(config, *port),
        Selection { name: None, port: None } => match config.servers.as_slice() {
            [only] => Ok(only),
            many => {
                let message = format!(
                    "has {} servers: say with --name which one this is: {}",
                    many.len(),
                    listed(many)
                );
                Err(wrong(config, message))
            }
        },
    }
}

fn by_name<'a>(config: &'a Config, name: &ServerName) -> Result<&'a Server, ConfigError> {
    config.servers.iter().find(|server| server.name == *name).ok_or_else(|| {
        let message =
            format!("has no server \"{name}\" (--name); it has {}", listed(&config.servers));
        wrong(config, message)
    })
}

fn by_port(config: &Config, port: u16) -> Result<&Server, ConfigError> {
    let found: Vec<&Server> =
        config.servers.iter().filter(|server| server.address.port() == port).collect();
    match found.as_slice() {
        [only] => Ok(only),
        [] => {
            let message = format!(
                "has no server that takes clients on port {port} (--port); it has {}",
                listed(&config.servers)
            );
            Err(wrong(config, message))
        }
        many => {
            let message = format!(
                "has {} servers on port {port}: say with --name which one this is: {}",
                many.len(),
                listed(many.iter().copied())
            );
            Err(wrong(config, message))
        }
    }
}

/// The port given is not that of the server named: whose it is, if anyone's.
fn other_port(config: &Config, server: &Server, port: u16) -> String {
    let Server { name, address, line, .. } = server;
    let ours = format!("server \"{name}\" (--name) takes clients on {address}, line {line}");
    match config.servers.iter().find(|other| other.address.port() == port) {
        Some(other) => format!(
            "{ours}; port {port} (--port) is that of \"{}\", line {}",
            other.name, other.line
        ),
        None => format!("{ours}; port {port} (--port) is nobody's: leave --port out"),
    }
}

/// The servers, for someone who must choose one.
fn listed<'a>(servers: impl IntoIterator<Item = &'a Server>) -> String {
    /// More than these are not told.
    const SHOWN: usize = 8;
    let mut servers = servers.into_iter();
    let named = servers.by_ref().take(SHOWN);
    let mut list: Vec<String> = named
        .map(|server| format!("\"{}\" on {} (line {})", server.name, server.address, server.line))
        .collect();
    let more = servers.count();
    if more > 0 {
        list.push(format!("{more} more"));
    }
    list.join(", ")
}

fn wrong(config: &Config, message: String) -> ConfigError {
    ConfigError::whole(&config.file, message)
}
