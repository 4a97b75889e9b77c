//! What all handles of a pool share: its members, and which of them are called.
//!
//! ```text
//!   membership ──► State: an entry for each endpoint of the resolver's last answer
//!                    │ after each change
//!                    ▼
//!                  Choice: who is called now ──► a call's member
//! ```
//!
//! Lock order: state, then choice, then a member's record. Nothing foreign runs under them.

use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use tokio::{
    sync::{Notify, broadcast},
    time::Instant,
};

use super::{
    Balance, Ejection, Member, MemberSnapshot, MemberState, PoolEvent, PoolSnapshot,
    balance::{for_key, is_of_key},
    eject::{Record, Standing},
};
use crate::{
    Node,
    actor_id::ActorId,
    call::{Delivery, Failure, FailureKind},
    client::Route,
    names::{Address, ResolveResult, ResolvedEndpoint, unknown},
    node::AbortOnDrop,
    sync::{Mutex, MutexGuard, Ordering, lock},
};

pub(super) struct Core {
    pub(super) name: Arc<str>,
    pub(super) node: Node,
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
    pub(super) task: OnceLock<AbortOnDrop>,
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
pub(super) struct View {
    /// How many members have been reached.
    pub(super) size: usize,
    /// Whether it is known if there are members.
    pub(super) settled: bool,
    /// Whether each was tried to be reached.
    pub(super) tried: bool,
}

#[derive(Default)]
struct State {
    /// Whether the resolver has answered, or failed to.
    known: bool,
    failure: Option<String>,
    /// Whether nobody follows the resolver any more.
    ended: bool,
    found: ResolveResult,
    entries: Vec<Entry>,
}

/// One endpoint of the resolver's last answer.
struct Entry {
    endpoint: ResolvedEndpoint,
    place: Place,
    /// How the registration behaves that is or was there last.
    record: Arc<Mutex<Record>>,
    last: Option<ActorId>,
    /// How often that registration took no call since it was found.
    refusals: u32,
}

enum Place {
    /// To be reached, after so many failures.
    Due {
        failures: u32,
    },
    Opening {
        failures: u32,
    },
    Up(Member),
    /// The same actor as another entry's.
    Twin(ActorId),
    Down {
        failures: u32,
        until: Instant,
        why: Failure,
    },
}

/// The pause after the first failure to reach a member; it doubles with each further one.
const FIRST_REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(5);

/// Events that a reader may be behind.
const EVENTS: usize = 256;

impl Core {
    pub(super) fn new(node: Node, name: Arc<str>, balance: Balance, ejection: Ejection) -> Arc<Self> {
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

    pub(super) fn ejection(&self) -> &Ejection {
        &self.ejection
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<PoolEvent> {
        self.events.subscribe()
    }

    /// The member for a call that is nobody's yet. It is the same as `choose`, with less to do for the usual case.
    #[inline]
    pub(super) fn in_turn(&self) -> Option<Member> {
        let mut choice = lock(&self.choice);
        if !matches!(self.balance, Balance::RoundRobin) || !choice.probes.is_empty() {
            drop(choice);
            return self.choose(None, None);
        }
        let turn = choice.turn;
        let place = turn.checked_rem(choice.members.len())?;
        choice.turn = turn.wrapping_add(1);
        choice.members.get(place).cloned()
    }

    /// The member for the next call.
    pub(super) fn choose(&self, key: Option<u64>, avoid: Option<ActorId>) -> Option<Member> {
        let mut choice = lock(&self.choice);
        // A key is a probe for its own member only.
        let is_for = |probe: &Member, members: &[Member]| {
            Some(probe.id()) != avoid && key.is_none_or(|key| is_of_key(probe, members, key))
        };
        while let Some(place) = choice.probes.iter().rposition(|probe| is_for(probe, &choice.members)) {
            let probe = choice.probes.remove(place);
            if lock(&probe.0.record).ask() {
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
    pub(super) fn find(&self, id: ActorId) -> Option<Member> {
        lock(&self.state).up().find(|member| member.id() == id).cloned()
    }

    /// How many members calls go to.
    pub(super) fn callable(&self) -> usize {
        lock(&self.choice).members.len()
    }

    /// Why there is nobody to call.
    pub(super) fn nobody(&self) -> Failure {
        let state = lock(&self.state);
        let place = format!("in namespace {}", self.node.namespace());
        let unreachable = |detail| Failure::new(FailureKind::Unreachable, Delivery::NotDelivered, detail);
        match &state.failure {
            _ if !state.entries.is_empty() => {
                let each = state
                    .entries
                    .iter()
                    .map(|entry| format!("{}: {}", entry.endpoint, entry.place.state(entry, None)));
                let each = each.collect::<Vec<_>>().join("; ");
                unreachable(format!("no member of the pool {:?} can be reached: {each}", self.name))
            }
            Some(why) => unreachable(format!("the members of the pool {:?} are not known: {why}", self.name)),
            None if !state.found.rejected.is_empty() => {
                let detail = format!(
                    "no entry for {:?} {place} is an address: {}",
                    self.name,
                    state.found.rejected.join("; ")
                );
                Failure::new(FailureKind::NotFound, Delivery::NotDelivered, detail)
            }
            None => unknown(&self.name, &place, &state.found.known),
        }
    }

    /// The members that have been reached, in the resolver's order.
    pub(super) fn members(&self) -> Vec<Member> {
        lock(&self.state).up().cloned().collect()
    }

    /// Every endpoint of the resolver's last answer, each actor once, with its member if it can be reached.
    pub(super) fn all(&self) -> Vec<(ResolvedEndpoint, Result<Member, Failure>)> {
        let state = lock(&self.state);
        // That there is nobody is no answer if nobody knows.
        let is_known = state.known && state.failure.is_none() && state.found.rejected.is_empty();
        if state.entries.is_empty() && !is_known {
            let (known, endpoint) = (state.known, ResolvedEndpoint::new(Address::Loopback(0), &*self.name));
            drop(state);
            let detail =
                format!("the time was over before the members of the pool {:?} were known", self.name);
            let late = || Failure::new(FailureKind::DeadlineExceeded, Delivery::NotDelivered, detail);
            return vec![(endpoint, Err(if known { self.nobody() } else { late() }))];
        }
        let each = state.entries.iter().filter_map(|entry| {
            let way = match &entry.place {
                Place::Up(member) => Ok(member.clone()),
                Place::Twin(_) => return None,
                Place::Down { why, .. } => Err(why.clone()),
                Place::Due { .. } | Place::Opening { .. } => {
                    let detail = "it has not been reached yet; `wait_for_size` waits for members";
                    Err(Failure::new(FailureKind::Unreachable, Delivery::NotDelivered, detail))
                }
            };
            let endpoint = way.as_ref().map_or(&entry.endpoint, Member::endpoint);
            Some((endpoint.clone(), way))
        });
        each.collect()
    }

    /// How the pool stands, in words; of an empty one, why it is.
    pub(super) fn story(&self) -> String {
        let snapshot = self.snapshot();
        if snapshot.members.is_empty() && self.view().settled {
            return self.nobody().detail().to_owned();
        }
        snapshot.to_string()
    }

    pub(super) fn snapshot(&self) -> PoolSnapshot {
        let (state, now) = (lock(&self.state), self.node.now());
        let members = state.entries.iter().map(|entry| {
            let up = if let Place::Up(member) = &entry.place { Some(member) } else { None };
            MemberSnapshot {
                endpoint: up.map_or(&entry.endpoint, Member::endpoint).clone(),
                actor: up.map(Member::id).or(entry.endpoint.actor),
                state: entry.place.state(entry, Some(now)),
                outstanding: up.map_or(0, Member::outstanding),
                calls: up.map_or(0, |member| member.0.calls.load(Ordering::Relaxed)),
                failed: up.map_or(0, |member| member.0.failed.load(Ordering::Relaxed)),
                latency: up.and_then(Member::latency),
            }
        });
        PoolSnapshot {
            name: self.name.to_string(),
            members: members.collect(),
            rejected: state.found.rejected.clone(),
            resolver_failure: state.failure.clone(),
        }
    }

    // Membership.

    /// Waits until the membership task has something to do, without holding the pool.
    pub(super) fn changed_once(&self) -> impl Future<Output = ()> + Send + 'static {
        let changed = self.changed.clone();
        async move { changed.notified().await }
    }

    /// The resolver answered.
    pub(super) fn adopt(&self, found: ResolveResult) {
        let mut state = lock(&self.state);
        let mut before = std::mem::take(&mut state.entries);
        for endpoint in &found.endpoints {
            let same = |entry: &Entry| {
                (&entry.endpoint.address, &entry.endpoint.name, entry.endpoint.actor)
                    == (&endpoint.address, &endpoint.name, endpoint.actor)
            };
            let entry = match before.iter().position(same) {
                Some(place) => {
                    let mut entry = before.swap_remove(place);
                    // What is being reached is not it any more.
                    if let (Place::Opening { failures }, true) = (&entry.place, entry.endpoint != *endpoint) {
                        entry.place = Place::Due { failures: *failures };
                    }
                    entry
                }
                None => Entry {
                    endpoint: endpoint.clone(),
                    place: Place::Due { failures: 0 },
                    record: Arc::default(),
                    last: None,
                    refusals: 0,
                },
            };
            state.entries.push(Entry { endpoint: endpoint.clone(), ..entry });
        }
        state.known = true;
        state.failure = None;
        state.found = ResolveResult { endpoints: Vec::new(), ..found };
        state.part_twins();
        self.publish(state);
        for Entry { endpoint, place, .. } in before {
            let endpoint = if let Place::Up(member) = &place { member.endpoint().clone() } else { endpoint };
            self.tell(PoolEvent::Left { endpoint });
        }
    }

    /// The resolver failed: what it said last stays.
    pub(super) fn not_resolved(&self, why: String) {
        let mut state = lock(&self.state);
        state.known = true;
        let news = state.failure.as_ref() != Some(&why);
        state.failure = Some(why.clone());
        self.publish(state);
        if news {
            self.tell(PoolEvent::ResolverFailed { why });
        }
    }

    /// The membership task was cut off: what is not known now will not be.
    pub(super) fn not_followed(&self) {
        lock(&self.state).ended = true;
        let detail = "the task that follows the resolver was cut off: the runtime of the caller's node ended, or the \
                      resolver panicked";
        self.not_resolved(detail.to_owned());
    }

    /// The endpoints that are to be reached now.
    pub(super) fn due(&self, now: Instant) -> Vec<ResolvedEndpoint> {
        let mut state = lock(&self.state);
        let due = state.entries.iter_mut().filter_map(|entry| {
            let failures = match entry.place {
                Place::Due { failures } => failures,
                Place::Down { failures, until, .. } if until <= now => failures,
                _ => return None,
            };
            entry.place = Place::Opening { failures };
            Some(entry.endpoint.clone())
        });
        let due: Vec<_> = due.collect();
        due
    }

    /// An endpoint was reached, or not.
    pub(super) fn opened(&self, endpoint: &ResolvedEndpoint, opened: Result<Route, Failure>) {
        let mut state = lock(&self.state);
        let opening =
            |entry: &Entry| entry.endpoint == *endpoint && matches!(entry.place, Place::Opening { .. });
        // It may have left meanwhile.
        let Some(place) = state.entries.iter().position(opening) else { return };
        let Place::Opening { failures } = state.entries[place].place else { return };
        let reached = opened.and_then(|route| match route.endpoint().actor {
            Some(id) => Ok((route, id)),
            None => Err(Failure::new(
                FailureKind::Internal,
                Delivery::NotDelivered,
                "nobody said which actor it is",
            )),
        });
        let event = match reached {
            Ok((_, id)) if state.up().any(|member| member.id() == id) => {
                state.entries[place].place = Place::Twin(id);
                None
            }
            Ok((route, id)) => {
                let entry = &mut state.entries[place];
                if entry.last != Some(id) {
                    (entry.last, entry.record, entry.refusals) = (Some(id), Arc::default(), 0);
                }
                let member = Member::new(route, id, entry.record.clone(), self.this.clone());
                let endpoint = member.endpoint().clone();
                entry.place = Place::Up(member);
                Some(PoolEvent::Joined { endpoint })
            }
            Err(why) => {
                let until = self.node.now() + rest(failures, self.node.random_u64());
                let event = PoolEvent::Lost { endpoint: endpoint.clone(), why: why.clone() };
                state.entries[place].place = Place::Down { failures: failures + 1, until, why };
                (failures == 0).then_some(event)
            }
        };
        self.publish(state);
        if let Some(event) = event {
            self.tell(event);
        }
    }

    /// A member cannot be reached any more, or is another one by now: it is looked for again.
    pub(super) fn lost(&self, id: ActorId, why: &Failure) {
        let mut state = lock(&self.state);
        let is_it = |entry: &&mut Entry| matches!(&entry.place, Place::Up(member) if member.id() == id);
        let Some(entry) = state.entries.iter_mut().find(is_it) else { return };
        let place = match why.kind() {
            // A registration that has ended may still have its name: it is found again at once, and takes no call again.
            FailureKind::Stopped | FailureKind::NotFound | FailureKind::Stale => {
                let until = self.node.now() + rest(entry.refusals, self.node.random_u64());
                entry.refusals = entry.refusals.saturating_add(1);
                Place::Down { failures: entry.refusals, until, why: why.clone() }
            }
            _ => Place::Due { failures: 0 },
        };
        let before = std::mem::replace(&mut entry.place, place);
        state.part_twins();
        self.publish(state);
        self.changed.notify_one();
        if let Place::Up(member) = before {
            self.tell(PoolEvent::Lost { endpoint: member.endpoint().clone(), why: why.clone() });
        }
    }

    // Ejection.

    /// Leaves a member out, if so many may be.
    pub(super) fn eject(&self, id: ActorId, why: &str) {
        let state = lock(&self.state);
        let Some(member) = state.up().find(|member| member.id() == id).cloned() else { return };
        let standing = lock(&member.0.record).standing;
        let is_out = |member: &&Member| lock(&member.0.record).standing != Standing::In;
        let others = || state.up().filter(|other| other.id() != id).filter(is_out).count();
        match standing {
            // Another call was quicker.
            Standing::Out { .. } => return,
            // It takes no place that it does not have already.
            Standing::Probe { .. } => {}
            Standing::In if others() >= self.ejection.allowed(state.up().count()) => return,
            Standing::In => {}
        }
        let now = self.node.now();
        let until = lock(&member.0.record).eject(&self.ejection, now);
        member.0.is_troubled();
        self.publish(state);
        self.changed.notify_one();
        let pause = until.saturating_duration_since(now);
        self.tell(PoolEvent::Ejected { endpoint: member.endpoint().clone(), why: why.to_owned(), pause });
    }

    /// A member's probe went well.
    pub(super) fn is_back(&self, id: ActorId) {
        let state = lock(&self.state);
        let member = state.up().find(|member| member.id() == id).cloned();
        self.publish(state);
        if let Some(member) = member {
            member.forget_time();
            self.tell(PoolEvent::Returned { endpoint: member.endpoint().clone() });
        }
    }

    /// Who is called may have changed.
    pub(super) fn choose_anew(&self) {
        self.publish(lock(&self.state));
    }

    /// Pauses that are over become probes; with `judge`, those that are much slower than others are left out.
    pub(super) fn tick(&self, now: Instant, judge: bool) {
        let state = lock(&self.state);
        let mut rested = false;
        for member in state.up() {
            let mut record = lock(&member.0.record);
            // Also one that nobody asks, since its probe was forgotten.
            rested |= record.rested(now) || record.standing == Standing::Probe { asked: false };
        }
        if rested {
            self.publish(state);
        } else {
            drop(state);
        }
        if !judge {
            return;
        }
        let mut judged: Vec<(Member, Duration)> = Vec::new();
        for member in self.members() {
            if lock(&member.0.record).standing == Standing::In
                && let Some(time) = member.judged()
            {
                judged.push((member, time));
            }
        }
        let times: Vec<Duration> = judged.iter().map(|&(_, time)| time).collect();
        for place in self.ejection.outliers(&times) {
            let (member, time) = &judged[place];
            self.eject(
                member.id(),
                &format!("it takes {time:.1?} for a call, many times as long as the others"),
            );
        }
    }

    /// How often members are judged by their speed; `None` if they are not.
    pub(super) fn judges(&self) -> Option<Duration> {
        self.ejection.slower.is_finite().then_some(self.ejection.interval)
    }

    /// When the membership task is to look again.
    pub(super) fn next(&self) -> Option<Instant> {
        let state = lock(&self.state);
        let each = state.entries.iter().filter_map(|entry| match &entry.place {
            Place::Down { until, .. } => Some(*until),
            Place::Up(member) => match lock(&member.0.record).standing {
                Standing::Out { until } => Some(until),
                Standing::In | Standing::Probe { .. } => None,
            },
            Place::Due { .. } => Some(self.node.now()),
            Place::Opening { .. } | Place::Twin(_) => None,
        });
        each.min()
    }

    /// Makes known who is called now.
    fn publish(&self, state: MutexGuard<'_, State>) {
        let (mut well, mut probes, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for member in state.up() {
            all.push(member.clone());
            match lock(&member.0.record).standing {
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
    pub(super) fn view(&self) -> View {
        let state = lock(&self.state);
        View { size: state.up().count(), settled: state.is_settled(), tried: state.is_tried() }
    }

    /// Waits until the membership is such.
    pub(super) async fn wait_for(&self, such: impl Fn(View) -> bool) {
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

/// How long to wait after so many failures: exponential, with full jitter in its upper half (Brooker, "Exponential
/// Backoff and Jitter", 2015).
fn rest(failures: u32, random: u64) -> Duration {
    let longest = FIRST_REST.saturating_mul(1 << failures.min(16)).min(LONGEST_REST);
    longest.mul_f64(0.5 + 0.5 * (random as f64 / u64::MAX as f64))
}

impl State {
    fn up(&self) -> impl Iterator<Item = &Member> {
        self.entries.iter().filter_map(|entry| match &entry.place {
            Place::Up(member) => Some(member),
            _ => None,
        })
    }

    fn is_settled(&self) -> bool {
        // Once each was tried, that there is nobody is known too.
        self.known && self.up().next().is_some() || self.is_tried()
    }

    fn is_tried(&self) -> bool {
        let untried = |entry: &Entry| {
            matches!(entry.place, Place::Due { failures: 0 } | Place::Opening { failures: 0 })
        };
        self.ended || self.known && !self.entries.iter().any(untried)
    }

    /// Entries whose twin has left are looked for again.
    fn part_twins(&mut self) {
        let up: Vec<ActorId> = self.up().map(Member::id).collect();
        for entry in &mut self.entries {
            if matches!(entry.place, Place::Twin(id) if !up.contains(&id)) {
                entry.place = Place::Due { failures: 0 };
            }
        }
    }
}

impl Place {
    fn state(&self, entry: &Entry, now: Option<Instant>) -> MemberState {
        match self {
            Self::Due { .. } | Self::Opening { .. } => MemberState::Connecting,
            Self::Twin(_) => MemberState::Duplicate,
            Self::Down { why, .. } => MemberState::Unreachable(why.clone()),
            Self::Up(_) => match lock(&entry.record).standing {
                Standing::In => MemberState::Ready,
                Standing::Probe { .. } => MemberState::Probing,
                Standing::Out { until } => MemberState::Ejected(
                    now.map_or(Duration::ZERO, |now| until.saturating_duration_since(now)),
                ),
            },
        }
    }
}

/// For error texts.
impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pool {:?}", self.name)
    }
}
