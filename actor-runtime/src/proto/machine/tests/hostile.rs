//! Peers that do what they must not: each ends with a reason, and costs no more than was granted to it.

use std::time::Duration;

use bytes::Bytes;

use super::{
    super::{CloseCode, Event, Expected, Machine, StreamWork},
    pair::{OWN_STREAM, Tested, bind, hello, new_call, settings, start},
};
use crate::{
    call::{Delivery, Failure, FailureKind, WireReply},
    proto::{
        Bind, CallHeader, Frame, FrameError, FrameReader, Grants, Hello, ReplyHeader, ServiceDigest,
        StreamKind, frame::MAX_FRAME, hello::Versions, samples,
    },
    service::Status,
};

const GRANTS: Grants = Grants { calls: 4, bytes: 1000, total_bytes: 1500, targets: 2, message: 5000 };

fn fresh() -> Tested {
    Machine::new(hello(GRANTS), settings(), start() + Duration::from_secs(5))
}

fn open() -> Tested {
    let mut machine = fresh();
    assert!(matches!(control(&mut machine, Frame::Hello(hello(GRANTS)))[..], [Event::Open]));
    machine.out.take_control();
    machine
}

fn control(machine: &mut Tested, frame: Frame) -> Vec<Event<u64, u64>> {
    let mut events = Vec::new();
    machine.control(frame, &mut events);
    events
}

fn lane(machine: &mut Tested, frame: Frame) -> Vec<Event<u64, u64>> {
    let mut events = Vec::new();
    machine.lane(start(), frame, &mut events);
    events
}

fn bound(machine: &mut Tested, target: u32) {
    let events = lane(machine, Frame::Bind(Bind { target, ..bind("a") }));
    assert!(matches!(events[..], [Event::Bound(..)]));
}

fn call(call: u64, target: u32, length: usize) -> Frame {
    Frame::Call(CallHeader { call, target, ..CallHeader::default() }, vec![0; length].into())
}

fn large(call: u64, target: u32, length: u64, after: Option<u64>) -> Frame {
    let header = CallHeader {
        call,
        target,
        body_length: Some(length),
        after: after.and_then(std::num::NonZero::new),
        ..CallHeader::default()
    };
    Frame::Call(header, Bytes::new())
}

fn reply(call: u64) -> Frame {
    let reply = WireReply::Ended(Status::Replied, Bytes::new());
    Frame::Reply(ReplyHeader { call, body_length: None, stream: false, reply })
}

#[track_caller]
fn closed(machine: &Tested, code: CloseCode, text: &str) {
    let closing = machine.out.closing.clone().expect("a violation");
    assert_eq!(closing.code, code, "{closing:?}");
    assert!(closing.reason.contains(text), "{closing:?}");
}

fn numbers(events: &[Event<u64, u64>]) -> Vec<u64> {
    let number = |event: &Event<u64, u64>| match event {
        Event::Call(header, _) => Some(header.call),
        _ => None,
    };
    events.iter().filter_map(number).collect()
}

/// The frames in the outbox's lane.
fn sent(machine: &mut Tested) -> Vec<Frame> {
    let mut frames = Vec::new();
    FrameReader::default().read(machine.out.take_lane(), &mut frames).unwrap();
    frames
}

#[test]
fn garbage_instead_of_a_hello() {
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], &[0xff; 64], &samples::raw(16, b"garbage", b"")]
    {
        let mut frames = Vec::new();
        let error = FrameReader::default().read(Bytes::copy_from_slice(garbage), &mut frames).unwrap_err();
        let mut machine = fresh();
        machine.broken(error);
        closed(&machine, CloseCode::Protocol, "");
        assert!(!machine.is_open());
    }
    let mut of_others = samples::encode(&Frame::Hello(samples::hello())).to_vec();
    of_others[9] ^= 1;
    let error = FrameReader::default().read(of_others.into(), &mut Vec::new()).unwrap_err();
    assert_eq!(error, FrameError::Record(0));
}

