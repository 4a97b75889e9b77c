//! The connections of one node: which of them leads where, and how new ones are made.
//!
//! A connection is shared by all clients of the node, and used in both directions, whoever made it. Of several attempts
//! to reach one address at a time only one is made; after a failed one the next waits a little, and longer each time.
//! An attempt belongs to all who want the connection: who leaves takes nothing from the others, and the last one ends it.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use tokio::time::Instant;

use super::{Accept, Link, Relay, loopback};
use crate::{
    call::{Delivery, Failure, FailureKind},
    names::Address,
    node::Node,
    sync::{Mutex, lock},
};

/// The connections of one node.
#[derive(Default)]
pub(crate) struct Links {
    state: Mutex<State>,
    acceptor: Mutex<Option<Arc<dyn Accept>>>,
    /// Where replies are told, if not where they arrive.
    relay: OnceLock<Arc<Relay>>,
}

#[derive(Default)]
struct State {
    by_address: HashMap<Address, Way>,
    /// Connections that others made to this node.
    accepted: Vec<Arc<Link>>,
    /// Counts the attempts to make connections.
    attempts: u64,
}

/// So many addresses are kept before those that failed long ago are forgotten: messages may bring any number.
const MANY: usize = 1024;

impl State {
    fn forget(&mut self, now: Instant) {
        if self.by_address.len() >= MANY {
            let over = |until: Instant| until + LONGEST_REST < now;
            self.by_address.retain(|_, way| !matches!(way, Way::Resting { until, .. } if over(*until)));
        }
    }
}

/// What there is towards one address.
enum Way {
    Link(Arc<Link>),
    /// Some are making a connection.
    Dialling {
        /// Which of all attempts it is.
        number: u64,
        attempt: WeakShared<Dialled>,
        /// How many failed before it.
        failures: u32,
    },
    /// The last attempts failed.
    Resting {
        failures: u32,
        until: Instant,
    },
}

/// What becomes of an attempt to make a connection. All who want the connection have it, and each of them drives it.
type Dialled = BoxFuture<'static, Result<Arc<Link>, Failure>>;

/// What somebody who needs a connection does.
enum Next {
    Link(Arc<Link>),
    Dial(Shared<Dialled>),
    Rest(Instant),
}

/// The pause after the first failure; it doubles with each further one.
const FIRST_REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(5);

impl Links {
    /// What serves calls from elsewhere.
    pub(crate) fn acceptor(&self) -> Option<Arc<dyn Accept>> {
        lock(&self.acceptor).clone()
    }

    /// Calls from elsewhere are served by this from now on.
    pub(crate) fn serve(&self, acceptor: Option<Arc<dyn Accept>>) {
        let before = std::mem::replace(&mut *lock(&self.acceptor), acceptor);
        // Not under the lock: it may be the last that holds a server, with its actors.
        drop(before);
    }

    /// Replies arrive on a thread of their own from now on.
    pub(crate) fn relay_replies(&self, node: &Node) {
        self.relay.get_or_init(|| Relay::start(node));
    }

    pub(super) fn relay(&self) -> Option<&Arc<Relay>> {
        self.relay.get()
    }

    /// Another node made a connection to this one.
    pub(crate) fn accepted(&self, link: Arc<Link>) {
        lock(&self.state).accepted.push(link);
    }

    /// The other side of a connection that it made listens itself, and has proved that it may do so at this address: calls
    /// to there need no connection of their own.
    pub(crate) fn leads_to(&self, address: Address, link: &Arc<Link>) {
        let mut state = lock(&self.state);
        let free = !matches!(state.by_address.get(&address), Some(Way::Link(_) | Way::Dialling { .. }));
        if free && link.is_usable() {
            state.by_address.insert(address, Way::Link(link.clone()));
        }
    }

    /// The other side takes no more calls. Where it made the connection, who listens at its address next is another one.
    pub(crate) fn leads_no_more(&self, link: &Link) {
        let same = |other: &Arc<Link>| std::ptr::eq(Arc::as_ptr(other), link);
        let mut state = lock(&self.state);
        if !state.accepted.iter().any(same) {
            return;
        }
        let ways: Vec<Way> = state
            .by_address
            .extract_if(|_, way| matches!(way, Way::Link(other) if same(other)))
            .map(|(_, way)| way)
            .collect();
        // What they hold is dropped without the lock.
        drop(state);
        drop(ways);
    }

