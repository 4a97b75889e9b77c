//! The actors that run on a node, and which of them started which.
//!
//! Invariants:
//! 1. An actor is here from before its first poll until it has ended.
//! 2. A child is here only as long as its parent's run has not ended its children: whoever adds one looks at the parent
//!    afterwards, and the parent looks here after it has said that it takes no more.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::ActorCell;
use crate::{
    call::{StopReason, Target},
    sync::{Mutex, lock},
};

/// The actors of one node, by their serial numbers.
#[derive(Default)]
pub(crate) struct Roster {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    actors: BTreeMap<u64, Arc<ActorCell>>,
    /// Parent and child.
    children: BTreeSet<(u64, u64)>,
}

impl Roster {
    pub(crate) fn insert(&self, cell: &Arc<ActorCell>) {
        let (parent, serial) = (cell.registered.parent, cell.identity.id.serial);
        let mut state = lock(&self.state);
        state.actors.insert(serial, cell.clone());
        if parent != 0 {
            state.children.insert((parent, serial));
        }
    }

    /// Whether it was here.
    pub(crate) fn remove(&self, cell: &ActorCell) -> bool {
        let (parent, serial) = (cell.registered.parent, cell.identity.id.serial);
        let mut state = lock(&self.state);
        state.children.remove(&(parent, serial));
        let removed = state.actors.remove(&serial);
        drop(state);
        removed.is_some()
    }

    pub(crate) fn find(&self, serial: u64) -> Option<Arc<ActorCell>> {
        lock(&self.state).actors.get(&serial).cloned()
    }

    /// The actors that this one has started, in the order in which they began.
    pub(crate) fn children(&self, parent: u64) -> Vec<Arc<ActorCell>> {
        let state = lock(&self.state);
        let children = state.children.range((parent, 0)..=(parent, u64::MAX));
        children.filter_map(|(_, child)| state.actors.get(child).cloned()).collect()
    }

    /// Whether another actor here has started it.
    pub(crate) fn is_child(&self, cell: &ActorCell) -> bool {
        lock(&self.state).actors.contains_key(&cell.registered.parent)
    }

    /// Ends all, now.
    pub(crate) fn kill(&self, reason: &StopReason) {
        for actor in self.all() {
            actor.kill(reason.clone());
        }
    }

    /// So many of them, from this serial number on.
    pub(crate) fn from(&self, serial: u64, count: usize) -> Vec<Arc<ActorCell>> {
        lock(&self.state).actors.range(serial..).take(count).map(|(_, actor)| actor.clone()).collect()
    }

    /// All, in the order in which they began.
    pub(crate) fn all(&self) -> Vec<Arc<ActorCell>> {
        lock(&self.state).actors.values().cloned().collect()
    }
}
