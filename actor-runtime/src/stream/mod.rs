//! Streams of items: replies of handlers, and arguments of callers.
//!
//! ```text
//!   impl Stream<Item = T> ──► Streaming::Here ─┬─ same node ──► Near: a task, a queue of values ──────┐
//!   of a handler or a caller    (Producer)     └─ Source ─► a task, Batch ─► link ─► Far: Inbox ──────┴──► reader
//! ```
//!
//! Whoever writes is polled only while there is room at the reader, and in a task of its own, so that it can neither
//! block nor panic in anybody else's place.
//!
//! Invariants:
//! 1. A stream ends with `None` only if what was streamed has ended; however else it ends, its last item is a failure.
//! 2. Dropping the reader drops the producer.
//! 3. What waits for a reader is bounded: [`near::ROOM`] values, or the credit of `proto/machine/streaming`.
//! 4. A producer has gone when its server has.

mod far;
mod near;
mod producer;
pub(crate) mod running;
pub(crate) mod source;

use std::{
    any::Any,
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::{Stream, stream::FusedStream};

pub(crate) use far::{Inbox, Incoming, Piece, Upstream};
use near::Reader;
use producer::{Polled, Producer};
pub(crate) use running::Running;
pub(crate) use source::{Batch, Limits, Source, Written};

use crate::{
    Node,
    actor_id::Instance,
    call::{CallHead, Delivery, Failure, FailureKind},
    codec::{self, CodecError, Decoder, Encoder, Message, arriving_at},
    context::ActorContext,
    node::current,
    service::Method,
    sync::Mutex,
};

/// A stream of items as its reader holds it: what a method that returns `impl Stream<Item = T>` gives its caller, and
/// what a handler has of an argument `Streaming<T>`, for which its caller passes any `Stream<Item = T>`.
///
/// It is a `Stream` of `Result<T, Failure>`. After a failure nothing comes: the stream broke off there. Without one it
/// ended because the producer's did. So the loop is
///
/// ```
/// use actor_runtime::prelude::*;
///
/// #[actor_service]
/// trait Counter {
///     fn count_to(&self, n: u64) -> impl Stream<Item = u64>;
///     async fn sum(&self, numbers: Streaming<u64>) -> Result<u64, String>;
/// }
///
/// struct Fingers;
///
/// #[actor_service]
/// impl Counter for Fingers {
///     fn count_to(&self, n: u64) -> impl Stream<Item = u64> {
///         stream::iter(0..n)
///     }
///
///     async fn sum(&self, mut numbers: Streaming<u64>) -> Result<u64, String> {
///         let mut sum = 0;
///         while let Some(number) = numbers.try_next().await.map_err(|failure| failure.to_string())? {
///             sum += number;
///         }
///         Ok(sum)
///     }
/// }
///
/// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = ActorServer::bind("loopback:0").await?;
/// # server.register("counter", Fingers)?;
/// # let resolver = FixedResolver::new([("counter", server.address())]);
/// let counter = CounterClient::new(&resolver, "counter");
/// let mut numbers = counter.count_to(3).await?;
/// let mut seen = Vec::new();
/// while let Some(number) = numbers.try_next().await? {
///     seen.push(number);
/// }
/// assert_eq!(seen, [0, 1, 2]);
/// assert_eq!(counter.sum(stream::iter(1..=4)).await?, 10);
/// # Ok(()) }
/// ```
///
/// - Items come in order. The producer is stopped while its reader does not read: at most 1024 items, and 256 KiB and
///   one item, are on the way.
/// - Dropping it drops the producer.
/// - The deadline of the call covers the time until the stream is there. From then on the stream has none: whoever reads
///   decides how long an item may take. It fails when the connection, the producer's server or its process ends.
/// - A producer runs in a task of its own, in its actor's context but outside of any call.
///   [`current_ctx`](crate::current_ctx) works in it, and finds no deadline.
///
/// # Cancel safety
/// `next()` and `try_next()` can be dropped at any time without losing an item.
pub struct Streaming<T> {
    state: State<T>,
    /// Whom its failures are about.
    about: Option<Box<(&'static Method, String)>>,
    /// The node that reads it, if that is known.
    reader: Option<Instance>,
    /// Set if items have clients in them, which are bound where they are read, and do not come over a link.
    again: Option<Again<T>>,
}

/// Writes an item and reads it again.
type Again<T> = fn(&T) -> Result<T, CodecError>;

enum State<T> {
    /// It was not started. The lock is never taken: it says that nobody but the owner looks inside.
    Here(Mutex<Producer<T>>),
    /// Its producer runs in this process.
    Near(Mutex<Reader<T>>),
    /// It comes over a link.
    Far(Incoming, fn(Bytes) -> Result<T, CodecError>),
    Over,
}

/// What generated code can do with a stream in a request or a response.
pub trait AnyStreaming: Send {
    /// Has it run as a task from now on, for a reader of this process.
    fn start(&mut self);

    /// Takes it out, to be written elsewhere.
    fn take(&mut self) -> Outgoing;

    /// Has each item go through bytes where it is read on the same node: there are clients in it.
    fn encode_in_place(&mut self);

    /// Says which call its failures are about, and which node reads it.
    fn name(&mut self, head: &CallHead);
}

/// A stream that leaves: its items are to be read elsewhere.
pub struct Outgoing(pub(crate) Box<dyn Source>);

/// A stream that came to where it is read, before anybody knows its type.
pub(crate) enum Arrived {
    /// Its producer is in this process.
    Here(Outgoing),
    /// It comes over a link.
    There(Incoming),
}

impl<T: Send + 'static> Streaming<T> {
    /// A stream for a handler whose caller is not there: for tests that call handlers as plain methods.
    pub fn new(items: impl Stream<Item = T> + Send + 'static) -> Self {
        Self::in_state(State::Here(Mutex::new(Producer::new(items))))
    }

    /// Runs the producer as a task of its node, if it has one.
    fn run(&mut self) {
        if !matches!(self.state, State::Here(_)) {
            return;
        }
        let State::Here(producer) = mem::replace(&mut self.state, State::Over) else { return };
        let producer = producer.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let node = producer.node().map_or_else(Node::current, Ok);
        self.state = match node {
            Ok(node) => State::Near(Mutex::new(near::start(&node, producer))),
            Err(_) => State::Here(Mutex::new(producer)),
        };
    }
}

impl<T> Streaming<T> {
    fn in_state(state: State<T>) -> Self {
        Self { state, about: None, reader: None, again: None }
    }

    /// An item as its reader gets it.
    fn read(&self, item: T) -> Result<T, Failure> {
        let Some(again) = self.again else { return Ok(item) };
        arriving_at(self.reader, || again(&item)).map_err(unreadable)
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Failure>>> {
        let item = match &mut self.state {
            State::Here(producer) => {
                let producer = producer.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
                let mut item = None;
                match producer.poll_some(cx, |value| {
                    item = Some(value);
                    false
                }) {
                    Polled::Pending => return Poll::Pending,
                    Polled::Full => item.map(|item| self.read(item)),
                    Polled::Ended(end) => end.map(Err),
                }
            }
            State::Near(reader) => {
                let reader = reader.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
                ready!(reader.poll_next(cx)).map(|item| item.and_then(|item| self.read(item)))
            }
            State::Far(incoming, decode) => match ready!(incoming.poll_next(cx)) {
                Some(Ok(bytes)) => Some(arriving_at(self.reader, || decode(bytes)).map_err(unreadable)),
                Some(Err(failure)) => Some(Err(failure)),
                None => None,
            },
            State::Over => return Poll::Ready(None),
        };
        Poll::Ready(match item {
            Some(Ok(item)) => Some(Ok(item)),
            Some(Err(mut failure)) => {
                if let Some(about) = &self.about {
                    let endpoint = match &self.state {
                        State::Far(incoming, _) => format!("actor://{}/{}", incoming.endpoint(), about.1),
                        _ => String::new(),
                    };
                    failure.locate(about.0, &about.1, &endpoint);
                }
                self.state = State::Over;
                Some(Err(failure))
            }
            None => {
                self.state = State::Over;
                None
            }
        })
    }
}

impl<T: Send + 'static> Stream for Streaming<T> {
    type Item = Result<T, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.run();
        self.poll_item(cx)
    }
}

