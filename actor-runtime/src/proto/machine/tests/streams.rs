//! Streams, by peers that keep to the rules and by those that do not.

use std::{
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    super::{CloseCode, Event, Expected, Machine, StreamWork, Weight},
    pair::{Tested, bind, hello, new_call, settings, start},
};
use crate::{
    call::WireReply,
    proto::{
        Bind, CallHeader, Frame, FrameReader, Grants, Part, ReplyHeader, Room, StreamId, StreamKind,
        StreamRoom,
        items::{End, Items},
        put_length,
    },
    service::Status,
    stream::Piece,
};

const GRANTS: Grants =
    Grants { calls: 10_000, bytes: 1 << 20, total_bytes: 1 << 20, targets: 2, message: 5000 };

/// A machine that has made a call, which is answered with a stream.
fn reading() -> Tested {
    let mut machine = calling(false);
    let reply = WireReply::Ended(Status::Replied, Bytes::new());
    let begins = Frame::Reply(ReplyHeader { call: 1, body_length: None, stream: true, reply });
    assert!(matches!(lane(&mut machine, begins)[..], [Event::Begun(7, 1)]));
    machine
}

fn calling(stream: bool) -> Tested {
    let mut machine = open();
    let target = machine.target(bind("a")).unwrap();
    let call = crate::proto::NewCall { stream, ..new_call(target, Bytes::new()) };
    assert_eq!(machine.call(start(), call, None, |_| 7).unwrap(), 1);
    machine.out.take_lane();
    machine
}

/// A machine that serves a call, with a stream among its arguments.
fn serving() -> Tested {
    let mut machine = open();
    lane(&mut machine, Frame::Bind(Bind { target: 1, ..bind("a") }));
    let header = CallHeader { call: 1, target: 1, stream: true, ..CallHeader::default() };
    assert!(matches!(lane(&mut machine, Frame::Call(header, Bytes::new()))[..], [Event::Call(..)]));
    machine
}

fn open() -> Tested {
    let mut machine = Machine::new(hello(GRANTS), settings(), start() + Duration::from_secs(5));
    machine.control(Frame::Hello(hello(GRANTS)), &mut Vec::new());
    machine.out.take_control();
    machine
}

fn lane(machine: &mut Tested, frame: Frame) -> Vec<Event<u64, u64>> {
    let mut events = Vec::new();
    machine.lane(start(), frame, &mut events);
    events
}

fn items(part: Part, call: u64, count: usize, length: usize) -> Frame {
    let mut items = BytesMut::new();
    for _ in 0..count {
        put_length(&mut items, length);
        items.put_bytes(1, length);
    }
    Frame::Items(Items { part, call, large: None, items: items.freeze() })
}

fn large(part: Part, length: u64) -> Frame {
    Frame::Items(Items { part, call: 1, large: Some(length), items: Bytes::new() })
}

fn end(part: Part) -> Frame {
    Frame::End(End { part, call: 1, failure: None })
}

fn sent(machine: &mut Tested) -> Vec<Frame> {
    let mut frames = Vec::new();
    FrameReader::default().read(machine.out.take_lane(), &mut frames).unwrap();
    frames
}

#[track_caller]
fn closed(machine: &Tested, code: CloseCode, text: &str) {
    let closing = machine.out.closing.clone().expect("a violation");
    assert_eq!(closing.code, code, "{closing:?}");
    assert!(closing.reason.contains(text), "{closing:?}");
}

const WINDOW: usize = Room::WINDOW.items as usize;
const REPLY: Part = Part::Reply;

#[test]
fn items_beyond_their_number_or_their_bytes_end_the_connection() {
    let mut machine = reading();
    assert_eq!(lane(&mut machine, items(REPLY, 1, WINDOW, 0)).len(), 1);
    assert!(lane(&mut machine, items(REPLY, 1, 1, 0)).is_empty());
    closed(&machine, CloseCode::Limit, "beyond its credit");
    let mut machine = reading();
    // The last one that begins within the room may pass it.
    for _ in 0..53 {
        assert_eq!(lane(&mut machine, items(REPLY, 1, 1, 5000)).len(), 1);
    }
    assert!(lane(&mut machine, items(REPLY, 1, 1, 1)).is_empty());
    closed(&machine, CloseCode::Limit, "beyond its credit");
    let mut machine = reading();
    assert!(lane(&mut machine, large(REPLY, 5001)).is_empty());
    closed(&machine, CloseCode::Limit, "an item of 5001 bytes");
}