    /// A connection has ended.
    pub(crate) fn remove(&self, link: &Link) {
        let same = |other: &Arc<Link>| std::ptr::eq(Arc::as_ptr(other), link);
        let mut state = lock(&self.state);
        let gone: Vec<Arc<Link>> = state.accepted.extract_if(.., |other| same(other)).collect();
        let ways: Vec<Way> = state
            .by_address
            .extract_if(|_, way| matches!(way, Way::Link(other) if same(other)))
            .map(|(_, way)| way)
            .collect();
        // What they hold is dropped without the lock.
        drop(state);
        drop((gone, ways));
    }

    /// Whether the node uses this address already, or the other side of a connection has proved that it listens there.
    pub(crate) async fn knows(&self, address: &Address) -> bool {
        let says = |link: &&Arc<Link>| {
            link.introduced().is_some_and(|introduced| introduced.address.as_ref() == Some(address))
        };
        let saying: Vec<Arc<Link>> = lock(&self.state).accepted.iter().filter(says).cloned().collect();
        for link in saying {
            if link.is_within_process() && matches!(address, Address::Loopback(_)) {
                return true;
            }
            link.settled().await;
        }
        lock(&self.state).by_address.contains_key(address)
    }

    /// All connections.
    pub(crate) fn all(&self) -> Vec<Arc<Link>> {
        let state = lock(&self.state);
        let ours = state.by_address.values().filter_map(|way| match way {
            Way::Link(link) => Some(link),
            Way::Dialling { .. } | Way::Resting { .. } => None,
        });
        let mut all: Vec<Arc<Link>> = state.accepted.clone();
        for link in ours {
            if !all.iter().any(|other| Arc::ptr_eq(other, link)) {
                all.push(link.clone());
            }
        }
        all
    }

    /// How many connections others have made.
    pub(crate) fn count_accepted(&self) -> usize {
        lock(&self.state).accepted.len()
    }

    /// The connections that others made.
    pub(crate) fn all_accepted(&self) -> Vec<Arc<Link>> {
        lock(&self.state).accepted.clone()
    }

    /// Whether no connection to this address is made now, because the last attempt has just failed.
    pub(crate) fn is_resting(&self, node: &Node, address: &Address) -> bool {
        let state = lock(&self.state);
        matches!(state.by_address.get(address), Some(Way::Resting { until, .. }) if *until > node.now())
    }

    /// A connection to this address, whose handshake is through.
    ///
    /// Its failure is that of all who waited: an attempt of each, one after the other, would have the last wait for all
    /// of them.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time: the attempt goes on if others wait for it, and never was if nobody does.
    pub(crate) async fn connect(&self, node: &Node, address: &Address) -> Result<Arc<Link>, Failure> {
        loop {
            match self.next(node, address) {
                Next::Link(link) if link.has_ended() => self.remove(&link),
                Next::Link(link) => return link.opened().await.map(|()| link),
                Next::Dial(attempt) => return attempt.await,
                Next::Rest(until) => node.sleep_until(until).await,
            }
        }
    }

    fn next(&self, node: &Node, address: &Address) -> Next {
        let mut state = lock(&self.state);
        let failures = match state.by_address.get(address) {
            Some(Way::Link(link)) if !link.has_ended() => return Next::Link(link.clone()),
            Some(Way::Link(_)) | None => 0,
            Some(Way::Dialling { attempt, failures, .. }) => match attempt.upgrade() {
                Some(attempt) => return Next::Dial(attempt),
                // The last who wanted it is just leaving.
                None => *failures,
            },
            Some(Way::Resting { until, .. }) if *until > node.now() => return Next::Rest(*until),
            Some(Way::Resting { failures, .. }) => *failures,
        };
        state.forget(node.now());
        state.attempts += 1;
        let number = state.attempts;
        let attempt =
            Attempt { node: node.quiet(), address: address.clone(), number, failures, becomes: None };
        let attempt = attempt.run().boxed().shared();
        // There is one as long as it has not ended, and it has not begun.
        let before = attempt.downgrade().and_then(|attempt| {
            let way = Way::Dialling { number, attempt, failures };
            state.by_address.insert(address.clone(), way)
        });
        // What it holds is dropped without the lock.
        drop(state);
        drop(before);
        Next::Dial(attempt)
    }
}

