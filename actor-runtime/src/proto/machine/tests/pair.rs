//! Two machines and a link between them that loses nothing, and delays and mixes whatever it may.
//!
//! ```text
//!   Side 0 ── take ──► Wire: control │ lane │ bodies ── deliver, any part of any ──► Side 1
//! ```
//!
//! The sides do what drivers and actors do, at random moments; what comes out is compared with what went in at once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};

use super::super::{Abort, Account, Event, Expected, Lost, Machine, NewCall, Order, Settings, StreamWork};
use crate::{
    call::{Delivery, FailureKind, WireReply},
    proto::{Bind, FrameReader, Grants, Hello, StreamKind, samples},
    service::Status,
};

pub(super) type Tested = Machine<u64, u64>;

pub(super) struct Pair {
    pub(super) sides: [Side; 2],
    /// What side 0 sends, and what side 1 sends.
    wires: [Wire; 2],
    pub(super) rng: fastrand::Rng,
    pub(super) now: Instant,
    /// All calls, by the tokens that their bodies begin with.
    calls: HashMap<u64, Made>,
    last: u64,
    last_handle: u64,
}

pub(super) struct Side {
    pub(super) machine: Tested,
    control: FrameReader,
    lane: FrameReader,
    handles: Vec<Handle>,
    accounts: BTreeMap<u32, Arc<Account>>,
    serving: Vec<Served>,
    leaving: bool,
}

/// One client of one actor.
struct Handle {
    id: u64,
    order: Order,
    target: u32,
}

/// What is known of a call.
struct Made {
    side: usize,
    number: u64,
    handle: u64,
    target: u32,
    over: bool,
    /// The peer was told of it.
    seen: bool,
    reply: Option<(Status, usize)>,
}

/// A call at its callee.
struct Served {
    number: u64,
    token: u64,
    length: u64,
    account: Arc<Account>,
    admitted: bool,
    given_back: bool,
}

#[derive(Default)]
struct Wire {
    control: BytesMut,
    lane: BytesMut,
    bodies: Vec<Transit>,
}

struct Transit {
    kind: StreamKind,
    /// What its driver has not handed over, which it may have told the machine.
    held: Bytes,
    is_told: bool,
    rest: Bytes,
    arrived: Vec<u8>,
    reset: bool,
}

/// How a run went.
#[derive(Default, Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) calls: u64,
    pub(super) seen: u64,
    pub(super) not_delivered: u64,
}

pub(super) const OWN_STREAM: usize = 64;

pub(super) fn settings() -> Settings {
    Settings { own_stream: OWN_STREAM, backlog: 1 << 20, max_backlog: 1 << 24 }
}

pub(super) fn hello(grants: Grants) -> Hello {
    Hello { grants, ..samples::hello() }
}

pub(super) fn start() -> Instant {
    crate::node::clock::now().into_std()
}

pub(super) fn bind(name: &str) -> Bind {
    Bind { target: 0, namespace: "n".into(), name: name.into(), actor: None }
}

pub(super) fn new_call(target: u32, body: Bytes) -> NewCall {
    NewCall { target, method: 5, deadline: None, context: Bytes::new(), body, stream: false }
}

