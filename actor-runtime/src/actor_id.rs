//! Who is who: nodes and actors.

use std::{
    fmt,
    num::NonZeroU64,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The identity of one [`Node`](crate::Node): random, new for each.
///
/// In formats for people, such as JSON, it is its text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A node among all that this process has made, for whoever keeps no hold of it. Ids repeat where they come from seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instance(NonZeroU64);

impl Instance {
    /// One that no other node has.
    pub(crate) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let before = LAST.fetch_add(1, Ordering::Relaxed);
        Self(NonZeroU64::MIN.saturating_add(before))
    }
}

/// The identity of one registration of an actor: one mailbox (S12).
///
/// A new registration under the same name has a new id, so an id never means another actor than it once did.
///
/// In formats for people, such as JSON, it is its text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorId {
    pub(crate) node: NodeId,
    pub(crate) serial: u64,
}

impl ActorId {
    /// The node that the actor was registered on.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// As it travels: the node's number, then the registration's.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.node.0) | u128::from(self.serial) << 64).to_le_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_le_bytes(bytes);
        Self { node: NodeId(both as u64), serial: (both >> 64) as u64 }
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.node, self.serial)
    }
}

impl fmt::Debug for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the id of {what}, such as {example}")]
pub struct IdError {
    text: String,
    what: &'static str,
    example: &'static str,
}

impl FromStr for NodeId {
    type Err = IdError;

    /// Sixteen hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = if digits { u64::from_str_radix(text, 16).ok() } else { None };
        let bad = || IdError { text: text.to_owned(), what: "a node", example: "00f3a91c44d0be72" };
        number.map(Self).ok_or_else(bad)
    }
}

impl FromStr for ActorId {
    type Err = IdError;

    /// The node's id and a number.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let parts =
            text.split_once('-').filter(|(_, serial)| serial.bytes().all(|byte| byte.is_ascii_digit()));
        let both = parts.and_then(|(node, serial)| Some((node.parse().ok()?, serial.parse().ok()?)));
        let bad = || IdError { text: text.to_owned(), what: "an actor", example: "00f3a91c44d0be72-7" };
        both.map(|(node, serial)| Self { node, serial }).ok_or_else(bad)
    }
}

/// A [`NodeId`] as it travels between nodes.
#[derive(Serialize, Deserialize)]
#[serde(rename = "NodeId")]
struct NodeNumber(u64);

/// An [`ActorId`] as it travels between nodes.
#[derive(Serialize, Deserialize)]
#[serde(rename = "ActorId")]
struct ActorNumbers {
    node: NodeId,
    serial: u64,
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?.parse().map_err(de::Error::custom);
        }
        NodeNumber::deserialize(deserializer).map(|NodeNumber(number)| Self(number))
    }
}

impl Serialize for ActorId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        ActorNumbers { node: self.node, serial: self.serial }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ActorId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?.parse().map_err(de::Error::custom);
        }
        ActorNumbers::deserialize(deserializer).map(|ActorNumbers { node, serial }| Self { node, serial })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = ActorId { node: NodeId(0x00f3_a91c_44d0_be72), serial: 7 };
        assert_eq!(id.to_string(), "00f3a91c44d0be72-7");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.node.to_string().parse(), Ok(id.node));
        for text in [
            "",
            "-",
            "7",
            "00f3a91c44d0be72",
            "00f3a91c44d0be72-",
            "00f3a91c44d0be72-+7",
            "0f3a91c44d0be72-7",
        ] {
            assert!(text.parse::<ActorId>().is_err(), "{text:?}");
        }
        assert!("+0f3a91c44d0be72".parse::<NodeId>().is_err());
    }

    #[test]
    fn between_nodes_an_id_is_its_numbers() {
        let id = ActorId { node: NodeId(300), serial: 7 };
        let bytes = postcard::to_stdvec(&id).unwrap();
        assert_eq!(bytes, [0xac, 2, 7]);
        assert_eq!(postcard::from_bytes::<ActorId>(&bytes).unwrap(), id);
    }
}