#[test]
fn room_that_was_given_can_be_used() {
    let mut machine = reading();
    lane(&mut machine, items(REPLY, 1, WINDOW, 0));
    machine.give_stream_room(StreamId::incoming(REPLY, 1), Room { items: 2, bytes: 0 });
    assert!(matches!(sent(&mut machine)[..], [Frame::Room(REPLY, 1, Room { items: 2, bytes: 0 })]));
    assert_eq!(lane(&mut machine, items(REPLY, 1, 2, 0)).len(), 1);
    lane(&mut machine, items(REPLY, 1, 1, 0));
    closed(&machine, CloseCode::Limit, "beyond its credit");
}

#[test]
fn an_argument_that_nobody_has_asked_for_may_not_come() {
    let mut machine = serving();
    assert!(lane(&mut machine, items(Part::Arguments, 1, 1, 0)).is_empty());
    closed(&machine, CloseCode::Limit, "beyond its credit");
}

#[test]
fn items_for_a_call_that_was_not_made_end_the_connection_and_those_of_an_old_one_are_ignored() {
    for frame in [items(REPLY, 2, 1, 0), items(REPLY, 0, 1, 0)] {
        let mut machine = reading();
        lane(&mut machine, frame);
        closed(&machine, CloseCode::Protocol, "was not made");
    }
    let mut machine = reading();
    assert!(matches!(lane(&mut machine, end(REPLY))[..], [Event::StreamEnd(_, None)]));
    // What may have crossed the end or a stop, and what nobody knows.
    for frame in [
        items(REPLY, 1, 9999, 3),
        large(REPLY, 100),
        end(REPLY),
        items(Part::Arguments, 99, 1, 0),
        Frame::Room(REPLY, 99, Room { items: u64::MAX, bytes: u64::MAX }),
        Frame::Stop(Part::Arguments, 99),
    ] {
        assert!(lane(&mut machine, frame.clone()).is_empty(), "{frame:?}");
    }
    assert!(machine.out.closing.is_none());
}

#[test]
fn a_stream_that_was_stopped_is_forgotten_and_what_still_comes_of_it_is_dropped() {
    let mut machine = reading();
    lane(&mut machine, large(REPLY, 100));
    machine.stop_stream(StreamId::incoming(REPLY, 1));
    assert!(matches!(sent(&mut machine)[..], [Frame::Stop(REPLY, 1)]));
    assert!(lane(&mut machine, items(REPLY, 1, WINDOW + 1, 0)).is_empty());
    assert_eq!(machine.body_expected(StreamKind::Item(REPLY, 1, 1)), Some(Expected::Nothing));
    assert!(machine.out.closing.is_none());
}

#[test]
fn items_that_are_cut_off_in_the_middle_end_the_connection() {
    for bytes in [&[5, 1][..], &[0x80], &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]] {
        let mut machine = reading();
        let items = Items { part: REPLY, call: 1, large: None, items: Bytes::copy_from_slice(bytes) };
        assert!(lane(&mut machine, Frame::Items(items)).is_empty());
        closed(&machine, CloseCode::Protocol, "items");
    }
}

#[test]
fn what_comes_behind_a_long_item_waits_for_it_and_so_does_the_end() {
    let mut machine = reading();
    let id = StreamId::incoming(REPLY, 1);
    assert_eq!(machine.body_expected(StreamKind::Item(REPLY, 1, 1)), None, "its header is on its way");
    for frame in [large(REPLY, 100), items(REPLY, 1, 2, 3), large(REPLY, 200), end(REPLY)] {
        assert!(lane(&mut machine, frame).is_empty());
    }
    let mut events = Vec::new();
    machine.body_arrived(StreamKind::Item(REPLY, 1, 2), vec![0; 200].into(), &mut events);
    assert!(events.is_empty());
    machine.body_arrived(StreamKind::Item(REPLY, 1, 1), vec![0; 100].into(), &mut events);
    assert!(matches!(&events[..], [
        Event::Items(_, Piece::Large(first)),
        Event::Items(_, Piece::Items(_)),
        Event::Items(_, Piece::Large(second)),
        Event::StreamEnd(of, None),
    ] if first.len() == 100 && second.len() == 200 && *of == id));

    let mut machine = reading();
    lane(&mut machine, large(REPLY, 100));
    lane(&mut machine, end(REPLY));
    lane(&mut machine, end(REPLY));
    closed(&machine, CloseCode::Protocol, "a second end");
}

