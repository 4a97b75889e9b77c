//! Places of calls and their credit, case by case.

use bytes::Bytes;

use super::{
    super::{Event, Machine, Order, StreamWork},
    pair::{Tested, bind, hello, new_call, settings, start},
};
use crate::{
    call::{Delivery, FailureKind, WireReply},
    proto::{Frame, FrameReader, Grants, StreamKind, credit::Credit, samples},
    service::Status,
};

const GRANTS: Grants = Grants { calls: 100, bytes: 10_000, total_bytes: 1000, targets: 4, message: 5000 };

/// A caller and its callee; the lane is carried by hand.
struct Two {
    caller: Tested,
    callee: Tested,
}

fn two() -> Two {
    let machine = || Machine::new(hello(GRANTS), settings(), start());
    let (mut caller, mut callee): (Tested, Tested) = (machine(), machine());
    for machine in [&mut caller, &mut callee] {
        machine.control(Frame::Hello(hello(GRANTS)), &mut Vec::new());
    }
    Two { caller, callee }
}

impl Two {
    fn carry(&mut self) -> Vec<Event<u64, u64>> {
        let (mut frames, mut events) = (Vec::new(), Vec::new());
        FrameReader::default().read(self.caller.out.take_lane(), &mut frames).unwrap();
        for frame in frames {
            self.callee.lane(start(), frame, &mut events);
        }
        assert_eq!(self.callee.out.closing, None);
        events
    }

    fn call(&mut self, target: u32, length: usize, order: &Order) -> u64 {
        let body = Bytes::from(vec![0; length]);
        self.caller.call(start(), new_call(target, body), Some(order), |_| 0).unwrap()
    }

    fn body(&mut self, call: u64, length: usize) -> Vec<u64> {
        let mut events = Vec::new();
        self.callee.body_arrived(StreamKind::CallBody(call), vec![0; length].into(), &mut events);
        numbers(&events)
    }
}

fn numbers(events: &[Event<u64, u64>]) -> Vec<u64> {
    let number = |event: &Event<u64, u64>| match event {
        Event::Call(header, _) => Some(header.call),
        _ => None,
    };
    events.iter().filter_map(number).collect()
}

#[test]
fn a_call_behind_large_ones_begins_behind_them_whichever_body_comes_first() {
    let mut two = two();
    let target = two.caller.target(bind("a")).unwrap();
    let (order, other) = (Order::default(), Order::default());
    for length in [100, 200, 8] {
        two.call(target, length, &order);
    }
    two.call(target, 8, &other);
    assert_eq!(numbers(&two.carry()), [4], "another handle waits for nobody");
    assert_eq!(two.body(2, 200), []);
    assert_eq!(two.body(1, 100), [1, 2, 3]);
}

#[test]
fn a_large_call_that_is_cancelled_leaves_its_place_to_the_one_before_it() {
    // Before the later call is made, after it, and after it while both wait at the callee.
    for when in 0..3 {
        let mut two = two();
        let target = two.caller.target(bind("a")).unwrap();
        let order = Order::default();
        two.call(target, 100, &order);
        let large = two.call(target, 200, &order);
        let mut begun = Vec::new();
        if when == 0 {
            two.caller.cancel(large).unwrap();
        }
        two.call(target, 8, &order);
        if when == 2 {
            begun.extend(numbers(&two.carry()));
        }
        if when > 0 {
            two.caller.cancel(large).unwrap();
        }
        two.call(target, 9, &order);
        begun.extend(numbers(&two.carry()));
        assert_eq!(begun, [], "{when}");
        assert_eq!(two.body(1, 100), [1, 3, 4], "{when}");
    }
}

#[test]
fn a_large_call_that_could_not_be_taken_leaves_no_gap() {
    let mut two = two();
    let target = two.caller.target(bind("a")).unwrap();
    let order = Order::default();
    two.call(target, 100, &order);
    let mut long = new_call(target, vec![0; 200].into());
    long.context = vec![0; 65_500].into();
    let refused = two.caller.call(start(), long, Some(&order), |_| unreachable!()).unwrap_err();
    assert_eq!(refused.kind(), FailureKind::TooLarge);
    assert_eq!(refused.delivery(), Delivery::NotDelivered);
    let small = two.call(target, 8, &order);
    assert_eq!(numbers(&two.carry()), []);
    assert_eq!(two.body(1, 100), [1, small]);
}

