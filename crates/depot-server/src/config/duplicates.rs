//! What two servers of one list, or two addresses of one server, must not share.
//!
//! Servers on different machines may have the same folder and the same port; those on one machine
//! may not. Two servers are taken to be on one machine where their addresses say so: they have one
//! IP address, or both are on loopback, or one of them is on all addresses.

use std::net::IpAddr;
use std::ops::Range;

use super::error::{ConfigError, Source, shown};
use super::members::Server;
use super::written::{self, End};

/// Checks the list; the messages name both lines.
pub(super) fn check(
    source: &Source,
    written: &[&written::Server],
    servers: &[Server],
) -> Result<(), ConfigError> {
    check_names(source, written)?;
    check_addresses(source, written)?;
    check_folders(source, written, servers)
}

fn check_names(source: &Source, written: &[&written::Server]) -> Result<(), ConfigError> {
    for (first, second) in pairs(written) {
        let name = &second.name.get_ref().0;
        if first.name.get_ref().0 == *name {
            let (first, second) = (first.name.span(), second.name.span());
            return Err(Lines::of(source, &first, &second).twice(&format!("name \"{name}\"")));
        }
    }
    Ok(())
}

fn check_addresses(source: &Source, written: &[&written::Server]) -> Result<(), ConfigError> {
    let ends: Vec<(IpAddr, End)> =
        written.iter().flat_map(|server| server.ends().map(|end| (host(server), end))).collect();
    for ((first_host, first), (second_host, second)) in pairs(&ends) {
        if !collide(one_machine(*first_host, *second_host), first, second) {
            continue;
        }
        let what = format!("{} {}", second.key, second.socket);
        let lines = Lines::of(source, &first.span, &second.span);
        if first.socket == second.socket {
            return Err(lines.twice(&what));
        }
        let other = format!("{} {}", first.key, first.socket);
        return Err(lines.differ(&what, &other, "both take the same port"));
    }
    Ok(())
}

/// Whether two addresses could not both be listened on, or would not tell two servers apart.
fn collide(one_machine: bool, first: &End, second: &End) -> bool {
    let (a, b) = (first.host(), second.host());
    let everywhere = a.is_unspecified() || b.is_unspecified();
    let hosts = if everywhere { one_machine } else { a == b };
    hosts && first.socket.port() == second.socket.port() && first.socket.port() != 0
}

fn check_folders(
    source: &Source,
    written: &[&written::Server],
    servers: &[Server],
) -> Result<(), ConfigError> {
    let both: Vec<(&&written::Server, &Server)> = written.iter().zip(servers).collect();
    for ((first, first_server), (second, second_server)) in pairs(&both) {
        let (a, b) = (&first_server.data, &second_server.data);
        if !one_machine(host(first), host(second)) || !(a.starts_with(b) || b.starts_with(a)) {
            continue;
        }
        let what = format!("data folder {}", shown(b));
        let (first_span, second_span) = (first.data.span(), second.data.span());
        let lines = Lines::of(source, &first_span, &second_span);
        if a == b {
            return Err(lines.twice(&what));
        }
        return Err(lines.differ(&what, &shown(a), "one is inside the other"));
    }
    Ok(())
}

/// Two places of a file that do not go together.
struct Lines<'a> {
    source: &'a Source<'a>,
    first: usize,
    second: usize,
    span: &'a Range<usize>,
}

impl<'a> Lines<'a> {
    fn of(source: &'a Source<'a>, first: &Range<usize>, second: &'a Range<usize>) -> Lines<'a> {
        let line = |span: &Range<usize>| source.position(span.start).line;
        Lines { source, first: line(first), second: line(second), span: second }
    }

    /// The same in both places.
    fn twice(&self, what: &str) -> ConfigError {
        let Lines { first, second, .. } = self;
        let message = format!("{what} stands twice: on line {first} and on line {second}");
        self.source.error(self.span, message)
    }

    /// Not the same, but in each other's way.
    fn differ(&self, what: &str, other: &str, why: &str) -> ConfigError {
        let Lines { first, second, .. } = self;
        let message = format!("{what} on line {second} and {other} on line {first}: {why}");
        self.source.error(self.span, message)
    }
}

/// The machine of a server, as far as its address tells.
fn host(server: &written::Server) -> IpAddr {
    server.address.get_ref().0.ip().to_canonical()
}

fn one_machine(a: IpAddr, b: IpAddr) -> bool {
    a == b || (a.is_loopback() && b.is_loopback()) || a.is_unspecified() || b.is_unspecified()
}

/// Each two of a list, in order.
fn pairs<T>(list: &[T]) -> impl Iterator<Item = (&T, &T)> {
    let from = |at: usize| list[at + 1..].iter();
    (0..list.len()).flat_map(move |at| from(at).map(move |second| (&list[at], second)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_all_of_them_once() {
        assert_eq!(pairs(&[1, 2, 3]).collect::<Vec<_>>(), [(&1, &2), (&1, &3), (&2, &3)]);
        assert_eq!(pairs::<u8>(&[]).count(), 0);
    }

    #[test]
    fn machines_are_told_apart_by_address() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(one_machine(ip("127.0.0.1"), ip("::1")));
        assert!(one_machine(ip("0.0.0.0"), ip("10.0.0.1")));
        assert!(!one_machine(ip("10.0.0.1"), ip("10.0.0.2")));
    }
}
