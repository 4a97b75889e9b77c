//! Every interleaving of those who may end a call. The numbers are the invariants of the module's documentation.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::{Context, Poll},
};

use futures::FutureExt;
use loom::{
    future::block_on,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
};

use super::{
    AnyCall, Delivery, Failure, FailureKind, InboundCall, ReplySink, Stage, WireReply, accept_response,
    head::CallHead,
    sample::{Number, ONEWAY_SHARED, SHARED, Sample, call},
    take, take_request,
};

fn late(call: &dyn AnyCall, ended: &AtomicUsize) {
    call.fail(&mut |_| {
        ended.fetch_add(1, SeqCst);
        Failure::new(FailureKind::DeadlineExceeded, Delivery::Unknown, "late")
    });
}

/// 1: whoever comes first ends it; the caller is woken, and gets exactly that end.
#[test]
fn a_reply_and_a_deadline_end_a_call_once_and_wake_its_caller() {
    loom::model(|| {
        let call = call(&SHARED, 7, None);
        let failed = Arc::new(AtomicUsize::new(0));
        let replies = thread::spawn({
            let call = call.clone();
            move || match take_request::<Sample>(&*call) {
                Some(request) => {
                    assert_eq!(request.expect("a value").0, 7);
                    accept_response::<Sample>(&*call, Number(8), usize::MAX, true).expect("a number");
                    true
                }
                None => false,
            }
        });
        let expires = thread::spawn({
            let (call, failed) = (call.clone(), failed.clone());
            move || late(&*call, &failed)
        });
        let is_failure = block_on(poll_fn(|cx| call.poll_over(cx)));
        match take::<Sample>(&*call) {
            Ok(Number(8)) => assert!(!is_failure && failed.load(SeqCst) == 0),
            Err(failure) => {
                assert_eq!(failure.kind(), FailureKind::DeadlineExceeded);
                assert!(is_failure && failed.load(SeqCst) == 1);
            }
            Ok(other) => panic!("{other:?}"),
        }
        let claimed = replies.join().expect("no panic");
        expires.join().expect("no panic");
        assert!(claimed || is_failure, "3: not claimed, so it must have failed before");
        assert_eq!(call.stage(), Stage::Over);
        assert!(take::<Sample>(&*call).is_err(), "2: what came later left nothing");
    });
}

/// 3: a call is claimed once, and never after its end.
#[test]
fn a_call_is_claimed_at_most_once_and_not_after_its_end() {
    loom::model(|| {
        let call = call(&SHARED, 7, None);
        let claims: Vec<_> = (0..2)
            .map(|_| {
                let call = call.clone();
                thread::spawn(move || take_request::<Sample>(&*call).is_some())
            })
            .collect();
        let mut stage = None;
        call.fail(&mut |at| {
            stage = Some(at);
            Failure::new(FailureKind::DeadlineExceeded, Delivery::Unknown, "late")
        });
        let claimed = claims.into_iter().filter(|_| true).map(|claim| claim.join().expect("no panic"));
        let claimed = claimed.filter(|claimed| *claimed).count();
        match stage.expect("nobody else ends it") {
            Stage::Running => assert_eq!(claimed, 1),
            stage => assert_eq!((stage, claimed), (Stage::Waiting, 0)),
        }
    });
}

/// A turn that waits learns that nobody waits for it any more.
#[test]
fn a_turn_is_woken_when_its_caller_leaves_or_its_deadline_passes() {
    loom::model(|| {
        let call = call(&SHARED, 7, None);
        let turn = thread::spawn({
            let call = call.clone();
            move || {
                // As a droppable turn does that waits for something that never comes.
                block_on(poll_fn(|cx: &mut Context<'_>| match call.park_turn(cx.waker()) {
                    true => Poll::Pending,
                    false => Poll::Ready(()),
                }));
            }
        });
        let leaves = thread::spawn({
            let call = call.clone();
            move || call.abandon()
        });
        late(&*call, &AtomicUsize::new(0));
        turn.join().expect("no panic");
        leaves.join().expect("no panic");
        assert_eq!(call.stage(), Stage::Over);
    });
}

struct Count(Arc<AtomicUsize>);

impl ReplySink for Count {
    fn begun(&self) {}

    fn accepted(&self) {
        self.0.fetch_add(1, SeqCst);
    }

    fn send(&self, _: WireReply) {
        self.0.fetch_add(1, SeqCst);
    }

