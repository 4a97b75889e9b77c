//! Calls that came over a transport.

use std::{
    any::Any,
    mem,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::{
    AnyCall, CallHead, Delivery, Failure, FailureKind,
    phase::{Far, Phase, Stage},
};
use crate::{
    codec::{CodecError, Decoder},
    service::Status,
    stream::{Arrived, Incoming, Outgoing},
    sync::{Mutex, MutexGuard, lock, lock_mut},
};

/// A call whose arguments came as bytes and whose reply leaves as bytes.
pub(crate) struct InboundCall<S: ReplySink> {
    head: CallHead,
    sink: S,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    content: Content,
}

/// What a call carries: its arguments until they are claimed, its response while a layer has still to see that.
enum Content {
    Nothing,
    Arguments(Bytes),
    Streaming(Box<(Bytes, Incoming)>),
    Encoded(Status, Bytes),
    Stream(Outgoing),
}

impl State {
    fn take(&mut self) -> Content {
        mem::replace(&mut self.content, Content::Nothing)
    }
}

/// The end of a call as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireReply {
    /// It ran to its end.
    Ended(Status, Bytes),
    /// It did not.
    Failed(Failure),
}

/// The way back to the caller.
pub(crate) trait ReplySink: Send + Sync + 'static {
    /// The call has left the queue: a turn has it, or it will never run. May be called again.
    fn begun(&self);

    /// A oneway call is in its actor's queue: its caller is told so, and `send` is not called any more.
    fn accepted(&self);

    /// Sends the end of the call; called at most once, and not after [`send_stream`](Self::send_stream).
    fn send(&self, reply: WireReply);

    /// Sends that the call ended with a stream, and then the stream; called at most once.
    fn send_stream(&self, stream: Outgoing);

    /// Its caller has left when it had come so far, and no end is sent.
    fn abandoned(&self, _stage: Stage) {
        self.begun();
    }
}

impl<S: ReplySink> InboundCall<S> {
    /// A call whose arguments are these bytes, and a stream if one is among them.
    // Inlined: the call is put together where it is to lie, and copied once.
    #[inline(always)]
    pub(crate) fn new(head: CallHead, body: Bytes, stream: Option<Incoming>, sink: S) -> Self {
        let content = match stream {
            None => Content::Arguments(body),
            Some(stream) => Content::Streaming(Box::new((body, stream))),
        };
        Self { head, sink, state: Mutex::new(State { phase: Phase::default(), content }) }
    }

    /// The way back.
    pub(crate) fn sink(&self) -> &S {
        &self.sink
    }

    fn end(&self, reply: impl FnOnce(Stage) -> WireReply, by_reply: bool) {
        self.end_from(lock(&self.state), reply, by_reply);
    }

    fn end_from(
        &self,
        mut state: MutexGuard<'_, State>,
        reply: impl FnOnce(Stage) -> WireReply,
        by_reply: bool,
    ) {
        let stage = state.phase.stage();
        let ended = if by_reply { state.phase.reply() } else { state.phase.end() };
        let Some(ended) = ended else { return };
        let content = state.take();
        let accepted = state.phase.is_accepted();
        drop(state);
        let reply = reply(stage);
        if accepted {
            self.sink.begun();
            if let WireReply::Failed(failure) = &reply {
                super::oneway::lost(&self.head, failure);
            }
        } else {
            self.sink.send(reply);
        }
        // Behind the reply: of a call that was not delivered, the caller still has the stream among its arguments.
        drop(content);
        if by_reply {
            ended.notify_reply();
        } else {
            ended.notify();
        }
    }

    /// The caller is gone, and may come back for what a handler has: the call is over only if none has it.
    pub(crate) fn abandon_waiting(&self) {
        self.abandon_at(|stage| stage == Stage::Waiting);
    }

