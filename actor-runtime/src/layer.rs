//! Code around calls: one point on each side where every call passes.
//!
//! ```text
//!   client:  Call ──► node's layers, in the order they were added ──► gate, transport
//!   server:  turn ──► node's layers ──► the actor's layers ──► handler
//!
//!   each:    outgoing/incoming    a plain function: looks, writes metadata (client), refuses, or passes
//!            call                 a future around the rest, if the layer wants to stand there
//! ```
//!
//! A node without layers pays nothing for them, and a layer that passes costs a call of a function. A client's layers
//! see a call once, however often it is sent, and with it that its actor was not found.
//!
//! Invariants:
//! 1. A layer inside of one that refuses, panics or does not go on is not asked; those outside see how it ended.
//! 2. A panic of a layer fails its call and nothing else. Only if it breaks off a `&mut self` handler does the actor
//!    stop, as after a panic of the handler.

mod carried;

use std::{
    any::Any,
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

pub use carried::{LayerCall, OutgoingCall, Side};

use crate::{
    Node,
    call::{AnyCall, CallHead, Delivery, Failure, FailureKind},
    names::BoxFuture,
    panics::text_of,
    service::Status,
};

/// Code around calls, on the side where it is installed: for all calls that a node makes with
/// [`NodeBuilder::client_layer`](crate::NodeBuilder::client_layer), for all that it answers with
/// [`NodeBuilder::server_layer`](crate::NodeBuilder::server_layer), for those of one actor with
/// [`Registration::layer`](crate::Registration::layer).
///
/// Layers stand in the order in which they were added, the first outermost; those of the node outside those of the actor.
/// A layer of the client's side sees a call once, however often it is sent, and also that its actor was not found. One of
/// the server's side runs inside the turn, with its context, when the call has left the mailbox. Of a `#[oneway]` call the
/// client's side sees the acceptance, and what the server's side makes of it is logged there; of a method that takes a
/// [`ReplyTo`](crate::ReplyTo) the server's side sees the end of the turn.
///
/// Each call is first shown to [`outgoing`](Self::outgoing) or [`incoming`](Self::incoming), plain functions that can
/// read, write metadata or refuse. Only a layer that answers [`Interest::Around`], as both do unless they are written,
/// then stands around the call with [`call`](Self::call), which takes an allocation.
///
/// # Panics
/// A layer that panics fails the call with [`FailureKind::Panicked`]. Its actor goes on, unless a `&mut self` handler was
/// under way inside the layer: then the state may be half changed, and the actor stops.
///
/// ```
/// use actor_runtime::{
///     BoxFuture, Delivery, Failure, FailureKind, Interest, Layer, LayerCall, Next, OutgoingCall, Status,
/// };
///
/// /// Prints how calls end.
/// struct Log;
///
/// impl Layer for Log {
///     fn call<'a>(&'a self, call: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
///         Box::pin(async move {
///             let end = next.run().await;
///             println!("{} on {}: {end:?}", call.method(), call.actor_name());
///             end
///         })
///     }
/// }
///
/// /// A shared secret: written by clients, asked for by servers.
/// struct Token(String);
///
/// impl Layer for Token {
///     fn outgoing(&self, call: &mut OutgoingCall<'_>) -> Result<Interest, Failure> {
///         call.insert("token", &*self.0)?;
///         Ok(Interest::Pass)
///     }
///
///     fn incoming(&self, call: &LayerCall<'_>) -> Result<Interest, Failure> {
///         if call.metadata().value("token") == Some(&*self.0) {
///             return Ok(Interest::Pass);
///         }
///         Err(Failure::new(FailureKind::Denied, Delivery::NotDelivered, "send the token of the shop"))
///     }
/// }
/// ```
pub trait Layer: Send + Sync + 'static {
    /// Looks at a call that a client makes, before anybody else has it: at its first poll. What it writes with
    /// [`OutgoingCall::insert`] travels with the call.
    ///
    /// # Errors
    /// The failure that the call ends with; it is not sent then.
    fn outgoing(&self, call: &mut OutgoingCall<'_>) -> Result<Interest, Failure> {
        let _ = call;
        Ok(Interest::Around)
    }

    /// Looks at a call whose turn has come, before its handler runs.
    ///
    /// # Errors
    /// The failure that the call ends with; its handler does not run then.
    fn incoming(&self, call: &LayerCall<'_>) -> Result<Interest, Failure> {
        let _ = call;
        Ok(Interest::Around)
    }

    /// Stands around a call. It goes on with [`Next::run`]; a layer that does not run it ends the call with the
    /// `Failure` that it returns.
    ///
    /// On the client's side this has the time of the call: at its deadline the future is dropped, also if the layer
    /// still holds the call. Around a `&mut self` turn it has as much time as it takes, as the handler has;
    /// [`LayerCall::left`] tells a layer that waits there that nobody waits for it any more.
    ///
    /// # Cancel safety
    /// The future is dropped when the caller leaves or the deadline passes, except around a `&mut self` turn. A layer
    /// that drops the future of [`Next::run`] breaks off what is inside; a `&mut self` handler may then leave a state
    /// that is half changed.
    fn call<'a>(&'a self, call: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        let _ = call;
        Box::pin(next.run())
    }

    /// What says whether it wants to see no call at all just now; it must not panic. For the layers of this crate: others
    /// pass.
    #[doc(hidden)]
    fn off(&self) -> Option<fn(Side) -> bool> {
        None
    }
}

