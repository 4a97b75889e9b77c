//! Which of the endpoints of a name is called: the first, in the resolver's order, that can be.
//!
//! ```text
//!   time   0 ──────── 250 ms ──────── 500 ms ─────────►
//!   first  ├─ silent ─────────────────────────╌╌ let go
//!   second            ├─ refused ┤
//!   third                        ├─ open ────┤ this one
//! ```
//!
//! An attempt that fails makes room for the next one at once, and one that is silent does so after the *Connection Attempt
//! Delay* of RFC 8305 (section 5; 250 ms, section 8), which gRPC's pick-first has too (gRFC A61). All of them belong to one
//! search, whose bound is that of one endpoint and the delays: nothing is added up.
//!
//! Invariant: whoever does not follow a name is led to the registration that it means, or nowhere (S12).

use std::{fmt::Write, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};

use super::route::{Route, Whom, gone};
use crate::{
    Node,
    actor_id::ActorId,
    call::{Delivery, Failure, FailureKind},
    names::{Address, ResolveResult, ResolvedEndpoint, unknown},
    service::Method,
};

/// How long an attempt is alone before the next one begins.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// So many endpoints are tried in one search.
const MOST: usize = 8;

/// So long may what is told of one endpoint be, in characters.
const LONGEST: usize = 300;

/// What a handle remembers of the registrations that it has called, for its next search.
#[derive(Clone, Default)]
pub(super) struct Memory {
    /// They have ended, or have lost the name: the last few of them.
    left: Vec<ActorId>,
    /// Who was called last, and where.
    last: Option<(ActorId, Address)>,
}

impl Memory {
    /// A call came back from this registration, which had not taken it.
    pub(super) fn refused(&mut self, actor: ActorId) {
        if self.left.contains(&actor) {
            return;
        }
        if self.left.len() == MOST {
            self.left.remove(0);
        }
        self.left.push(actor);
    }

    /// Calls go to this endpoint from now on.
    pub(super) fn called(&mut self, endpoint: &ResolvedEndpoint) {
        self.last = endpoint.actor.map(|actor| (actor, endpoint.address.clone()));
    }

    /// Where this registration was.
    fn place(&self, actor: ActorId) -> Option<&Address> {
        let (last, address) = self.last.as_ref()?;
        (*last == actor).then_some(address)
    }
}

/// Chooses among what was resolved, and connects. `asked_again` may have run the call that waits: it goes first.
pub(super) async fn choose(
    node: &Node,
    whom: &Whom<'_>,
    found: &ResolveResult,
    methods: &'static [&'static Method],
    memory: &Memory,
    asked_again: Option<ActorId>,
) -> Result<Route, Failure> {
    let first = asked_again.and_then(|actor| memory.place(actor));
    let (endpoints, left_out) = candidates(whom, found, first);
    match &*endpoints {
        [] => Err(whom.pinned.map_or_else(|| nothing_found(whom, found), gone)),
        [only] => Route::open(node, whom, only, methods).await.map_err(not_delivered),
        several => {
            let whom = Whom { has_choice: true, ..*whom };
            let race = Race { node, whom: &whom, methods, memory, endpoints: several };
            race.run().await.map_err(|failures| none_of(&whom, &failures, left_out))
        }
    }
}

/// The endpoints that may be tried, in their order and each once, and how many were left out.
fn candidates<'a>(
    whom: &Whom<'_>,
    found: &'a ResolveResult,
    first: Option<&Address>,
) -> (Vec<&'a ResolvedEndpoint>, usize) {
    let all = &found.endpoints;
    let exact = |endpoint: &ResolvedEndpoint| whom.pinned.is_some() && endpoint.actor == whom.pinned;
    let may_be = |endpoint: &ResolvedEndpoint| whom.pinned.is_none() || endpoint.actor.is_none();
    let meant: Vec<&ResolvedEndpoint> = if all.iter().any(exact) {
        all.iter().filter(|endpoint| exact(endpoint)).collect()
    } else if all.iter().any(may_be) {
        all.iter().filter(|endpoint| may_be(endpoint)).collect()
    } else {
        // Another registration: so it will say.
        all.iter().take(1).collect()
    };
    let goes_first = |endpoint: &&&ResolvedEndpoint| first == Some(&endpoint.address);
    let order = meant.iter().filter(goes_first).chain(meant.iter().filter(|endpoint| !goes_first(endpoint)));
    let (mut tried, mut left_out) = (Vec::new(), 0);
    for endpoint in order {
        let same = |other: &&ResolvedEndpoint| {
            (&other.address, &other.name, other.actor) == (&endpoint.address, &endpoint.name, endpoint.actor)
        };
        if tried.iter().any(same) {
            continue;
        }
        if tried.len() == MOST {
            left_out += 1;
        } else {
            tried.push(*endpoint);
        }
    }
    (tried, left_out)
}