    /// The caller is gone; the call is over if it has come so far.
    fn abandon_at(&self, ends: impl FnOnce(Stage) -> bool) {
        let mut state = lock(&self.state);
        let stage = state.phase.stage();
        if state.phase.is_accepted() || !ends(stage) {
            return;
        }
        let Some(ended) = state.phase.end() else { return };
        let content = state.take();
        drop(state);
        drop(content);
        self.sink.abandoned(stage);
        ended.notify();
    }

    /// Keeps a response that a layer has still to see; of a call that is over nobody waits for one.
    fn store(&self, response: Content) {
        let mut state = lock(&self.state);
        let unwanted =
            if state.phase.is_over() { response } else { mem::replace(&mut state.content, response) };
        drop(state);
        drop(unwanted);
    }

    fn take_response(&self) -> Option<Content> {
        let mut state = lock(&self.state);
        matches!(state.content, Content::Encoded(..) | Content::Stream(_)).then(|| state.take())
    }

    /// Ends it with a stream.
    fn begin(&self, stream: Outgoing) {
        let mut state = lock(&self.state);
        let Some(ended) = state.phase.reply() else { return drop(state) };
        drop(state);
        self.sink.send_stream(stream);
        ended.notify_reply();
    }
}

/// It has an end even if whoever has it lets go of it: its caller waits for that, and so may other attempts of it.
impl<S: ReplySink> Drop for InboundCall<S> {
    #[inline]
    fn drop(&mut self) {
        let phase = &lock_mut(&mut self.state).phase;
        if !phase.is_over() {
            let (stage, accepted) = (phase.stage(), phase.is_accepted());
            self.let_go(stage, accepted);
        }
    }
}

impl<S: ReplySink> InboundCall<S> {
    #[cold]
    fn let_go(&self, stage: Stage, accepted: bool) {
        let delivery = if stage == Stage::Waiting { Delivery::NotDelivered } else { Delivery::Unknown };
        let failure = Failure::new(FailureKind::Stopped, delivery, "the actor let go of the call");
        if accepted {
            // Its caller has its end.
            super::oneway::lost(&self.head, &failure);
        } else {
            self.sink.send(WireReply::Failed(failure));
        }
    }
}

impl<S: ReplySink> AnyCall for InboundCall<S> {
    fn head(&self) -> &CallHead {
        &self.head
    }

    fn head_mut(&mut self) -> &mut CallHead {
        &mut self.head
    }

    fn stage(&self) -> Stage {
        lock(&self.state).phase.stage()
    }

    fn fail(&self, failure: &mut dyn FnMut(Stage) -> Failure) {
        self.end(|stage| WireReply::Failed(failure(stage)), false);
    }

    fn expire(&self, failure: &mut dyn FnMut(Stage) -> Failure) {
        let state = lock(&self.state);
        if !state.phase.is_accepted() {
            self.end_from(state, |stage| WireReply::Failed(failure(stage)), false);
        }
    }

    fn accepted(&self) {
        let mut state = lock(&self.state);
        // Nobody in this process waits for it.
        let accepted = state.phase.accept().is_some();
        drop(state);
        if accepted {
            self.sink.accepted();
        }
    }

    fn abandon(&self) {
        self.abandon_at(|_| true);
    }

    /// Nobody in this process waits for it.
    fn ended(&self) -> Option<bool> {
        None
    }

    /// Nobody in this process waits for it.
    fn park_first(&mut self, _: &Waker) {}

    /// Nobody in this process waits for it.
    fn poll_over(&self, _: &mut Context<'_>) -> Poll<bool> {
        Poll::Ready(false)
    }

    fn peek(&self) -> Result<Status, Failure> {
        let detail = "the end of a call is known to its caller only";
        Err(Failure::new(FailureKind::Internal, Delivery::Unknown, detail))
    }

    fn overrule(&self, failure: Failure) {
        self.end(|_| WireReply::Failed(failure), false);
    }

    /// The failure is on its way.
    fn locate(&self, _: &str) {}

