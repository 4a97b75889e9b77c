use std::{fmt, net::SocketAddr, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::text::Text;

/// Where a server listens: `127.0.0.1:7000`, `host.example:7000`, or `loopback:1` within this process.
///
/// In a message it is its text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A host name and a port.
    Host(String, u16),
    /// A number that the servers of this process share out among them; 0 asks for a free one.
    Loopback(u32),
    /// An IP address and a port.
    Socket(SocketAddr),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host, port) => write!(f, "{host}:{port}"),
            Self::Loopback(number) => write!(f, "loopback:{number}"),
            Self::Socket(socket) => socket.fmt(f),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let bad = || AddressError { text: text.to_owned() };
        if let Ok(socket) = text.parse() {
            return Ok(Self::Socket(socket));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        if host == "loopback" {
            return port.parse().map(Self::Loopback).map_err(|_| bad());
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        match port.parse() {
            Ok(port) if !host.is_empty() && host.len() <= 253 && host.chars().all(fits) => {
                Ok(Self::Host(host.to_owned(), port))
            }
            _ => Err(bad()),
        }
    }
}

impl Address {
    /// The longest text of one: a host name of 253 bytes and a port.
    const MAX_BYTES: usize = 259;
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::<{ Self::MAX_BYTES }>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A text that is not an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an address: write `127.0.0.1:7000`, `[::1]:7000`, `host:7000` or `loopback:0`")]
pub struct AddressError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in ["127.0.0.1:7000", "[::1]:7000", "node-3.example:7000", "loopback:12"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["", "loopback", "loopback:x", ":7000", "a b:1", "host:70000", "actor://h:1"] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn in_a_message_an_address_is_its_text_and_no_longer_than_one_can_be() {
        let longest = format!("{}:65535", "h".repeat(253));
        for text in ["127.0.0.1:7000", "[::1]:7000", "node-3.example:7000", "loopback:12", &longest] {
            let bytes = postcard::to_stdvec(text).unwrap();
            let address: Address = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(postcard::to_stdvec(&address).unwrap(), bytes);
        }
        for text in ["", "nonsense", &format!("{}:1", "h".repeat(300))] {
            assert!(
                postcard::from_bytes::<Address>(&postcard::to_stdvec(text).unwrap()).is_err(),
                "{text:?}"
            );
        }
    }
}