/// Several attempts, of which the first that succeeds ends the others.
struct Race<'a> {
    node: &'a Node,
    whom: &'a Whom<'a>,
    methods: &'static [&'static Method],
    memory: &'a Memory,
    endpoints: &'a [&'a ResolvedEndpoint],
}

/// Why each endpoint was not reached, in their order.
type Failures<'a> = Vec<(&'a ResolvedEndpoint, Failure)>;

impl<'a> Race<'a> {
    async fn run(&self) -> Result<Route, Failures<'a>> {
        let Self { node, whom, methods, memory, endpoints } = *self;
        let mut waiting = endpoints.iter().copied().enumerate();
        let mut attempts = FuturesUnordered::new();
        let mut failures = Vec::new();
        let mut left = None;
        loop {
            let mut delay = ATTEMPT_DELAY;
            if let Some((at, endpoint)) = waiting.next() {
                // It would only wait by itself, until it may be dialled again.
                if node.links().is_resting(node, &endpoint.address) {
                    delay = Duration::ZERO;
                }
                attempts
                    .push(async move { (at, endpoint, Route::open(node, whom, endpoint, methods).await) });
            }
            tokio::select! {
                biased;
                ended = attempts.next() => match ended {
                    Some((_, _, Ok(route))) => match route.endpoint().actor {
                        // The others first: a call has just come back from this one.
                        Some(actor) if whom.follows && memory.left.contains(&actor) => {
                            left.get_or_insert(route);
                        }
                        _ => return Ok(route),
                    },
                    Some((at, endpoint, Err(failure))) => failures.push((at, endpoint, failure)),
                    None => break,
                },
                () = node.sleep_until(node.after(delay)), if waiting.len() > 0 => {}
            }
        }
        failures.sort_unstable_by_key(|(at, ..)| *at);
        let told = |(_, endpoint, failure)| (endpoint, self.told(failure));
        left.ok_or_else(|| failures.into_iter().map(told).collect())
    }

    fn told(&self, failure: Failure) -> Failure {
        match (self.whom.pinned, failure.kind()) {
            (Some(pinned), FailureKind::NotFound) => gone(pinned),
            _ => not_delivered(failure),
        }
    }
}

/// Questions that are asked on the way may be lost; no call is.
fn not_delivered(failure: Failure) -> Failure {
    match failure.delivery() {
        Delivery::NotDelivered => failure,
        _ => Failure::new(FailureKind::Unreachable, Delivery::NotDelivered, failure.detail()),
    }
}

