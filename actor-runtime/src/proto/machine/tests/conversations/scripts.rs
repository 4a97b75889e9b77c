//! Which conversations there are: who speaks, and what each side does.
//!
//! Side 0 dials and calls, side 1 is the server; a server calls back in some. What a side of another release sends comes
//! out of a machine as well: of one that speaks other versions, or whose frames are written anew with more in them
//! ([`super::player::of_a_later_release`]).

use crate::{
    actor_id::ActorId,
    call::{Delivery, Failure, FailureKind},
    proto::{
        Frame, Grants, Hello, Part, ServiceTable, StreamId, StreamKind,
        call::unknown_record,
        credit::Credit,
        hello::Versions,
        machine::tests::pair::hello,
        samples::{self, encode, raw},
    },
};

/// One conversation.
pub(super) struct Conversation {
    /// The name of its file.
    pub(super) name: &'static str,
    pub(super) sides: [Side; 2],
    /// The version on which the sides agree, if there is one.
    pub(super) version: Option<u32>,
    /// Who does what: a step each 100 µs.
    pub(super) script: Vec<(usize, Act)>,
}

/// Who speaks.
pub(super) struct Side {
    pub(super) hello: Hello,
    /// It is of a later release of the same version: all that it sends has something in it that this one does not know.
    pub(super) is_later: bool,
}