    fn send_stream(&self, _: crate::stream::Outgoing) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// 1, for calls from afar: one reply is sent, or none if the caller left.
#[test]
fn an_inbound_call_is_answered_at_most_once() {
    loom::model(|| {
        let sent = Arc::new(AtomicUsize::new(0));
        let head = CallHead::new(&SHARED, "sample".into());
        let call = Arc::new(InboundCall::new(head, bytes::Bytes::new(), None, Count(sent.clone())));
        let replies = thread::spawn({
            let call = call.clone();
            move || {
                if take_request::<Sample>(&*call).is_some() {
                    accept_response::<Sample>(&*call, Number(8), usize::MAX, true).expect("a number");
                }
            }
        });
        let leaves = thread::spawn({
            let call = call.clone();
            move || call.abandon()
        });
        late(&*call, &AtomicUsize::new(0));
        replies.join().expect("no panic");
        leaves.join().expect("no panic");
        assert_eq!(call.stage(), Stage::Over);
        assert!(sent.load(SeqCst) <= 1);
    });
}

/// Ends when the call does, by a place of its own, which it gives up when it is dropped.
struct Watcher {
    call: Arc<dyn AnyCall>,
    place: Option<usize>,
}

impl Watcher {
    fn over(&mut self) -> impl Future<Output = ()> {
        poll_fn(|cx| match self.call.watch(&mut self.place, cx.waker()) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.call.unwatch(place);
        }
    }
}

/// A watcher and the turn are woken, whatever place another watcher had and gave up meanwhile.
#[test]
fn watchers_and_the_turn_do_not_take_each_others_places() {
    loom::model(|| {
        let call = call(&SHARED, 7, None);
        let mut gives_up = Watcher { call: call.clone(), place: None };
        assert!(gives_up.over().now_or_never().is_none());
        let leaves = thread::spawn({
            let call = call.clone();
            move || call.abandon()
        });
        let mut stays = Watcher { call: call.clone(), place: None };
        assert!(stays.over().now_or_never().is_none() || call.stage() == Stage::Over);
        drop(gives_up);
        block_on(stays.over());
        assert!(!call.park_turn(futures::task::noop_waker_ref()));
        leaves.join().expect("no panic");
    });
}

/// A reply ends what watches, too.
#[test]
fn a_watcher_is_woken_by_the_reply() {
    loom::model(|| {
        let call = call(&SHARED, 7, None);
        let replies = thread::spawn({
            let call = call.clone();
            move || {
                assert!(take_request::<Sample>(&*call).is_some());
                accept_response::<Sample>(&*call, Number(8), usize::MAX, true).expect("a number");
            }
        });
        block_on(Watcher { call: call.clone(), place: None }.over());
        replies.join().expect("no panic");
        assert!(take::<Sample>(&*call).is_ok());
    });
}

/// 4: the caller of a oneway call knows one end, whatever comes at the same time; one that knows of its acceptance has a
/// call that goes on.
#[test]
fn a_oneway_call_is_accepted_and_run_and_its_caller_is_woken() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let call = call(&ONEWAY_SHARED, 7, None);
        let accepts = thread::spawn({
            let call = call.clone();
            move || call.accepted()
        });
        let runs = thread::spawn({
            let call = call.clone();
            move || match take_request::<Sample>(&*call) {
                Some(request) => {
                    assert_eq!(request.expect("a value").0, 7);
                    accept_response::<Sample>(&*call, Number(8), usize::MAX, true).expect("a number");
                    true
                }
                None => false,
            }
        });
        let is_failure = block_on(poll_fn(|cx| call.poll_over(cx)));
        // As a caller does that has its end, or leaves before it looks.
        call.abandon();
        assert!(!is_failure && super::accepted(&*call).is_ok());
        accepts.join().expect("no panic");
        assert!(runs.join().expect("no panic"), "3: what was accepted is run");
        assert_eq!(call.stage(), Stage::Over);
    });
}

/// 4: leaving and a deadline come too late, or the call was never accepted.
#[test]
fn what_was_accepted_is_not_taken_back() {
    loom::model(|| {
        let call = call(&ONEWAY_SHARED, 7, None);
        let accepts = thread::spawn({
            let call = call.clone();
            move || call.accepted()
        });
        call.abandon();
        call.expire(&mut |_| Failure::new(FailureKind::DeadlineExceeded, Delivery::NotDelivered, "late"));
        let left = call.stage() == Stage::Over;
        accepts.join().expect("no panic");
        assert!(call.ended().is_some());
        assert_eq!(take_request::<Sample>(&*call).is_some(), !left);
    });
}

/// 4, for calls from afar: one answer is sent, and what was accepted is run.
#[test]
fn an_inbound_oneway_call_is_answered_once() {
    loom::model(|| {
        let sent = Arc::new(AtomicUsize::new(0));
        let head = CallHead::new(&ONEWAY_SHARED, "sample".into());
        let call = Arc::new(InboundCall::new(head, bytes::Bytes::new(), None, Count(sent.clone())));
        let accepts = thread::spawn({
            let call = call.clone();
            move || call.accepted()
        });
        let runs = thread::spawn({
            let call = call.clone();
            move || {
                take_request::<Sample>(&*call).is_some_and(|_| {
                    accept_response::<Sample>(&*call, Number(8), usize::MAX, true).expect("a number");
                    true
                })
            }
        });
        call.abandon();
        let left = sent.load(SeqCst) == 0;
        accepts.join().expect("no panic");
        let ran = runs.join().expect("no panic");
        assert!(sent.load(SeqCst) <= 1 && (ran || left));
    });
}

/// A turn that has answered goes on; one whose caller has left is told, and so is who has its `ReplyTo`.
#[test]
fn who_has_the_reply_to_is_woken_when_the_caller_leaves() {
    loom::model(|| {
        let call = call(&SHARED, 7, None);
        assert!(take_request::<Sample>(&*call).is_some());
        let holds = thread::spawn({
            let call = call.clone();
            move || block_on(poll_fn(|cx| call.poll_closed(cx)))
        });
        let leaves = thread::spawn({
            let call = call.clone();
            move || call.abandon()
        });
        holds.join().expect("no panic");
        leaves.join().expect("no panic");
        assert!(!call.park_turn(std::task::Waker::noop()));
    });
}
