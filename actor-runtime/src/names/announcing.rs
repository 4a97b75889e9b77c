//! The task of a node that has its actors announced.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::time::Instant;

use super::{
    AnnounceError, Registrar,
    registrar::{Announced, Announcement, Status},
};
use crate::{Node, node::Task, panics::text_of};

/// When a registrar that gave up is asked again.
const AGAIN: Duration = Duration::from_secs(5);

/// How long a registrar may take for the last set.
const LAST: Duration = Duration::from_secs(10);

/// What a node keeps of its announcing.
pub(crate) struct Announcing {
    shared: Arc<Announced>,
    _task: Task<()>,
}

impl Announcing {
    /// Has the node's actors announced from now on.
    pub(crate) fn start(node: &Node, registrar: Arc<dyn Registrar>) -> Self {
        let shared = Arc::new(Announced::default());
        let task = node.spawn_bare(run(node.quiet(), registrar, shared.clone()));
        Self { shared, _task: task }
    }

    /// Has everything withdrawn that was announced.
    pub(crate) fn replace(&self, node: &Node) {
        self.shared.replace();
        node.directory().touch();
    }

    pub(crate) fn waiter(&self) -> Waiter {
        Waiter(self.shared.clone())
    }
}

/// Waits for an announcement without holding it.
pub(crate) struct Waiter(Arc<Announced>);

impl Waiter {
    /// Waits until what the node wants now is announced.
    pub(crate) async fn announced(&self, node: &Node, until: Instant) -> Result<(), AnnounceError> {
        let (from, wanted) = (node.now(), node.directory().version());
        let mut status = self.0.status();
        let waited = async {
            let there = |status: &Status| wanted <= status.version && status.failure.is_none();
            status.wait_for(|status| there(status) || status.is_over).await.is_ok_and(|status| there(&status))
        };
        let done = tokio::select! {
            biased;
            done = waited => Some(done),
            () = node.sleep_until(until) => None,
        };
        match done {
            Some(true) => Ok(()),
            Some(false) => Err(AnnounceError::Replaced),
            None => {
                let reason = status.borrow().failure.clone();
                Err(AnnounceError::Late { waited: until.saturating_duration_since(from), reason })
            }
        }
    }
}

/// Calls the registrar, again if it gives up, until the node wants nothing announced any more.
async fn run(node: Node, registrar: Arc<dyn Registrar>, shared: Arc<Announced>) {
    let _over = Over(&shared);
    announce(node, registrar, shared.clone()).await;
}

/// However the task ends, nobody waits for it afterwards.
struct Over<'a>(&'a Announced);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over();
    }
}

async fn announce(node: Node, registrar: Arc<dyn Registrar>, shared: Arc<Announced>) {
    loop {
        let last = Announcement::new(node.id(), node.directory(), shared.clone());
        let announced = {
            let announcement = Announcement::new(node.id(), node.directory(), shared.clone());
            let registrar = &registrar;
            AssertUnwindSafe(async move { registrar.announce(announcement).await }).catch_unwind()
        };
        let ended = tokio::select! {
            biased;
            ended = announced => ended,
            () = over(&node, last) => {
                tracing::warn!(?registrar, "a registrar was still busy {LAST:?} after the last set; it is dropped");
                return;
            }
        };
        let announcement = Announcement::new(node.id(), node.directory(), shared.clone());
        if announcement.is_over() {
            return;
        }
        announcement.failed(match ended {
            Ok(()) => "the registrar gave up".to_owned(),
            Err(panic) => format!("the registrar panicked: {}", text_of(&*panic)),
        });
        node.sleep_until(node.now() + AGAIN).await;
    }
}

/// Ends some time after nothing is wanted any more.
async fn over(node: &Node, mut announcement: Announcement) {
    announcement.over().await;
    node.sleep_until(node.now() + LAST).await;
}
