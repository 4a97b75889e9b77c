//! One side of a conversation: a machine with what it was given to keep.

use std::{collections::BTreeMap, sync::Arc, time::Duration, time::Instant};

use bytes::{BufMut, Bytes, BytesMut};

use super::scripts::{Act, Conversation};
use crate::{
    call::WireReply,
    proto::{
        Bind, CallContext, FrameReader, Part, Room, ServiceDigest, StreamKind,
        call::{find, unknown_record},
        frame::kind,
        machine::{
            Abort, Account, Event, Expected, Machine, NewCall, Order, StreamWork,
            tests::pair::{Tested, bind, settings},
        },
        put_length,
        samples::{self, hex, raw},
    },
    service::Status,
};

pub(super) struct Player {
    pub(super) machine: Tested,
    readers: [FrameReader; 2],
    order: Order,
    accounts: BTreeMap<u32, Arc<Account>>,
    lengths: BTreeMap<u64, (u32, u64)>,
    is_later: bool,
    /// It says nothing until it introduces itself.
    is_silent: bool,
    /// The connection is closed, by this side or by the other one.
    is_closed: bool,
    /// That it wants to close is written down.
    is_closing: bool,
}

impl Player {
    pub(super) fn new(base: Instant, conversation: &Conversation, side: usize) -> Self {
        let introduces = |(of, act): &(usize, Act)| *of == side && matches!(act, Act::Introduce);
        let of = &conversation.sides[side];
        Self {
            machine: Machine::new(of.hello.clone(), settings(), base + Duration::from_secs(5)),
            readers: Default::default(),
            order: Order::default(),
            accounts: BTreeMap::new(),
            lengths: BTreeMap::new(),
            is_later: of.is_later,
            is_silent: conversation.script.iter().any(introduces),
            is_closed: false,
            is_closing: false,
        }
    }

    /// Does its part; the lines of what it sends.
    pub(super) fn act(&mut self, now: Instant, act: &Act) -> Vec<String> {
        let machine = &mut self.machine;
        match act {
            Act::Introduce => {
                self.is_silent = false;
                let hello = machine.out.take_control();
                return vec![self.line(StreamKind::Control, &hello)];
            }
            Act::Announce(name, digest) => {
                machine.announce(&ServiceDigest { name: (*name).into(), digest: *digest });
            }
            Act::Ask(service) => machine.ask(service),
            Act::Tell(table) => machine.tell(table),
            Act::Target(name) => assert!(machine.target(bind(name)).is_some()),
            Act::Pin(name, actor) => {
                assert!(machine.target(Bind { actor: Some(*actor), ..bind(name) }).is_some());
            }
            Act::Release(target) => machine.release(now, *target),
            Act::Call(target, length, context) => {
                let call = NewCall {
                    target: *target,
                    method: 0xdead_beef,
                    deadline: context.then(|| now + Duration::from_millis(1500)),
                    context: if *context { samples::context().encode() } else { Bytes::new() },
                    body: vec![0xaa; *length].into(),
                    stream: false,
                };
                machine.call(now, call, Some(&self.order), |_| 0).unwrap();
            }
            Act::CallNow(target, length) => {
                let context = CallContext { now: true, ..CallContext::default() }.encode();
                let body = vec![0xaa; *length].into();
                let call = NewCall {
                    target: *target,
                    method: 0xdead_beef,
                    deadline: None,
                    context,
                    body,
                    stream: false,
                };
                machine.call(now, call, Some(&self.order), |_| 0).unwrap();
            }
            Act::Again(target) => {
                let context = CallContext { number: 300, again: true, ..samples::context() }.encode();
                let body = vec![0xaa; 8].into();
                let call = NewCall {
                    target: *target,
                    method: 0xdead_beef,
                    deadline: None,
                    context,
                    body,
                    stream: false,
                };
                machine.call(now, call, Some(&self.order), |_| 0).unwrap();
            }
            Act::CallWithStream(target) => {
                let context = Bytes::new();
                let body = vec![0xaa; 8].into();
                let call = NewCall {
                    target: *target,
                    method: 0xdead_beef,
                    deadline: None,
                    context,
                    body,
                    stream: true,
                };
                machine.call(now, call, Some(&self.order), |_| 0).unwrap();
            }
            Act::Begins(call) => assert!(machine.reply_stream(*call)),
            Act::Items(id, lengths, large) => {
                let mut items = BytesMut::new();
                for length in lengths {
                    put_length(&mut items, *length);
                    items.put_bytes(0xbb, *length);
                }
                let bytes = lengths.iter().sum::<usize>() as u64;
                let room = Room { items: lengths.len() as u64, bytes };
                let large = large.map(|length| vec![0xcc; length].into());
                machine.send_items(*id, items.freeze(), room, large);
            }
            Act::Ends(id, failure) => machine.end_stream(*id, failure.clone()),
            Act::Room(id, items, bytes) => {
                machine.give_stream_room(*id, Room { items: *items, bytes: *bytes });
            }
            Act::Stop(id) => machine.stop_stream(*id),
            Act::Cancel(call) => assert!(machine.cancel(*call).is_some()),
            Act::Begin(call) => {
                let (target, length) = self.lengths[call];
                if self.accounts[&target].give_back(length) {
                    machine.tell_credit();
                }
            }
            Act::Reply(call, value) => {
                machine.reply(*call, &WireReply::Ended(Status::Replied, value.clone().into()));
            }
            Act::ApplicationError(call) => {
                machine.reply(*call, &WireReply::Ended(Status::ApplicationError, vec![1].into()));
            }
            Act::Fail(call, failure) => machine.reply(*call, &WireReply::Failed(failure.clone())),
            Act::Goodbye => machine.goodbye("the node shuts down"),
            Act::Raw(kind, bytes) => return vec![format!("{} {}", name(*kind), hex(bytes))],
            Act::Strange => return vec![format!("strange {}", hex(&[9, 1, 2, 3]))],
        }
        self.sent()
    }

