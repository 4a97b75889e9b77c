//! Calls made by a client of this process, and what every call can do without its types.

use std::{
    any::Any,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};

use super::{
    CallHead, Delivery, Failure, FailureKind, WireReply,
    phase::{Far, Phase, Stage},
};
use crate::{
    codec::{self, CodecError, Encoder},
    panics::discard,
    service::{Method, Request, Response, Service, Status},
    sync::{AtomicU8, Mutex, MutexGuard, Ordering, lock, lock_mut},
};

/// A call without its types. Written by the runtime only; public because generated code carries it.
pub trait AnyCall: Any + Send + Sync {
    /// What everybody may know of the call.
    fn head(&self) -> &CallHead;

    /// The same, while nobody else has the call.
    fn head_mut(&mut self) -> &mut CallHead;

    /// How far it has come.
    fn stage(&self) -> Stage;

    /// Ends it with the failure that suits its stage. Nothing happens if it is over already.
    fn fail(&self, failure: &mut dyn FnMut(Stage) -> Failure);

    /// The caller is gone.
    fn abandon(&self);

    /// Whether it failed, if it is over.
    fn ended(&self) -> Option<bool>;

    /// Keeps the caller's waker, while nobody else has the call.
    fn park_first(&mut self, waker: &Waker);

    /// Whether it is over, and then whether it failed; the caller's waker is kept if it is not.
    fn poll_over(&self, cx: &mut Context<'_>) -> Poll<bool>;

    /// How it ended, for the caller's layers.
    fn peek(&self) -> Result<Status, Failure>;

    /// A layer of the caller says that it failed, whatever else happened.
    fn overrule(&self, failure: Failure);

    /// If it failed, the failure says where.
    fn locate(&self, endpoint: &str);

    /// Makes sure that the arguments could be sent to another process.
    ///
    /// # Panics
    /// If they could not, or not without a change: this is how a direct call shows what an encoded one would do.
    #[cfg(debug_assertions)]
    fn check_encoding(&self);

    /// Keeps the waker of the turn, to be woken if the call ends without it. False if it is over.
    fn park_turn(&self, waker: &Waker) -> bool;

    /// Ends it with the response that `accept_response` stored, or with a failure. Nothing happens if there is no
    /// response.
    fn publish(&self, end: Result<Status, Failure>);

    /// Claims it for running, and gives its arguments in encoded form. `None` if it is over.
    fn claim_encoded(&self) -> Option<Result<Bytes, CodecError>>;

    /// Takes the response in encoded form, and ends the call with it unless a layer has to see the end first.
    fn accept_encoded(&self, status: Status, body: Bytes, publish: bool);

    /// The encoded arguments.
    fn encode_request(&self, limit: usize, out: BytesMut) -> Result<BytesMut, CodecError>;

    /// It is about to be sent away. False if it is over, and then nobody would tell the far side.
    #[must_use]
    fn sent(&self, far: Far) -> bool;

    /// Its reply came from far away.
    fn receive(&self, reply: WireReply);

    /// For finding out the types again.
    fn as_any(&self) -> &dyn Any;
}

/// A call of a client, with its arguments and room for its reply.
pub(crate) struct TypedCall<S: Service> {
    head: CallHead,
    state: Mutex<State<S>>,
    /// What the state says to a caller that asks whether the call is over, to be read without the lock: [`OPEN`],
    /// [`REPLIED`] or [`FAILED`].
    ended: AtomicU8,
}

const OPEN: u8 = 0;
const REPLIED: u8 = 1;
const FAILED: u8 = 2;

struct State<S: Service> {
    phase: Phase,
    request: Option<Payload<S>>,
    reply: Option<Outcome<S>>,
}

impl<S: Service> State<S> {
    fn failed(&self) -> bool {
        matches!(self.reply, Some(Outcome::Wire(WireReply::Failed(_))))
    }
}

/// The arguments of a call.
pub(crate) enum Payload<S: Service> {
    /// As values, for an actor of the same node.
    Value(S::Request),
    /// Encoded at the method call, because some were borrowed.
    Encoded(Bytes),
}

enum Outcome<S: Service> {
    Value(S::Response),
    Wire(WireReply),
}

impl<S: Service> TypedCall<S> {
    pub(crate) fn new(head: CallHead, request: Payload<S>) -> Self {
        let state = State { phase: Phase::default(), request: Some(request), reply: None };
        Self { head, state: Mutex::new(state), ended: AtomicU8::new(OPEN) }
    }

    fn end(&self, reply: Outcome<S>) {
        let mut state = lock(&self.state);
        let Some(ended) = state.phase.end() else { return };
        let request = state.request.take();
        let stored = state.reply.replace(reply);
        self.seal(state);
        ended.notify_reply();
        discard((request, stored));
    }

