//! Where a server is: what a person writes as `host:port`.

use std::fmt;
use std::str::FromStr;

/// A server's address, not looked up yet.
///
/// One that was [parsed](Endpoint::parse) has a host of 1 to 253 bytes without blanks, control
/// characters, `/`, `|` and `@`, and a port that is not 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// A text that is no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EndpointFault(&'static str);

impl Endpoint {
    /// The longest host name in bytes.
    pub const HOST_MAX: usize = 253;

    /// A host name or an IP address (IPv6 without brackets), and a port.
    pub fn new(host: impl Into<String>, port: u16) -> Endpoint {
        Endpoint { host: host.into(), port }
    }

    /// `host:port`, or `[address]:port` for IPv6.
    ///
    /// # Errors
    /// Any other form, and port 0.
    pub fn parse(text: &str) -> Result<Endpoint, EndpointFault> {
        let (host, port) = text
            .rsplit_once(':')
            .ok_or(EndpointFault("host:port is wanted, like depot.example:7070"))?;
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = inner.unwrap_or(host);
        if inner.is_none() && host.contains([':', '[', ']']) {
            return Err(EndpointFault("an IPv6 address stands in brackets, like [::1]:7070"));
        }
        let allowed = |c: char| !c.is_control() && !c.is_whitespace() && !"/|@".contains(c);
        if host.is_empty() || host.len() > Self::HOST_MAX || !host.chars().all(allowed) {
            return Err(EndpointFault("a host name or an IP address is wanted before the \":\""));
        }
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(port) if digits && port != 0 => Ok(Endpoint::new(host, port)),
            _ => Err(EndpointFault("a port from 1 to 65535 is wanted after the last \":\"")),
        }
    }

    /// The host name or IP address, IPv6 without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Endpoint {
    type Err = EndpointFault;

    fn from_str(text: &str) -> Result<Endpoint, EndpointFault> {
        Endpoint::parse(text)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_parsed_is_shown_the_same() {
        for text in ["localhost:7070", "127.0.0.1:1", "[::1]:7070", "[fe80::1%eth0]:65535"] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Endpoint::parse("[::1]:7070").unwrap().host(), "::1");
    }

    #[test]
    fn what_is_no_endpoint() {
        for text in [
            "",
            ":",
            "host",
            "host:",
            ":7070",
            "host:0",
            "host:+1",
            "host:65536",
            "host:70a",
            "::1:7070",
            "[::1]",
            "[]:1",
            "a b:1",
            "a\u{1b}[31m:1",
            "http://host:1",
            "a@b:1",
        ] {
            assert!(Endpoint::parse(text).is_err(), "{text:?}");
        }
    }
}