impl<T: Send + 'static> FusedStream for Streaming<T> {
    fn is_terminated(&self) -> bool {
        matches!(self.state, State::Over)
    }
}

impl<T> Unpin for Streaming<T> {}

impl<T> fmt::Debug for Streaming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Here(_) => "not started",
            State::Near(_) => "in this process",
            State::Far(..) => "over a connection",
            State::Over => "over",
        };
        let mut debug = f.debug_struct("Streaming");
        if let Some(about) = &self.about {
            debug.field("method", &about.0.to_string()).field("actor", &about.1);
        }
        debug.field("state", &format_args!("{state}")).finish()
    }
}

impl<T: Message + Send + 'static> AnyStreaming for Streaming<T> {
    fn start(&mut self) {
        self.run();
    }

    fn take(&mut self) -> Outgoing {
        let state = mem::replace(&mut self.state, State::Over);
        Outgoing(Box::new(Self { state, about: self.about.take(), ..*self }))
    }

    fn encode_in_place(&mut self) {
        self.again = Some(again::<T>);
    }

    fn name(&mut self, head: &CallHead) {
        self.about = Some(Box::new((head.method, head.name.to_string())));
        self.reader = head.home;
    }
}

impl<T: Message + Send + 'static> Source for Streaming<T> {
    fn poll_write(&mut self, cx: &mut Context<'_>, batch: &mut Batch) -> Written {
        if let State::Here(producer) = &mut self.state {
            let producer = producer.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
            let mut refused = None;
            let polled = producer.poll_some(cx, |item| match batch.push(&item) {
                Ok(more) => more,
                Err(failure) => {
                    refused = Some(failure);
                    false
                }
            });
            return match (refused, polled) {
                (Some(failure), _) => Written::Ended(Some(failure)),
                (None, Polled::Pending) => Written::Pending,
                (None, Polled::Full) => Written::Full,
                (None, Polled::Ended(end)) => Written::Ended(end),
            };
        }
        loop {
            match self.poll_item(cx) {
                Poll::Pending => return Written::Pending,
                Poll::Ready(None) => return Written::Ended(None),
                Poll::Ready(Some(Err(failure))) => return Written::Ended(Some(failure)),
                Poll::Ready(Some(Ok(item))) => match batch.push(&item) {
                    Ok(true) => {}
                    Ok(false) => return Written::Full,
                    Err(failure) => return Written::Ended(Some(failure)),
                },
            }
        }
    }

    fn actor(&self) -> Option<ActorContext> {
        match &self.state {
            State::Here(producer) => crate::sync::lock(producer).actor().cloned(),
            _ => None,
        }
    }

    fn encode_in_place(&mut self) {
        self.again = Some(again::<T>);
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// A stream has no bytes of its own beside the other arguments, or in a reply: its items come behind.
#[diagnostic::do_not_recommend]
impl<T: Message + Send + 'static> Message for Streaming<T> {
    fn schema() -> crate::schema::Schema {
        crate::schema::Schema::Stream(Box::new(T::schema()))
    }

    fn schema_vec() -> crate::schema::Schema {
        Self::schema()
    }

    fn encode(&self, _: &mut Encoder, _: &'static str) -> Result<(), CodecError> {
        Ok(())
    }

    fn encode_vec(_: &Vec<Self>, _: &mut Encoder, part: &'static str) -> Result<(), CodecError> {
        Err(CodecError::NoStream { part })
    }

    fn encode_slice(_: &[Self], _: &mut Encoder, part: &'static str) -> Result<(), CodecError> {
        Err(CodecError::NoStream { part })
    }

    fn decode(decoder: &mut Decoder, part: &'static str) -> Result<Self, CodecError> {
        let mut streaming = match decoder.stream() {
            Some(Arrived::There(incoming)) => Self::in_state(State::Far(incoming, item::<T>)),
            Some(Arrived::Here(outgoing)) => match outgoing.0.into_any().downcast::<Self>() {
                Ok(streaming) => *streaming,
                Err(_) => return Err(CodecError::NoStream { part }),
            },
            None => return Err(CodecError::NoStream { part }),
        };
        streaming.reader = current::said_instance();
        Ok(streaming)
    }

    fn decode_vec(_: &mut Decoder, part: &'static str) -> Result<Vec<Self>, CodecError> {
        Err(CodecError::NoStream { part })
    }
}

fn item<T: Message>(bytes: Bytes) -> Result<T, CodecError> {
    let mut decoder = Decoder::new(bytes);
    let item = T::decode(&mut decoder, "item")?;
    decoder.finish()?;
    Ok(item)
}

fn again<T: Message>(item: &T) -> Result<T, CodecError> {
    let mut encoder = Encoder::new(codec::buffer(), usize::MAX);
    item.encode(&mut encoder, "item")?;
    self::item(encoder.into_inner().freeze())
}

fn unreadable(error: CodecError) -> Failure {
    Failure::of_codec(&error, Delivery::Executed, "an item of the stream")
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outgoing")
    }
}

impl fmt::Debug for Arrived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Arrived")
    }
}

/// A stream whose producer is gone without having said how it ended.
fn cut_off(detail: &str) -> Failure {
    Failure::new(FailureKind::Stopped, Delivery::Executed, detail)
}