    /// Unlocks the state of a call that is over, and says so to those who do not lock.
    fn seal(&self, state: MutexGuard<'_, State<S>>) {
        self.ended.store(if state.failed() { FAILED } else { REPLIED }, Ordering::Release);
    }

    /// The arguments, if the call is still worth running.
    fn claim(&self) -> Option<Payload<S>> {
        let mut state = lock(&self.state);
        if state.phase.claim() { state.request.take() } else { None }
    }

    /// Takes the response, and ends the call with it unless a layer has to see it first.
    fn accept(&self, response: Outcome<S>, publish: bool) {
        if publish {
            return self.end(response);
        }
        let mut state = lock(&self.state);
        if !state.phase.is_over() {
            state.reply = Some(response);
        }
    }

    /// Shows the arguments to code of their own types, which may take long, panic or make calls: not under the lock.
    fn show_request<T>(&self, look: impl FnOnce(Option<&Payload<S>>) -> T) -> T {
        let mut request = lock(&self.state).request.take();
        let seen = look(request.as_ref());
        let mut state = lock(&self.state);
        if !state.phase.is_over() {
            state.request = request.take();
        }
        drop(state);
        discard(request);
        seen
    }

    fn take(&self) -> Option<Outcome<S>> {
        lock(&self.state).reply.take()
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
        let mut state = lock(&self.state);
        let stage = state.phase.stage();
        let Some(ended) = state.phase.end() else { return };
        let request = state.request.take();
        let stored = state.reply.replace(Outcome::Wire(WireReply::Failed(failure(stage))));
        self.seal(state);
        ended.notify();
        discard((request, stored));
    }

    fn abandon(&self) {
        let mut state = lock(&self.state);
        let ended = state.phase.end();
        let request = state.request.take();
        let reply = state.reply.take();
        self.seal(state);
        if let Some(ended) = ended {
            ended.notify();
        }
        discard((request, reply));
    }

    fn ended(&self) -> Option<bool> {
        match self.ended.load(Ordering::Acquire) {
            OPEN => None,
            ended => Some(ended == FAILED),
        }
    }

    fn park_first(&mut self, waker: &Waker) {
        lock_mut(&mut self.state).phase.park_caller(waker);
    }

    fn poll_over(&self, cx: &mut Context<'_>) -> Poll<bool> {
        if let Some(failed) = self.ended() {
            return Poll::Ready(failed);
        }
        let mut state = lock(&self.state);
        if state.phase.is_over() {
            return Poll::Ready(state.failed());
        }
        state.phase.park_caller(cx.waker());
        Poll::Pending
    }

    fn peek(&self) -> Result<Status, Failure> {
        match &lock(&self.state).reply {
            Some(Outcome::Value(response)) => Ok(response.status()),
            Some(Outcome::Wire(WireReply::Ended(status, _))) => Ok(*status),
            Some(Outcome::Wire(WireReply::Failed(failure))) => Err(failure.clone()),
            None => Err(Failure::new(FailureKind::Cancelled, Delivery::Unknown, "the call did not end")),
        }
    }

    fn overrule(&self, failure: Failure) {
        let mut state = lock(&self.state);
        let ended = state.phase.end();
        let request = state.request.take();
        let stored = state.reply.replace(Outcome::Wire(WireReply::Failed(failure)));
        self.seal(state);
        if let Some(ended) = ended {
            ended.notify();
        }
        discard((request, stored));
    }

    fn locate(&self, endpoint: &str) {
        let mut state = lock(&self.state);
        if let Some(Outcome::Wire(WireReply::Failed(failure))) = &mut state.reply {
            failure.locate(self.head.method, &self.head.name, endpoint);
        }
    }

    #[cfg(debug_assertions)]
    fn check_encoding(&self) {
        if !sampled() {
            return;
        }
        let method = self.head.method;
        self.show_request(|request| {
            let Some(Payload::Value(request)) = request else { return };
            check(
                method,
                |out| request.encode(out),
                |bytes| {
                    let decoded = S::Request::decode(method.id, bytes)?;
                    encode(|out| decoded.encode(out))
                },
            );
        });
    }

    fn park_turn(&self, waker: &Waker) -> bool {
        lock(&self.state).phase.park_turn(waker)
    }

    fn publish(&self, end: Result<Status, Failure>) {
        match end {
            Err(failure) => self.end(Outcome::Wire(WireReply::Failed(failure))),
            Ok(_) => {
                let mut state = lock(&self.state);
                if state.reply.is_none() {
                    return;
                }
                if let Some(ended) = state.phase.end() {
                    self.seal(state);
                    ended.notify_reply();
                }
            }
        }
    }

