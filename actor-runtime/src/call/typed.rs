//! Calls made by a client of this process, with their types.

use std::{
    any::Any,
    mem,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::{
    AnyCall, CallHead, Delivery, Failure, FailureKind, WireReply,
    phase::{Far, Phase, Stage},
};
use crate::{
    codec::{self, CodecError, Decoder, Encoder, arriving_at},
    panics::{discard, wake},
    service::{Method, Request, Response, Service, Status},
    stream::{Arrived, Incoming, Outgoing},
    sync::{AtomicBool, AtomicU8, Mutex, MutexGuard, Ordering, lock, lock_mut},
};

/// A call of a client, with its arguments and room for its reply.
pub(crate) struct TypedCall<S: Service> {
    head: CallHead,
    state: Mutex<State<S>>,
    /// What the state says to a caller that asks whether the call is over, to be read without the lock: [`OPEN`],
    /// [`REPLIED`] or [`FAILED`].
    ended: AtomicU8,
    /// Whether arguments and reply go through bytes, though they stay on this node.
    in_place: AtomicBool,
}

const OPEN: u8 = 0;
const REPLIED: u8 = 1;
const FAILED: u8 = 2;

struct State<S: Service> {
    phase: Phase,
    content: Content<S>,
}

/// What a call carries: the one or the other, since a call that has a reply needs its arguments no more.
enum Content<S: Service> {
    Nothing,
    Request(Payload<S>),
    Reply(Outcome<S>),
    /// A oneway call whose caller was told that it is accepted: its arguments until it runs, and the failure that a layer
    /// of the caller made of it.
    Accepted(Option<Payload<S>>, Option<Failure>),
}

impl<S: Service> State<S> {
    fn failed(&self) -> bool {
        matches!(
            self.content,
            Content::Reply(Outcome::Wire(WireReply::Failed(_))) | Content::Accepted(_, Some(_))
        )
    }

    fn take_request(&mut self) -> Option<Payload<S>> {
        if let Content::Accepted(request, _) = &mut self.content {
            return request.take();
        }
        if !matches!(self.content, Content::Request(_)) {
            return None;
        }
        match self.content.replace(Content::Nothing) {
            Content::Request(request) => Some(request),
            _ => None,
        }
    }
}

impl<S: Service> Content<S> {
    fn replace(&mut self, content: Self) -> Self {
        mem::replace(self, content)
    }

    /// Drops it, not under the lock: it may panic.
    fn discard(self) {
        if !matches!(self, Self::Nothing) {
            discard(self);
        }
    }
}

/// The arguments of a call.
pub(crate) enum Payload<S: Service> {
    /// As values, for an actor of the same node.
    Value(S::Request),
    /// Encoded at the method call, because some were borrowed.
    Encoded(Bytes),
    /// Encoded, with a stream.
    Streaming(Box<Streamed>),
}

impl<S: Service> Payload<S> {
    /// Leaves bytes in place of values; items of a stream go through bytes one by one.
    fn encode_in_place(&mut self, limit: usize) -> Result<(), CodecError> {
        match self {
            Self::Value(request) => {
                let mut encoder = Encoder::new(codec::buffer(), limit);
                request.encode(&mut encoder)?;
                discard(mem::replace(self, Self::Encoded(encoder.into_inner().freeze())));
            }
            Self::Streaming(streamed) => {
                if let Some(Outgoing(stream)) = &mut streamed.stream {
                    stream.encode_in_place();
                }
            }
            Self::Encoded(_) => {}
        }
        Ok(())
    }
}

/// Arguments of which one is a stream.
pub(crate) struct Streamed {
    pub(crate) bytes: Bytes,
    /// None while it is on its way.
    pub(crate) stream: Option<Outgoing>,
}

impl From<Streamed> for Decoder {
    fn from(streamed: Streamed) -> Self {
        Self::with_stream(streamed.bytes, streamed.stream.map(|stream| Box::new(Arrived::Here(stream))))
    }
}

pub(super) enum Outcome<S: Service> {
    Value(S::Response),
    Wire(WireReply),
    /// Apart: it is twice as large as the others.
    Stream(Box<Arrived>),
}

impl<S: Service> TypedCall<S> {
    // Inlined: the call is put together where it is to lie, and copied once.
    #[inline(always)]
    pub(crate) fn new(head: CallHead, request: Payload<S>) -> Self {
        let state = State { phase: Phase::default(), content: Content::Request(request) };
        Self { head, state: Mutex::new(state), ended: AtomicU8::new(OPEN), in_place: AtomicBool::new(false) }
    }

    fn end(&self, reply: Outcome<S>) {
        let mut state = lock(&self.state);
        if state.phase.is_accepted() {
            return self.end_accepted(state, reply);
        }
        let Some(ended) = state.phase.reply() else { return };
        let before = state.content.replace(Content::Reply(reply));
        self.seal(state);
        ended.notify_reply();
        before.discard();
    }

    /// Ends a call whose caller has had its end.
    #[cold]
    fn end_accepted(&self, mut state: MutexGuard<'_, State<S>>, reply: Outcome<S>) {
        let Some(ended) = state.phase.end() else {
            drop(state);
            return discard(reply);
        };
        let request = state.take_request();
        drop(state);
        match &reply {
            Outcome::Wire(WireReply::Failed(failure)) => {
                super::oneway::lost(&self.head, failure);
                ended.notify();
            }
            _ => ended.notify_reply(),
        }
        discard((request, reply));
    }

    /// Fails a call whose caller waits for its end.
    fn fail_open(&self, mut state: MutexGuard<'_, State<S>>, failure: &mut dyn FnMut(Stage) -> Failure) {
        let stage = state.phase.stage();
        let Some(ended) = state.phase.end() else { return };
        let before = state.content.replace(Content::Reply(Outcome::Wire(WireReply::Failed(failure(stage)))));
        self.seal(state);
        ended.notify();
        before.discard();
    }

    /// Unlocks the state of a call that is over, and says so to those who do not lock.
    fn seal(&self, state: MutexGuard<'_, State<S>>) {
        self.ended.store(if state.failed() { FAILED } else { REPLIED }, Ordering::Release);
    }

    /// The arguments, if the call is still worth running.
    pub(super) fn claim(&self) -> Option<Payload<S>> {
        // The mailbox may not have come to say so.
        if self.head.method.oneway {
            self.accepted();
        }
        let mut state = lock(&self.state);
        if state.phase.claim() { state.take_request() } else { None }
    }

    /// Takes the response, and ends the call with it unless a layer has to see it first.
    pub(super) fn accept(&self, response: Outcome<S>, publish: bool) {
        if publish {
            return self.end(response);
        }
        let mut state = lock(&self.state);
        if state.phase.is_accepted() {
            drop(state);
            discard(response);
        } else if !state.phase.is_over() {
            let before = state.content.replace(Content::Reply(response));
            drop(state);
            before.discard();
        }
    }

    /// Shows the arguments to code of their own types, which may take long, panic or make calls: not under the lock.
    fn show_request<T>(&self, look: impl FnOnce(Option<&Payload<S>>) -> T) -> T {
        let mut request = lock(&self.state).take_request();
        let seen = look(request.as_ref());
        let mut state = lock(&self.state);
        if !state.phase.is_over()
            && let Some(request) = request.take()
        {
            state.content = Content::Request(request);
        }
        drop(state);
        discard(request);
        seen
    }

    fn take(&self) -> Option<Outcome<S>> {
        let mut state = lock(&self.state);
        if !matches!(state.content, Content::Reply(_)) {
            return None;
        }
        match state.content.replace(Content::Nothing) {
            Content::Reply(reply) => Some(reply),
            Content::Nothing | Content::Request(_) | Content::Accepted(..) => None,
        }
    }
}

impl<S: Service> AnyCall for TypedCall<S> {
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
        let state = lock(&self.state);
        let stage = state.phase.stage();
        if state.phase.is_accepted() {
            if stage != Stage::Over {
                self.end_accepted(state, Outcome::Wire(WireReply::Failed(failure(stage))));
            }
            return;
        }
        self.fail_open(state, failure);
    }

    fn expire(&self, failure: &mut dyn FnMut(Stage) -> Failure) {
        let state = lock(&self.state);
        if !state.phase.is_accepted() {
            self.fail_open(state, failure);
        }
    }

    fn accepted(&self) {
        let mut state = lock(&self.state);
        let Some(caller) = state.phase.accept() else { return };
        let request = state.take_request();
        state.content = Content::Accepted(request, None);
        self.seal(state);
        if let Some(caller) = caller {
            wake(caller);
        }
    }

    fn abandon(&self) {
        let mut state = lock(&self.state);
        if state.phase.is_accepted() {
            return;
        }
        let ended = state.phase.end();
        let before = state.content.replace(Content::Nothing);
        self.seal(state);
        if let Some(ended) = ended {
            ended.notify();
        }
        before.discard();
    }

    fn ended(&self) -> Option<bool> {
        match self.ended.load(Ordering::Acquire) {
            OPEN => None,
            ended => Some(ended == FAILED),
        }
    }

    fn park_first(&mut self, waker: &Waker) {
        drop(lock_mut(&mut self.state).phase.park_caller(waker));
    }

    fn poll_over(&self, cx: &mut Context<'_>) -> Poll<bool> {
        if let Some(failed) = self.ended() {
            return Poll::Ready(failed);
        }
        let mut state = lock(&self.state);
        if state.phase.is_over() {
            return Poll::Ready(state.failed());
        }
        // Accepted since the look without the lock: that is no end of the call, but its caller's.
        if let Some(failed) = self.ended() {
            return Poll::Ready(failed);
        }
        let replaced = state.phase.park_caller(cx.waker());
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    fn peek(&self) -> Result<Status, Failure> {
        match &lock(&self.state).content {
            Content::Reply(Outcome::Value(response)) => Ok(response.status()),
            Content::Reply(Outcome::Wire(WireReply::Ended(status, _))) => Ok(*status),
            Content::Reply(Outcome::Stream(_)) => Ok(Status::Replied),
            Content::Reply(Outcome::Wire(WireReply::Failed(failure))) => Err(failure.clone()),
            Content::Accepted(_, overruled) => overruled.clone().map_or(Ok(Status::Replied), Err),
            Content::Nothing | Content::Request(_) => {
                Err(Failure::new(FailureKind::Cancelled, Delivery::Unknown, "the call did not end"))
            }
        }
    }

    fn overrule(&self, failure: Failure) {
        let mut state = lock(&self.state);
        if let Content::Accepted(_, overruled) = &mut state.content {
            *overruled = Some(failure);
            return self.seal(state);
        }
        let ended = state.phase.end();
        let before = state.content.replace(Content::Reply(Outcome::Wire(WireReply::Failed(failure))));
        self.seal(state);
        if let Some(ended) = ended {
            ended.notify();
        }
        before.discard();
    }

    fn locate(&self, endpoint: &str) {
        let mut state = lock(&self.state);
        if let Content::Reply(Outcome::Wire(WireReply::Failed(failure)))
        | Content::Accepted(_, Some(failure)) = &mut state.content
        {
            failure.locate(self.head.method, &self.head.name, endpoint);
        }
    }

    #[cfg(debug_assertions)]
    fn check_encoding(&self) {
        self.show_request(|request| {
            if let Some(Payload::Value(request)) = request {
                super::check::request::<S>(self.head.method, request);
            }
        });
    }

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
        match end {
            Err(failure) => self.end(Outcome::Wire(WireReply::Failed(failure))),
            Ok(_) => {
                let mut state = lock(&self.state);
                if state.phase.is_accepted() {
                    return self
                        .end_accepted(state, Outcome::Wire(WireReply::Ended(Status::Replied, Bytes::new())));
                }
                if !matches!(state.content, Content::Reply(_)) {
                    return;
                }
                if let Some(ended) = state.phase.reply() {
                    self.seal(state);
                    ended.notify_reply();
                }
            }
        }
    }

    fn claim_encoded(&self) -> Option<Result<Decoder, CodecError>> {
        match self.claim()? {
            Payload::Encoded(bytes) => Some(Ok(bytes.into())),
            Payload::Streaming(streamed) => Some(Ok((*streamed).into())),
            // The actor serves another version of the service, a type of its own; bytes are what they have in common.
            Payload::Value(request) => {
                let mut encoder = Encoder::new(codec::buffer(), usize::MAX);
                let encoded = request.encode(&mut encoder);
                Some(encoded.map(|()| encoder.into_inner().freeze().into()))
            }
        }
    }

    fn accept_encoded(&self, status: Status, body: Bytes, publish: bool) {
        self.accept(Outcome::Wire(WireReply::Ended(status, body)), publish);
    }

    fn put_stream(&self, stream: Outgoing) {
        let mut state = lock(&self.state);
        match &mut state.content {
            Content::Request(Payload::Streaming(streamed)) => streamed.stream = Some(stream),
            _ => {
                drop(state);
                discard(stream);
            }
        }
    }

    fn is_spent(&self) -> bool {
        matches!(&lock(&self.state).content, Content::Request(Payload::Streaming(streamed)) if streamed.stream.is_none())
    }

    fn accept_stream(&self, stream: Outgoing, publish: bool) {
        self.accept(Outcome::Stream(Box::new(Arrived::Here(stream))), publish);
    }

    fn receive_stream(&self, stream: Incoming) {
        self.end(Outcome::Stream(Box::new(Arrived::There(stream))));
    }

    fn leave(&self, limit: usize) -> Result<(Bytes, Option<Outgoing>), CodecError> {
        match &mut lock(&self.state).content {
            Content::Request(Payload::Encoded(bytes)) => return Ok((bytes.clone(), None)),
            Content::Request(Payload::Streaming(streamed)) => {
                return Ok((streamed.bytes.clone(), streamed.stream.take()));
            }
            _ => {}
        }
        self.show_request(|request| {
            let mut encoder = Encoder::new(codec::buffer(), limit);
            if let Some(Payload::Value(request)) = request {
                request.encode(&mut encoder)?;
            }
            Ok((encoder.into_inner().freeze(), None))
        })
    }

    fn encode_in_place(&self, limit: usize) -> Result<(), CodecError> {
        self.in_place.store(true, Ordering::Release);
        // Code of the arguments runs: not under the lock.
        let request = lock(&self.state).take_request();
        let Some(mut request) = request else { return Ok(()) };
        let encoded = request.encode_in_place(limit);
        let mut state = lock(&self.state);
        if state.phase.is_over() {
            drop(state);
            discard(request);
        } else {
            state.content = Content::Request(request);
        }
        encoded
    }

    fn is_encoded_in_place(&self) -> bool {
        self.in_place.load(Ordering::Acquire)
    }

    fn sent(&self, far: Far) -> bool {
        lock(&self.state).phase.sent(far)
    }

    fn receive(&self, reply: WireReply) {
        self.end(Outcome::Wire(reply));
    }

    fn service(&self) -> &'static [&'static Method] {
        S::METHODS
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The end of a call that is over, for the generated client.
///
/// # Errors
/// The call's failure, or that its reply could not be decoded.
pub fn take<S: Service>(call: &dyn AnyCall) -> Result<S::Response, Failure> {
    let head = call.head();
    let method = head.method;
    // Clients in the reply are of the node that asked for it.
    let decode = |status, decoder: Decoder| {
        arriving_at(head.home, || S::Response::decode(method.id, status, decoder))
            .map_err(|error| Failure::of_codec(&error, Delivery::Executed, "the reply"))
    };
    let outcome = call.as_any().downcast_ref::<TypedCall<S>>().and_then(TypedCall::take);
    match outcome {
        Some(Outcome::Value(mut response)) => {
            if let Some(stream) = response.stream() {
                stream.name(head);
                return Ok(response);
            }
            #[cfg(debug_assertions)]
            super::check::response::<S>(method, &response);
            Ok(response)
        }
        Some(Outcome::Stream(stream)) => {
            let mut response = decode(Status::Replied, Decoder::with_stream(Bytes::new(), Some(stream)))?;
            if let Some(stream) = response.stream() {
                stream.name(head);
            }
            Ok(response)
        }
        Some(Outcome::Wire(WireReply::Failed(failure))) => Err(failure),
        Some(Outcome::Wire(WireReply::Ended(status, body))) => decode(status, body.into()),
        None => Err(Failure::new(
            FailureKind::Internal,
            Delivery::Unknown,
            "the call ended without an outcome; please report this",
        )),
    }
}

/// The failure for a reply that belongs to another method, for the generated client.
pub fn wrong_reply(method: &'static Method) -> Failure {
    Failure::new(
        FailureKind::Internal,
        Delivery::Executed,
        format!("{method} was answered with the reply of another method; please report this"),
    )
}

/// Looks through aliases of `Result`, for generated code.
pub trait ResultType {
    /// The reply.
    type Ok;
    /// The application error.
    type Err;
}

impl<T, E> ResultType for Result<T, E> {
    type Ok = T;
    type Err = E;
}
