//! Who is who: nodes and actors.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The identity of one [`Node`](crate::Node): random, new for each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// The identity of one registration of an actor: one mailbox (S12).
///
/// A new registration under the same name has a new id, so an id never means another actor than it once did.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
