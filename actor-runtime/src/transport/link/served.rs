//! The calls of the other side: to the actors of this node, and their replies back.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use super::{Link, Wire};
use crate::{
    actor_id::NodeId,
    call::{
        AnyCall, Attempt, CallHead, Caller, Dedup, Delivery, Failure, FailureKind, InboundCall, Key, Refused,
        ReplySink, Stage, Target, WireReply,
    },
    cork,
    node::{Node, clock},
    proto::{Account, Bind, CallContext, CallHeader, Part, ServiceDigest, ServiceTable, StreamId},
    service::{IDENTIFY, Status},
    stream::Outgoing,
};

/// What a node serves, as calls from elsewhere find it.
pub(crate) trait Accept: Send + Sync {
    /// The actor that is meant.
    fn find(&self, bind: &Bind) -> Result<Arc<dyn Target>, Failure>;

    /// The services of all actors.
    fn services(&self) -> Vec<ServiceDigest>;

    /// The methods of one service.
    fn table(&self, service: &str) -> ServiceTable;
}

/// What the numbers of the other side mean.
#[derive(Default)]
pub(super) struct Inbound {
    targets: BTreeMap<u32, Bound>,
    /// The targets that have calls to be handed over.
    touched: Vec<u32>,
}

struct Bound {
    bind: Bind,
    name: Arc<str>,
    account: Arc<Account>,
    target: Option<Arc<dyn Target>>,
    /// Calls that arrived together, with their numbers.
    arrived: Vec<(u64, Arc<Call>)>,
}

/// A call of the other side.
pub(crate) type Call = InboundCall<Served>;

/// The way back of one call.
pub(crate) struct Served {
    link: Arc<Link>,
    call: u64,
    account: Arc<Account>,
    length: u64,
    begun: AtomicBool,
    /// Where its end is remembered for further attempts.
    remembered: Option<Box<Remembered>>,
}

pub(crate) struct Remembered {
    by: Arc<Dedup<Box<dyn ReplySink>>>,
    key: Key,
}

/// A call of the other side that was handed over, for when its caller leaves.
pub(crate) enum Begun {
    Runs(Weak<Call>),
    /// It waits for another attempt, whose end it gets.
    Waits(Box<Remembered>),
}

impl Begun {
    /// Its caller does not want it any more.
    pub(super) fn left(self) {
        match self {
            Self::Runs(call) => {
                if let Some(call) = call.upgrade() {
                    call.abandon();
                }
            }
            Self::Waits(remembered) => {
                if let Some(call) = remembered.by.left(&remembered.key) {
                    given_up(&*call);
                }
            }
        }
    }

    /// Its connection is lost, and its caller may come back for it.
    pub(super) fn lost(self) {
        // What another attempt runs is lost with that one's connection, if at all.
        let Self::Runs(call) = self else { return };
        let Some(call) = call.upgrade() else { return };
        // What runs and is remembered goes on to its end: another attempt may come to ask for it. What waits is run by that
        // attempt: else a caller that comes and goes would have more calls wait than it was granted.
        if call.head().number != 0 && call.head().method.dedup {
            call.abandon_waiting();
        } else {
            call.abandon();
        }
    }
}

/// The caller of a call has left during another attempt of it.
fn given_up(call: &dyn AnyCall) {
    call.expire(&mut |stage| {
        let delivery = if stage == Stage::Waiting { Delivery::NotDelivered } else { Delivery::Unknown };
        Failure::new(FailureKind::Cancelled, delivery, "its caller left during another attempt")
    });
}

impl Remembered {
    fn ended(&self, reply: &WireReply) {
        for waiting in self.by.ended(clock::now(), &self.key, reply) {
            waiting.send(reply.clone());
        }
    }
}

impl ReplySink for Served {
    fn begun(&self) {
        // Looked at first: it is said at the turn's beginning, and again at its end.
        if !self.begun.load(Ordering::Relaxed)
            && !self.begun.swap(true, Ordering::Relaxed)
            && self.account.give_back(self.length)
        {
            self.link.with(Wire::tell_credit);
        }
    }

    fn abandoned(&self, stage: Stage) {
        self.begun();
        if let Some(remembered) = &self.remembered {
            let left = match stage {
                // Another attempt, by another connection, may be run.
                Stage::Waiting => {
                    let detail = "an earlier attempt of the call left the queue, and this one was not in it";
                    Failure::new(FailureKind::Unreachable, Delivery::NotDelivered, detail)
                }
                Stage::Running | Stage::Over => {
                    let detail = "its caller left before it was through";
                    Failure::new(FailureKind::Cancelled, Delivery::Unknown, detail)
                }
            };
            remembered.ended(&WireReply::Failed(left));
        }
    }

    fn accepted(&self) {
        self.answer(&WireReply::Ended(Status::Replied, Bytes::new()));
    }

    fn send(&self, reply: WireReply) {
        self.begun();
        if let Some(remembered) = &self.remembered {
            remembered.ended(&reply);
        }
        self.answer(&reply);
    }