#[test]
fn a_first_frame_that_is_no_hello_and_a_second_hello() {
    let mut machine = fresh();
    control(&mut machine, Frame::Ask("S".into()));
    closed(&machine, CloseCode::Protocol, "no hello");
    let mut machine = open();
    control(&mut machine, Frame::Hello(hello(GRANTS)));
    closed(&machine, CloseCode::Protocol, "control stream");
}

#[test]
fn no_common_version_is_said_with_both_ranges() {
    let mut machine = fresh();
    let versions = Versions { oldest: 7, newest: 9 };
    control(&mut machine, Frame::Hello(Hello { versions, ..hello(GRANTS) }));
    closed(&machine, CloseCode::Version, "speaks 1 to 1, the other one 7 to 9");
    assert!(!machine.is_open());
}

#[test]
fn a_peer_one_version_ahead_speaks_ours() {
    let mut machine = fresh();
    let versions = Versions { oldest: 1, newest: 2 };
    control(&mut machine, Frame::Hello(Hello { versions, ..hello(GRANTS) }));
    assert_eq!((machine.is_open(), machine.version()), (true, Some(1)));
    let range = |oldest, newest| Versions { oldest, newest };
    for (ours, theirs, agreed) in [
        (range(1, 2), range(1, 1), Some(1)),
        (range(1, 2), range(2, 3), Some(2)),
        (range(2, 3), range(1, 1), None),
        (range(1, 1), range(9, 1), None),
        (range(1, 1), range(0, 0), None),
        (range(1, u32::MAX), range(0, u32::MAX), Some(u32::MAX)),
    ] {
        assert_eq!((ours.agree(theirs), theirs.agree(ours)), (agreed, agreed), "{ours:?} {theirs:?}");
    }
}

#[test]
fn frames_of_the_lane_before_the_hello() {
    for frame in [call(1, 1, 0), Frame::Bind(bind("a")), reply(1)] {
        let mut machine = fresh();
        assert!(lane(&mut machine, frame).is_empty());
        closed(&machine, CloseCode::Protocol, "before the hello");
    }
}

#[test]
fn frames_on_the_wrong_stream() {
    for (name, frame) in samples::frames() {
        let of_the_control_stream = samples::encode(&frame)[4] >= 16;
        let mut machine = open();
        if of_the_control_stream {
            lane(&mut machine, frame);
            closed(&machine, CloseCode::Protocol, "belong to the lane");
        } else {
            control(&mut machine, frame);
            closed(&machine, CloseCode::Protocol, "belong to the control stream");
        }
        assert!(machine.is_ending(), "{name}");
    }
}

#[test]
fn nobody_introduces_himself_in_time() {
    let mut machine = fresh();
    let by = machine.next_timeout().unwrap();
    machine.timeout(by - Duration::from_nanos(1));
    assert!(!machine.is_ending());
    machine.timeout(by);
    closed(&machine, CloseCode::Silent, "in time");
    assert_eq!(machine.next_timeout(), None);
    assert_eq!(open().next_timeout(), None);
}

#[test]
fn calls_and_releases_of_targets_that_are_not_bound() {
    for frame in [call(1, 1, 0), Frame::Release(1)] {
        let mut machine = open();
        lane(&mut machine, frame);
        closed(&machine, CloseCode::Protocol, "target 1 was not bound");
    }
    let mut machine = open();
    bound(&mut machine, 1);
    lane(&mut machine, Frame::Bind(Bind { target: 1, ..bind("b") }));
    closed(&machine, CloseCode::Protocol, "bound already");
}

#[test]
fn more_targets_than_granted() {
    let mut machine = open();
    bound(&mut machine, 1);
    bound(&mut machine, 2);
    lane(&mut machine, Frame::Bind(Bind { target: 3, ..bind("c") }));
    closed(&machine, CloseCode::Limit, "2 that are granted");
    assert_eq!(machine.serving.targets.len(), 2);
}

