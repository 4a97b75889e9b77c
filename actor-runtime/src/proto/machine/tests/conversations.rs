//! Conversations as they were recorded, in `proto/conversations/v1`: each side is played against the recording of the
//! other one, and has to send what it sent then and to understand what it understood.
//!
//! A line is `time side stream hex` for bytes that a side sends, `time side ! event` for what it makes of the last
//! bytes of the other one. Times are microseconds. The sides do what [`SCRIPTS`] says.

use std::{
    collections::BTreeMap, fmt::Write as _, fs, path::PathBuf, sync::Arc, time::Duration, time::Instant,
};

use bytes::Bytes;

use super::{
    super::{Abort, Account, Event, Expected, Machine, NewCall, Order, StreamWork},
    pair::{Tested, bind, hello, settings, start},
};
use crate::{
    call::{Delivery, Failure, FailureKind, WireReply},
    proto::{
        Frame, FrameReader, Grants, Hello, ServiceDigest, ServiceTable, StreamKind,
        hello::Versions,
        samples::{self, CHANGED, hex, regenerate, unhex},
    },
    service::Status,
};

/// What a side does, before its outbox is carried over.
#[derive(Clone, Debug)]
enum Act {
    Announce(&'static str, u64),
    Ask(&'static str),
    Tell(ServiceTable),
    Target(&'static str),
    Release(u32),
    /// Target, length of the arguments, with a context.
    Call(u32, usize, bool),
    Cancel(u64),
    Begin(u64),
    Reply(u64, usize),
    ApplicationError(u64),
    Fail(u64),
    Goodbye,
    /// Bytes that no machine of this version sends.
    Raw(StreamKind, Vec<u8>),
    /// A stream of a kind that nobody knows.
    Strange,
}

type Script = Vec<(usize, Act)>;

fn scripts() -> Vec<(&'static str, Script)> {
    use Act::*;
    let methods = Some(vec![(1, 2), (0xdead_beef, 3)]);
    let table = ServiceTable { name: "Calculator".into(), methods };
    let none = ServiceTable { name: "Nothing".into(), methods: None };
    let unknown_record = crate::proto::call::unknown_record();
    let unknown_frame = samples::raw(99, &unknown_record, b"of a later release");
    let mut cancel_with_more = vec![1, 1, 2];
    cancel_with_more.extend(&unknown_record);
    let ahead = Hello { versions: Versions { oldest: 1, newest: 2 }, ..hello(GRANTS) };
    vec![
        (
            "everything",
            vec![
                (1, Announce("Calculator", 0x1234)),
                (0, Ask("Calculator")),
                (0, Ask("Nothing")),
                (1, Tell(table)),
                (1, Tell(none)),
                (0, Target("calc")),
                (0, Call(1, 8, true)),
                (0, Call(1, 100, false)),
                (0, Call(1, 9, false)),
                (1, Begin(1)),
                (1, Reply(1, 5)),
                (1, Begin(2)),
                (1, Reply(2, 200)),
                (1, Fail(3)),
                (0, Call(1, 3, false)),
                (0, Call(1, 4, false)),
                (1, ApplicationError(4)),
                (0, Cancel(5)),
                (1, Begin(5)),
                (0, Release(1)),
                (1, Target("back")),
                (1, Call(1, 7, false)),
                (0, Reply(1, 0)),
                (0, Goodbye),
                (1, Goodbye),
            ],
        ),
        (
            "a-peer-with-unknown-things",
            vec![
                (1, Strange),
                (1, Raw(StreamKind::Control, unknown_frame.clone())),
                (0, Target("calc")),
                (0, Call(1, 8, false)),
                (1, Raw(StreamKind::Lane, unknown_frame.clone())),
                (1, Begin(1)),
                (1, Reply(1, 8)),
                (1, Target("back")),
                (1, Call(1, 7, false)),
                (1, Call(1, 7, false)),
                (1, Raw(StreamKind::Lane, samples::raw(4, &cancel_with_more, b"and a body"))),
                (0, Reply(1, 1)),
            ],
        ),
        (
            "a-peer-one-version-ahead",
            vec![
                (1, Raw(StreamKind::Control, samples::encode(&Frame::Hello(ahead)).to_vec())),
                (0, Target("calc")),
                (0, Call(1, 8, false)),
                (1, Raw(StreamKind::Lane, samples::encode(&Frame::Credit(CREDIT)).to_vec())),
                (1, Raw(StreamKind::Lane, samples::raw(5, &[1, 1, 1, 2, 1, 0], b"value"))),
            ],
        ),
        (
            "no-common-version",
            vec![(
                1,
                Raw(StreamKind::Control, {
                    let versions = Versions { oldest: 0, newest: 0 };
                    samples::encode(&Frame::Hello(Hello { versions, ..hello(GRANTS) })).to_vec()
                }),
            )],
        ),
    ]
}

const GRANTS: Grants = Grants { calls: 4, bytes: 1000, total_bytes: 1500, targets: 2, message: 5000 };
const CREDIT: crate::proto::credit::Credit = crate::proto::credit::Credit { target: 1, calls: 1, bytes: 8 };

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/proto/conversations/v1")
}

/// One side, with what it was given to keep.
struct Player {
    machine: Tested,
    readers: [FrameReader; 2],
    order: Order,
    accounts: BTreeMap<u32, Arc<Account>>,
    lengths: BTreeMap<u64, (u32, u64)>,
    /// A script speaks for it from the first byte: what its machine has to say is not sent.
    is_scripted: bool,
}

impl Player {
    fn new(base: Instant, is_scripted: bool) -> Self {
        Self {
            machine: Machine::new(hello(GRANTS), settings(), base + Duration::from_secs(5)),
            readers: Default::default(),
            order: Order::default(),
            accounts: BTreeMap::new(),
            lengths: BTreeMap::new(),
            is_scripted,
        }
    }

    /// Does its part; the lines of what it sends.
    fn act(&mut self, now: Instant, act: &Act) -> Vec<String> {
        let machine = &mut self.machine;
        match act {
            Act::Announce(name, digest) => {
                machine.announce(&ServiceDigest { name: (*name).into(), digest: *digest });
            }
            Act::Ask(service) => machine.ask(service),
            Act::Tell(table) => machine.tell(table),
            Act::Target(name) => drop(machine.target(bind(name))),
            Act::Release(target) => machine.release(now, *target),
            Act::Call(target, length, context) => {
                let call = NewCall {
                    target: *target,
                    method: 0xdead_beef,
                    deadline: context.then(|| now + Duration::from_millis(1500)),
                    context: if *context { samples::context().encode() } else { Bytes::new() },
                    body: vec![0xaa; *length].into(),
                };
                machine.call(now, call, Some(&self.order), 0).unwrap();
            }
            Act::Cancel(call) => assert!(machine.cancel(*call).is_some()),
            Act::Begin(call) => {
                let (target, length) = self.lengths[call];
                if self.accounts[&target].give_back(length) {
                    machine.tell_credit();
                }
            }
            Act::Reply(call, length) => {
                machine.reply(*call, &WireReply::Ended(Status::Replied, vec![0xbb; *length].into()));
            }
            Act::ApplicationError(call) => {
                machine.reply(*call, &WireReply::Ended(Status::ApplicationError, vec![1].into()));
            }
            Act::Fail(call) => {
                let failure = Failure::new(FailureKind::Panicked, Delivery::Unknown, "at line 7");
                machine.reply(*call, &WireReply::Failed(failure.about("Calculator/divide", "calc", "")));
            }
            Act::Goodbye => machine.goodbye("the node shuts down"),
            Act::Raw(kind, bytes) => return vec![format!("{} {}", name(*kind), hex(bytes))],
            Act::Strange => return vec![format!("strange {}", hex(&[9, 1, 2, 3]))],
        }
        self.sent()
    }

    fn sent(&mut self) -> Vec<String> {
        let out = &mut self.machine.out;
        let mut lines = Vec::new();
        for (kind, bytes) in [(StreamKind::Control, out.take_control()), (StreamKind::Lane, out.take_lane())]
        {
            if !bytes.is_empty() {
                lines.push(format!("{} {}", name(kind), hex(&bytes)));
            }
        }
        while let Some(work) = out.take_streams() {
            match work {
                StreamWork::Send(body) => lines.push(format!("{} {}", name(body.kind), hex(&body.bytes))),
                StreamWork::Abort(Abort::Sending(kind)) => lines.push(format!("reset-{} 00", name(kind))),
                StreamWork::Abort(Abort::Receiving(kind)) => lines.push(format!("stop-{} 00", name(kind))),
                StreamWork::Close(closing) => {
                    lines.push(format!("close-{} {}", closing.code.code(), hex(closing.reason.as_bytes())));
                    break;
                }
            }
        }
        if self.is_scripted { Vec::new() } else { lines }
    }

    /// Takes what the other side sent, byte by byte.
    fn take(&mut self, now: Instant, stream: &str, bytes: &[u8]) -> Vec<String> {
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
            "reply" => body(StreamKind::ReplyBody(call), self, &mut events),
            "strange" => assert_eq!(StreamKind::decode(&mut Bytes::copy_from_slice(bytes)), Err(9)),
            _ => {}
        }
        events.into_iter().map(|event| self.understood(event)).collect()
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

fn name(kind: StreamKind) -> String {
    match kind {
        StreamKind::Control => "control".to_owned(),
        StreamKind::Lane => "lane".to_owned(),
        StreamKind::CallBody(call) => format!("call={call}"),
        StreamKind::ReplyBody(call) => format!("reply={call}"),
    }
}

/// Plays a script with two machines and writes down what happens.
fn record(script: &Script) -> String {
    let base = start();
    let speaks_for_1 = matches!(&script[0], (1, Act::Raw(StreamKind::Control, bytes)) if bytes[4] == 16);
    let mut players = [Player::new(base, false), Player::new(base, speaks_for_1)];
    let mut text = String::new();
    let mut turn = |at: u64, side: usize, act: Option<&Act>, text: &mut String| {
        let now = base + Duration::from_micros(at);
        let mut queue: Vec<(usize, String)> = Vec::new();
        let lines = match act {
            Some(act) => players[side].act(now, act),
            None => players[side].sent(),
        };
        queue.extend(lines.into_iter().map(|line| (side, line)));
        while !queue.is_empty() {
            let (from, line) = queue.remove(0);
            let _ = writeln!(text, "{at} {from} {line}");
            let (stream, bytes) = line.split_once(' ').unwrap();
            for event in players[1 - from].take(now, stream, &unhex(bytes)) {
                let _ = writeln!(text, "{at} {} {event}", 1 - from);
            }
            queue.extend(players[1 - from].sent().into_iter().map(|line| (1 - from, line)));
        }
    };
    turn(0, 0, None, &mut text);
    turn(0, 1, None, &mut text);
    for (step, (side, act)) in (1..).zip(script) {
        turn(step * 100, *side, Some(act), &mut text);
    }
    text
}

/// Plays one side against the recording: it has to say its lines.
fn replay(name: &str, recording: &str, script: &Script, role: usize) {
    let base = start();
    let mut player = Player::new(base, false);
    let (mut said, mut understood) = (player.sent(), Vec::new());
    let mut at = 0;
    let mut acts = (1_u64..).zip(script).peekable();
    for line in recording.lines() {
        let mut parts = line.splitn(3, ' ');
        let (time, side) = (parts.next().unwrap(), parts.next().unwrap());
        let (time, side): (u64, usize) = (time.parse().unwrap(), side.parse().unwrap());
        let rest = parts.next().unwrap();
        while let Some((step, (of, act))) = acts.next_if(|(step, _)| step * 100 <= time) {
            at = step * 100;
            if *of == role {
                said.extend(player.act(base + Duration::from_micros(at), act));
            }
        }
        at = at.max(time);
        if side == role {
            let queue = if rest.starts_with('!') { &mut understood } else { &mut said };
            assert!(!queue.is_empty(), "{name}, side {role}: it was silent, recorded is\n{line}\n{CHANGED}");
            assert_eq!(queue.remove(0), rest, "{name}, side {role}: said, recorded\n{CHANGED}");
        } else if !rest.starts_with('!') {
            let (stream, bytes) = rest.split_once(' ').unwrap();
            let now = base + Duration::from_micros(at);
            understood.extend(player.take(now, stream, &unhex(bytes)));
            said.extend(player.sent());
        }
    }
    said.append(&mut understood);
    assert!(said.is_empty(), "{name}, side {role}: it says more than it did\n{said:?}\n{CHANGED}");
}

#[test]
fn recorded_conversations_go_as_they_went() {
    for (name, script) in scripts() {
        let file = folder().join(name).with_extension("txt");
        if regenerate() {
            let recorded = record(&script);
            if let Ok(before) = fs::read_to_string(&file) {
                // The names in the code may change, and what an event is printed as; the bytes may not.
                let bytes = |text: &str| -> Vec<String> {
                    text.lines().filter(|line| !line.contains(" ! ")).map(str::to_owned).collect()
                };
                assert_eq!(bytes(&recorded), bytes(&before), "{name}\n{CHANGED}");
            }
            fs::write(&file, recorded).unwrap();
        }
        let recording = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        replay(name, &recording, &script, 0);
        let speaks_for_1 = matches!(&script[0], (1, Act::Raw(StreamKind::Control, bytes)) if bytes[4] == 16);
        if !speaks_for_1 {
            replay(name, &recording, &script, 1);
        }
    }
}

#[test]
fn every_recording_is_played_and_every_frame_is_in_one() {
    let files = fs::read_dir(folder()).unwrap().count();
    assert_eq!(files, scripts().len(), "a recording that nobody plays");
    let everything = fs::read_to_string(folder().join("everything.txt")).unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    for line in everything.lines() {
        let parts: Vec<&str> = line.splitn(4, ' ').collect();
        if let [_, _, "control" | "lane", bytes] = parts[..] {
            let mut bytes = &unhex(bytes)[..];
            while let Some(length) = bytes.first_chunk::<4>() {
                kinds.insert(bytes[4]);
                bytes = &bytes[4 + u32::from_le_bytes(*length) as usize..];
            }
        }
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 16, 17, 18, 19, 20]);
}