    fn send_stream(&self, stream: Outgoing) {
        self.begun();
        if let Some(remembered) = &self.remembered {
            let detail = "the reply was a stream, which cannot be given a second time";
            let given = Failure::new(FailureKind::Cancelled, Delivery::Executed, detail);
            remembered.ended(&WireReply::Failed(given));
        }
        self.link.serve_stream(self.call, stream);
    }
}

impl Served {
    fn answer(&self, reply: &WireReply) {
        let link = &self.link;
        if cork::later(link) {
            link.look(|machine| machine.reply(self.call, reply));
        } else {
            link.with(|machine| machine.reply(self.call, reply));
        }
    }
}

impl Inbound {
    pub(super) fn bound(&mut self, bind: Bind, account: Arc<Account>) {
        let (number, name) = (bind.target, bind.name.as_str().into());
        self.targets.insert(number, Bound { bind, name, account, target: None, arrived: Vec::new() });
    }

    pub(super) fn released(&mut self, target: u32) {
        self.targets.remove(&target);
    }

    /// Gives what the numbers led to; who calls by one of them has it looked up anew.
    pub(super) fn forget_actors(&mut self) -> Vec<Arc<dyn Target>> {
        self.targets.values_mut().filter_map(|bound| bound.target.take()).collect()
    }

    /// A call's body did not come.
    pub(super) fn unbegun(&self, link: &Link, target: u32, length: u64) {
        if let Some(bound) = self.targets.get(&target)
            && bound.account.give_back(length)
        {
            link.with(Wire::tell_credit);
        }
    }

    /// Takes a call, to be handed over with the others that arrived together.
    pub(super) fn take(
        &mut self,
        link: &Arc<Link>,
        node: &Node,
        now: Instant,
        header: CallHeader,
        body: Bytes,
    ) {
        // The machine has checked the number.
        let Some(bound) = self.targets.get_mut(&header.target) else { return };
        let identity = (header.method == IDENTIFY).then(|| identify(node, link, bound));
        let served = |remembered| Served {
            link: link.clone(),
            call: header.call,
            account: bound.account.clone(),
            length: body.len() as u64,
            begun: AtomicBool::new(false),
            remembered,
        };
        if let Some(identity) = identity {
            return served(None).send(identity);
        }
        let target = match find(node, link, &bound.bind, &mut bound.target) {
            Ok(target) => target,
            Err(failure) => return served(None).send(WireReply::Failed(failure)),
        };
        let Some(method) = target.method(header.method) else {
            let failure = unimplemented(header.method, &target.services());
            return served(None).send(WireReply::Failed(failure));
        };
        let peer = link.introduced();
        let context = header.context.map_or_else(CallContext::default, |context| *context);
        let mut remembered = None;
        if method.dedup
            && context.number != 0
            && let Some(peer) = peer
        {
            let key = ((link.identity(), peer.node), context.number);
            match remember(served(None), target.remembers(), key, context.again, now) {
                Remember::Runs(first) => remembered = Some(first),
                Remember::Waits(first) => {
                    let begun = Begun::Waits(first);
                    // Else it is over, or its caller has left, by now.
                    if let Some(begun) = link.look(|machine| machine.begun(header.call, begun)) {
                        begun.left();
                    }
                    return;
                }
                Remember::Answered => return,
            }
        }
        let (within, clamped) = clamp(header.remaining, node.config().max_deadline);
        let arrived = header.arrived.map_or(now, Instant::from_std);
        let deadline = within.and_then(|within| arrived.checked_add(within));
        if deadline.is_some_and(|deadline| deadline <= now) {
            let detail = "its time was over when it had arrived whole";
            let failure = Failure::new(FailureKind::DeadlineExceeded, Delivery::NotDelivered, detail);
            return served(remembered).send(WireReply::Failed(failure));
        }
        let stream = header.stream.then(|| link.reader(StreamId::incoming(Part::Arguments, header.call)));
        let sink = served(remembered);
        // All at once, and where it is to lie: a call has many parts, and each move of it copies them.
        let call = Arc::new(InboundCall::new(
            CallHead {
                made: Some(now),
                deadline,
                clamped,
                chain: context.chain,
                caller: peer.map(|peer| caller(peer.node, context.caller, link)),
                metadata: context.metadata,
                number: context.number,
                now: context.now,
                ..CallHead::new(method, bound.name.clone())
            },
            body,
            stream,
            sink,
        ));
        if let Some(remembered) = &call.sink().remembered {
            let weak: Weak<dyn AnyCall> = Arc::<Call>::downgrade(&call);
            if !remembered.by.runs(&remembered.key, weak) {
                return given_up(&*call);
            }
        }
        if bound.arrived.is_empty() {
            self.touched.push(header.target);
        }
        bound.arrived.push((header.call, call));
    }

