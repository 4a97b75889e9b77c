//! One machine, and a peer and a driver that do anything: a list of operations out of any bytes.
//!
//! Used by tests with random bytes, and by the fuzzer with chosen ones.

use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;

use super::{
    Account, Bind, CallHeader, Event, Frame, FrameReader, Grants, Hello, Machine, NewCall, Order, Part,
    ReplyHeader, Room, ServiceDigest, ServiceTable, Settings, StreamId, StreamKind, VERSIONS,
    credit::Credit,
    hello::Versions,
    items::{End, Items},
    put_length,
};
use crate::{
    actor_id::NodeId,
    call::{Delivery, Failure, FailureKind, WireReply},
    service::Status,
};

/// Cuts bytes into frames, chunk by chunk: each begins with its length.
pub(crate) fn frames(mut bytes: &[u8]) {
    let mut reader = FrameReader::default();
    let mut frames = Vec::new();
    while let Some((length, rest)) = bytes.split_first() {
        let (chunk, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        if reader.read(Bytes::copy_from_slice(chunk), &mut frames).is_err() {
            return;
        }
        bytes = rest;
    }
}

/// Does what the bytes say to a machine, and checks its bounds after each step.
///
/// # Panics
/// If a bound does not hold.
pub(crate) fn machine(bytes: &[u8]) {
    let mut run = Run::new();
    let mut input = Input(bytes);
    while let Some(op) = input.byte() {
        run.step(op, &mut input);
        run.check();
    }
    run.machine.end();
    run.check();
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn small(&mut self, below: u8) -> u8 {
        self.byte().unwrap_or(0) % below
    }

    /// A length around the limits that there are.
    fn length(&mut self) -> usize {
        [0, 1, 8, 64, 65, 399, 400, 401][usize::from(self.small(8))]
    }
}

const GRANTS: Grants = Grants { calls: 3, bytes: 500, total_bytes: 700, targets: 3, message: 400 };
const NUMBERS: u8 = 12;

struct Run {
    machine: Machine<u64, u64>,
    control: FrameReader,
    lane: FrameReader,
    now: std::time::Instant,
    order: Order,
    accounts: HashMap<u32, Arc<Account>>,
    /// Calls that were handed out and not replied to: number, length, account.
    serving: Vec<(u64, u64, Arc<Account>)>,
    calls: usize,
    ended: usize,
}

impl Run {
    fn new() -> Self {
        let now = crate::node::clock::now().into_std();
        let settings = Settings { own_stream: 64, backlog: 200, max_backlog: 4000 };
        let local = hello(VERSIONS);
        Self {
            machine: Machine::new(local, settings, now + Duration::from_secs(5)),
            control: FrameReader::default(),
            lane: FrameReader::default(),
            now,
            order: Order::default(),
            accounts: HashMap::new(),
            serving: Vec::new(),
            calls: 0,
            ended: 0,
        }
    }

    fn step(&mut self, op: u8, input: &mut Input<'_>) {
        let mut events = Vec::new();
        let Self { machine, now, .. } = self;
        let number = |input: &mut Input<'_>| u64::from(input.small(NUMBERS));
        let target = |input: &mut Input<'_>| u32::from(input.small(5));
        match op % 44 {
            0 | 1 => machine.control(Frame::Hello(hello(VERSIONS)), &mut events),
            2 => {
                let versions =
                    Versions { oldest: u32::from(input.small(4)), newest: u32::from(input.small(4)) };
                machine.control(Frame::Hello(hello(versions)), &mut events);
            }
            3 => {
                let name = format!("S{}", input.small(200));
                machine.control(Frame::Service(ServiceDigest { name, digest: 1 }), &mut events);
            }
            4 => machine.control(Frame::Ask("S".to_owned()), &mut events),
            5 => machine.control(Frame::Goodbye("bye".to_owned()), &mut events),
            6 | 7 => {
                let name = "a".to_owned();
                let bind = Bind { target: target(input), namespace: String::new(), name, actor: None };
                machine.lane(*now, Frame::Bind(bind), &mut events);
            }
            8 => machine.lane(*now, Frame::Release(target(input)), &mut events),
            9..12 => {
                let (call, to, length) = (number(input), target(input), input.length());
                let after = (input.small(3) == 0).then(|| number(input));
                let body_length = (length > 64).then_some(length as u64);
                let header = CallHeader {
                    call,
                    target: to,
                    body_length,
                    after: after.and_then(std::num::NonZero::new),
                    stream: input.small(3) == 0,
                    ..CallHeader::default()
                };
                let body = if length > 64 { Bytes::new() } else { vec![0; length].into() };
                machine.lane(*now, Frame::Call(header, body), &mut events);
            }
            12 => machine.lane(*now, Frame::Cancel(number(input)), &mut events),
            13 | 14 => {
                let (call, length) = (number(input), input.length());
                let body_length = (length > 64).then_some(length as u64);
                let reply = match input.small(3) {
                    0 => WireReply::Failed(Failure::new(FailureKind::Stopped, Delivery::NotDelivered, "")),
                    _ => WireReply::Ended(Status::Replied, Bytes::new()),
                };
                let header = ReplyHeader { call, body_length, stream: input.small(3) == 0, reply };
                machine.lane(*now, Frame::Reply(header), &mut events);
            }
            15 => {
                let bytes = input.length() as u64;
                let credit = Credit { target: target(input), calls: u32::from(input.small(4)), bytes };
                machine.lane(*now, Frame::Credit(credit), &mut events);
            }
            16 | 17 => {
                let kind = body_kind(input);
                let length = input.length();
                machine.body_arrived(kind, vec![0; length].into(), &mut events);
            }
            18 => {
                let kind = body_kind(input);
                let _ = machine.body_expected(kind);
                machine.body_failed(kind, &mut events);
            }
            19 | 20 => {
                let call = NewCall {
                    target: target(input),
                    method: 1,
                    deadline: None,
                    context: Bytes::new(),
                    body: vec![0; input.length()].into(),
                    stream: input.small(4) == 0,
                };
                let order = (input.small(2) == 0).then_some(&self.order);
                self.calls += usize::from(machine.call(*now, call, order, |_| 0).is_ok());
            }
            21 => self.ended += usize::from(machine.cancel(number(input)).is_some()),
            22 => {
                let (namespace, name) = (String::new(), "b".to_owned());
                machine.target(Bind { target: 0, namespace, name, actor: None });
            }
            23 => self.released(target(input)),
            24 => {
                machine.out.take_lane();
                machine.lane_was_taken();
            }
            25 => drop(machine.out.take_control()),
            26 => drop(machine.out.take_streams()),
            27 => self.give_back(input),
            28 => self.reply(input),
            29 => {
                *now += Duration::from_secs(1);
                machine.timeout(*now);
            }
            30 => {
                machine.goodbye("bye");
                machine.ask("S");
                machine.tell(&ServiceTable { name: "S".to_owned(), methods: None });
            }
            31 | 32 => {
                let (part, call, length) = (part(input), number(input), input.length());
                let large = (length > 64).then_some(length as u64);
                let mut items = bytes::BytesMut::new();
                for _ in 0..input.small(4) {
                    put_length(&mut items, length);
                    items.resize(items.len() + length, 0);
                }
                let items = if large.is_some() { Bytes::new() } else { items.freeze() };
                machine.lane(*now, Frame::Items(Items { part, call, large, items }), &mut events);
            }
            33 => {
                let (part, call) = (part(input), number(input));
                let failed = || Failure::new(FailureKind::Stopped, Delivery::Unknown, "");
                let failure = (input.small(2) == 0).then(failed);
                machine.lane(*now, Frame::End(End { part, call, failure }), &mut events);
            }
            34 => {
                let room = Room { items: u64::from(input.small(9)), bytes: input.length() as u64 };
                machine.lane(*now, Frame::Room(part(input), number(input), room), &mut events);
            }
            35 => machine.lane(*now, Frame::Stop(part(input), number(input)), &mut events),
            36 => {
                let id = StreamId::outgoing(part(input), number(input));
                let large = (input.small(2) == 0).then(|| vec![0; input.length()].into());
                machine.send_items(id, Bytes::from_static(&[0]), Room { items: 1, bytes: 0 }, large);
                let _ = machine.poll_stream_room(id, &Context::from_waker(Waker::noop()));
            }
            37 => machine.end_stream(StreamId::outgoing(part(input), number(input)), None),
            38 => {
                let id = StreamId::incoming(part(input), number(input));
                if input.small(2) == 0 {
                    machine.give_stream_room(id, Room { items: 8, bytes: 100 });
                } else {
                    machine.stop_stream(id);
                }
            }
            39 => {
                if let Some((number, ..)) = self.serving.first() {
                    machine.reply_stream(*number);
                    self.serving.remove(0);
                }
                drop(machine.take_woken());
            }
            _ => self.raw(input, &mut events),
        }
        for event in events {
            self.event(event);
        }
    }

    /// Any bytes, on one of the two streams.
    fn raw(&mut self, input: &mut Input<'_>, events: &mut Vec<Event<u64, u64>>) {
        let Self { machine, control, lane, now, .. } = self;
        let on_the_lane = input.small(2) == 0;
        let length = usize::from(input.small(64)).min(input.0.len());
        let (chunk, rest) = input.0.split_at(length);
        input.0 = rest;
        let mut frames = Vec::new();
        let reader = if on_the_lane { lane } else { control };
        if let Err(error) = reader.read(Bytes::copy_from_slice(chunk), &mut frames) {
            machine.broken(error);
            assert!(machine.is_ending());
        }
        for frame in frames {
            if on_the_lane {
                machine.lane(*now, frame, events);
            } else {
                machine.control(frame, events);
            }
        }
    }

    fn event(&mut self, event: Event<u64, u64>) {
        match event {
            Event::Bound(bind, account) => drop(self.accounts.insert(bind.target, account)),
            Event::Released(target) => drop(self.accounts.remove(&target)),
            Event::Call(header, body) => {
                if self.machine.begun(header.call, header.call).is_none()
                    && let Some(account) = self.accounts.get(&header.target)
                {
                    self.serving.push((header.call, body.len() as u64, account.clone()));
                }
            }
            Event::Abandoned(call) => self.serving.retain(|(number, ..)| *number != call),
            Event::Unbegun(target, length) => {
                let account = self.accounts.get(&target);
                if account.is_some_and(|account| account.give_back(length)) {
                    self.machine.tell_credit();
                }
            }
            Event::Reply(..) | Event::Begun(..) | Event::Returned(_) => self.ended += 1,
            _ => {}
        }
    }

    /// A target is released by its user only when its calls have ended: here that is when all have.
    fn released(&mut self, target: u32) {
        if self.machine.calls().next().is_none() {
            self.machine.release(self.now, target);
        }
    }

    fn give_back(&mut self, input: &mut Input<'_>) {
        if !self.serving.is_empty() {
            let at = usize::from(input.small(8)) % self.serving.len();
            let (_, length, account) = &mut self.serving[at];
            if account.give_back(std::mem::take(length)) {
                self.machine.tell_credit();
            }
        }
    }

    fn reply(&mut self, input: &mut Input<'_>) {
        if !self.serving.is_empty() {
            let (call, length, account) = self.serving.remove(0);
            if account.give_back(length) {
                self.machine.tell_credit();
            }
            let body = vec![0; input.length()].into();
            self.machine.reply(call, &WireReply::Ended(Status::Replied, body));
        }
    }

    fn check(&self) {
        let kept = self.machine.calls().count();
        assert!(kept == self.calls - self.ended || kept == 0, "calls of ours: {kept}");
        self.machine.check_bounds(self.serving.len());
    }
}

fn body_kind(input: &mut Input<'_>) -> StreamKind {
    let call = u64::from(input.small(NUMBERS));
    match input.small(4) {
        0 => StreamKind::CallBody(call),
        1 => StreamKind::ReplyBody(call),
        2 => StreamKind::Item(Part::Arguments, call, u64::from(input.small(4))),
        _ => StreamKind::Item(Part::Reply, call, u64::from(input.small(4))),
    }
}

fn part(input: &mut Input<'_>) -> Part {
    if input.small(2) == 0 { Part::Arguments } else { Part::Reply }
}

fn hello(versions: Versions) -> Hello {
    Hello { versions, node: NodeId(1), address: None, grants: GRANTS }
}

#[cfg(test)]
mod tests {
    #[test]
    fn whatever_a_peer_and_a_driver_do_the_machine_keeps_its_bounds() {
        for seed in 0..20_000 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let length = rng.usize(0..600);
            // Most runs begin with a handshake, a target of each side, and calls.
            let mut bytes = if rng.u8(..) < 230 { vec![0, 6, 1, 22, 22] } else { Vec::new() };
            bytes.extend((0..length).map(|_| rng.u8(..)));
            super::machine(&bytes);
        }
    }

    #[test]
    fn whatever_comes_the_reader_of_frames_cuts_or_refuses_it() {
        let good: Vec<u8> = crate::proto::samples::frames()
            .iter()
            .flat_map(|(_, frame)| crate::proto::samples::encode(frame))
            .collect();
        for seed in 0..5_000 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut bytes = good.clone();
            for _ in 0..rng.usize(0..4) {
                let at = rng.usize(0..bytes.len());
                bytes[at] = rng.u8(..);
            }
            let mut chunks = Vec::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (chunk, left) = rest.split_at(rng.usize(1..=rest.len().min(255)));
                chunks.push(chunk.len() as u8);
                chunks.extend_from_slice(chunk);
                rest = left;
            }
            super::frames(&chunks);
        }
    }
}