/// What a side does, before its outbox is carried over.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Sends its hello, which was kept until now.
    Introduce,
    Announce(&'static str, u64),
    Ask(&'static str),
    Tell(ServiceTable),
    Target(&'static str),
    /// A target that is one registration.
    Pin(&'static str, ActorId),
    Release(u32),
    /// Target, length of the arguments, with a context.
    Call(u32, usize, bool),
    /// Target, length of the arguments; the call does not wait for a place.
    CallNow(u32, usize),
    /// A call that may have been run before.
    Again(u32),
    /// A call with a stream among its arguments.
    CallWithStream(u32),
    /// Answers a call with a stream.
    Begins(u64),
    /// Items of these lengths, and one that travels alone.
    Items(StreamId, Vec<usize>, Option<usize>),
    Ends(StreamId, Option<Failure>),
    Room(StreamId, u64, u64),
    Stop(StreamId),
    Cancel(u64),
    Begin(u64),
    Reply(u64, Vec<u8>),
    ApplicationError(u64),
    Fail(u64, Failure),
    Goodbye,
    /// Bytes that no machine of this version sends.
    Raw(StreamKind, Vec<u8>),
    /// A stream of a kind that nobody knows.
    Strange,
}

use Act::*;

const GRANTS: Grants = Grants { calls: 4, bytes: 1000, total_bytes: 1500, targets: 2, message: 5000 };

pub(super) fn conversations() -> Vec<Conversation> {
    let today = || Side { hello: hello(GRANTS), is_later: false };
    let later = || Side { is_later: true, ..today() };
    let speaking = |oldest, newest| Side {
        hello: Hello { versions: Versions { oldest, newest }, ..today().hello },
        ..today()
    };
    // Who dials only has no address.
    let client = |side: Side| Side { hello: Hello { address: None, ..side.hello }, ..side };
    let conversation = |name, sides, version, script| Conversation { name, sides, version, script };
    vec![
        conversation("everything", [today(), today()], Some(1), everything()),
        conversation("calls-that-do-not-wait", [today(), today()], Some(1), not_waiting()),
        conversation("a-call-that-is-made-again", [today(), today()], Some(1), made_again()),
        conversation("streams", [today(), today()], Some(1), streams()),
        conversation("a-peer-with-unknown-things", [today(), today()], Some(1), unknown_things()),
        conversation("a-caller-of-a-later-release", [client(later()), today()], Some(1), later_caller()),
        conversation("a-server-of-a-later-release", [client(today()), later()], Some(1), later_server()),
        conversation("a-peer-one-version-ahead", [today(), speaking(1, 2)], Some(1), server_ahead()),
        conversation(
            "a-caller-one-version-ahead",
            [client(speaking(1, 2)), today()],
            Some(1),
            caller_ahead(),
        ),
        conversation("no-common-version", [today(), speaking(0, 0)], None, vec![(1, Introduce)]),
        conversation("a-caller-that-is-too-new", [client(speaking(2, 2)), today()], None, Vec::new()),
    ]
}

/// Each kind of frame.
fn everything() -> Vec<(usize, Act)> {
    vec![
        (1, Announce("Calculator", 0x1234)),
        (0, Ask("Calculator")),
        (0, Ask("Nothing")),
        (1, Tell(table())),
        (1, Tell(ServiceTable { name: "Nothing".into(), methods: None })),
        (0, Target("calc")),
        (0, Call(1, 8, true)),
        (0, Call(1, 100, false)),
        (0, Call(1, 9, false)),
        (1, Begin(1)),
        (1, Reply(1, value(5))),
        (1, Begin(2)),
        (1, Reply(2, value(200))),
        (1, Fail(3, panicked())),
        (0, Call(1, 3, false)),
        (0, Call(1, 4, false)),
        (1, ApplicationError(4)),
        (0, Cancel(5)),
        (1, Begin(5)),
        (0, Release(1)),
        (1, Target("back")),
        (1, Call(1, 7, false)),
        (0, Reply(1, value(0))),
        (0, Goodbye),
        (1, Goodbye),
    ]
}

/// The first is oneway: it is replied to when it is accepted, and begins later.
fn not_waiting() -> Vec<(usize, Act)> {
    vec![
        (0, Target("calc")),
        (0, CallNow(1, 8)),
        (1, Reply(1, Vec::new())),
        (0, CallNow(1, 9)),
        (1, Fail(2, panicked())),
        (1, Begin(1)),
        (1, Begin(2)),
    ]
}

/// A call whose first attempt was lost with another connection.
fn made_again() -> Vec<(usize, Act)> {
    vec![(0, Target("calc")), (0, Again(1)), (1, Begin(1)), (1, Reply(1, value(5)))]
}

/// Streams both ways: one with a long item that breaks off, one that ends, one that nobody reads.
fn streams() -> Vec<(usize, Act)> {
    let (given, taken) =
        (|call| StreamId::outgoing(Part::Reply, call), |call| StreamId::incoming(Part::Reply, call));
    let (argument, read) = (StreamId::outgoing(Part::Arguments, 1), StreamId::incoming(Part::Arguments, 1));
    vec![
        (0, Target("calc")),
        (0, CallWithStream(1)),
        (1, Begin(1)),
        (1, Room(read, 1024, 256 * 1024)),
        (0, Items(argument, vec![3, 0, 5], None)),
        (1, Room(read, 512, 70_000)),
        (0, Ends(argument, None)),
        (1, Begins(1)),
        (1, Items(given(1), vec![1, 2], Some(100))),
        (1, Items(given(1), vec![3], None)),
        (0, Room(taken(1), 2, 3)),
        (1, Ends(given(1), Some(samples::failure()))),
        (0, Call(1, 4, false)),
        (1, Begin(2)),
        (1, Begins(2)),
        (1, Items(given(2), vec![1], None)),
        (0, Stop(taken(2))),
        (0, Release(1)),
    ]
}

/// A server that says some things that nobody knows, between others.
fn unknown_things() -> Vec<(usize, Act)> {
    let unknown_frame = raw(99, &unknown_record(), b"of a later release");
    let mut cancel_with_more = vec![1, 1, 2];
    cancel_with_more.extend(unknown_record());
    vec![
        (1, Strange),
        (1, Raw(StreamKind::Control, unknown_frame.clone())),
        (0, Target("calc")),
        (0, Call(1, 8, false)),
        (1, Raw(StreamKind::Lane, unknown_frame)),
        (1, Begin(1)),
        (1, Reply(1, value(8))),
        (1, Target("back")),
        (1, Call(1, 7, false)),
        (1, Call(1, 7, false)),
        (1, Raw(StreamKind::Lane, raw(4, &cancel_with_more, b"and a body"))),
        (0, Reply(1, value(1))),
    ]
}

/// A caller, each of whose frames has something in it that nobody knows.
fn later_caller() -> Vec<(usize, Act)> {
    vec![
        (0, Strange),
        (1, Announce("Calculator", 0x1234)),
        (0, Announce("Front", 0x5678)),
        (0, Ask("Calculator")),
        (1, Tell(table())),
        (0, Pin("calc", samples::id(9, 1))),
        (0, Call(1, 8, true)),
        (0, Call(1, 100, false)),
        (0, Call(1, 9, false)),
        (1, Begin(1)),
        (1, Begin(2)),
        (1, Reply(1, value(5))),
        (0, Cancel(2)),
        (1, Begin(3)),
        (1, Fail(3, samples::failure())),
        (0, Release(1)),
        (0, Goodbye),
        (1, Goodbye),
    ]
}

/// A server, each of whose frames has something in it that nobody knows. Its credit lets a call go that waited for it;
/// the fifth call is answered after it took leave.
fn later_server() -> Vec<(usize, Act)> {
    vec![
        (1, Strange),
        (1, Announce("Calculator", 0x1234)),
        (0, Ask("Calculator")),
        (1, Tell(table())),
        (0, Target("calc")),
        (0, Call(1, 8, false)),
        (0, Call(1, 8, false)),
        (0, Call(1, 8, false)),
        (0, Call(1, 8, false)),
        (0, Call(1, 9, false)),
        (1, Begin(1)),
        (1, Begin(2)),
        (1, Reply(1, value(5))),
        (1, Reply(2, value(200))),
        (1, ApplicationError(3)),
        (1, Fail(4, samples::failure())),
        (1, Target("back")),
        (1, Call(1, 7, false)),
        (0, Reply(1, value(1))),
        (1, Release(1)),
        (1, Goodbye),
        (1, Reply(5, value(2))),
        (0, Release(1)),
    ]
}

fn server_ahead() -> Vec<(usize, Act)> {
    // Sooner than this release tells it.
    let credit = Frame::Credit(Credit { target: 1, calls: 1, bytes: 8 });
    vec![
        (1, Introduce),
        (0, Target("calc")),
        (0, Call(1, 8, false)),
        (1, Raw(StreamKind::Lane, encode(&credit).to_vec())),
        (1, Reply(1, b"value".to_vec())),
    ]
}

fn caller_ahead() -> Vec<(usize, Act)> {
    vec![
        (0, Target("calc")),
        (0, Call(1, 8, true)),
        (0, Call(1, 100, false)),
        (1, Begin(1)),
        (1, Begin(2)),
        (1, Reply(1, b"value".to_vec())),
        (1, Target("back")),
        (1, Call(1, 7, false)),
        (0, Reply(1, value(1))),
        (0, Cancel(2)),
        (0, Release(1)),
    ]
}

fn table() -> ServiceTable {
    ServiceTable { name: "Calculator".into(), methods: Some(vec![(1, 2), (0xdead_beef, 3)]) }
}

fn panicked() -> Failure {
    let failure = Failure::new(FailureKind::Panicked, Delivery::Unknown, "at line 7");
    failure.about("Calculator/divide", "calc", "")
}

fn value(length: usize) -> Vec<u8> {
    vec![0xbb; length]
}
