//! The calls of this side: into the machine, and out of it when they end.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokio::time::Instant;

use super::{Link, std_deadline};
use crate::{
    actor_id::ActorId,
    call::{AnyCall, CallHead, Delivery, Failure, FailureKind, Far, Leave, Refused, Tried, WireReply},
    node::{Node, deadlines::Sweep},
    panics::discard,
    proto::{Bind, CallContext, NewCall, Order},
    stream::Outgoing as Streamed,
    sync::lock,
};

/// What becomes of a call that its server did not take, and that may be taken elsewhere.
pub(crate) trait Reroute: Send + Sync {
    /// The call comes back from this registration, if that is known; `tried` is what is known of the times before.
    fn reroute(&self, refused: Refused, tried: Option<Box<Tried>>, from: Option<ActorId>);
}

/// An actor of the other side, under the number that this side gave it.
pub(crate) struct Binding {
    link: Arc<Link>,
    target: u32,
    actor: Option<ActorId>,
}

/// A call that was sent, or waits for credit.
pub(crate) struct Sent {
    /// What the link calls it by.
    pub(super) number: u64,
    pub(super) call: Arc<dyn AnyCall>,
    pub(super) tried: Option<Box<Tried>>,
    pub(super) client: Weak<dyn Reroute>,
    /// Keeps the number in use.
    pub(super) binding: Arc<Binding>,
}

/// A call to be sent.
pub(crate) struct Outgoing<'a> {
    pub(crate) call: Arc<dyn AnyCall>,
    pub(crate) now: Instant,
    /// What is known of the times before; taken if the call is taken.
    pub(crate) tried: &'a mut Option<Box<Tried>>,
    /// The order that it has to keep.
    pub(crate) order: Option<&'a Order>,
    pub(crate) client: Weak<dyn Reroute>,
}

/// How long a server's own word on a deadline is waited for.
const GRACE: std::time::Duration = std::time::Duration::from_millis(20);

impl Sent {
    /// When this side ends it. The server keeps the same deadline and knows more about it: it gets the first word.
    fn limit(&self) -> Option<Instant> {
        let deadline = self.call.head().deadline?;
        Some(deadline.checked_add(GRACE).unwrap_or(deadline))
    }
}

impl Link {
    /// An actor of the other side, to be called.
    pub(crate) fn bind(
        self: &Arc<Self>,
        namespace: &str,
        name: &str,
        actor: Option<ActorId>,
    ) -> Result<Arc<Binding>, Failure> {
        let mut bindings = lock(&self.bindings);
        // No namespace has a slash in it.
        let key = (Arc::<str>::from(format!("{namespace}/{name}")), actor);
        if let Some(binding) = bindings.get(&key).and_then(Weak::upgrade) {
            return Ok(binding);
        }
        bindings.retain(|_, binding| binding.strong_count() > 0);
        let bind = Bind { target: 0, namespace: namespace.to_owned(), name: name.to_owned(), actor };
        let Some(target) = self.look(|machine| machine.target(bind)) else {
            let detail =
                format!("{} lets a connection call no more actors at a time, or has ended", self.far);
            return Err(Failure::new(FailureKind::Unreachable, Delivery::NotDelivered, detail));
        };
        let binding = Arc::new(Binding { link: self.clone(), target, actor });
        bindings.insert(key, Arc::downgrade(&binding));
        Ok(binding)
    }

    /// A reply came.
    pub(super) fn receive(&self, sent: Sent, reply: WireReply) {
        match reply {
            WireReply::Failed(failure) => self.failed(sent, failure),
            reply => sent.call.receive(reply),
        }
    }
}

impl Link {
    /// A call did not run to its end. Its client says whether it is tried again.
    pub(super) fn failed(&self, sent: Sent, failure: Failure) {
        if failure.delivery() == Delivery::NotDelivered {
            self.give_back(&sent);
        }
        let Sent { call, tried, client, binding, .. } = sent;
        let from = binding.actor;
        match client.upgrade() {
            // What was read of a stream cannot be read again.
            _ if call.is_spent() => call.receive(WireReply::Failed(failure)),
            Some(client) => client.reroute(Refused { call, failure }, tried, from),
            None => call.receive(WireReply::Failed(failure)),
        }
        drop(binding);
    }
}