#[test]
fn calls_beyond_credit() {
    // Calls of a target; bytes of a target; bytes of the connection.
    for sizes in
        [&[(1, 0), (1, 0), (1, 0), (1, 0), (1, 0)][..], &[(1, 1000), (1, 0)], &[(1, 999), (2, 501), (2, 0)]]
    {
        let mut machine = open();
        bound(&mut machine, 1);
        bound(&mut machine, 2);
        let (last, good) = sizes.split_last().unwrap();
        for (number, (target, length)) in (1..).zip(good) {
            assert_eq!(numbers(&lane(&mut machine, call(number, *target, *length))), [number]);
        }
        assert!(lane(&mut machine, call(99, last.0, last.1)).is_empty());
        closed(&machine, CloseCode::Limit, "beyond its credit");
    }
}

#[test]
fn credit_that_was_told_can_be_used_again() {
    let mut machine = open();
    let events = lane(&mut machine, Frame::Bind(Bind { target: 1, ..bind("a") }));
    let [Event::Bound(_, account)] = &events[..] else { panic!("{events:?}") };
    for round in 0..100 {
        for number in 1..=4 {
            assert_eq!(numbers(&lane(&mut machine, call(round * 4 + number, 1, 100))).len(), 1);
        }
        let told = (0..4).filter(|_| account.give_back(100)).map(|_| machine.tell_credit()).count();
        assert_eq!(told, 2, "in steps of half of what was granted");
        let credit: u32 = sent(&mut machine)
            .into_iter()
            .map(|frame| if let Frame::Credit(credit) = frame { credit.calls } else { 0 })
            .sum();
        assert_eq!(credit, 4);
    }
}

#[test]
fn a_body_that_is_longer_than_granted_is_refused_when_it_is_announced() {
    let mut machine = open();
    bound(&mut machine, 1);
    lane(&mut machine, large(1, 1, 5001, None));
    closed(&machine, CloseCode::Limit, "5001 bytes, and 5000");
    assert!(machine.serving.calls.is_empty());
}

#[test]
fn a_body_of_another_length_than_announced() {
    for length in [0, 99, 101] {
        let mut machine = open();
        bound(&mut machine, 1);
        lane(&mut machine, large(1, 1, 100, None));
        let mut events = Vec::new();
        machine.body_arrived(StreamKind::CallBody(1), vec![0; length].into(), &mut events);
        assert!(events.is_empty());
        closed(&machine, CloseCode::Protocol, "100 were announced");
    }
}

#[test]
fn a_call_number_that_is_in_use() {
    let mut machine = open();
    bound(&mut machine, 1);
    lane(&mut machine, call(1, 1, 0));
    assert_eq!(machine.begun(1, 11), None);
    lane(&mut machine, call(1, 1, 0));
    closed(&machine, CloseCode::Protocol, "call 1 was made before");
    // The first one is not forgotten over it.
    assert_eq!(machine.end().1, [11]);
}

#[test]
fn replies_to_calls_that_were_not_made_or_not_sent_or_that_have_one() {
    for number in [0, 1, u64::MAX] {
        let mut machine = open();
        lane(&mut machine, reply(number));
        closed(&machine, CloseCode::Protocol, "not made");
    }
    let mut machine = open();
    let target = machine.target(bind("a")).unwrap();
    for token in 1..=5 {
        machine.call(start(), new_call(target, Bytes::new()), None, |_| token).unwrap();
    }
    lane(&mut machine, reply(5));
    closed(&machine, CloseCode::Protocol, "not sent yet");

    let mut machine = open();
    let target = machine.target(bind("a")).unwrap();
    machine.call(start(), new_call(target, Bytes::new()), None, |_| 7).unwrap();
    let ended = WireReply::Ended(Status::Replied, Bytes::new());
    let large = Frame::Reply(ReplyHeader { call: 1, body_length: Some(100), stream: false, reply: ended });
    assert!(lane(&mut machine, large).is_empty());
    lane(&mut machine, reply(1));
    closed(&machine, CloseCode::Protocol, "second reply");
    let lost = machine.end().0;
    assert_eq!((lost[0].call, lost[0].delivery), (7, Delivery::Executed));
}