#[test]
fn a_long_item_that_is_broken_off_is_a_failure_and_one_of_another_length_a_violation() {
    let mut machine = reading();
    lane(&mut machine, large(REPLY, 100));
    let mut events = Vec::new();
    machine.body_failed(StreamKind::Item(REPLY, 1, 1), &mut events);
    assert!(matches!(&events[..], [Event::StreamEnd(_, Some(_))]));
    assert!(matches!(sent(&mut machine)[..], [Frame::Stop(REPLY, 1)]));
    let mut machine = reading();
    lane(&mut machine, large(REPLY, 100));
    machine.body_arrived(StreamKind::Item(REPLY, 1, 1), vec![0; 99].into(), &mut Vec::new());
    closed(&machine, CloseCode::Protocol, "not as long");
}

fn room(machine: &mut Tested, id: StreamId) -> Poll<Option<StreamRoom>> {
    machine.poll_stream_room(id, &Context::from_waker(Waker::noop()))
}

#[test]
fn a_writer_waits_for_room_and_learns_that_nobody_reads() {
    let mut machine = serving();
    assert!(machine.reply_stream(1));
    let id = StreamId::outgoing(REPLY, 1);
    let all = StreamRoom { items: Room::WINDOW.items, bytes: Room::WINDOW.bytes as i64 };
    assert_eq!(room(&mut machine, id), Poll::Ready(Some(all)));
    machine.send_items(id, Bytes::from_static(&[0]), Room { items: all.items, bytes: 0 }, None);
    assert_eq!(room(&mut machine, id), Poll::Pending);
    lane(&mut machine, Frame::Room(REPLY, 1, Room { items: 1, bytes: u64::MAX }));
    assert_eq!(machine.take_woken().len(), 1);
    assert_eq!(room(&mut machine, id), Poll::Ready(Some(StreamRoom { items: 1, bytes: i64::MAX })));
    assert!(matches!(lane(&mut machine, Frame::Stop(REPLY, 1))[..], [Event::Stopped(_)]));
    assert_eq!(machine.take_woken().len(), 1);
    assert_eq!(room(&mut machine, id), Poll::Ready(None));
    assert!(lane(&mut machine, Frame::Stop(REPLY, 1)).is_empty());
    assert!(machine.out.closing.is_none());
}

#[test]
fn room_for_ever_does_not_fill_the_lane() {
    let mut machine = serving();
    machine.reply_stream(1);
    let id = StreamId::outgoing(REPLY, 1);
    lane(&mut machine, Frame::Room(REPLY, 1, Room { items: u64::MAX, bytes: u64::MAX }));
    let mut sent = 0;
    while let Poll::Ready(Some(_)) = room(&mut machine, id) {
        machine.send_items(id, vec![0; 32 * 1024].into(), Room { items: 1, bytes: 32 * 1024 }, None);
        sent += 32;
    }
    assert!(sent <= 1024 + 32, "{sent} KiB wait for a peer that does not read");
    machine.take_woken();
    machine.out.take_lane();
    machine.lane_was_taken();
    assert_eq!(machine.take_woken().len(), 1);
}

#[test]
fn room_for_ever_does_not_pile_up_long_items() {
    let mut machine = serving();
    machine.reply_stream(1);
    let id = StreamId::outgoing(REPLY, 1);
    lane(&mut machine, Frame::Room(REPLY, 1, Room { items: u64::MAX, bytes: u64::MAX }));
    let mut sent = 0;
    // The peer reads the lane, and none of the bodies.
    let mut taken = Weight::default();
    while let Poll::Ready(Some(_)) = room(&mut machine, id) {
        assert!(sent <= 1024, "{sent} KiB wait for a peer that does not read");
        machine.send_items(id, Bytes::new(), Room::default(), Some(vec![0; 4096].into()));
        sent += 4;
        machine.out.take_lane();
        if let Some(StreamWork::Send(body)) = machine.out.take_streams() {
            machine.body_leaves(body.weight());
            taken += body.weight();
        }
        machine.lane_was_taken();
    }
    assert!(machine.take_woken().is_empty());
    machine.body_left(taken);
    assert_eq!(machine.take_woken().len(), 1);
    assert!(room(&mut machine, id).is_ready());
}