    /// The lines of what its machine has to say.
    pub(super) fn sent(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.is_silent || self.is_closed {
            return lines;
        }
        let frames = [
            (StreamKind::Control, self.machine.out.take_control()),
            (StreamKind::Lane, self.machine.out.take_lane()),
        ];
        for (kind, bytes) in frames {
            if !bytes.is_empty() {
                lines.push(self.line(kind, &bytes));
            }
        }
        while let Some(work) = self.machine.out.take_streams() {
            match work {
                StreamWork::Send(body) => lines.push(format!("{} {}", name(body.kind), hex(&body.bytes))),
                StreamWork::Abort(Abort::Sending(kind)) => lines.push(format!("reset-{} 00", name(kind))),
                StreamWork::Abort(Abort::Receiving(kind)) => lines.push(format!("stop-{} 00", name(kind))),
                StreamWork::Close(closing) => {
                    lines.push(format!("close-{} {}", closing.code.code(), hex(closing.reason.as_bytes())));
                    self.is_closed = true;
                    break;
                }
            }
        }
        lines
    }

    fn line(&self, kind: StreamKind, frames: &[u8]) -> String {
        let frames = if self.is_later { of_a_later_release(frames) } else { frames.to_vec() };
        format!("{} {}", name(kind), hex(&frames))
    }