#[test]
fn a_body_that_is_reset_before_its_cancellation_is_read_keeps_the_place() {
    let mut two = two();
    let target = two.caller.target(bind("a")).unwrap();
    let order = Order::default();
    two.call(target, 100, &order);
    let large = two.call(target, 200, &order);
    let mut begun = numbers(&two.carry());
    two.call(target, 8, &order);
    two.caller.cancel(large).unwrap();
    // The reset overtakes what is on the lane.
    let mut events = Vec::new();
    two.callee.body_failed(StreamKind::CallBody(large), &mut events);
    events.extend(two.carry());
    begun.extend(numbers(&events));
    assert_eq!(begun, []);
    assert_eq!(two.body(1, 100), [1, 3]);
}

#[test]
fn an_envelope_or_a_name_that_nobody_reads_is_refused_at_once() {
    let mut two = two();
    let target = two.caller.target(bind(&"n".repeat(1025))).unwrap();
    let refused =
        two.caller.call(start(), new_call(target, Bytes::new()), None, |_| unreachable!()).unwrap_err();
    assert_eq!(refused.kind(), FailureKind::TooLarge);
    let target = two.caller.target(bind(&"n".repeat(1024))).unwrap();
    let mut longest = new_call(target, Bytes::new());
    longest.deadline = Some(start() + std::time::Duration::MAX / 4);
    longest.context = samples::context().encode();
    two.caller.call(start(), longest, None, |_| 5).unwrap();
    assert_eq!(numbers(&two.carry()), [1]);
}

#[test]
fn a_target_that_is_released_makes_room_for_the_others() {
    let mut two = two();
    let [first, second] = [(); 2].map(|()| two.caller.target(bind("a")).unwrap());
    let order = Order::default();
    let all = two.call(first, 1000, &order);
    let waits = two.call(second, 8, &order);
    two.carry();
    two.caller.cancel(all).unwrap();
    assert_eq!(numbers(&two.carry()), []);
    two.caller.release(start(), first);
    assert_eq!(numbers(&two.carry()), [waits]);
}

#[test]
fn targets_that_wait_for_the_connections_credit_take_turns() {
    let mut two = two();
    let targets = [(); 3].map(|()| two.caller.target(bind("a")).unwrap());
    let order = Order::default();
    let first = two.call(targets[0], 1000, &order);
    for _ in 0..3 {
        for target in targets {
            two.call(target, 60, &Order::default());
        }
    }
    two.carry();
    let mut events = Vec::new();
    two.callee.body_arrived(StreamKind::CallBody(first), vec![0; 1000].into(), &mut events);
    let credit = |calls, bytes| Frame::Credit(Credit { target: targets[0], calls, bytes });
    two.caller.lane(start(), credit(0, 70), &mut events);
    let served = |two: &mut Two| -> Vec<u32> {
        let mut frames = Vec::new();
        FrameReader::default().read(two.caller.out.take_lane(), &mut frames).unwrap();
        let target = |frame| if let Frame::Call(header, _) = frame { Some(header.target) } else { None };
        frames.into_iter().filter_map(target).collect()
    };
    let [a, b, c] = targets;
    assert_eq!(served(&mut two), [a, b]);
    two.caller.lane(start(), credit(0, 70), &mut events);
    assert_eq!(served(&mut two), [c]);
    two.caller.lane(start(), credit(0, 170), &mut events);
    assert_eq!(served(&mut two), [a, b, c]);
    two.caller.lane(start(), credit(0, 690), &mut events);
    assert_eq!(served(&mut two), [a, b, c]);
}

#[test]
fn a_call_whose_body_was_never_taken_was_not_delivered() {
    let mut two = two();
    let target = two.caller.target(bind("a")).unwrap();
    let order = Order::default();
    let call = |two: &mut Two, token| {
        let body = new_call(target, vec![0; 100].into());
        two.caller.call(start(), body, Some(&order), |_| token).unwrap()
    };
    call(&mut two, 1);
    call(&mut two, 2);
    two.carry();
    assert!(matches!(two.caller.out.take_streams(), Some(StreamWork::Send(_))));
    let lost = two.caller.end().0;
    let lost: Vec<_> = lost.into_iter().map(|lost| (lost.call, lost.delivery)).collect();
    assert_eq!(lost, [(1, Delivery::Unknown), (2, Delivery::NotDelivered)]);
}

#[test]
fn a_cancelled_call_gives_its_credit_back_only_where_it_never_began() {
    let mut two = two();
    let target = two.caller.target(bind("a")).unwrap();
    let order = Order::default();
    let large = two.call(target, 100, &order);
    let small = two.call(target, 8, &Order::default());
    let events = two.carry();
    assert_eq!(numbers(&events), [small]);
    assert_eq!(two.callee.begun(small, 9), None);
    two.caller.cancel(large).unwrap();
    two.caller.cancel(small).unwrap();
    assert!(matches!(two.carry()[..], [Event::Unbegun(1, 100), Event::Abandoned(9)]));
    // A reply that crosses the cancellation is nobody's.
    two.callee.reply(small, &WireReply::Ended(Status::Replied, Bytes::new()));
    assert!(two.callee.out.lane.is_empty());
}

