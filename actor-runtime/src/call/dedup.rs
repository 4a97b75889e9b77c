//! What an actor remembers of the `#[dedup]` calls that it ran, so that another attempt of one gets the first one's reply
//! (S10).
//!
//! A call is known by its caller and its number there; a caller is a node of a proved identity, since what a node says its
//! id is proves nothing. The memory is bounded in entries, bytes and age. What falls
//! out of it is not forgotten altogether: of each caller the highest number that fell out is kept, and an attempt *again*
//! of a call up to that number is not run, since nobody knows any more whether it was. One beyond it never came. The first
//! attempt of a call may also come after another one was run, by a connection that its caller has given up: calls that were
//! run by another attempt are known until they are too old, with or without their replies.
//!
//! Of so many nodes it is kept what was forgotten, and no more. A node's id is what it says it is; so who has proved one
//! identity and has more nodes than anybody else pays for it, with what is known of its own.

use std::{
    collections::{BTreeMap, HashMap, VecDeque, btree_map},
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use super::{AnyCall, Delivery, Failure, FailureKind, WireReply};
use crate::{
    actor_id::NodeId,
    sync::{Mutex, lock},
    trust::Peer,
};

/// Who calls: who its node has proved to be, and which of its nodes it says it is.
pub(crate) type Origin = (Option<Peer>, NodeId);

/// What all attempts of a call have in common.
pub(crate) type Key = (Origin, u64);

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
    pub(crate) age: Duration,
}

/// Of so many callers' nodes it is remembered what was forgotten, whoever they are.
const CALLERS: usize = 4096;

/// The memory. `W` is where another attempt's reply goes.
pub(crate) struct Dedup<W> {
    state: Mutex<State<W>>,
    window: Window,
}

struct State<W> {
    calls: HashMap<Key, Entry<W>>,
    /// Those that have ended, in the order of their ends.
    ended: VecDeque<(Instant, Key)>,
    /// Those whose first attempt may still come, without their replies.
    without_reply: VecDeque<(Instant, Key)>,
    bytes: usize,
    forgotten: Forgotten,
}

/// What fell out of the memory.
#[derive(Default)]
struct Forgotten {
    callers: BTreeMap<Option<Peer>, Nodes>,
    /// How many nodes these have.
    nodes: usize,
    /// Callers themselves were forgotten.
    callers_forgotten: bool,
}

/// The nodes of one identity.
struct Nodes {
    /// The highest number of each that was forgotten.
    highest: BTreeMap<NodeId, u64>,
    /// Nodes themselves were forgotten.
    nodes_forgotten: bool,
}

impl Forgotten {
    fn add(&mut self, ((peer, node), number): Key) {
        let nodes_forgotten = self.callers_forgotten;
        let nodes = || Nodes { highest: BTreeMap::new(), nodes_forgotten };
        let before = self.callers.entry(peer).or_insert_with(nodes).highest.entry(node);
        if let btree_map::Entry::Vacant(_) = before {
            self.nodes += 1;
        }
        let highest = before.or_default();
        *highest = number.max(*highest);
        if self.nodes > CALLERS {
            self.shrink();
        }
    }

    /// Lets go of a node, of the identity that has the most.
    fn shrink(&mut self) {
        let Some((peer, nodes)) = self.callers.iter_mut().max_by_key(|(_, nodes)| nodes.highest.len()) else {
            return;
        };
        self.nodes -= 1;
        if nodes.highest.len() > 1 {
            nodes.highest.pop_first();
            nodes.nodes_forgotten = true;
            return;
        }
        let peer = peer.clone();
        self.callers.remove(&peer);
        self.callers_forgotten = true;
    }

    fn has(&self, ((peer, node), number): &Key) -> bool {
        self.callers.get(peer).map_or(self.callers_forgotten, |nodes| {
            nodes.highest.get(node).map_or(nodes.nodes_forgotten, |highest| number <= highest)
        })
    }
}

enum Entry<W> {
    /// It runs; these wait for its reply.
    Running {
        waiting: Vec<W>,
        /// Whether it is the first attempt that was made.
        first: bool,
        /// The attempt that runs, as soon as it is known.
        call: Option<Weak<dyn AnyCall>>,
        /// Its caller has left, during another attempt.
        left: bool,
    },
    Ended {
        reply: WireReply,
        first: bool,
    },
    /// It was run, and nobody knows any more what came of it.
    WithoutReply,
}