impl Binding {
    /// Sends a call. A refusal by the server comes through [`Reroute`].
    pub(crate) fn send(self: &Arc<Self>, node: &Node, outgoing: Outgoing<'_>) -> Result<(), Refused> {
        let Outgoing { call, now, tried, order, client } = outgoing;
        // Before the link knows the call: the arguments' own code runs here, and it may panic.
        let (body, mut stream) = match encode(node, &*call) {
            Ok(encoded) => encoded,
            Err(failure) => return Err(Refused { call, failure }),
        };
        let head = call.head();
        let new = NewCall {
            target: self.target,
            method: head.method.id,
            deadline: std_deadline(head.deadline),
            context: context(head, tried.as_deref()),
            body,
            stream: stream.is_some(),
        };
        let deadline = head.deadline;
        let ((taken, watch), leaves) = self.link.sending(|machine| {
            if head.now && !machine.has_room(self.target) {
                return (Err(self.no_room()), !machine.set_watched(true));
            }
            let keep = |number| {
                let (call, binding) = (call.clone(), self.clone());
                Sent { number, call, tried: tried.take(), client, binding }
            };
            let taken = machine.call(now.into_std(), new, order, keep);
            // Under the lock: it may be asked for at once.
            if let Ok(number) = taken
                && let Some(stream) = stream.take()
            {
                self.link.keep(number, stream);
            }
            (taken, !machine.set_watched(true))
        });
        if let Some(stream) = stream {
            call.put_stream(stream);
        }
        let sent = match taken {
            Ok(number) => {
                let far = Far { link: self.link.clone(), call: number };
                if !call.sent(far) {
                    // The caller left meanwhile, and nothing else would take the call out again.
                    self.link.left(number);
                }
                let link = &self.link;
                node.expect_deadline(deadline, watch, || link.this.clone());
                Ok(())
            }
            Err(failure) => Err(Refused { call, failure }),
        };
        // Last: it may be sent from here.
        self.link.leave(leaves);
        sent
    }
}

impl Binding {
    fn no_room(&self) -> Failure {
        let detail = format!(
            "as many calls as {} takes at a time wait there or here for their turns, and the call was made with \
             `try_now()`; call again later, or without it, to wait for room",
            self.link.far()
        );
        Failure::new(FailureKind::Overloaded, Delivery::NotDelivered, detail)
    }
}

/// What travels with a call beside its arguments, mostly nothing.
#[inline]
fn context(head: &CallHead, tried: Option<&Tried>) -> Bytes {
    let caller = head.caller.as_ref().and_then(|caller| caller.actor);
    if head.chain.is_none() && caller.is_none() && head.metadata.is_none() && head.number == 0 && !head.now {
        return Bytes::new();
    }
    let context = CallContext {
        chain: head.chain.clone(),
        caller,
        metadata: head.metadata.clone(),
        number: head.number,
        again: tried.is_some_and(Tried::is_unknown),
        now: head.now,
    };
    context.encode()
}

fn encode(node: &Node, call: &dyn AnyCall) -> Result<(Bytes, Option<Streamed>), Failure> {
    let encoded = call.leave(node.config().max_message_bytes);
    encoded.map_err(|error| Failure::of_codec(&error, Delivery::NotDelivered, "the arguments"))
}

impl Drop for Binding {
    fn drop(&mut self) {
        let now = self.link.now();
        self.link.with(|machine| machine.release(now, self.target));
    }
}

impl Leave for Link {
    fn left(&self, call: u64) {
        let cancelled = self.with(|machine| machine.cancel(call));
        let stream = self.unasked(call);
        drop(cancelled);
        discard(stream);
    }
}

impl Sweep for Link {
    fn sweep(&self, now: Instant) -> Option<Instant> {
        let (mut expired, mut next) = (Vec::new(), None::<Instant>);
        let unsent = self.look(|machine| {
            let late = |sent: &Sent| sent.call.head().deadline.is_some_and(|deadline| deadline <= now);
            let unsent = machine.take_back(late);
            for sent in machine.calls() {
                match sent.limit() {
                    Some(limit) if limit <= now => expired.push(sent.call.clone()),
                    Some(limit) => next = Some(next.map_or(limit, |next| next.min(limit))),
                    None => {}
                }
            }
            machine.set_watched(next.is_some());
            unsent
        });
        for sent in unsent {
            // Of one that was tried before, its client knows more.
            let detail = format!("it still waited at its caller for {} to take more calls", self.far);
            self.failed(sent, Failure::new(FailureKind::DeadlineExceeded, Delivery::NotDelivered, detail));
        }
        for call in expired {
            call.fail(&mut |_| {
                let detail = "no reply came in time";
                Failure::new(FailureKind::DeadlineExceeded, Delivery::Unknown, detail)
            });
        }
        next
    }

    fn next(&self) -> Option<Instant> {
        self.look(|machine| machine.calls().filter_map(Sent::limit).min())
    }
}