/// One failure of several endpoints: of their kind if they agree.
fn none_of(whom: &Whom<'_>, failures: &Failures<'_>, left_out: usize) -> Failure {
    let mut kinds = failures.iter().map(|(_, failure)| failure.kind());
    let first = kinds.next().unwrap_or(FailureKind::Unreachable);
    let kind = if kinds.all(|kind| kind == first) { first } else { FailureKind::Unreachable };
    let (tried, all) = (failures.len(), failures.len() + left_out);
    let of_which = match left_out {
        0 => format!("its {all} endpoints"),
        _ => format!("the first {tried} of its {all} endpoints, and no more are tried in one search"),
    };
    let mut detail = match whom.pinned {
        Some(pinned) => format!("the registration {pinned} of {:?} is at none of {of_which}", whom.name),
        None => format!("{:?} can be called at none of {of_which}", whom.name),
    };
    for (at, (endpoint, failure)) in failures.iter().enumerate() {
        let mark = if at == 0 { ": " } else { "; " };
        let told = shortened(&format!("{endpoint}: {}: {}", failure.kind(), failure.detail()));
        let _ = write!(detail, "{mark}{told}");
    }
    Failure::new(kind, Delivery::NotDelivered, detail)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn nothing_found(whom: &Whom<'_>, found: &ResolveResult) -> Failure {
    let name = whom.name;
    let place = format!("in namespace {}", whom.namespace);
    if found.rejected.is_empty() {
        return unknown(name, &place, &found.known);
    }
    let detail = format!("no entry for {name:?} {place} is an address: {}", found.rejected.join("; "));
    Failure::new(FailureKind::NotFound, Delivery::NotDelivered, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Namespace;

    fn endpoint(port: u32, actor: Option<u8>) -> ResolvedEndpoint {
        let mut endpoint = ResolvedEndpoint::new(Address::Loopback(port), "a");
        endpoint.actor = actor.map(|byte| ActorId::from_bytes([byte; 16]));
        endpoint
    }

    /// Whose turn it is, by their ports, and how many were left out.
    fn order(
        found: &[ResolvedEndpoint],
        pinned: Option<u8>,
        first: Option<u32>,
    ) -> (Vec<&ResolvedEndpoint>, usize) {
        let namespace = Namespace::local();
        let pinned = pinned.map(|byte| ActorId::from_bytes([byte; 16]));
        let whom =
            Whom { namespace: &namespace, name: "a", pinned, follows: pinned.is_none(), has_choice: false };
        let result = ResolveResult::new(found.iter().cloned());
        let first = first.map(Address::Loopback);
        let (tried, left_out) = candidates(&whom, &result, first.as_ref());
        let at = |tried: &ResolvedEndpoint| found.iter().position(|endpoint| endpoint == tried);
        (tried.into_iter().filter_map(|tried| found.get(at(tried)?)).collect(), left_out)
    }

    #[test]
    fn each_place_has_one_turn_in_the_order_of_the_resolver() {
        let found = [1, 2, 1, 3].map(|port| endpoint(port, None));
        assert_eq!(order(&found, None, None), (vec![&found[0], &found[1], &found[3]], 0));
        assert_eq!(order(&found, None, Some(3)), (vec![&found[3], &found[0], &found[1]], 0));
        assert_eq!(order(&found, None, Some(9)), (vec![&found[0], &found[1], &found[3]], 0));
        let many: Vec<_> = (0..20).map(|port| endpoint(port, None)).collect();
        let (tried, left_out) = order(&many, None, Some(19));
        assert_eq!((tried.len(), left_out, tried[0]), (MOST, 20 - MOST, &many[19]));
    }

    #[test]
    fn a_pinned_client_has_the_places_of_its_registration_else_those_that_say_nothing() {
        let found = [endpoint(1, None), endpoint(2, Some(2)), endpoint(3, None), endpoint(4, Some(2))];
        assert_eq!(order(&found, Some(2), None).0, [&found[1], &found[3]]);
        assert_eq!(order(&found, Some(7), None).0, [&found[0], &found[2]]);
        assert_eq!(
            order(&found[1..2], Some(7), None).0,
            [&found[1]],
            "so that it is told whose name it is now"
        );
        assert_eq!(order(&found, None, None).0.len(), 4);
    }

    #[test]
    fn what_is_told_of_an_endpoint_is_bounded() {
        assert_eq!(shortened("ä"), "ä");
        assert_eq!(shortened(&"ä".repeat(LONGEST)).chars().count(), LONGEST);
        assert_eq!(shortened(&"ä".repeat(LONGEST + 1)).chars().count(), LONGEST + 1);
        assert!(shortened(&"ä".repeat(10_000)).ends_with("ä…"));
    }

    #[test]
    fn the_last_few_that_left_are_remembered() {
        let mut memory = Memory::default();
        for byte in (0..20).chain([19]) {
            memory.refused(ActorId::from_bytes([byte; 16]));
        }
        let kept: Vec<ActorId> = (12..20).map(|byte| ActorId::from_bytes([byte; 16])).collect();
        assert_eq!(memory.left, kept);
    }
}
