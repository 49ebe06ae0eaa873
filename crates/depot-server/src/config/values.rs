//! The values of the file: each knows how it is written and says so when it is written otherwise.

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::time::Duration;

use bytesize::ByteSize;
use depot_protocol::ServerName;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use toml::Spanned;

use super::error::quoted;
use super::secret::Secret;

/// A value that is written as a text.
trait Written: Sized {
    /// What is wanted, with an example.
    const WANTED: &str;

    /// The value of this text, or what is wrong with it.
    fn parse(text: &str) -> Result<Self, String>;
}

/// A duration, like `"10min"`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(pub(super) Duration);

impl Written for Time {
    const WANTED: &str = "a duration in quotes, like \"30s\" or \"10min\"";

    fn parse(text: &str) -> Result<Time, String> {
        humantime::parse_duration(text).map(Time).map_err(|error| error.to_string())
    }
}

/// A TCP address: an IP address and a port.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address(pub(super) SocketAddr);

impl Written for Address {
    const WANTED: &str = "an IP address and a port, like \"127.0.0.1:7001\" or \"[::1]:7001\"";

    fn parse(text: &str) -> Result<Address, String> {
        text.parse().map(Address).map_err(|_| match text.rsplit_once(':') {
            Some((host, port)) => why_no_address(host, port),
            None => "the port is missing".to_owned(),
        })
    }
}

/// What is wrong with an address of these halves.
fn why_no_address(host: &str, port: &str) -> String {
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if digits && port.parse::<u16>().is_err() {
        format!("port {} is above 65535", quoted(port).replace('"', ""))
    } else if !digits {
        format!("{} is no port, which is a number from 1 to 65535", quoted(port))
    } else if host.contains(':') && !host.starts_with('[') {
        "an IPv6 address stands in brackets".to_owned()
    } else {
        format!("{} is no IP address; names are not looked up", quoted(host))
    }
}

/// A server's name.
#[derive(Debug, Clone)]
pub(super) struct Name(pub(super) ServerName);

impl Written for Name {
    const WANTED: &str = "a server name in quotes, 1 to 63 of a-z, 0-9, \".\" and \"-\"";

    fn parse(text: &str) -> Result<Name, String> {
        ServerName::parse(text).map(Name).map_err(|_| "it is none".to_owned())
    }
}

/// A text of 1 to 63 bytes without control characters: a cluster's name, a zone.
#[derive(Debug, Clone)]
pub(super) struct Label(pub(super) String);

impl Written for Label {
    const WANTED: &str = "a text in quotes, 1 to 63 bytes, without control characters";

    fn parse(text: &str) -> Result<Label, String> {
        if (1..=63).contains(&text.len()) && !text.chars().any(char::is_control) {
            Ok(Label(text.to_owned()))
        } else {
            Err("it is none".to_owned())
        }
    }
}

/// A number of bytes, like `"64 MiB"` or `1024`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size(pub(super) u64);

impl Written for Size {
    const WANTED: &str = "a size, like \"64 MiB\" or a number of bytes";

    fn parse(text: &str) -> Result<Size, String> {
        let size = text.parse::<ByteSize>();
        size.map(|size| Size(size.as_u64())).map_err(|_| "it is none".to_owned())
    }
}

/// A number of things.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count(pub(super) u64);

/// Takes a text for a value, and nothing else.
struct TextVisitor<T>(PhantomData<T>);

impl<T: Written> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WANTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::parse(text)
            .map_err(|why| E::custom(format!("{} is not {}: {why}", quoted(text), T::WANTED)))
    }
}

macro_rules! written_as_text {
    ($($type:ty),+) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_str(TextVisitor(PhantomData))
            }
        }
    )+};
}

written_as_text!(Time, Address, Name, Label);

/// Takes a whole number that is not negative.
struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, without quotes")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
        u64::try_from(number).map_err(|_| E::custom(format!("{number} is negative")))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Count, D::Error> {
        from.deserialize_u64(NumberVisitor).map(Count)
    }
}

/// Takes a size as a text or as a number.
struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Size::WANTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
        TextVisitor(PhantomData).visit_str(text)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Size, E> {
        NumberVisitor.visit_i64(number).map(Size)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Size, E> {
        Ok(Size(number))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Size, D::Error> {
        from.deserialize_any(SizeVisitor)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
        // The fault as serde words it would repeat the value.
        let text = String::deserialize(from);
        text.map(Secret::new).map_err(|_| D::Error::custom("a secret is a text in quotes"))
    }
}

/// Several secrets.
#[derive(Default)]
pub(super) struct Secrets(pub(super) Vec<Spanned<Secret>>);

impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Secrets, D::Error> {
        // As above.
        let list = Vec::deserialize(from);
        list.map(Secrets)
            .map_err(|_| D::Error::custom("secrets are texts in quotes, in one pair of brackets"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong<T: Written>(text: &str) -> String {
        match T::parse(text) {
            Ok(_) => panic!("{text:?} was taken"),
            Err(why) => why,
        }
    }

    #[test]
    fn addresses_say_what_they_lack() {
        assert!(wrong::<Address>("127.0.0.1").contains("port is missing"));
        assert!(wrong::<Address>("127.0.0.1:65536").contains("port 65536 is above 65535"));
        assert!(wrong::<Address>("127.0.0.1:-1").contains("\"-1\" is no port"));
        assert!(wrong::<Address>("127.0.0.1:").contains("\"\" is no port"));
        assert!(wrong::<Address>("::1:7001").contains("in brackets"));
        assert!(wrong::<Address>("localhost:7001").contains("not looked up"));
        assert!(Address::parse("[::1]:7001").is_ok());
    }

    #[test]
    fn sizes_are_binary_or_decimal() {
        assert_eq!(Size::parse("64 MiB").unwrap().0, 64 << 20);
        assert_eq!(Size::parse("5kB").unwrap().0, 5_000);
        assert_eq!(Size::parse("1024").unwrap().0, 1_024);
        assert!(Size::parse("-5").is_err());
        assert!(Size::parse("64 MegaQuux").is_err());
    }

    #[test]
    fn a_bare_number_is_no_duration() {
        assert!(wrong::<Time>("10").contains("unit"));
        assert!(wrong::<Time>("-5s").contains("number"));
        assert_eq!(Time::parse("1min 30s").unwrap().0, Duration::from_secs(90));
    }
}
