//! Who is who: nodes and actors.

use std::{
    fmt,
    num::NonZeroU64,
    sync::atomic::{AtomicU64, Ordering},
};

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