/// What is to be done about an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// It is the first one: it is run, and its end is to be told.
    Run,
    /// It gets the first one's reply once that is there.
    Waits,
    /// It gets this.
    Reply(WireReply),
}

/// So many attempts of one call may wait for its reply at a time.
const WAITING: usize = 16;

impl<W> Dedup<W> {
    pub(crate) fn new(window: Window) -> Self {
        let state = State {
            calls: HashMap::new(),
            ended: VecDeque::new(),
            without_reply: VecDeque::new(),
            bytes: 0,
            forgotten: Forgotten::default(),
        };
        Self { state: Mutex::new(state), window }
    }

    /// An attempt has come; `again` says that there was one before. `way_back` is asked for if it is to wait.
    pub(crate) fn attempt(
        &self,
        now: Instant,
        key: Key,
        again: bool,
        way_back: impl FnOnce() -> Option<W>,
    ) -> Attempt {
        let mut state = lock(&self.state);
        state.forget(now, self.window);
        let is_forgotten = state.forgotten.has(&key);
        match state.calls.get_mut(&key) {
            Some(Entry::Running { waiting, .. }) if waiting.len() >= WAITING => {
                let detail = format!("{WAITING} attempts of this call wait for its reply already");
                let failure = Failure::new(FailureKind::Overloaded, Delivery::Unknown, detail);
                Attempt::Reply(WireReply::Failed(failure))
            }
            Some(Entry::Running { waiting, .. }) => {
                waiting.extend(way_back());
                Attempt::Waits
            }
            Some(Entry::Ended { reply, .. }) => Attempt::Reply(reply.clone()),
            Some(Entry::WithoutReply) => Attempt::Reply(WireReply::Failed(forgotten())),
            None if again && is_forgotten => Attempt::Reply(WireReply::Failed(forgotten())),
            None => {
                state.calls.insert(
                    key,
                    Entry::Running { waiting: Vec::new(), first: !again, call: None, left: false },
                );
                Attempt::Run
            }
        }
    }

    /// The attempt that is to be run is this call. False if its caller has left by now.
    pub(crate) fn runs(&self, key: &Key, by: Weak<dyn AnyCall>) -> bool {
        match lock(&self.state).calls.get_mut(key) {
            Some(Entry::Running { call, left, .. }) => {
                *call = Some(by);
                !*left
            }
            _ => true,
        }
    }

    /// The caller has left during an attempt that waits. Gives the call that runs for it, if one does.
    pub(crate) fn left(&self, key: &Key) -> Option<Arc<dyn AnyCall>> {
        match lock(&self.state).calls.get_mut(key) {
            Some(Entry::Running { call, left, .. }) => {
                *left = true;
                call.as_ref()?.upgrade()
            }
            _ => None,
        }
    }

    /// The one that ran has ended so. Gives those that wait for it.
    pub(crate) fn ended(&self, now: Instant, key: &Key, reply: &WireReply) -> Vec<W> {
        // No handler saw it: another attempt may be run. And large memory is not kept for a small reply in it.
        let kept = match reply {
            WireReply::Failed(failure) if failure.delivery() == Delivery::NotDelivered => None,
            WireReply::Failed(failure) => Some(WireReply::Failed(failure.clone())),
            WireReply::Ended(status, body) => Some(WireReply::Ended(*status, Bytes::copy_from_slice(body))),
        };
        let mut state = lock(&self.state);
        let before = match kept {
            Some(kept) => {
                state.bytes += size(&kept);
                state.ended.push_back((now, key.clone()));
                let first = matches!(state.calls.get(key), Some(Entry::Running { first: true, .. }));
                state.calls.insert(key.clone(), Entry::Ended { reply: kept, first })
            }
            None => state.calls.remove(key),
        };
        state.forget(now, self.window);
        match before {
            Some(Entry::Running { waiting, .. }) => waiting,
            _ => Vec::new(),
        }
    }
}

impl<W> State<W> {
    /// Lets go of what is beyond the window.
    fn forget(&mut self, now: Instant, window: Window) {
        while let Some((at, _)) = self.without_reply.front()
            && (now.saturating_duration_since(*at) >= window.age || self.without_reply.len() > window.entries)
        {
            let Some((_, key)) = self.without_reply.pop_front() else { return };
            self.calls.remove(&key);
        }
        while let Some((at, _)) = self.ended.front() {
            let within = self.ended.len() <= window.entries && self.bytes <= window.bytes;
            if within && now.saturating_duration_since(*at) < window.age {
                return;
            }
            let Some((at, key)) = self.ended.pop_front() else { return };
            if let Some(Entry::Ended { reply, first }) = self.calls.remove(&key) {
                self.bytes -= size(&reply);
                if !first && now.saturating_duration_since(at) < window.age {
                    self.calls.insert(key.clone(), Entry::WithoutReply);
                    self.without_reply.push_back((at, key.clone()));
                }
            }
            self.forgotten.add(key);
        }
    }
}

