//! The supervisors of a node, for those who look at it.

use std::{collections::BTreeMap, sync::Arc};

use super::Strategy;
use crate::{
    actor_id::ActorId,
    call::StopReason,
    node::Node,
    sync::{Mutex, lock},
};

/// The supervisors that live on a node, by their serial numbers.
#[derive(Default)]
pub(crate) struct Posts(Mutex<BTreeMap<u64, Arc<Post>>>);

/// One supervisor.
pub(crate) struct Post {
    pub(crate) id: ActorId,
    /// The serial number of the supervisor or actor above it; 0 for none.
    pub(crate) above: u64,
    /// Its name as a child; empty for the outermost.
    pub(crate) name: Arc<str>,
    pub(crate) strategy: Strategy,
    seen: Mutex<(u64, Option<StopReason>)>,
}

/// A post that is there until this is dropped.
pub(super) struct Taken {
    node: Node,
    post: Arc<Post>,
}

impl Posts {
    pub(crate) fn all(&self) -> Vec<Arc<Post>> {
        lock(&self.0).values().cloned().collect()
    }
}

impl Post {
    /// How often a child of its was to be started again, and why the last time.
    pub(crate) fn restarts(&self) -> (u64, Option<StopReason>) {
        lock(&self.seen).clone()
    }
}

impl Taken {
    pub(super) fn new(node: &Node, serial: u64, above: u64, name: Arc<str>, strategy: Strategy) -> Self {
        let id = ActorId { node: node.id(), serial };
        let post = Arc::new(Post { id, above, name, strategy, seen: Mutex::default() });
        lock(&node.posts().0).insert(serial, post.clone());
        Self { node: node.quiet(), post }
    }

    pub(super) fn restarts(&self, reason: &StopReason) {
        let mut seen = lock(&self.post.seen);
        *seen = (seen.0 + 1, Some(reason.clone()));
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        lock(&self.node.posts().0).remove(&self.post.id.serial);
    }
}