    fn claim_encoded(&self) -> Option<Result<Bytes, CodecError>> {
        match self.claim()? {
            Payload::Encoded(bytes) => Some(Ok(bytes)),
            // The actor serves another version of the service, a type of its own; bytes are what they have in common.
            Payload::Value(request) => {
                let mut encoder = Encoder::new(codec::buffer(), usize::MAX);
                let encoded = request.encode(&mut encoder);
                Some(encoded.map(|()| encoder.into_inner().freeze()))
            }
        }
    }

    fn accept_encoded(&self, status: Status, body: Bytes, publish: bool) {
        self.accept(Outcome::Wire(WireReply::Ended(status, body)), publish);
    }

    fn encode_request(&self, limit: usize, mut out: BytesMut) -> Result<BytesMut, CodecError> {
        self.show_request(|request| match request {
            Some(Payload::Value(request)) => {
                let mut encoder = Encoder::new(out, limit);
                request.encode(&mut encoder)?;
                Ok(encoder.into_inner())
            }
            Some(Payload::Encoded(bytes)) => {
                out.extend_from_slice(bytes);
                Ok(out)
            }
            None => Ok(out),
        })
    }

    fn sent(&self, far: Far) -> bool {
        lock(&self.state).phase.sent(far)
    }

    fn receive(&self, reply: WireReply) {
        self.end(Outcome::Wire(reply));
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
    let method = call.head().method;
    let outcome = call.as_any().downcast_ref::<TypedCall<S>>().and_then(TypedCall::take);
    match outcome {
        Some(Outcome::Value(response)) => Ok(response),
        Some(Outcome::Wire(WireReply::Failed(failure))) => Err(failure),
        Some(Outcome::Wire(WireReply::Ended(status, body))) => S::Response::decode(method.id, status, body)
            .map_err(|error| Failure::of_codec(&error, Delivery::Executed, "the reply")),
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

/// Claims a call for running and gives its arguments. `None` if it is over.
pub(crate) fn take_request<S: Service>(call: &dyn AnyCall) -> Option<Result<S::Request, Failure>> {
    let encoded = match call.as_any().downcast_ref::<TypedCall<S>>() {
        Some(typed) => match typed.claim()? {
            Payload::Value(request) => return Some(Ok(request)),
            Payload::Encoded(bytes) => Ok(bytes),
        },
        None => call.claim_encoded()?,
    };
    let request = encoded.and_then(|bytes| S::Request::decode(call.head().method.id, bytes));
    Some(request.map_err(|error| Failure::of_codec(&error, Delivery::NotDelivered, "the arguments")))
}

/// Stores the response of a call; ends the call with it too, unless a layer has to see the end first.
///
/// The status tells the layers how the call ended.
pub(crate) fn accept_response<S: Service>(
    call: &dyn AnyCall,
    response: S::Response,
    limit: usize,
    publish: bool,
) -> Result<Status, Failure> {
    let status = response.status();
    if let Some(typed) = call.as_any().downcast_ref::<TypedCall<S>>() {
        #[cfg(debug_assertions)]
        if sampled() {
            let method = typed.head.method;
            check(
                method,
                |out| response.encode(out),
                |bytes| {
                    let decoded = S::Response::decode(method.id, status, bytes)?;
                    encode(|out| decoded.encode(out))
                },
            );
        }
        typed.accept(Outcome::Value(response), publish);
        return Ok(status);
    }
    let mut encoder = Encoder::new(codec::buffer(), limit);
    response
        .encode(&mut encoder)
        .map_err(|error| Failure::of_codec(&error, Delivery::Executed, "the reply"))?;
    call.accept_encoded(status, encoder.into_inner().freeze(), publish);
    Ok(status)
}

/// Whether this direct call is one of those that are checked: every eighth.
#[cfg(debug_assertions)]
fn sampled() -> bool {
    static CALLS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    CALLS.fetch_add(1, Ordering::Relaxed).is_multiple_of(8)
}

#[cfg(debug_assertions)]
fn encode(write: impl FnOnce(&mut Encoder) -> Result<(), CodecError>) -> Result<Bytes, CodecError> {
    let mut encoder = Encoder::new(codec::buffer(), usize::MAX);
    write(&mut encoder)?;
    Ok(encoder.into_inner().freeze())
}

#[cfg(debug_assertions)]
fn check(
    method: &'static Method,
    write: impl FnOnce(&mut Encoder) -> Result<(), CodecError>,
    again: impl FnOnce(Bytes) -> Result<Bytes, CodecError>,
) {
    let first = encode(write);
    let second = first.clone().and_then(again);
    assert!(
        first.is_ok() && first == second,
        "{method}: a value does not survive being encoded, so this call would fail or change between processes: \
         {first:?} became {second:?}; mend the type's `Serialize` and `Deserialize`"
    );
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
