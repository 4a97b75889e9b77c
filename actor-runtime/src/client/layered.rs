//! A call inside the client layers of its node.
//!
//! Nobody but this looks after the deadline of a call that a layer holds back, so this does: with a timer, which is set
//! only when the layers wait for something that is not the call itself.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use super::gate::Gate;
use crate::{
    Node,
    call::{AnyCall, Delivery, Failure, FailureKind},
    layer::{self, Begun, Inner, LayerCall, Next, Side},
    panics::text_of,
    service::Status,
};

/// How far the layers have let the call go.
#[derive(Default)]
struct Passed {
    sent: AtomicBool,
    /// It has ended, or the layers have broken it off, or they have never run it.
    back: AtomicBool,
}

impl Passed {
    fn is_held(&self) -> bool {
        !self.sent.load(Ordering::Relaxed)
    }

    fn is_under_way(&self) -> bool {
        !self.is_held() && !self.back.load(Ordering::Relaxed)
    }
}

/// Runs the call inside the layers that stand around it. The call is over afterwards.
pub(super) async fn layered(node: Node, gate: Arc<Gate>, call: Arc<dyn AnyCall>, begun: Begun) {
    let passed = Passed::default();
    let Begun { around, refused } = begun;
    let inner = pin!(async {
        if let Some(failure) = refused {
            return Err(failure);
        }
        passed.sent.store(true, Ordering::Relaxed);
        send(&node, &gate, &call);
        poll_fn(|cx| call.poll_over(cx).map(drop)).await;
        call.peek()
    });
    let inner = Inner::new(inner, Some(&passed.back));
    let seen = LayerCall::new(&*call, &node, Side::Client);
    let layers = layer::caught(Next::new(node.client_layers(), around, seen, inner).run());
    match in_time(&node, &*call, &passed, layers).await {
        Some(Ok(Err(failure))) => call.overrule(failure),
        // It ended so; also a oneway call, which is not over when it was accepted, and must not be taken back.
        Some(Ok(Ok(_))) if call.ended().is_some() => {}
        // A layer that says the call ended, without having run it, has nothing to show for it.
        Some(Ok(Ok(_))) => {
            let detail = "a client layer ended the call without running it; return a `Failure` instead";
            call.overrule(Failure::new(FailureKind::Internal, unfinished(&passed), detail));
        }
        Some(Err(panic)) => call.overrule(layer::panicked("client", &*panic, delivery(&*call, &passed))),
        None => {
            let detail = if passed.is_held() {
                "the deadline passed while a client layer held the call back"
            } else {
                "the deadline passed in a client layer, after the call itself"
            };
            let delivery = delivery(&*call, &passed);
            call.overrule(Failure::new(FailureKind::DeadlineExceeded, delivery, detail));
        }
    }
}

type End = Result<Result<Status, Failure>, Box<dyn Any + Send>>;

/// What the layers say, or `None` if the deadline passes in one of them. While the call is on its way, whoever has it
/// looks after its deadline, and knows more about it.
async fn in_time(
    node: &Node,
    call: &dyn AnyCall,
    passed: &Passed,
    layers: impl Future<Output = End>,
) -> Option<End> {
    let (mut layers, mut alarm) = (pin!(layers), pin!(None));
    poll_fn(|cx| {
        if let Poll::Ready(end) = layers.as_mut().poll(cx) {
            return Poll::Ready(Some(end));
        }
        let Some(deadline) = call.head().deadline.filter(|_| !passed.is_under_way()) else {
            return Poll::Pending;
        };
        if alarm.is_none() {
            alarm.set(Some(node.sleep_until(deadline)));
        }
        match alarm.as_mut().as_pin_mut() {
            Some(alarm) => alarm.poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

/// Sends the call. Encoding runs code of the arguments, whose panic is not the layers'.
fn send(node: &Node, gate: &Gate, call: &Arc<dyn AnyCall>) {
    let now = call.head().made.unwrap_or_else(|| node.now());
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| gate.pass(node, now, call.clone()))) {
        let detail = format!("the arguments panicked while they were encoded: {}", text_of(&*panic));
        call.fail(&mut |_| Failure::new(FailureKind::Malformed, Delivery::NotDelivered, detail.clone()));
    }
}

/// What is known of the call's delivery, whatever the layers say.
fn delivery(call: &dyn AnyCall, passed: &Passed) -> Delivery {
    match call.ended() {
        Some(false) => Delivery::Executed,
        Some(true) => call.peek().map_or_else(|failure| failure.delivery(), |_| Delivery::Executed),
        None => unfinished(passed),
    }
}

fn unfinished(passed: &Passed) -> Delivery {
    if passed.is_held() { Delivery::NotDelivered } else { Delivery::Unknown }
}
