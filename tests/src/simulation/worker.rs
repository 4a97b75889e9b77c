//! The actor of the simulation: it does little, and says when.

use std::time::Duration;

use actor_runtime::prelude::*;
use bytes::Bytes;

use super::history::{Access, EffectKind, History, RegistrationId};

/// Work for a [`Worker`].
#[message]
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// The number of the call.
    pub(super) call: u64,
    /// How long it takes, in milliseconds.
    pub(super) work: u64,
    /// How many bytes the reply has.
    pub(super) reply: u64,
    /// So that the arguments have some length.
    pub(super) ballast: Bytes,
}

/// Works.
#[actor_service]
pub(super) trait Work {
    /// Works with others.
    async fn beside(&self, job: Job) -> Bytes;
    /// Works alone.
    async fn alone(&mut self, job: Job) -> Bytes;
}

/// One registration of an actor.
pub(super) struct Worker {
    pub(super) id: RegistrationId,
    pub(super) history: History,
}

impl Worker {
    async fn work(&self, job: Job, access: Access) -> Bytes {
        let remaining = current_ctx().expect("a handler").remaining();
        let kind = EffectKind::Begins { access, remaining };
        self.history.effect(self.id, job.call, kind);
        let dropped = Dropped { worker: self, call: job.call };
        if job.work > 0 {
            sleep(Duration::from_millis(job.work)).await;
        }
        std::mem::forget(dropped);
        self.history.effect(self.id, job.call, EffectKind::Ends);
        Bytes::from(vec![0; usize::try_from(job.reply).expect("a small number")])
    }
}

struct Dropped<'a> {
    worker: &'a Worker,
    call: u64,
}

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.worker.history.effect(self.worker.id, self.call, EffectKind::Dropped);
    }
}

#[actor_service]
impl Work for Worker {
    async fn beside(&self, job: Job) -> Bytes {
        self.work(job, Access::Shared).await
    }

    async fn alone(&mut self, job: Job) -> Bytes {
        self.work(job, Access::Exclusive).await
    }
}

#[expect(clippy::disallowed_methods, reason = "time is simulated")]
pub(super) async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}