/// What a layer wants with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Nothing more: the call goes on as if the layer were not there.
    Pass,
    /// To stand around it, with [`Layer::call`].
    Around,
}

/// The rest of a call's way, as a layer sees it.
pub struct Next<'a> {
    /// What stands further inside, the outermost first.
    rest: &'a [Arc<dyn Layer>],
    /// Which of them do.
    around: Around,
    call: LayerCall<'a>,
    inner: Inner<'a>,
}

/// What all layers stand around.
pub(crate) struct Inner<'a> {
    way: Pin<&'a mut (dyn Future<Output = Result<Status, Failure>> + Send + 'a)>,
    /// Set when no layer has this any more: it has ended, or they have let go of it.
    back: Option<&'a AtomicBool>,
}

impl<'a> Inner<'a> {
    pub(crate) fn new(
        way: Pin<&'a mut (dyn Future<Output = Result<Status, Failure>> + Send + 'a)>,
        back: Option<&'a AtomicBool>,
    ) -> Self {
        Self { way, back }
    }
}

impl Future for Inner<'_> {
    type Output = Result<Status, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.way.as_mut().poll(cx)
    }
}

impl Drop for Inner<'_> {
    fn drop(&mut self) {
        if let Some(back) = self.back {
            back.store(true, Ordering::Relaxed);
        }
    }
}

impl<'a> Next<'a> {
    /// All of the way.
    pub(crate) fn new(layers: &'a Layers, around: Around, call: LayerCall<'a>, inner: Inner<'a>) -> Self {
        Self { rest: layers.as_slice(), around, call, inner }
    }

    /// Goes on, and gives the end of the call.
    ///
    /// # Errors
    /// The failure of the call, be it of a layer further inside, of its way or of its handler.
    ///
    /// # Cancel safety
    /// Dropping it breaks off the call, which is cancelled when the layer ends.
    pub async fn run(self) -> Result<Status, Failure> {
        let Self { mut rest, mut around, call, inner } = self;
        while let Some((layer, inside)) = rest.split_first() {
            rest = inside;
            if around.next() {
                return layer.call(call, Next { rest, around, call, inner }).await;
            }
        }
        inner.await
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next")
            .field("call", &self.call)
            .field("layers", &self.rest.len())
            .finish_non_exhaustive()
    }
}

/// Layers in their order, the outermost first. Mostly none: small, and known at a glance.
#[derive(Clone, Default)]
pub(crate) struct Layers(Option<Arc<Present>>);

struct Present {
    layers: Vec<Arc<dyn Layer>>,
    /// What says whether they are off, one for each; none if there is a layer that never is.
    off: Vec<fn(Side) -> bool>,
}