#[test]
fn credit_that_comes_back_from_several_threads_at_once_is_all_told() {
    for round in 0..200 {
        let mut machine: Tested = Machine::new(hello(GRANTS), settings(), start());
        let mut events = Vec::new();
        machine.control(Frame::Hello(hello(GRANTS)), &mut events);
        machine.lane(start(), Frame::Bind(samples::bind()), &mut events);
        let Some(Event::Bound(_, account)) = events.pop() else { panic!() };
        let total = machine.serving.total.clone();
        let machine = std::sync::Mutex::new(machine);
        let (mut calls, mut bytes) = (0, 0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        if account.give_back(7) {
                            machine.lock().unwrap().tell_credit();
                        }
                    }
                });
            }
            if round % 2 == 0 {
                machine.lock().unwrap().lane(start(), Frame::Release(7), &mut Vec::new());
            }
        });
        let mut machine = machine.into_inner().unwrap();
        let mut frames = Vec::new();
        FrameReader::default().read(machine.out.take_lane(), &mut frames).unwrap();
        for frame in frames {
            let Frame::Credit(credit) = frame else { panic!("{frame:?}") };
            calls += credit.calls;
            bytes += credit.bytes;
        }
        let rest = total.load(std::sync::atomic::Ordering::SeqCst);
        if round % 2 == 0 {
            assert_eq!(rest, 0, "nothing of a released target is left in the total");
        } else {
            assert_eq!(bytes + rest, 700);
            assert!((50..=100).contains(&calls));
        }
    }
}

#[test]
fn a_call_that_must_not_wait_is_told_whether_there_is_room() {
    let Two { mut caller, .. } = two();
    let first = caller.target(bind("first")).unwrap();
    let second = caller.target(bind("second")).unwrap();
    let order = Order::default();
    assert!(caller.has_room(first) && caller.has_room(second));
    let sent =
        caller.call(start(), new_call(first, Bytes::from(vec![0; 1000])), Some(&order), |_| 0).unwrap();
    assert!(!caller.has_room(first) && !caller.has_room(second), "the connection's own credit is used up");
    let events = &mut Vec::new();
    caller.lane(start(), Frame::Credit(Credit { target: first, calls: 1, bytes: 1000 }), events);
    assert!(caller.has_room(first) && caller.has_room(second));
    for _ in 0..100 {
        caller.call(start(), new_call(second, Bytes::new()), Some(&order), |_| 0).unwrap();
    }
    assert!(caller.has_room(first) && !caller.has_room(second));
    // What cannot be sent at all is refused for its own reason.
    assert!(caller.has_room(77));
    assert!(caller.cancel(sent).is_some());
    caller.end();
    assert!(caller.has_room(second));
}

/// A oneway call is over when it is accepted, and its credit comes back when it begins; also after its target is gone.
#[test]
fn credit_of_an_accepted_call_comes_back_when_it_begins() {
    let mut two = two();
    let target = two.caller.target(bind("actor")).unwrap();
    let order = Order::default();
    let call = two.call(target, 800, &order);
    let events = two.carry();
    let account = events.iter().find_map(|event| match event {
        Event::Bound(_, account) => Some(account.clone()),
        _ => None,
    });
    let account = account.expect("the target was bound");
    let accepted = WireReply::Ended(Status::Replied, Bytes::new());
    two.callee.reply(call, &accepted);
    assert_eq!(two.callee.serves(), 0);
    let mut frames = Vec::new();
    FrameReader::default().read(two.callee.out.take_lane(), &mut frames).unwrap();
    assert!(matches!(frames[..], [Frame::Reply(_)]), "no credit yet: {frames:?}");
    assert!(account.give_back(800), "it is time to tell");
    two.callee.tell_credit();
    frames.clear();
    FrameReader::default().read(two.callee.out.take_lane(), &mut frames).unwrap();
    assert!(matches!(frames[..], [Frame::Credit(Credit { calls: 1, bytes: 800, .. })]), "{frames:?}");

    // The target is released while an accepted call of it is still queued.
    let call = two.call(target, 800, &order);
    two.carry();
    two.callee.reply(call, &accepted);
    assert!(two.caller.cancel(call).is_some(), "as its reply does");
    two.caller.out.take_lane();
    two.caller.release(start(), target);
    two.carry();
    assert!(!account.give_back(800), "nobody is to be told");
}
