use std::{
    any::Any,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::{CallHead, Failure, Far, Stage, WireReply};
use crate::{
    codec::{CodecError, Decoder},
    service::{Method, Status},
    stream::{Incoming, Outgoing},
};

/// A call without its types. Written by the runtime only; public because generated code carries it.
pub trait AnyCall: Any + Send + Sync {
    /// What everybody may know of the call.
    fn head(&self) -> &CallHead;

    /// The same, while nobody else has the call.
    fn head_mut(&mut self) -> &mut CallHead;

    /// How far it has come.
    fn stage(&self) -> Stage;

    /// Ends it with the failure that suits its stage. Nothing happens if it is over already. `failure` is called under the
    /// call's lock: it takes no lock and runs no code of users.
    fn fail(&self, failure: &mut dyn FnMut(Stage) -> Failure);

    /// As [`fail`](Self::fail), for a caller whose time is over: what was accepted has no part in that.
    fn expire(&self, failure: &mut dyn FnMut(Stage) -> Failure);

    /// A oneway call is in its actor's mailbox: its caller is told so, and has no say in it any more. Called without a lock;
    /// a turn that comes first calls it too.
    fn accepted(&self);

    /// The caller is gone. It cannot take back what was accepted.
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

    /// Whether it is over; the waker of who has its `ReplyTo` is kept if it is not.
    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// Keeps the waker of the turn, to be woken if the call ends without it. False if it has.
    fn park_turn(&self, waker: &Waker) -> bool;

    /// Keeps a waker for somebody beside the turn, to be woken when the call is over; `key` is their place. False if it
    /// is over.
    fn watch(&self, key: &mut Option<usize>, waker: &Waker) -> bool;

    /// Whoever has this place wants it no more.
    fn unwatch(&self, key: usize);

    /// Ends it with the response that `accept_response` stored, or with a failure. Nothing happens if there is no
    /// response.
    fn publish(&self, end: Result<Status, Failure>);

    /// Claims it for running, and gives its arguments in encoded form. `None` if it is over.
    fn claim_encoded(&self) -> Option<Result<Decoder, CodecError>>;

    /// Takes the response in encoded form, and ends the call with it unless a layer has to see the end first.
    fn accept_encoded(&self, status: Status, body: Bytes, publish: bool);

    /// Puts the stream among the arguments back that [`leave`](Self::leave) gave: the call comes back as it was.
    fn put_stream(&self, stream: Outgoing) {
        drop(stream);
    }

    /// Whether a stream among its arguments has left, so that it cannot be sent again.
    fn is_spent(&self) -> bool {
        false
    }

    /// Takes the response, a stream whose reader is elsewhere, and ends the call with it unless a layer has to see the
    /// end first.
    fn accept_stream(&self, stream: Outgoing, publish: bool);

    /// Its reply is a stream that comes from far away.
    fn receive_stream(&self, stream: Incoming);

    /// It is about to be sent away: its encoded arguments, and the stream among them.
    fn leave(&self, limit: usize) -> Result<(Bytes, Option<Outgoing>), CodecError>;

    /// It is about to be sent away. False if it is over, and then nobody would tell the far side.
    #[must_use]
    fn sent(&self, far: Far) -> bool;

    /// Its reply came from far away.
    fn receive(&self, reply: WireReply);

    /// All methods of the caller's service, as the caller knows them; none if it came from elsewhere.
    fn service(&self) -> &'static [&'static Method] {
        &[]
    }

    /// Has its arguments and its reply take the way through bytes, though they stay on this node: there are clients in
    /// them, which are bound where they are read.
    ///
    /// # Errors
    /// If the arguments cannot be encoded.
    fn encode_in_place(&self, _limit: usize) -> Result<(), CodecError> {
        Ok(())
    }

    /// Whether they do.
    fn is_encoded_in_place(&self) -> bool {
        false
    }

    /// For finding out the types again.
    fn as_any(&self) -> &dyn Any;
}
