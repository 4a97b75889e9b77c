//! The end of a server.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};

use super::{ActorServer, bind::Listening};
use crate::{
    Task,
    actor::ActorCell,
    actor_id::ActorId,
    call::{StopReason, Target},
    inspect,
    names::BoxFuture,
    sync::lock,
    transport::Link,
};

/// What a server has beside the actors of its node.
#[derive(Default)]
pub(super) struct Hosted {
    /// The server's own actor.
    builtin: Option<Task<()>>,
    closed: bool,
}

impl Hosted {
    pub(super) fn set_builtin(&mut self, task: Task<()>) {
        self.builtin = Some(task);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

/// How long an actor gets to see that it is killed.
const LAST_WORDS: Duration = Duration::from_millis(250);

impl ActorServer {
    /// Ends the server: no new calls are taken, what is queued is run, then the actors end. After `grace` what is left
    /// is ended at its next await; its callers get [`Stopped`](crate::FailureKind::Stopped). Returns after
    /// `grace` and half a second at the latest. What the node's registrar has announced is withdrawn at once. Until then the server can be asked how it goes
    /// ([`InspectClient::health`](crate::inspect::InspectClient::health)). Other nodes are told at once that no more calls
    /// are taken, and at the end why their connections close.
    ///
    /// # Errors
    /// [`ShutdownError`] names the actors that were cut off, and among them those that did not even notice: their
    /// handlers block a thread, which is left behind. The server has ended all the same.
    ///
    /// # Cancel safety
    /// If the future is dropped, no new calls are taken, and the actors end when their queues are empty or the server
    /// is dropped.
    pub async fn shutdown(&self, grace: Duration) -> Result<(), ShutdownError> {
        let node = &self.node;
        let directory = node.directory();
        lock(&self.hosted).closed = true;
        directory.drain();
        let actors = node.roster().all();
        // Those that another actor has started end after it.
        for actor in actors.iter().filter(|actor| !node.roster().is_child(actor)) {
            actor.stop(StopReason::Shutdown);
        }
        for link in node.links().all() {
            link.goodbye(&StopReason::Shutdown.to_string());
        }
        let mut ending = Ending::new(actors);
        let until = node.after(grace);
        let withdrawn = async {
            if let Some(announcements) = node.announcements() {
                // It goes on by itself if it is late, and a lease ends what is left.
                drop(announcements.announced(node, until).await);
            }
        };
        // Together: nobody is to find here what ends, and what does not answer holds up no actor.
        futures::join!(ending.wait(node.sleep_until(until)), withdrawn);
        // A stream is not a turn: it may go on when its actor has ended.
        tokio::select! {
            biased;
            () = node.producers().idle() => {}
            () = node.sleep_until(until) => {}
        }
        self.end_builtin(until).await;
        let mut cut_off = ending.left();
        cut_off.extend(node.producers().actors());
        cut_off.sort_unstable();
        cut_off.dedup();
        self.kill(&StopReason::Shutdown);
        let last_words = node.now() + LAST_WORDS;
        ending.wait(node.sleep_until(last_words)).await;
        node.producers().stop(&StopReason::Shutdown);
        tokio::select! {
            biased;
            () = node.producers().idle() => {}
            () = node.sleep_until(last_words) => {}
        }
        let listening = lock(&self.listening).take();
        let links = self.hang_up(&StopReason::Shutdown);
        let closed = async {
            for link in links {
                link.gone().await;
            }
            if let Some(Listening::Socket(listener)) = listening {
                listener.closed().await;
            }
        };
        tokio::select! {
            () = closed => {}
            () = node.sleep_until(node.now() + LAST_WORDS) => {}
        }
        if cut_off.is_empty() {
            Ok(())
        } else {
            Err(ShutdownError { grace, cut_off, blocked: ending.left() })
        }
    }

    /// Lets the server's own actor, which is the last, answer what it was asked.
    async fn end_builtin(&self, until: tokio::time::Instant) {
        if let Some(target) = self.node.directory().entry(inspect::NAME) {
            target.stop(StopReason::Shutdown);
        }
        let task = lock(&self.hosted).builtin.take();
        if let Some(task) = task {
            tokio::select! {
                // However it ended, it is gone.
                _ = task => {}
                () = self.node.sleep_until(until) => {}
            }
        }
    }

    /// Ends every actor now, and listens no more.
    pub(super) fn leave(&self, reason: &StopReason) {
        self.kill(reason);
        let listening = lock(&self.listening).take();
        if listening.is_some() {
            drop(self.hang_up(reason));
        }
    }

    /// Ends every actor now.
    fn kill(&self, reason: &StopReason) {
        let own = self.node.directory().leave(&self.address());
        if own.is_some() {
            self.node.roster().kill(reason);
        }
        for target in own.unwrap_or_default() {
            target.kill(reason.clone());
        }
        self.node.producers().stop(reason);
    }

    /// Ends the connections that others made. Those that were made from here stay, for the node's own calls, and serve
    /// no more.
    fn hang_up(&self, reason: &StopReason) -> Vec<Arc<Link>> {
        self.node.links().serve(None);
        let links = self.node.links().all_accepted();
        for link in &links {
            link.close(&reason.to_string());
        }
        for link in self.node.links().all() {
            link.goodbye(&reason.to_string());
            link.forget_actors();
        }
        links
    }
}

/// Actors that are on their way out.
struct Ending {
    tasks: FuturesUnordered<BoxFuture<'static, ActorId>>,
    names: BTreeMap<ActorId, Arc<str>>,
}

impl Ending {
    fn new(actors: Vec<Arc<ActorCell>>) -> Self {
        let names = actors.iter().map(|actor| (actor.identity.id, actor.identity.name.clone())).collect();
        let ended = |actor: Arc<ActorCell>| -> BoxFuture<'static, ActorId> {
            Box::pin(async move {
                actor.mailbox.ended().await;
                actor.identity.id
            })
        };
        Self { tasks: actors.into_iter().map(ended).collect(), names }
    }

    /// Waits until all have ended, or until `limit`.
    async fn wait(&mut self, limit: tokio::time::Sleep) {
        let mut limit = pin!(limit);
        while !self.tasks.is_empty() {
            tokio::select! {
                Some(id) = self.tasks.next() => drop(self.names.remove(&id)),
                () = &mut limit => return,
            }
        }
    }

    fn left(&self) -> Vec<String> {
        self.names.values().map(ToString::to_string).collect()
    }
}

/// Some actors did not end in time. The server has ended all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the server ended, but not within its grace of {grace:?}: {cut_off:?} were cut off{}",
    left_behind(blocked)
)]
#[non_exhaustive]
pub struct ShutdownError {
    /// How much time there was.
    pub grace: Duration,
    /// The actors that were ended before their queues were empty, and those whose streams were; by name.
    pub cut_off: Vec<String>,
    /// Those among them that have not ended yet: their handlers do not await.
    pub blocked: Vec<String>,
}

fn left_behind(blocked: &[String]) -> String {
    if blocked.is_empty() {
        String::new()
    } else {
        format!("; {blocked:?} block a thread and are left behind")
    }
}
