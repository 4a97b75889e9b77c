//! The chain of running turns that a call belongs to (S5).

use std::{fmt, sync::Arc};

use super::Hop;
use crate::{
    actor_id::ActorId,
    service::Access,
    sync::{Mutex, lock},
};

/// One running turn, and the turn that waits for it.
///
/// A call made inside a turn carries the turn's link; so an actor that gets the call can see whether it is itself
/// among those that wait for it.
pub struct Link {
    /// The actor whose turn it is.
    pub(crate) actor: ActorId,
    /// The actor's name.
    pub(crate) name: Arc<str>,
    /// `Service/method`.
    pub(crate) method: Arc<str>,
    /// Whether the turn shares its actor with others.
    pub(crate) access: Access,
    /// The turn that waits for this one.
    pub(crate) parent: Option<Arc<Self>>,
    /// How many turns there are from the outermost to this one.
    pub(crate) length: usize,
    /// What this turn waits for, as far as it began last: for error texts.
    waits_for: Mutex<Option<Hop>>,
}

impl Link {
    /// A call is refused beyond this many hops; nobody means that.
    pub(crate) const MAX: usize = 64;

    pub(crate) fn new(
        actor: ActorId,
        name: Arc<str>,
        method: Arc<str>,
        access: Access,
        parent: Option<Arc<Self>>,
    ) -> Self {
        let length = parent.as_ref().map_or(0, |parent| parent.length) + 1;
        Self { actor, name, method, access, parent, length, waits_for: Mutex::new(None) }
    }

    /// The turn began a call.
    pub(crate) fn wait_for(&self, hop: Hop) {
        *lock(&self.waits_for) = Some(hop);
    }

    /// The call that the turn began last has ended.
    pub(crate) fn go_on(&self) {
        *lock(&self.waits_for) = None;
    }

    pub(crate) fn waits_for(&self) -> Option<Hop> {
        lock(&self.waits_for).clone()
    }

    /// From this turn outwards.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |link| link.parent.as_deref())
    }

    /// The turns as they are told to a user, outermost first.
    pub(crate) fn hops(&self) -> Vec<Hop> {
        let mut hops: Vec<Hop> = self
            .iter()
            .map(|link| Hop { actor: link.name.to_string(), method: link.method.to_string() })
            .collect();
        hops.reverse();
        hops
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.hops()).finish()
    }
}

/// A chain of one-way references is dropped link by link; a long one must not recurse.
impl Drop for Link {
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(link) = parent {
            parent = Arc::into_inner(link).and_then(|mut link| link.parent.take());
        }
    }
}