#[test]
fn a_second_reply_to_a_call_that_is_over_is_nobodys() {
    let mut machine = open();
    let target = machine.target(bind("a")).unwrap();
    machine.call(start(), new_call(target, Bytes::new()), None, |_| 7).unwrap();
    assert!(matches!(lane(&mut machine, reply(1))[..], [Event::Reply(7, _)]));
    assert!(lane(&mut machine, reply(1)).is_empty());
    assert!(!machine.is_ending());
}

#[test]
fn a_reply_that_is_longer_than_wanted_ends_its_call_and_nothing_is_read_of_it() {
    let mut machine = open();
    let target = machine.target(bind("a")).unwrap();
    machine.call(start(), new_call(target, Bytes::new()), None, |_| 7).unwrap();
    let ended = WireReply::Ended(Status::Replied, Bytes::new());
    let reply =
        Frame::Reply(ReplyHeader { call: 1, body_length: Some(u64::MAX), stream: false, reply: ended });
    let events = lane(&mut machine, reply);
    let [Event::Reply(7, WireReply::Failed(failure))] = &events[..] else { panic!("{events:?}") };
    assert_eq!((failure.kind(), failure.delivery()), (FailureKind::TooLarge, Delivery::Executed));
    assert_eq!(machine.body_expected(StreamKind::ReplyBody(1)), Some(Expected::Nothing));
}

#[test]
fn more_cancellations_than_calls() {
    let mut machine = open();
    bound(&mut machine, 1);
    lane(&mut machine, call(1, 1, 0));
    lane(&mut machine, Frame::Cancel(1));
    assert!(!machine.is_ending());
    lane(&mut machine, Frame::Cancel(1));
    closed(&machine, CloseCode::Protocol, "more cancellations");
}

#[test]
fn a_frame_over_the_limit_is_refused_before_anything_is_kept() {
    let mut reader = FrameReader::default();
    let mut frames = Vec::new();
    for byte in (MAX_FRAME + 1).to_le_bytes().iter().take(3) {
        reader.read(Bytes::copy_from_slice(&[*byte]), &mut frames).unwrap();
    }
    let error = reader.read(Bytes::from_static(&[0]), &mut frames).unwrap_err();
    assert_eq!(error, FrameError::Long(MAX_FRAME + 1, MAX_FRAME));
    assert!(frames.is_empty());
    // The longest one is read, of a kind that nobody knows too.
    let mut reader = FrameReader::default();
    reader.read(samples::raw(200, &[], &vec![0; MAX_FRAME as usize - 3]).into(), &mut frames).unwrap();
    assert!(frames.is_empty() && !reader.is_partial());
}

#[test]
fn more_services_than_a_node_may_announce_and_names_beyond_bounds() {
    let mut machine = open();
    for n in 0..2000 {
        let service = ServiceDigest { name: format!("S{}", n % 1024), digest: n };
        assert_eq!(control(&mut machine, Frame::Service(service)).len(), 1);
    }
    assert_eq!(machine.digest("S0"), Some(1024));
    control(&mut machine, Frame::Service(ServiceDigest { name: "one more".into(), digest: 0 }));
    closed(&machine, CloseCode::Limit, "services");
    assert_eq!(machine.services.len(), 1024);
    let long = "n".repeat(1025);
    for frame in [
        Frame::Ask(long.clone()),
        Frame::Service(ServiceDigest { name: long.clone(), digest: 0 }),
        Frame::Bind(Bind { name: long.clone(), ..samples::bind() }),
        Frame::Bind(Bind { namespace: long, ..samples::bind() }),
    ] {
        let error = FrameReader::default().read(samples::encode(&frame), &mut Vec::new()).unwrap_err();
        assert!(matches!(error, FrameError::Record(1 | 3 | 4)), "{error}");
    }
}

