//! The task that lets datagrams arrive when they are due: one task and one timer for the whole network.

use std::sync::{Arc, Weak};

use tokio::{runtime::Handle, sync::Notify};

use super::net::Shared;
use crate::node::{Task, clock, task};

/// The task. Dropping this ends it.
pub(super) struct Driver(Task<()>);

impl Driver {
    pub(super) fn start(runtime: &Handle, shared: &Arc<Shared>) -> Self {
        Self(task::spawn(runtime, drive(Arc::downgrade(shared), shared.earlier.clone())))
    }

    /// Whether its runtime has ended.
    pub(super) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Holds the network weakly, so that it ends with its last user.
async fn drive(net: Weak<Shared>, earlier: Arc<Notify>) {
    loop {
        let Some(shared) = net.upgrade() else { return };
        // Whatever is done to the world lets arrive first what is due.
        let next = shared.with(|world| world.next_arrival());
        drop(shared);
        match next {
            None => earlier.notified().await,
            Some(due) => tokio::select! {
                biased;
                () = earlier.notified() => {}
                () = clock::sleep_until(due) => {}
            },
        }
    }
}