/// An attempt to connect, until it is decided. Dropped before, it never was.
struct Attempt {
    node: Node,
    address: Address,
    number: u64,
    /// How many failed before it.
    failures: u32,
    becomes: Option<Way>,
}

impl Attempt {
    async fn run(mut self) -> Result<Arc<Link>, Failure> {
        let made = self.dial().await;
        match &made {
            Ok(link) => self.becomes = Some(Way::Link(link.clone())),
            // Whether somebody listens there is known at once.
            Err(_) if matches!(self.address, Address::Loopback(_)) => self.failures = 0,
            Err(_) => {
                let until = self.node.now() + rest(self.failures, self.node.random_u64());
                self.becomes = Some(Way::Resting { failures: self.failures + 1, until });
            }
        }
        let node = self.node.clone();
        drop(self);
        // It may have ended before it was in the table.
        if let Ok(link) = &made
            && link.has_ended()
        {
            node.links().remove(link);
        }
        made
    }

    async fn dial(&self) -> Result<Arc<Link>, Failure> {
        let made = match &self.address {
            Address::Loopback(number) => loopback::connect(&self.node, *number).map(Unclaimed::new)?,
            address => self.node.network().dial(&self.node, address).await?,
        };
        let opened = made.link.opened().await;
        // One that did not open has ended.
        let link = made.claim();
        opened.map(|()| link)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let becomes = self.becomes.take().or_else(|| {
            let (failures, until) = (self.failures, self.node.now());
            (failures > 0).then_some(Way::Resting { failures, until })
        });
        let mut state = lock(&self.node.links().state);
        let present = state.by_address.get(&self.address);
        // Another attempt may have begun where this one was given up.
        let own = matches!(present, Some(Way::Dialling { number, .. }) if *number == self.number);
        let before = match becomes {
            becomes if !own => becomes,
            Some(way) => state.by_address.insert(self.address.clone(), way),
            None => state.by_address.remove(&self.address),
        };
        // What they hold is dropped without the lock.
        drop(state);
        drop(before);
    }
}

/// A connection that was just made. Unless somebody takes it, it is closed: nobody would know of it.
pub(super) struct Unclaimed {
    link: Arc<Link>,
    claimed: bool,
}

impl Unclaimed {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link, claimed: false }
    }

    fn claim(mut self) -> Arc<Link> {
        self.claimed = true;
        self.link.clone()
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if !self.claimed {
            self.link.close("nobody waits for the connection any more");
        }
    }
}

/// How long to wait after so many failures: exponential, with full jitter in its upper half (Brooker, "Exponential
/// Backoff and Jitter", 2015).
fn rest(failures: u32, random: u64) -> Duration {
    let longest = FIRST_REST.saturating_mul(1 << failures.min(16)).min(LONGEST_REST);
    longest.mul_f64(0.5 + 0.5 * (random as f64 / u64::MAX as f64))
}

impl Links {
    /// Ends all connections: the node is going away.
    pub(crate) fn close(&self, reason: &str) {
        for link in self.all() {
            link.close(reason);
        }
        if let Some(relay) = self.relay.get() {
            relay.close();
        }
    }
}

/// A failure of reaching somebody.
pub(crate) fn unreachable(detail: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Unreachable, Delivery::NotDelivered, detail)
}

#[cfg(test)]
mod tests {
    use super::{super::loopback::Port, *};

    /// It may end on another thread before it has left the table.
    #[tokio::test]
    async fn a_connection_that_has_ended_is_not_handed_out() {
        let [client, server] = [(); 2].map(|()| Node::builder().build().unwrap());
        let port = Port::bind(0, &server).unwrap();
        let address = port.address();
        let links = client.links();
        let first = links.connect(&client, &address).await.unwrap();
        first.close("the test ends it");
        lock(&links.state).by_address.insert(address.clone(), Way::Link(first.clone()));
        let second = links.connect(&client, &address).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &second) && !second.has_ended());
    }
}