fn size(reply: &WireReply) -> usize {
    let own = match reply {
        WireReply::Ended(_, body) => body.len(),
        WireReply::Failed(failure) => failure.detail().len(),
    };
    own + size_of::<(Key, WireReply)>()
}

fn forgotten() -> Failure {
    let detail = "the call was made before, and its actor does not remember any more whether it was run; it remembers \
                  the replies of `#[dedup]` calls for a bounded time, number and size";
    Failure::new(FailureKind::ConnectionLost, Delivery::Unknown, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{node::clock, service::Status};

    const WINDOW: Window = Window { entries: 3, bytes: 10_000, age: Duration::from_secs(60) };

    fn reply(length: usize) -> WireReply {
        WireReply::Ended(Status::Replied, vec![7; length].into())
    }

    fn key(caller: u64, number: u64) -> Key {
        ((None, NodeId(caller)), number)
    }

    /// What becomes of an attempt, in a word.
    fn attempt(memory: &Dedup<u32>, now: Instant, key: Key, again: bool) -> &'static str {
        match memory.attempt(now, key, again, || Some(0)) {
            Attempt::Run => "run",
            Attempt::Waits => "waits",
            Attempt::Reply(WireReply::Ended(..)) => "reply",
            Attempt::Reply(WireReply::Failed(failure)) if failure.delivery() == Delivery::Unknown => {
                "unknown"
            }
            Attempt::Reply(_) => "failed",
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_attempt_gets_the_first_reply_and_waits_for_it() {
        let (memory, now) = (Dedup::new(WINDOW), clock::now());
        assert_eq!(memory.attempt(now, key(1, 1), false, || unreachable!()), Attempt::Run);
        assert_eq!(memory.attempt(now, key(1, 1), true, || Some(11)), Attempt::Waits);
        assert_eq!(attempt(&memory, now, key(2, 1), false), "run", "another caller's");
        assert_eq!(memory.ended(now, &key(1, 1), &reply(5)), [11]);
        let replied = Attempt::Reply(reply(5));
        assert_eq!(memory.attempt(now, key(1, 1), true, || unreachable!()), replied);
        // The first attempt may come late, by a connection that was thought lost.
        assert_eq!(memory.attempt(now, key(1, 1), false, || unreachable!()), replied);
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_that_it_is_another_node_learns_nothing_of_that_ones_calls() {
        let (memory, now) = (Dedup::new(WINDOW), clock::now());
        let peer = |name: &str| Some(Peer::named(name));
        let called_by = |name| ((peer(name), NodeId(1)), 1);
        assert_eq!(attempt(&memory, now, called_by("actor://test/a"), false), "run");
        memory.ended(now, &called_by("actor://test/a"), &reply(5));
        assert_eq!(attempt(&memory, now, called_by("actor://test/b"), true), "run");
        assert_eq!(attempt(&memory, now, called_by("actor://test/a"), true), "reply");
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_attempts_wait_and_no_more() {
        let (memory, now) = (Dedup::new(WINDOW), clock::now());
        assert_eq!(attempt(&memory, now, key(1, 1), false), "run");
        for _ in 0..WAITING {
            assert_eq!(attempt(&memory, now, key(1, 1), true), "waits");
        }
        assert_eq!(attempt(&memory, now, key(1, 1), true), "unknown");
        assert_eq!(memory.ended(now, &key(1, 1), &reply(1)).len(), WAITING);
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_handler_saw_may_be_run() {
        let (memory, now) = (Dedup::new(WINDOW), clock::now());
        assert_eq!(attempt(&memory, now, key(1, 1), false), "run");
        let full = Failure::new(FailureKind::Overloaded, Delivery::NotDelivered, "full");
        memory.ended(now, &key(1, 1), &WireReply::Failed(full));
        assert_eq!(attempt(&memory, now, key(1, 1), true), "run");
        let panicked = Failure::new(FailureKind::Panicked, Delivery::Unknown, "it panicked");
        memory.ended(now, &key(1, 1), &WireReply::Failed(panicked));
        assert_eq!(attempt(&memory, now, key(1, 1), true), "unknown");
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_attempt_that_comes_after_another_one_is_not_run_even_if_the_reply_is_forgotten() {
        let (memory, now) = (Dedup::new(WINDOW), clock::now());
        for number in 1..=7 {
            assert_eq!(attempt(&memory, now, key(1, number), true), "run");
            memory.ended(now, &key(1, number), &reply(1));
        }
        for number in 2..=4 {
            assert_eq!(attempt(&memory, now, key(1, number), false), "unknown");
        }
        assert_eq!(attempt(&memory, now, key(1, 5), false), "reply");
        let later = now + WINDOW.age;
        assert_eq!(attempt(&memory, later, key(2, 1), false), "run");
        let state = lock(&memory.state);
        assert_eq!((state.calls.len(), state.ended.len(), state.without_reply.len()), (1, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn outside_of_its_window_a_call_is_not_run_again() {
        let (memory, now) = (Dedup::new(WINDOW), clock::now());
        for number in 1..=4 {
            assert_eq!(attempt(&memory, now, key(1, number), false), "run");
            memory.ended(now, &key(1, number), &reply(1));
        }
        assert_eq!(attempt(&memory, now, key(1, 1), true), "unknown", "three entries");
        assert_eq!(attempt(&memory, now, key(1, 2), true), "reply");
        assert_eq!(attempt(&memory, now, key(1, 5), true), "run", "it never came before");
        assert_eq!(attempt(&memory, now, key(2, 1), true), "run", "nor did another caller's");
        memory.ended(now, &key(1, 5), &reply(20_000));
        assert_eq!(attempt(&memory, now, key(1, 5), true), "unknown", "too many bytes");
        assert_eq!(attempt(&memory, now, key(3, 1), false), "run");
        memory.ended(now, &key(3, 1), &reply(1));
        let later = now + WINDOW.age;
        assert_eq!(attempt(&memory, later, key(3, 1), true), "unknown", "too old");
        assert_eq!(lock(&memory.state).calls.len(), 1, "the one that runs");
        let state = lock(&memory.state);
        assert_eq!((state.bytes, state.ended.len()), (0, 0));
    }

    /// Has so many nodes of this identity make a call each.
    fn called_by(memory: &Dedup<u32>, now: Instant, peer: &str, nodes: std::ops::Range<u64>) {
        for node in nodes {
            let key = ((Some(Peer::named(peer)), NodeId(node)), 1);
            assert_eq!(attempt(memory, now, key.clone(), false), "run");
            memory.ended(now, &key, &reply(1));
        }
    }

    /// A node's id costs nothing.
    #[tokio::test(start_paused = true)]
    async fn who_has_many_nodes_has_what_is_known_of_its_own_forgotten_and_of_nobody_else_s() {
        let (memory, now) = (Dedup::new(WINDOW), clock::now());
        let key = |peer: &str, node, number| ((Some(Peer::named(peer)), NodeId(node)), number);
        called_by(&memory, now, "actor://test/a", 0..1);
        called_by(&memory, now, "actor://test/many", 0..CALLERS as u64 + 10);
        assert_eq!(attempt(&memory, now, key("actor://test/a", 0, 1), true), "unknown", "it is still known");
        assert_eq!(attempt(&memory, now, key("actor://test/a", 0, 2), true), "run", "it never came before");
        assert_eq!(
            attempt(&memory, now, key("actor://test/b", 0, 1), true),
            "run",
            "nor did another caller's"
        );
        assert_eq!(attempt(&memory, now, key("actor://test/many", 99_999, 1), true), "unknown");
        assert!(lock(&memory.state).forgotten.nodes <= CALLERS);
    }

    #[tokio::test(start_paused = true)]
    async fn of_more_identities_than_are_kept_nothing_is_run_twice() {
        let (memory, now) = (Dedup::new(WINDOW), clock::now());
        let many = CALLERS as u64 + 10;
        for caller in 0..many {
            called_by(&memory, now, &format!("actor://test/{caller:05}"), 0..1);
        }
        let state = lock(&memory.state);
        assert_eq!((state.forgotten.nodes, state.forgotten.callers.len()), (CALLERS, CALLERS));
        drop(state);
        // Also one that has come again since.
        for again in 0..many {
            let peer = Some(Peer::named(&format!("actor://test/{again:05}")));
            called_by(&memory, now, &format!("actor://test/{again:05}"), 1..2);
            assert_ne!(attempt(&memory, now, ((peer, NodeId(0)), 1), true), "run");
        }
    }
}