impl Pair {
    /// Grants are small, so that credit bites.
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let now = start();
        let sides = [(); 2].map(|()| {
            let grants = Grants {
                calls: rng.u32(1..=4),
                bytes: rng.u64(1..300),
                total_bytes: rng.u64(1..500),
                targets: rng.u32(1..=4),
                message: 400,
            };
            let backlog = if rng.bool() { rng.usize(1..100) } else { 1 << 20 };
            let settings = Settings { backlog, ..settings() };
            Side {
                machine: Machine::new(hello(grants), settings, now + Duration::from_secs(5)),
                control: FrameReader::default(),
                lane: FrameReader::default(),
                handles: Vec::new(),
                accounts: BTreeMap::new(),
                serving: Vec::new(),
                leaving: false,
            }
        });
        Self { sides, wires: Default::default(), rng, now, calls: HashMap::new(), last: 0, last_handle: 0 }
    }

    /// Something happens.
    pub(super) fn step(&mut self) {
        let side = self.rng.usize(0..2);
        self.now += Duration::from_micros(self.rng.u64(0..1000));
        match self.rng.u32(0..100) {
            0..22 => self.call(side),
            22..27 => self.cancel(side),
            27..31 => self.bind(side),
            31..33 => self.release(side),
            33..50 => drop(self.take(side)),
            50..80 => drop(self.deliver(side)),
            80..86 => drop(self.admit(side)),
            86..92 => drop(self.begin(side)),
            _ => drop(self.reply(side)),
        }
        self.check();
    }

    /// Everything that is under way comes to its end.
    pub(super) fn settle(&mut self) {
        loop {
            let mut moved = false;
            for side in 0..2 {
                moved |= self.take(side);
                moved |= self.deliver(side);
                moved |= self.admit(side);
                moved |= self.begin(side);
                moved |= self.reply(side);
                self.check();
            }
            // Bodies are held while their headers are on their way; once nothing moves, no body is left.
            if !moved && self.idle() {
                break;
            }
        }
    }

    fn idle(&self) -> bool {
        let wires = self
            .wires
            .iter()
            .all(|wire| wire.control.is_empty() && wire.lane.is_empty() && wire.bodies.is_empty());
        let quiet = |side: &Side| {
            let out = &side.machine.out;
            let taken = out.control.is_empty() && out.lane.is_empty() && out.bodies.is_empty();
            taken && out.aborts.is_empty() && side.serving.is_empty()
        };
        wires && self.sides.iter().all(quiet)
    }

    pub(super) fn goodbye(&mut self, side: usize) {
        self.sides[side].machine.goodbye("tests are over");
    }

    fn bind(&mut self, side: usize) {
        let name = format!("actor-{}", self.rng.u32(0..3));
        if let Some(target) = self.sides[side].machine.target(bind(&name)) {
            for _ in 0..self.rng.usize(1..=2) {
                self.last_handle += 1;
                let id = self.last_handle;
                self.sides[side].handles.push(Handle { id, order: Order::default(), target });
            }
        }
    }

    /// Releases a target that has no calls.
    fn release(&mut self, side: usize) {
        let Some(target) = self.rng.choice(&self.sides[side].handles).map(|handle| handle.target) else {
            return;
        };
        if self.calls.values().all(|made| made.over || made.side != side || made.target != target) {
            self.sides[side].handles.retain(|handle| handle.target != target);
            self.sides[side].machine.release(self.now, target);
        }
    }

    fn call(&mut self, side: usize) {
        let Self { sides, rng, .. } = self;
        let Side { machine, handles, leaving, .. } = &mut sides[side];
        if handles.is_empty() {
            return;
        }
        let handle = rng.usize(0..handles.len());
        let Handle { id, order, target } = &handles[handle];
        let length = [8, 20, OWN_STREAM, OWN_STREAM + 1, 100, 390][rng.usize(0..6)];
        self.last += 1;
        let token = self.last;
        let mut body = vec![0xab; length];
        body[..8].copy_from_slice(&token.to_le_bytes());
        let mut call = new_call(*target, body.into());
        call.deadline = rng.bool().then_some(self.now);
        match machine.call(self.now, call, Some(order), |_| token) {
            Ok(number) => {
                let handle = *id;
                let target = *target;
                let made = Made { side, number, handle, target, over: false, seen: false, reply: None };
                self.calls.insert(token, made);
            }
            Err(failure) => {
                assert!(*leaving, "{failure:?}");
                assert_eq!(failure.delivery(), Delivery::NotDelivered);
            }
        }
    }

    /// The caller of some call leaves, if it has not ended.
    fn cancel(&mut self, side: usize) {
        let back = self.rng.u64(0..20);
        let token = self.last.saturating_sub(back);
        let Some(made) = self.calls.get(&token).filter(|made| made.side == side) else { return };
        let cancelled = self.sides[side].machine.cancel(made.number);
        assert_eq!(cancelled, (!made.over).then_some(token), "a call comes out exactly once");
        if cancelled.is_some() {
            self.over(token);
        }
    }

    fn over(&mut self, token: u64) -> &Made {
        let made = self.calls.get_mut(&token).unwrap();
        assert!(!std::mem::replace(&mut made.over, true), "call {token} came out twice");
        made
    }

    /// The driver takes something out of the outbox.
    fn take(&mut self, side: usize) -> bool {
        let Self { sides, wires, rng, .. } = self;
        let (machine, wire) = (&mut sides[side].machine, &mut wires[side]);
        let before = (wire.control.len(), wire.lane.len(), wire.bodies.len());
        let what = rng.u32(0..7);
        if what != 0 {
            wire.control.extend_from_slice(&machine.out.take_control());
        }
        if what != 1 {
            wire.lane.extend_from_slice(&machine.out.take_lane());
            machine.lane_was_taken();
        }
        let mut aborted = false;
        if what != 2 {
            match machine.out.take_streams() {
                Some(StreamWork::Send(body)) => wire.bodies.push(Transit {
                    kind: body.kind,
                    held: body.bytes,
                    is_told: rng.bool(),
                    rest: Bytes::new(),
                    arrived: Vec::new(),
                    reset: false,
                }),
                Some(StreamWork::Abort(Abort::Sending(kind))) => {
                    aborted = true;
                    wire.bodies
                        .iter_mut()
                        .filter(|body| body.kind == kind)
                        .for_each(|body| body.reset = true);
                }
                Some(StreamWork::Abort(Abort::Receiving(kind))) => {
                    aborted = true;
                    wires[1 - side].bodies.retain(|body| body.kind != kind);
                }
                Some(StreamWork::Close(closing)) => panic!("{closing:?}"),
                None => {}
            }
        }
        for body in wires[side].bodies.iter_mut().filter(|body| !body.held.is_empty()) {
            let part = body.held.split_to(rng.usize(0..=body.held.len()));
            if body.is_told {
                machine.body_held(body.kind, !body.held.is_empty());
            }
            body.rest = [&body.rest[..], &part].concat().into();
        }
        let wire = &self.wires[side];
        aborted || before != (wire.control.len(), wire.lane.len(), wire.bodies.len())
    }

    /// Some bytes of some stream reach the other side.
    fn deliver(&mut self, from: usize) -> bool {
        let mut events = Vec::new();
        let Self { sides, wires, rng, now, .. } = self;
        let (side, wire) = (&mut sides[1 - from], &mut wires[from]);
        let mut frames = Vec::new();
        let mut moved = false;
        let mut some = |rng: &mut fastrand::Rng, length: usize| {
            let taken = if rng.u32(0..3) == 0 { length } else { rng.usize(0..=length.min(50)) };
            moved |= taken > 0;
            taken
        };
        match rng.u32(0..4) {
            0 => {
                let taken = some(rng, wire.control.len());
                side.control.read(wire.control.split_to(taken).freeze(), &mut frames).unwrap();
                for frame in frames {
                    side.machine.control(frame, &mut events);
                }
            }
            1 | 2 if side.machine.is_open() => {
                let taken = some(rng, wire.lane.len());
                side.lane.read(wire.lane.split_to(taken).freeze(), &mut frames).unwrap();
                for frame in frames {
                    side.machine.lane(*now, frame, &mut events);
                }
            }
            _ if side.machine.is_open() && !wire.bodies.is_empty() => {
                let at = rng.usize(0..wire.bodies.len());
                let body = &mut wire.bodies[at];
                let taken = some(rng, body.rest.len());
                body.arrived.extend_from_slice(&body.rest.split_to(taken));
                if body.reset {
                    side.machine.body_failed(body.kind, &mut events);
                    wire.bodies.swap_remove(at);
                    moved = true;
                } else if body.rest.is_empty() && body.held.is_empty() {
                    // The header may be on its way: then the body is held.
                    match side.machine.body_expected(body.kind) {
                        Some(Expected::Bytes(length)) => {
                            assert_eq!(length, body.arrived.len() as u64);
                            let body = wire.bodies.swap_remove(at);
                            side.machine.body_arrived(body.kind, body.arrived.into(), &mut events);
                            moved = true;
                        }
                        Some(Expected::Nothing) => {
                            wire.bodies.swap_remove(at);
                            moved = true;
                        }
                        None => {}
                    }
                }
            }
            _ => {}
        }
        // A turn in which the other streams were chosen says nothing.
        moved |= !wire.control.is_empty() || !wire.lane.is_empty() || !wire.bodies.is_empty();
        for event in events {
            self.event(1 - from, event);
        }
        moved
    }

    fn event(&mut self, at: usize, event: Event<u64, u64>) {
        match event {
            Event::Open => {}
            Event::Bound(bind, account) => {
                assert!(self.sides[at].accounts.insert(bind.target, account).is_none());
            }
            Event::Released(target) => assert!(self.sides[at].accounts.remove(&target).is_some()),
            Event::Call(header, body) => self.arrived(at, header.call, header.target, &body),
            Event::Abandoned(token) => {
                let here = |served: &Served| served.token == token && served.admitted;
                let place = self.sides[at].serving.iter().position(here).expect("it was admitted");
                self.drop_served(at, place);
            }
            Event::Unbegun(target, length) => {
                let Side { machine, accounts, .. } = &mut self.sides[at];
                if accounts[&target].give_back(length) {
                    machine.tell_credit();
                }
            }
            Event::Reply(token, reply) => self.replied(at, token, reply),
            Event::Returned(token) => {
                assert!(!self.over(token).seen, "a call came back that the peer has seen");
            }
            Event::Goodbye(_) => self.sides[at].leaving = true,
            Event::Begun(..)
            | Event::Items(..)
            | Event::StreamEnd(..)
            | Event::StreamAsked(_)
            | Event::Stopped(_) => panic!("{event:?}"),
            Event::Service(_) | Event::Asked(_) | Event::Table(_) => panic!("{event:?}"),
        }
    }

    fn arrived(&mut self, at: usize, number: u64, target: u32, body: &[u8]) {
        let token = u64::from_le_bytes(*body.first_chunk().unwrap());
        let made = self.calls.get_mut(&token).unwrap();
        assert!(!std::mem::replace(&mut made.seen, true), "call {token} was handed out twice");
        assert_eq!((made.number, made.target, made.side), (number, target, 1 - at));
        let (handle, of) = (made.handle, made.target);
        let later = |(other, made): (&u64, &Made)| {
            *other > token && made.seen && made.side != at && (made.handle, made.target) == (handle, of)
        };
        assert!(!self.calls.iter().any(later), "call {token} comes after a later one of its handle");
        let account = self.sides[at].accounts[&target].clone();
        let length = body.len() as u64;
        let served = Served { number, token, length, account, admitted: false, given_back: false };
        self.sides[at].serving.push(served);
    }

    fn replied(&mut self, at: usize, token: u64, reply: WireReply) {
        let made = self.over(token);
        assert_eq!(made.side, at);
        let (status, length) = made.reply.expect("it was replied to");
        match reply {
            WireReply::Ended(replied, body) => {
                assert_eq!((replied, body.len()), (status, length));
                assert_eq!(body[..8], token.to_le_bytes());
            }
            WireReply::Failed(failure) => {
                assert!(length > 400, "{failure:?}");
                assert_eq!((failure.kind(), failure.delivery()), (FailureKind::TooLarge, Delivery::Executed));
            }
        }
    }

    /// A call is given to its actor, unless its caller has left.
    fn admit(&mut self, at: usize) -> bool {
        let Side { machine, serving, .. } = &mut self.sides[at];
        let Some(place) = serving.iter().position(|served| !served.admitted) else { return false };
        let served = &mut serving[place];
        served.admitted = true;
        if machine.begun(served.number, served.token).is_some() {
            self.drop_served(at, place);
        }
        true
    }

    /// A call leaves the queue of its actor.
    fn begin(&mut self, at: usize) -> bool {
        let Side { machine, serving, .. } = &mut self.sides[at];
        let waiting = |served: &&mut Served| served.admitted && !served.given_back;
        let Some(served) = serving.iter_mut().find(waiting) else { return false };
        served.given_back = true;
        if served.account.give_back(served.length) {
            machine.tell_credit();
        }
        true
    }

    fn drop_served(&mut self, at: usize, place: usize) {
        let Side { machine, serving, .. } = &mut self.sides[at];
        let served = serving.swap_remove(place);
        if !served.given_back && served.account.give_back(served.length) {
            machine.tell_credit();
        }
    }

    fn reply(&mut self, at: usize) -> bool {
        let Self { sides, rng, calls, .. } = self;
        let serving = &sides[at].serving;
        let admitted: Vec<usize> = (0..serving.len()).filter(|place| serving[*place].admitted).collect();
        let Some(place) = rng.choice(admitted) else { return false };
        let (number, token) = (serving[place].number, serving[place].token);
        let length = [8, OWN_STREAM, OWN_STREAM + 1, 200, 400, 401][rng.usize(0..6)];
        let status = if rng.bool() { Status::Replied } else { Status::ApplicationError };
        calls.get_mut(&token).unwrap().reply = Some((status, length));
        let mut body = vec![0xcd; length];
        body[..8].copy_from_slice(&token.to_le_bytes());
        self.drop_served(at, place);
        self.sides[at].machine.reply(number, &WireReply::Ended(status, body.into()));
        true
    }

    /// What holds at all times.
    fn check(&self) {
        for (at, side) in self.sides.iter().enumerate() {
            let machine = &side.machine;
            assert!(machine.out.closing.is_none(), "side {at}: {:?}", machine.out.closing);
            let Some(peer) = machine.peer() else { continue };
            let calling = &machine.calling;
            assert!(calling.targets.len() <= peer.grants.targets as usize);
            assert!(calling.bytes < peer.grants.total_bytes + peer.grants.message);
            assert_eq!(calling.bytes, calling.targets.values().map(|target| target.bytes).sum::<u64>());
            for target in calling.targets.values() {
                assert!(target.calls <= peer.grants.calls);
                assert!(target.bytes < peer.grants.bytes + peer.grants.message);
            }
            let serving = &machine.serving;
            assert_eq!(serving.bytes, serving.targets.values().map(|target| target.bytes).sum::<u64>());
        }
    }

    /// The connection breaks: everything comes out, and says the truth.
    pub(super) fn lose(&mut self) -> Counts {
        let mut not_delivered = 0;
        for side in 0..2 {
            let (lost, _) = self.sides[side].machine.end();
            for Lost { call, delivery } in lost {
                let made = self.over(call);
                assert_eq!(made.side, side);
                match delivery {
                    Delivery::NotDelivered => {
                        not_delivered += 1;
                        assert!(!made.seen, "call {call} was handed out, and is said not to have been");
                    }
                    Delivery::Executed => assert!(made.reply.is_some(), "call {call} was not executed"),
                    Delivery::Unknown => {}
                }
            }
            assert!(self.sides[side].machine.end().0.is_empty());
        }
        self.nothing_is_left();
        Counts { not_delivered, ..self.counts() }
    }

    fn counts(&self) -> Counts {
        let seen = self.calls.values().filter(|made| made.seen).count() as u64;
        Counts { calls: self.calls.len() as u64, seen, not_delivered: 0 }
    }

    /// Everything has ended: all calls came out, all credit is back, and no machine keeps anything of them.
    pub(super) fn finish(&mut self) -> Counts {
        self.nothing_is_left();
        for side in 0..2 {
            let targets = self.sides[side].machine.calling.targets.iter();
            let mut targets: Vec<u32> = targets.map(|(target, _)| target as u32).collect();
            targets.sort_unstable();
            for target in targets {
                self.sides[side].machine.release(self.now, target);
            }
        }
        self.settle();
        for side in &self.sides {
            let (calling, serving) = (&side.machine.calling, &side.machine.serving);
            assert_eq!((calling.targets.len(), calling.bytes), (0, 0));
            assert_eq!((serving.targets.len(), serving.bytes), (0, 0));
            assert_eq!(serving.total.load(std::sync::atomic::Ordering::SeqCst), 0);
            assert!(side.accounts.is_empty());
        }
        self.counts()
    }

    fn nothing_is_left(&self) {
        for (token, made) in &self.calls {
            assert!(made.over, "call {token} never came out");
        }
        for side in &self.sides {
            assert_eq!(side.machine.calls().count(), 0);
            assert!(side.machine.calling.large.is_empty());
            assert!(side.machine.serving.calls.is_empty());
        }
    }
}