#[test]
fn more_questions_than_answers_are_read() {
    let mut machine = open();
    for _ in 0..100_000 {
        if machine.is_ending() {
            break;
        }
        if let [Event::Asked(_)] = control(&mut machine, Frame::Ask("S".into()))[..] {
            let methods = (0..500).map(|id| (id, 0)).collect();
            machine.tell(&crate::proto::ServiceTable { name: "S".into(), methods: Some(methods) });
        }
    }
    closed(&machine, CloseCode::Limit, "questions");
    assert!(machine.out.control.len() < (1 << 20) + 10_000);
}

#[test]
fn streams_of_bodies_for_calls_that_nobody_knows() {
    let mut machine = open();
    let mut events = Vec::new();
    // The header of a call may be on its way; a call of ours is known.
    assert_eq!(machine.body_expected(StreamKind::CallBody(5)), None);
    assert_eq!(machine.body_expected(StreamKind::ReplyBody(5)), Some(Expected::Nothing));
    for kind in [StreamKind::CallBody(5), StreamKind::ReplyBody(5), StreamKind::Lane] {
        machine.body_arrived(kind, Bytes::from_static(b"body"), &mut events);
        machine.body_failed(kind, &mut events);
    }
    assert!(events.is_empty() && !machine.is_ending() && machine.serving.calls.is_empty());
    // One body is enough.
    bound(&mut machine, 1);
    lane(&mut machine, large(5, 1, 4, None));
    machine.body_arrived(StreamKind::CallBody(5), Bytes::from_static(b"body"), &mut events);
    assert_eq!(numbers(&events), [5]);
    assert_eq!(machine.body_expected(StreamKind::CallBody(5)), Some(Expected::Nothing));
}

#[test]
fn a_target_that_is_released_while_its_calls_run() {
    let mut machine = open();
    bound(&mut machine, 1);
    lane(&mut machine, call(1, 1, 0));
    lane(&mut machine, Frame::Release(1));
    closed(&machine, CloseCode::Protocol, "1 of its calls had not ended");
}

#[test]
fn binding_calling_cancelling_and_releasing_again_and_again_leaves_nothing() {
    let mut machine = open();
    for round in 0..1_000 {
        bound(&mut machine, 1);
        let events = lane(&mut machine, large(round, 1, 1000, None));
        assert!(events.is_empty());
        assert!(matches!(lane(&mut machine, Frame::Cancel(round))[..], [Event::Unbegun(1, 1000)]));
        lane(&mut machine, Frame::Release(1));
        assert!(!machine.is_ending());
    }
    assert_eq!((machine.serving.calls.len(), machine.serving.bytes), (0, 0));
}

#[test]
fn a_number_that_is_bound_anew_at_once_has_nothing_of_the_one_before() {
    let mut machine = open();
    let mut events = Vec::new();
    for frame in [
        Frame::Bind(Bind { target: 1, ..bind("a") }),
        call(1, 1, 900),
        Frame::Cancel(1),
        Frame::Release(1),
        Frame::Bind(Bind { target: 1, ..bind("b") }),
    ] {
        machine.lane(start(), frame, &mut events);
    }
    let accounts: Vec<_> = events
        .iter()
        .filter_map(|event| if let Event::Bound(_, account) = event { Some(account) } else { None })
        .collect();
    // The first call gives back when it is all over.
    assert!(!accounts[0].give_back(900));
    machine.tell_credit();
    assert!(sent(&mut machine).is_empty());
    assert!(accounts[1].give_back(500));
}

#[test]
fn a_second_goodbye_says_nothing_new() {
    let mut machine = open();
    assert!(matches!(control(&mut machine, Frame::Goodbye("first".into()))[..], [Event::Goodbye(_)]));
    assert!(control(&mut machine, Frame::Goodbye("second".into())).is_empty());
    assert_eq!(machine.leaving(), Some("first"));
}