    /// It was encoded.
    #[cfg(debug_assertions)]
    fn check_encoding(&self) {}

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut replaced = None;
        let open = lock(&self.state).phase.park_closed(cx.waker(), &mut replaced);
        if open { Poll::Pending } else { Poll::Ready(()) }
    }

    fn park_turn(&self, waker: &Waker) -> bool {
        let mut replaced = None;
        lock(&self.state).phase.park_turn(waker, &mut replaced)
    }

    fn watch(&self, key: &mut Option<usize>, waker: &Waker) -> bool {
        let mut waker = Some(waker.clone());
        lock(&self.state).phase.watch(key, &mut waker)
    }

    fn unwatch(&self, key: usize) {
        let watcher = lock(&self.state).phase.unwatch(key);
        drop(watcher);
    }

    fn publish(&self, end: Result<Status, Failure>) {
        let reply = match end {
            Err(failure) => WireReply::Failed(failure),
            Ok(_) => match self.take_response() {
                Some(Content::Encoded(status, body)) => WireReply::Ended(status, body),
                Some(Content::Stream(stream)) => return self.begin(stream),
                _ => return,
            },
        };
        self.end(|_| reply, true);
    }

    fn claim_encoded(&self) -> Option<Result<Decoder, CodecError>> {
        // The mailbox may not have come to say so.
        if self.head.method.oneway {
            self.accepted();
        }
        let mut state = lock(&self.state);
        let arguments = if state.phase.claim() { state.take() } else { return None };
        drop(state);
        self.sink.begun();
        match arguments {
            Content::Arguments(body) => Some(Ok(body.into())),
            Content::Streaming(streaming) => {
                let (body, stream) = *streaming;
                Some(Ok(Decoder::with_stream(body, Some(Box::new(Arrived::There(stream))))))
            }
            _ => None,
        }
    }

    fn accept_encoded(&self, status: Status, body: Bytes, publish: bool) {
        if publish {
            return self.end(|_| WireReply::Ended(status, body), true);
        }
        self.store(Content::Encoded(status, body));
    }

    fn accept_stream(&self, stream: Outgoing, publish: bool) {
        if publish {
            return self.begin(stream);
        }
        self.store(Content::Stream(stream));
    }

    /// Calls are not passed on.
    fn receive_stream(&self, _: Incoming) {}

    /// Calls are not passed on.
    fn leave(&self, _: usize) -> Result<(Bytes, Option<Outgoing>), CodecError> {
        Ok((Bytes::new(), None))
    }

    fn sent(&self, far: Far) -> bool {
        lock(&self.state).phase.sent(far)
    }

    fn receive(&self, reply: WireReply) {
        self.end(|_| reply, true);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{super::sample, *};
    use crate::service::{Access, Method, Reply};

    static METHOD: Method =
        Method::new("Test", "test", 1, Access::Shared, &[], Reply::value("()", crate::schema::of::<()>));

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<WireReply>>>);

    impl ReplySink for Sink {
        fn accepted(&self) {}

        fn send_stream(&self, _: Outgoing) {}

        fn begun(&self) {}

        fn send(&self, reply: WireReply) {
            lock(&self.0).push(reply);
        }
    }

    /// The fourth invariant of calls: from the mailbox's lock to the call's, it may be accepted.
    #[test]
    fn what_was_accepted_does_not_expire() {
        let sink = Sink::default();
        let head = CallHead::new(&sample::ONEWAY_SHARED, "sample".into());
        let far: Arc<dyn AnyCall> = Arc::new(InboundCall::new(head, Bytes::new(), None, sink.clone()));
        for call in [far, sample::call(&sample::ONEWAY_SHARED, 7, None)] {
            call.accepted();
            call.expire(&mut |_| unreachable!("it is too late"));
            assert_eq!(call.stage(), Stage::Waiting);
        }
        assert!(lock(&sink.0).is_empty());
    }

    #[test]
    fn a_call_that_is_let_go_has_an_end_and_one_only() {
        let call = |sink: &Sink| {
            let head = CallHead::new(&METHOD, "actor".into());
            InboundCall::new(head, Bytes::new(), None, sink.clone())
        };
        let deliveries = |sink: &Sink| -> Vec<Delivery> {
            let ends = lock(&sink.0);
            let delivery = |end: &WireReply| match end {
                WireReply::Failed(failure) => failure.delivery(),
                WireReply::Ended(..) => Delivery::Executed,
            };
            ends.iter().map(delivery).collect()
        };
        let (waiting, running, ended, left) = <(Sink, Sink, Sink, Sink)>::default();
        drop(call(&waiting));
        let begun = call(&running);
        assert!(begun.claim_encoded().is_some());
        drop(begun);
        let replied = call(&ended);
        replied.accept_encoded(Status::Replied, Bytes::new(), true);
        drop(replied);
        let abandoned = call(&left);
        abandoned.abandon();
        drop(abandoned);
        assert_eq!(deliveries(&waiting), [Delivery::NotDelivered]);
        assert_eq!(deliveries(&running), [Delivery::Unknown]);
        assert_eq!(deliveries(&ended), [Delivery::Executed]);
        assert_eq!(deliveries(&left), []);
    }

    /// It goes on to its end then, as one that has answered with anything else.
    #[tokio::test]
    async fn a_turn_that_has_answered_with_a_stream_is_not_over_without_its_call() {
        struct Nothing;

        impl crate::stream::Source for Nothing {
            fn poll_write(
                &mut self,
                _: &mut Context<'_>,
                _: &mut crate::stream::Batch,
            ) -> crate::stream::Written {
                crate::stream::Written::Ended(None)
            }

            fn actor(&self) -> Option<crate::ActorContext> {
                None
            }

            fn encode_in_place(&mut self) {}

            fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
                self
            }
        }

        let head = CallHead::new(&METHOD, "actor".into());
        let call = InboundCall::new(head, Bytes::new(), None, Sink::default());
        assert!(call.claim_encoded().is_some());
        call.accept_stream(Outgoing(Box::new(Nothing)), true);
        assert!(call.stage() == Stage::Over && call.park_turn(Waker::noop()));
    }

    /// The fifth invariant of calls: a waker is foreign code, also where another one takes its place.
    #[test]
    fn a_waker_that_is_replaced_is_dropped_without_the_call_s_lock() {
        struct Looks(std::sync::Weak<dyn AnyCall>);

        impl std::task::Wake for Looks {
            fn wake(self: Arc<Self>) {}
        }

        impl Drop for Looks {
            fn drop(&mut self) {
                if let Some(call) = self.0.upgrade() {
                    call.stage();
                }
            }
        }

        let (done, waits) = std::sync::mpsc::channel();
        std::thread::Builder::new()
            .spawn(move || {
                let head = CallHead::new(&METHOD, "actor".into());
                let far: Arc<dyn AnyCall> =
                    Arc::new(InboundCall::new(head, Bytes::new(), None, Sink::default()));
                for call in [far, sample::call(&sample::SHARED, 7, None)] {
                    for _ in 0..2 {
                        let waker = || Waker::from(Arc::new(Looks(Arc::downgrade(&call))));
                        let _ = call.poll_over(&mut Context::from_waker(&waker()));
                        let _ = call.poll_closed(&mut Context::from_waker(&waker()));
                        call.park_turn(&waker());
                    }
                    let mut place = None;
                    for _ in 0..2 {
                        call.watch(&mut place, &Waker::from(Arc::new(Looks(Arc::downgrade(&call)))));
                    }
                }
                done.send(())
            })
            .unwrap();
        waits.recv_timeout(std::time::Duration::from_secs(10)).expect("it waits for its own lock");
    }
}