    /// Takes what the other side sent, byte by byte; the lines of what it makes of it.
    pub(super) fn take(&mut self, now: Instant, stream: &str, bytes: &[u8]) -> Vec<String> {
        let mut events = Vec::new();
        let (name, call) = stream.split_once('=').unwrap_or((stream, "0"));
        let call = call.parse().unwrap();
        let body = |kind: StreamKind, this: &mut Self, events: &mut Vec<_>| {
            if let Some(Expected::Bytes(_)) = this.machine.body_expected(kind) {
                this.machine.body_arrived(kind, Bytes::copy_from_slice(bytes), events);
            }
        };
        match name {
            "control" | "lane" => {
                let mut frames = Vec::new();
                let reader = &mut self.readers[usize::from(name == "lane")];
                for byte in bytes {
                    reader.read(Bytes::copy_from_slice(&[*byte]), &mut frames).unwrap();
                }
                for frame in frames {
                    if name == "lane" {
                        self.machine.lane(now, frame, &mut events);
                    } else {
                        self.machine.control(frame, &mut events);
                    }
                }
            }
            "call" => body(StreamKind::CallBody(call), self, &mut events),
            name if name.starts_with("reply-item-") => {
                let of = name["reply-item-".len()..].parse().unwrap();
                body(StreamKind::Item(Part::Reply, of, call), self, &mut events);
            }
            "reply" => body(StreamKind::ReplyBody(call), self, &mut events),
            "reset-call" => self.machine.body_failed(StreamKind::CallBody(call), &mut events),
            "strange" => assert_eq!(StreamKind::decode(&mut Bytes::copy_from_slice(bytes)), Err(9)),
            "close-2" => self.is_closed = true,
            name => panic!("nobody knows what `{name}` is"),
        }
        let mut lines: Vec<String> = events.into_iter().map(|event| self.understood(event)).collect();
        if let Some(closing) = &self.machine.out.closing
            && !std::mem::replace(&mut self.is_closing, true)
        {
            lines.push(format!("! {closing:?}"));
        }
        lines
    }

    fn understood(&mut self, event: Event<u64, u64>) -> String {
        match event {
            Event::Bound(bind, account) => {
                self.accounts.insert(bind.target, account);
                format!("! Bound({bind:?})")
            }
            Event::Call(header, body) => {
                self.lengths.insert(header.call, (header.target, body.len() as u64));
                assert_eq!(self.machine.begun(header.call, header.call), None);
                format!("! Call({header:?}, {body:?})")
            }
            event => format!("! {event:?}"),
        }
    }
}

/// The same frames with all that this release has to skip: records before and behind the known ones, a body where there
/// is none, codes of failures, a frame behind each.
fn of_a_later_release(frames: &[u8]) -> Vec<u8> {
    let mut written = Vec::new();
    for (kind, header, body) in split(frames) {
        let mut records = [unknown_record(), header.to_vec(), unknown_record()].concat();
        if kind == kind::REPLY && find(header, 3).unwrap().is_some() {
            // Its kind and its delivery: of records with the same tag the last one counts.
            records.extend([3, 1, 200, 4, 1, 200]);
        }
        let takes_a_body = matches!(kind, kind::CALL | kind::REPLY);
        written.extend(raw(kind, &records, if takes_a_body { body } else { b"and a body" }));
        written.extend(raw(99, &unknown_record(), b"of a later release"));
    }
    written
}

/// The frames of a stream: the kind, the header and the body of each.
pub(super) fn split(mut frames: &[u8]) -> Vec<(u8, &[u8], &[u8])> {
    let mut parts = Vec::new();
    while let Some((length, rest)) = frames.split_first_chunk::<4>() {
        let (frame, behind) = rest.split_at(u32::from_le_bytes(*length) as usize);
        let (header, body) = frame[3..].split_at(usize::from(u16::from_le_bytes([frame[1], frame[2]])));
        parts.push((frame[0], header, body));
        frames = behind;
    }
    parts
}

fn name(kind: StreamKind) -> String {
    match kind {
        StreamKind::Control => "control".to_owned(),
        StreamKind::Lane => "lane".to_owned(),
        StreamKind::CallBody(call) => format!("call={call}"),
        StreamKind::ReplyBody(call) => format!("reply={call}"),
        StreamKind::Item(Part::Arguments, call, item) => format!("call-item-{call}={item}"),
        StreamKind::Item(Part::Reply, call, item) => format!("reply-item-{call}={item}"),
    }
}