#[test]
fn after_a_violation_nothing_is_processed() {
    let mut machine = open();
    bound(&mut machine, 1);
    let target = machine.target(bind("a")).unwrap();
    machine.call(start(), new_call(target, Bytes::new()), None, |_| 7).unwrap();
    let ended = WireReply::Ended(Status::Replied, Bytes::new());
    lane(
        &mut machine,
        Frame::Reply(ReplyHeader { call: 1, body_length: Some(10), stream: false, reply: ended }),
    );
    machine.violated(CloseCode::Protocol, "enough");
    machine.violated(CloseCode::Limit, "the first reason counts");
    let mut events = lane(&mut machine, call(1, 1, 0));
    events.extend(lane(&mut machine, reply(1)));
    events.extend(control(&mut machine, Frame::Ask("S".into())));
    machine.body_failed(StreamKind::ReplyBody(1), &mut events);
    machine.body_arrived(StreamKind::ReplyBody(1), vec![0; 10].into(), &mut events);
    assert!(events.is_empty(), "{events:?}");
    assert!(machine.call(start(), new_call(target, Bytes::new()), None, |_| 8).is_err());
    closed(&machine, CloseCode::Protocol, "enough");
    assert_eq!(machine.end().0.len(), 1);
}

#[test]
fn a_peer_that_does_not_read_gets_no_credit_and_then_the_end() {
    let small = super::super::Settings { own_stream: OWN_STREAM, backlog: 100, max_backlog: 400 };
    let mut machine: Tested = Machine::new(hello(GRANTS), small, start());
    control(&mut machine, Frame::Hello(hello(GRANTS)));
    let events = lane(&mut machine, Frame::Bind(Bind { target: 1, ..bind("a") }));
    let [Event::Bound(_, account)] = &events[..] else { panic!("{events:?}") };
    let reply = WireReply::Ended(Status::Replied, vec![0; 60].into());
    for number in 1..=4 {
        lane(&mut machine, call(number, 1, 10));
        machine.reply(number, &reply);
        if account.give_back(10) {
            machine.tell_credit();
        }
    }
    let credit = |frames: Vec<Frame>| frames.iter().filter(|frame| matches!(frame, Frame::Credit(_))).count();
    assert_eq!(credit(sent(&mut machine)), 0, "credit is held");
    machine.lane_was_taken();
    assert_eq!(credit(sent(&mut machine)), 1, "and follows when the peer has read");
    for number in 5..=8 {
        lane(&mut machine, call(number, 1, 10));
        machine.reply(
            number,
            &WireReply::Failed(Failure::new(FailureKind::Panicked, Delivery::Unknown, "x".repeat(99))),
        );
    }
    closed(&machine, CloseCode::Limit, "does not read");
}

#[test]
fn large_replies_that_nobody_reads_become_failures() {
    let small = super::super::Settings { own_stream: OWN_STREAM, backlog: 1000, max_backlog: 4000 };
    let mut machine: Tested = Machine::new(hello(GRANTS), small, start());
    control(&mut machine, Frame::Hello(hello(GRANTS)));
    bound(&mut machine, 1);
    let reply = WireReply::Ended(Status::Replied, vec![0; 3000].into());
    for number in 1..=3 {
        lane(&mut machine, call(number, 1, 10));
        machine.reply(number, &reply);
    }
    assert!(machine.out.reply_bytes() <= 6000);
    let frames = sent(&mut machine);
    let Some(Frame::Reply(ReplyHeader { reply: WireReply::Failed(failure), .. })) = frames.last() else {
        panic!("{frames:?}")
    };
    assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Overloaded, Delivery::Executed));
    while machine.out.take_streams().is_some() {}
    lane(&mut machine, call(4, 1, 10));
    machine.reply(4, &reply);
    assert!(matches!(machine.out.take_streams(), Some(StreamWork::Send(_))));
}

#[test]
fn the_end_does_not_wait_behind_bodies() {
    let mut machine = open();
    let target = machine.target(bind("a")).unwrap();
    machine.call(start(), new_call(target, vec![0; 100].into()), None, |_| 7).unwrap();
    machine.violated(CloseCode::Done, "over");
    assert!(matches!(machine.out.take_streams(), Some(StreamWork::Close(_))));
}
