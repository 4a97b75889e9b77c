//! What all handles of a pool share: its members, and which of them are called.
//!
//! ```text
//!   membership ──► entries: one for each endpoint of the resolver's last answer
//!    (changes)       │ after each change
//!                    ▼
//!                  Choice: who is called now ──► a call's member
//! ```
//!
//! Lock order: state, then choice, then a member's record. Nothing foreign runs under them.

mod changes;
mod entries;
mod questions;
mod standings;

use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::{Arc, OnceLock, Weak},
};

use tokio::sync::{Notify, broadcast};

use self::entries::State;
use super::{
    Balance, Ejection, Member, PoolEvent,
    balance::{for_key, is_of_key},
    eject::Standing,
};
use crate::{
    Node,
    actor_id::ActorId,
    node::AbortOnDrop,
    sync::{Mutex, MutexGuard, lock},
};

pub(in crate::pool) struct Core {
    pub(in crate::pool) name: Arc<str>,
    pub(in crate::pool) node: Node,
    balance: Balance,
    ejection: Ejection,
    seed: u64,
    choice: Mutex<Choice>,
    state: Mutex<State>,
    /// The membership task has something to do.
    changed: Arc<Notify>,
    /// There is news of the membership.
    news: Notify,
    events: broadcast::Sender<PoolEvent>,
    /// Ends with this.
    pub(in crate::pool) task: OnceLock<AbortOnDrop>,
    this: Weak<Self>,
}

/// Who is called now.
struct Choice {
    members: Arc<[Member]>,
    /// Members that the next calls are to try.
    probes: Vec<Member>,
    /// How many choices there were.
    turn: usize,
}

/// What others wait for.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool) struct View {
    /// How many members have been reached.
    pub(in crate::pool) size: usize,
    /// Whether it is known if there are members.
    pub(in crate::pool) settled: bool,
    /// Whether each was tried to be reached.
    pub(in crate::pool) tried: bool,
}

/// Events that a reader may be behind.
const EVENTS: usize = 256;

impl Core {
    pub(in crate::pool) fn new(
        node: Node,
        name: Arc<str>,
        balance: Balance,
        ejection: Ejection,
    ) -> Arc<Self> {
        let choice = Choice { members: Arc::new([]), probes: Vec::new(), turn: 0 };
        Arc::new_cyclic(|this| Self {
            name,
            balance,
            ejection,
            seed: node.random_u64(),
            node,
            choice: Mutex::new(choice),
            state: Mutex::default(),
            changed: Arc::default(),
            news: Notify::new(),
            events: broadcast::Sender::new(EVENTS),
            task: OnceLock::new(),
            this: this.clone(),
        })
    }

    pub(in crate::pool) fn ejection(&self) -> &Ejection {
        &self.ejection
    }

    pub(in crate::pool) fn subscribe(&self) -> broadcast::Receiver<PoolEvent> {
        self.events.subscribe()
    }

    /// Waits until the membership task has something to do, without holding the pool.
    pub(in crate::pool) fn changed_once(&self) -> impl Future<Output = ()> + Send + 'static {
        let changed = self.changed.clone();
        async move { changed.notified().await }
    }

    /// The member for a call that is nobody's yet. It is the same as `choose`, with less to do for the usual case.
    #[inline]
    pub(in crate::pool) fn in_turn(&self) -> Option<Member> {
        let mut choice = lock(&self.choice);
        if !matches!(self.balance, Balance::RoundRobin) || !choice.probes.is_empty() {
            drop(choice);
            return self.choose(None, None);
        }
        let turn = choice.turn;
        let place = match choice.members.len() {
            many if turn < many => turn,
            many => turn.checked_rem(many)?,
        };
        choice.turn = place + 1;
        choice.members.get(place).cloned()
    }

    /// The member for the next call.
    pub(in crate::pool) fn choose(&self, key: Option<u64>, avoid: Option<ActorId>) -> Option<Member> {
        let mut choice = lock(&self.choice);
        // A key is a probe for its own member only.
        let is_for = |probe: &Member, members: &[Member]| {
            Some(probe.id()) != avoid && key.is_none_or(|key| is_of_key(probe, members, key))
        };
        while let Some(place) = choice.probes.iter().rposition(|probe| is_for(probe, &choice.members)) {
            let probe = choice.probes.remove(place);
            if lock(probe.record()).ask() {
                return Some(probe);
            }
        }
        if choice.members.is_empty() {
            return None;
        }
        let turn = choice.turn;
        choice.turn = turn.wrapping_add(usize::from(key.is_none()));
        let chosen = |members: &[Member], place: usize| {
            let chosen = &members[place];
            if avoid.is_some_and(|avoid| avoid == chosen.id()) {
                return Some(members[(place + 1) % members.len()].clone());
            }
            Some(chosen.clone())
        };
        let members = &choice.members;
        if key.is_none() && self.balance.is_quick() {
            return chosen(members, self.balance.choose(members, turn, self.seed));
        }
        let members = members.clone();
        drop(choice);
        let place = match key {
            Some(key) => for_key(&members, key),
            None => self.balance.choose(&members, turn, self.seed),
        };
        chosen(&members, place)
    }

    /// This registration, if it is a member that can be reached.
    pub(in crate::pool) fn find(&self, id: ActorId) -> Option<Member> {
        lock(&self.state).up().find(|member| member.id() == id).cloned()
    }

    /// How many members calls go to.
    pub(in crate::pool) fn callable(&self) -> usize {
        lock(&self.choice).members.len()
    }

    /// Makes known who is called now.
    fn publish(&self, state: MutexGuard<'_, State>) {
        let (mut well, mut probes, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for member in state.up() {
            all.push(member.clone());
            match lock(member.record()).standing {
                Standing::In => well.push(member.clone()),
                Standing::Probe { asked: false } => probes.push(member.clone()),
                Standing::Probe { asked: true } | Standing::Out { .. } => {}
            }
        }
        // With most of them out, that they are out is no help any more.
        let members = if well.len() * 2 < all.len() { &all } else { &well };
        let members = members.as_slice().into();
        let mut choice = lock(&self.choice);
        let turn = choice.turn;
        let before = std::mem::replace(&mut *choice, Choice { members, probes, turn });
        drop(choice);
        drop(state);
        // Without the lock: it may be the last that holds a way, and who is woken is foreign.
        drop(before);
        self.news.notify_waiters();
    }

    /// How the membership is now.
    pub(in crate::pool) fn view(&self) -> View {
        let state = lock(&self.state);
        View { size: state.up().count(), settled: state.is_settled(), tried: state.is_tried() }
    }

    /// Waits until the membership is such.
    pub(in crate::pool) async fn wait_for(&self, such: impl Fn(View) -> bool) {
        loop {
            let mut news = pin!(self.news.notified());
            // Before the look: a change in between is seen by one of the two.
            news.as_mut().enable();
            if such(self.view()) {
                return;
            }
            news.await;
        }
    }

    fn tell(&self, event: PoolEvent) {
        match &event {
            PoolEvent::Lost { .. } | PoolEvent::Ejected { .. } | PoolEvent::ResolverFailed { .. } => {
                tracing::warn!(pool = %self.name, "{event}");
            }
            _ => tracing::debug!(pool = %self.name, "{event}"),
        }
        // Nobody need listen.
        let _ = self.events.send(event);
    }
}

/// For error texts.
impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pool {:?}", self.name)
    }
}