    /// Hands over what was taken, to each actor at once.
    pub(super) fn hand_over(&mut self, link: &Link, node: &Node) {
        for number in self.touched.drain(..) {
            let Some(bound) = self.targets.get_mut(&number) else { continue };
            let mut arrived = std::mem::take(&mut bound.arrived);
            let Some(target) = &bound.target else { continue };
            // First: a caller may leave while its call is being admitted.
            let mut left = Vec::new();
            link.look(|machine| {
                arrived.retain(|(number, call)| {
                    let here = machine.begun(*number, Begun::Runs(Arc::downgrade(call))).is_none();
                    if !here {
                        left.push(call.clone());
                    }
                    here
                });
            });
            for call in left {
                call.abandon();
            }
            let refused = target.admit_all(&mut arrived.drain(..).map(|(_, call)| call as Arc<dyn AnyCall>));
            bound.arrived = arrived;
            for refused in refused {
                again(node, link, bound, refused);
            }
        }
    }
}

/// What becomes of an attempt.
enum Remember {
    /// It is to be run, and its end remembered.
    Runs(Box<Remembered>),
    /// It gets the end of the one that runs.
    Waits(Box<Remembered>),
    Answered,
}

fn remember(
    served: Served,
    by: Arc<Dedup<Box<dyn ReplySink>>>,
    key: Key,
    again: bool,
    now: Instant,
) -> Remember {
    let mut served = Some(served);
    let way_back = || {
        let served = served.take()?;
        // It waits in no queue.
        served.begun();
        Some(Box::new(served) as Box<dyn ReplySink>)
    };
    match by.attempt(now, key.clone(), again, way_back) {
        Attempt::Waits => return Remember::Waits(Box::new(Remembered { by, key })),
        Attempt::Reply(reply) => {
            if let Some(served) = served {
                served.send(reply);
            }
        }
        Attempt::Run => {
            if served.is_some() {
                return Remember::Runs(Box::new(Remembered { by, key }));
            }
        }
    }
    Remember::Answered
}

/// A call that an actor did not take: if another one has the name by now, it is meant.
fn again(node: &Node, link: &Link, bound: &mut Bound, refused: Refused) {
    let Refused { call, mut failure } = refused;
    if matches!(failure.kind(), FailureKind::Stopped | FailureKind::Stale | FailureKind::NotFound) {
        let before = bound.target.take();
        match find(node, link, &bound.bind, &mut bound.target) {
            Ok(now) if before.is_none_or(|before| before.id() != now.id()) => match now.admit(call.clone()) {
                Ok(()) => return,
                Err(refused) => failure = refused.failure,
            },
            Ok(_) => {}
            Err(now) => failure = now,
        }
    }
    call.fail(&mut |_| failure.clone());
}

/// Which registration has the name now; the one that was found before may have left.
fn identify(node: &Node, link: &Link, bound: &Bound) -> WireReply {
    let known = bound.target.as_ref().filter(|target| !target.is_closed());
    match known.map_or_else(|| look_up(node, link, &bound.bind), |target| Ok(target.clone())) {
        Ok(target) => WireReply::Ended(Status::Replied, Bytes::copy_from_slice(&target.id().to_bytes())),
        Err(failure) => WireReply::Failed(failure),
    }
}

fn caller(node: NodeId, actor: Option<crate::ActorId>, link: &Link) -> Caller {
    Caller { node, actor, identity: link.identity() }
}

/// How long a call may take: as long as its caller gave it, within what this node allows; and whether that is less.
fn clamp(given: Option<Duration>, most: Option<Duration>) -> (Option<Duration>, bool) {
    match (given, most) {
        (given, Some(most)) if given.is_none_or(|given| given > most) => (Some(most), true),
        (given, _) => (given, false),
    }
}

/// The actor that is meant, looked up when it is called first.
#[inline]
fn find<'a>(
    node: &Node,
    link: &Link,
    bind: &Bind,
    found: &'a mut Option<Arc<dyn Target>>,
) -> Result<&'a Arc<dyn Target>, Failure> {
    match found {
        Some(target) => Ok(target),
        None => Ok(found.insert(look_up(node, link, bind)?)),
    }
}

fn look_up(node: &Node, link: &Link, bind: &Bind) -> Result<Arc<dyn Target>, Failure> {
    let Some(accept) = node.links().acceptor() else {
        let detail = format!("the node of {} has no server, so it serves no actors", link.far());
        return Err(Failure::new(FailureKind::NotFound, Delivery::NotDelivered, detail));
    };
    let target = accept.find(bind)?;
    if target.is_inline() {
        link.inline.store(true, Ordering::Relaxed);
    }
    Ok(target)
}

fn unimplemented(id: u32, services: &str) -> Failure {
    let detail = format!(
        "the actor serves {services}, and no method there has the id {id:#010x}; add the service to its \
         `type Services`, or update the older side"
    );
    Failure::new(FailureKind::Unimplemented, Delivery::NotDelivered, detail)
}
