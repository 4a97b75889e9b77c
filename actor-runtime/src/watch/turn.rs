//! What an actor is told of those that it watches: a turn of its own, through its mailbox.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use slab::Slab;

use super::{Down, Monitor};
use crate::{
    ActorContext,
    actor::ActorCell,
    call::{AnyCall, HookCall},
    client::ServiceClient,
    node::{AbortOnDrop, clock},
    service::{Access, Method, Reply},
    sync::{Mutex, lock},
};

/// What a turn of `on_down` is called where turns are named.
static ON_DOWN: Method =
    Method::new("Actor", "on_down", 0, Access::Exclusive, &[], Reply::value("()", crate::schema::of::<()>))
        .with_oneway();

/// A turn of `on_down`.
pub(crate) type DownTurn = HookCall<Word>;

/// What an actor is told, and the watch that it is told for.
pub(crate) struct Word {
    down: Mutex<Option<Down>>,
    watching: Arc<Watching>,
    /// Its place among the actor's watches, which it has until the turn begins.
    key: usize,
}

impl DownTurn {
    pub(crate) fn of(call: &dyn AnyCall) -> Option<&Self> {
        if std::ptr::eq(call.head().method, &ON_DOWN) { call.as_any().downcast_ref() } else { None }
    }

    /// What to call the hook with; `None` if the actor watches no more.
    pub(crate) fn begin(&self, watches: &Watches) -> Option<Down> {
        let Word { down, watching, key } = &self.content;
        watches.remove(*key, watching);
        if self.claim() { lock(down).take() } else { None }
    }
}

/// One actor watches another, with [`ActorContext::watch`]. Dropping this leaves it watching; [`end`](Self::end) ends it.
pub struct Watch {
    watching: Arc<Watching>,
    /// Whose it is, and its place there.
    actor: Weak<ActorCell>,
    key: usize,
}

pub(crate) struct Watching {
    state: Mutex<State>,
}

enum State {
    /// The task that waits, once it is known.
    Waiting(Option<AbortOnDrop>),
    /// The turn that is to tell it.
    Told(Weak<DownTurn>),
    Ended,
}

impl Watch {
    /// Watches for the actor of this context, until its run ends.
    pub(crate) async fn begin(context: &ActorContext, client: &impl ServiceClient) -> Self {
        let monitor = Monitor::begin(client).await;
        let watching = Arc::new(Watching { state: Mutex::new(State::Waiting(None)) });
        let actor = context.identity().cell.clone();
        let Some(cell) = actor.upgrade() else {
            watching.end();
            return Self { watching, actor, key: 0 };
        };
        let (told, identity) = (watching.clone(), context.identity().clone());
        let key = cell.watches().insert(&watching);
        let task = context.spawn(async move {
            let down = monitor.await;
            // An actor that has ended has nobody to be told.
            let Some(cell) = identity.cell.upgrade() else { return };
            let word = Word { down: Mutex::new(Some(down)), watching: told.clone(), key };
            let turn = Arc::new(HookCall::new(&ON_DOWN, identity.name.clone(), clock::now(), word));
            if told.is_to_be_told(&turn) {
                cell.mailbox.push_own(turn);
            }
        });
        if let State::Waiting(waits) = &mut *lock(&watching.state) {
            *waits = Some(task.abort_on_drop());
        }
        let watch = Self { watching, actor, key };
        // The end of the run finds it, or came before and is seen here.
        if cell.mailbox.is_ended() {
            watch.end();
        }
        watch
    }

    /// Watches no more: when this has returned, no [`Actor::on_down`](crate::Actor::on_down) of this watch begins. One that
    /// is running goes on. False if it was told, or has ended, before.
    pub fn end(&self) -> bool {
        let ended = self.watching.end();
        if let Some(cell) = self.actor.upgrade() {
            cell.watches().remove(self.key, &self.watching);
        }
        ended
    }
}

impl Watching {
    /// The turn is to tell it, unless nobody wants to be told any more.
    fn is_to_be_told(&self, turn: &Arc<DownTurn>) -> bool {
        let mut state = lock(&self.state);
        let wanted = matches!(*state, State::Waiting(_));
        if wanted {
            *state = State::Told(Arc::downgrade(turn));
        }
        wanted
    }

    fn end(&self) -> bool {
        let before = std::mem::replace(&mut *lock(&self.state), State::Ended);
        match before {
            State::Waiting(_) => true,
            State::Told(turn) => turn.upgrade().and_then(|turn| turn.withdraw()).is_some(),
            State::Ended => false,
        }
    }
}

/// The watches that one run of an actor has begun, until their turns begin.
#[derive(Default)]
pub(crate) struct Watches(Mutex<Slab<Arc<Watching>>>);

impl Watches {
    fn insert(&self, watching: &Arc<Watching>) -> usize {
        lock(&self.0).insert(watching.clone())
    }

    fn remove(&self, key: usize, watching: &Arc<Watching>) {
        let mut all = lock(&self.0);
        // Another run may have the place by now.
        if all.get(key).is_some_and(|present| Arc::ptr_eq(present, watching)) {
            let removed = all.remove(key);
            drop(all);
            drop(removed);
        }
    }

    /// The run has ended: it watches nobody.
    pub(crate) fn end(&self) {
        let all = std::mem::take(&mut *lock(&self.0));
        for (_, watching) in all {
            watching.end();
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*lock(&self.watching.state) {
            State::Waiting(_) => "waiting",
            State::Told(_) => "told",
            State::Ended => "ended",
        };
        f.debug_tuple("Watch").field(&state).finish()
    }
}

#[cfg(all(test, not(actor_loom)))]
mod tests {
    use super::*;
    use crate::{
        Node,
        inspect::{InspectClient, Inspector},
    };

    #[tokio::test]
    async fn what_was_watched_and_is_not_any_more_takes_no_place() {
        let node = Node::builder().build().unwrap();
        let [watcher, watched] =
            [0, 1].map(|_| node.unnamed_actor(Inspector::new(node.quiet())).start().unwrap());
        let client: InspectClient = watched.client();
        let cell = node.roster().find(watcher.id().serial).unwrap();
        let context = ActorContext::of_actor(cell.identity.clone());
        for _ in 0..10 {
            assert!(Watch::begin(&context, &client).await.end());
        }
        assert!(lock(&cell.watches().0).is_empty());
    }
}