impl Layers {
    pub(crate) fn new(layers: Vec<Arc<dyn Layer>>) -> Self {
        let off = layers.iter().map(|layer| layer.off()).collect::<Option<_>>().unwrap_or_default();
        Self((!layers.is_empty()).then(|| Arc::new(Present { layers, off })))
    }

    /// These, and those inside of them.
    pub(crate) fn and(&self, inside: Vec<Arc<dyn Layer>>) -> Self {
        if inside.is_empty() {
            return self.clone();
        }
        Self::new(self.as_slice().iter().cloned().chain(inside).collect())
    }

    /// Whether there is nothing to show a call to: no layer, or none that wants to see calls now.
    #[inline]
    pub(crate) fn are_off(&self, side: Side) -> bool {
        self.0
            .as_ref()
            .is_none_or(|present| !present.off.is_empty() && present.off.iter().all(|is_off| is_off(side)))
    }

    fn as_slice(&self) -> &[Arc<dyn Layer>] {
        self.0.as_ref().map_or(&[], |present| &present.layers)
    }

    /// Shows them a call that is about to be sent; `None` if it goes on as if there were none.
    pub(crate) fn outgoing(&self, head: &mut CallHead, node: &Node) -> Option<Begun> {
        let mut call = OutgoingCall::new(head, node);
        self.begin("client", |layer| layer.outgoing(&mut call))
    }

    /// Shows them a call whose turn has come; `None` if it goes on as if there were none.
    pub(crate) fn incoming(&self, call: &dyn AnyCall, node: &Node) -> Option<Begun> {
        let call = LayerCall::new(call, node, Side::Server);
        self.begin("server", |layer| layer.incoming(&call))
    }

    #[inline]
    fn begin(
        &self,
        side: &str,
        mut look: impl FnMut(&dyn Layer) -> Result<Interest, Failure>,
    ) -> Option<Begun> {
        let mut around = Around::default();
        let looked = catch_unwind(AssertUnwindSafe(|| {
            for (at, layer) in self.as_slice().iter().enumerate() {
                if look(&**layer)? == Interest::Around {
                    around.add(at);
                }
            }
            Ok(())
        }));
        let refused = match looked {
            Ok(Ok(())) if around.is_empty() => return None,
            Ok(looked) => looked.err(),
            Err(panic) => Some(panicked(side, &*panic, Delivery::NotDelivered)),
        };
        Some(Begun { around, refused })
    }
}

/// What layers said when they were shown a call.
#[derive(Debug)]
pub(crate) struct Begun {
    /// Those that stand around it.
    pub(crate) around: Around,
    /// It does not go on, for the sake of the one inside of them.
    pub(crate) refused: Option<Failure>,
}

/// Which of the layers stand around a call: a bit each. All beyond the 63rd share the last one: if one of them wants to
/// stand there, all do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Around {
    bits: u64,
    at: u32,
}

impl Around {
    const LAST: usize = 63;

    fn add(&mut self, at: usize) {
        self.bits |= 1 << at.min(Self::LAST);
    }

    pub(crate) fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// Whether the next one stands around the call.
    fn next(&mut self) -> bool {
        let stands = self.bits >> self.at & 1 == 1;
        self.at = (self.at + 1).min(Self::LAST as u32);
        stands
    }
}

/// The failure of a call one of whose layers panicked.
pub(crate) fn panicked(side: &str, panic: &(dyn Any + Send), delivery: Delivery) -> Failure {
    let message = text_of(panic);
    tracing::error!(side, %message, "a layer panicked");
    Failure::new(FailureKind::Panicked, delivery, format!("a {side} layer panicked: {message}"))
}

/// Polls a future; if it panics, that is its end.
pub(crate) async fn caught<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = std::pin::pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_layers_than_bits_stand_together() {
        let mut around = Around::default();
        around.add(1);
        around.add(100);
        let stand: Vec<usize> = (0..102).filter(|_| around.next()).collect();
        assert_eq!(stand, (0..102).filter(|at| *at == 1 || *at >= 63).collect::<Vec<_>>());
    }
}