#[test]
fn a_call_s_argument_is_asked_for_once_and_forgotten_with_a_call_that_was_refused() {
    let mut machine = calling(true);
    let id = StreamId::outgoing(Part::Arguments, 1);
    assert_eq!(room(&mut machine, id), Poll::Pending, "nobody has asked");
    let more = || Frame::Room(Part::Arguments, 1, Room { items: 1, bytes: 1 });
    assert!(matches!(lane(&mut machine, more())[..], [Event::StreamAsked(_)]));
    assert!(lane(&mut machine, more()).is_empty());
    let refused = crate::call::Failure::new(
        crate::call::FailureKind::NotFound,
        crate::call::Delivery::NotDelivered,
        "",
    );
    let mut machine = calling(true);
    let reply = ReplyHeader { call: 1, body_length: None, stream: false, reply: WireReply::Failed(refused) };
    assert!(matches!(lane(&mut machine, Frame::Reply(reply))[..], [Event::Reply(7, _)]));
    assert!(lane(&mut machine, more()).is_empty());
    assert_eq!(room(&mut machine, id), Poll::Ready(None));
    // So is that of a call which comes back before it was sent.
    let mut machine = calling(true);
    machine.withdraw_stream(1);
    assert!(lane(&mut machine, more()).is_empty());
    assert_eq!(room(&mut machine, id), Poll::Ready(None));
}

#[test]
fn a_caller_that_leaves_ends_both_streams_of_its_call() {
    let mut machine = serving();
    machine.reply_stream(1);
    let events = lane(&mut machine, Frame::Cancel(1));
    let [Event::StreamEnd(id, Some(failure))] = &events[..] else { panic!("{events:?}") };
    assert!(id.is_argument_of_theirs());
    assert_eq!(failure.kind(), crate::call::FailureKind::Cancelled);
    assert_eq!(room(&mut machine, StreamId::outgoing(REPLY, 1)), Poll::Ready(None));
}

#[test]
fn a_number_whose_stream_has_not_ended_cannot_be_used_again() {
    let mut machine = serving();
    machine.reply_stream(1);
    let header = CallHeader { call: 1, target: 1, ..CallHeader::default() };
    assert!(lane(&mut machine, Frame::Call(header, Bytes::new())).is_empty());
    closed(&machine, CloseCode::Protocol, "its stream has not ended");
}

#[test]
fn no_more_streams_than_are_granted_are_open() {
    let mut machine = open();
    lane(&mut machine, Frame::Bind(Bind { target: 1, ..bind("a") }));
    for call in 1..=4097 {
        assert!(machine.out.closing.is_none(), "at call {call}");
        let header = CallHeader { call, target: 1, stream: true, ..CallHeader::default() };
        lane(&mut machine, Frame::Call(header, Bytes::new()));
    }
    closed(&machine, CloseCode::Limit, "more streams");
}

/// Of a stream that has ended its writer knows nothing any more, and may open another one.
#[test]
fn a_stream_that_has_ended_behind_a_long_item_is_not_counted_as_open() {
    let mut machine = open();
    lane(&mut machine, Frame::Bind(Bind { target: 1, ..bind("a") }));
    let begin = |machine: &mut Tested, call| {
        let header = CallHeader { call, target: 1, stream: true, ..CallHeader::default() };
        lane(machine, Frame::Call(header, Bytes::new()));
        assert!(machine.out.closing.is_none(), "at call {call}");
    };
    let leave = |machine: &mut Tested, call| {
        machine.give_stream_room(StreamId::incoming(Part::Arguments, call), Room::WINDOW);
        let large = Items { part: Part::Arguments, call, large: Some(100), items: Bytes::new() };
        lane(machine, Frame::Items(large));
        lane(machine, Frame::End(End { part: Part::Arguments, call, failure: None }));
    };
    begin(&mut machine, 1);
    leave(&mut machine, 1);
    for call in 2..=4097 {
        begin(&mut machine, call);
    }
    // It has come, been given up, and been cut short: none of them is counted twice.
    machine.body_arrived(StreamKind::Item(Part::Arguments, 1, 1), vec![0; 100].into(), &mut Vec::new());
    for call in 2..=3 {
        leave(&mut machine, call);
    }
    machine.stop_stream(StreamId::incoming(Part::Arguments, 2));
    machine.body_failed(StreamKind::Item(Part::Arguments, 3, 1), &mut Vec::new());
    machine.check_bounds(10_000);
    for call in 4098..=4099 {
        begin(&mut machine, call);
    }

    // Nor does it help to end all of them.
    let mut machine = open();
    lane(&mut machine, Frame::Bind(Bind { target: 1, ..bind("a") }));
    for call in 1..=4096 {
        begin(&mut machine, call);
        leave(&mut machine, call);
    }
    let header = CallHeader { call: 4097, target: 1, stream: true, ..CallHeader::default() };
    lane(&mut machine, Frame::Call(header, Bytes::new()));
    closed(&machine, CloseCode::Limit, "more streams");
}
