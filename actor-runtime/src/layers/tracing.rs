//! A span a call, and a trace that goes on from hop to hop.
//!
//! ```text
//!   client                                      server
//!   span 1 (parent: TraceContext::current())
//!     └─ traceparent: trace, span 1 ──────────► span 2 (parent: span 1)
//!                                                 └─ TraceContext::current() = trace, span 2, for nested calls
//! ```

use std::borrow::Cow;

use tracing::{Instrument, Level, Span, field::Empty, level_filters::LevelFilter};

use super::{
    outcome::{DROPPED, delivery, outcome},
    trace_context::{PARENT, STATE, TraceContext},
};
use crate::{
    call::{Failure, MetadataError},
    layer::{Interest, Layer, LayerCall, Next, OutgoingCall, Side},
    names::BoxFuture,
    service::Status,
};

/// The target of the spans, for filters.
const TARGET: &str = "actor_runtime::call";

/// Makes a [`tracing`](https://docs.rs/tracing) span of each call, and carries W3C Trace Context with it: `traceparent`
/// and `tracestate` in the [`Metadata`](crate::Metadata).
///
/// Install it on both sides, outermost or near it. The span of a client is the parent of the server's, which is the
/// parent of those of the calls made in the turn; all have one trace id. A call made outside any trace begins one, with
/// ids from the node's randomness. A `traceparent` that the caller has set on the call, or
/// [`TraceContext::scope`], goes before that.
///
/// # Spans
/// Of level `INFO`, target `actor_runtime::call`, named `call`, entered while the handler runs. Their fields follow
/// OpenTelemetry's conventions for RPC where these have a name:
///
/// | field | |
/// |---|---|
/// | `otel.name`, `otel.kind` | `Service/method`; `client` or `server` |
/// | `rpc.system`, `rpc.service`, `rpc.method` | `actor_runtime`, the service, the method |
/// | `actor` | the name that was called |
/// | `trace_id`, `span_id`, `parent_id` | the ids as in `traceparent`; the last is empty where the trace begins |
/// | `outcome` | `ok`, `application_error`, or the kind of the failure, such as `deadline_exceeded` |
/// | `delivery` | `executed`, `not_delivered`, `delivery_unknown` |
///
/// For OpenTelemetry, a subscriber such as `tracing-opentelemetry` takes `otel.name` and `otel.kind` from them; where
/// its spans are to have these ids, set its span's parent from [`TraceContext::current`] in the handler.
///
/// # Switched off
/// Where no subscriber wants the spans, nothing is made: a client hands on the trace that came with the turn's call, if
/// any, and a server does nothing. [`always`](Self::always) makes ids all the same.
///
/// What does not fit into the bounds of the metadata is not sent; the call goes on without it.
///
/// ```
/// use actor_runtime::{Node, layers::TraceLayer};
///
/// # #[actor_runtime::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = Node::builder().client_layer(TraceLayer::new()).server_layer(TraceLayer::new()).build()?;
/// # drop(node);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceLayer {
    always: bool,
}

impl TraceLayer {
    /// Traces calls where a subscriber wants their spans.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes ids and sends them also where no subscriber wants the spans, for code that reads
    /// [`TraceContext::current`] for itself.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.always = true;
        self
    }

    fn is_on(self) -> bool {
        // The first is known at a glance.
        self.always || Level::INFO <= LevelFilter::current() && tracing::enabled!(target: TARGET, Level::INFO)
    }
}

impl Layer for TraceLayer {
    fn off(&self) -> Option<fn(Side) -> bool> {
        // A client has a trace to hand on all the same.
        let is_off =
            |side| Level::INFO > LevelFilter::current() && (side == Side::Server || !TraceContext::is_here());
        (!self.always).then_some(is_off as fn(Side) -> bool)
    }

    fn outgoing(&self, call: &mut OutgoingCall<'_>) -> Result<Interest, Failure> {
        if !self.is_on() {
            hand_on(call);
            return Ok(Interest::Pass);
        }
        let parent = TraceContext::of(call.metadata()).or_else(TraceContext::current);
        let span = match parent {
            Some(parent) => parent.child(call.node()),
            None => TraceContext::root(call.node()),
        };
        write(call, &span);
        Ok(Interest::Around)
    }

    fn incoming(&self, _: &LayerCall<'_>) -> Result<Interest, Failure> {
        Ok(if self.is_on() { Interest::Around } else { Interest::Pass })
    }

    fn call<'a>(&'a self, call: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        let sent = TraceContext::of(call.metadata());
        match call.side() {
            Side::Client => {
                let parent = TraceContext::current();
                let parent = parent.filter(|parent| sent.as_ref().is_some_and(|sent| is_of(sent, parent)));
                let span = span(&call, sent.as_ref(), parent.as_ref());
                Box::pin(recorded(span.clone(), next).instrument(span))
            }
            Side::Server => {
                let here = match &sent {
                    Some(sent) => sent.child(call.node()),
                    None => TraceContext::root(call.node()),
                };
                let span = span(&call, Some(&here), sent.as_ref());
                Box::pin(here.scope(recorded(span.clone(), next).instrument(span)))
            }
        }
    }
}

fn is_of(span: &TraceContext, parent: &TraceContext) -> bool {
    span.trace_id() == parent.trace_id()
}

/// Goes on with the trace of the code that makes the call, without a span of its own.
#[cold]
fn hand_on(call: &mut OutgoingCall<'_>) {
    if TraceContext::of(call.metadata()).is_none()
        && let Some(parent) = TraceContext::current()
    {
        write(call, &parent);
    }
}

/// Writes the context, or nothing at all.
fn write(call: &mut OutgoingCall<'_>, trace: &TraceContext) {
    let write = |call: &mut OutgoingCall<'_>| -> Result<(), MetadataError> {
        call.insert(PARENT, trace.to_string())?;
        match trace.state() {
            Some(state) => call.insert(STATE, state),
            None => {
                call.remove(STATE);
                Ok(())
            }
        }
    };
    if let Err(error) = write(call) {
        call.remove(STATE);
        tracing::debug!(%error, method = %call.method(), "the trace does not fit into the call");
    }
}

fn span(call: &LayerCall<'_>, own: Option<&TraceContext>, parent: Option<&TraceContext>) -> Span {
    let method = call.method();
    let kind = match call.side() {
        Side::Client => "client",
        Side::Server => "server",
    };
    let span_id = |trace: &TraceContext| format!("{:016x}", trace.span_id());
    let span = tracing::info_span!(
        target: TARGET,
        "call",
        otel.name = %method,
        otel.kind = kind,
        rpc.system = "actor_runtime",
        rpc.service = method.service,
        rpc.method = method.name,
        actor = call.actor_name(),
        trace_id = Empty,
        span_id = Empty,
        parent_id = Empty,
        outcome = Empty,
        delivery = Empty,
    );
    if let Some(own) = own.filter(|_| !span.is_disabled()) {
        span.record("trace_id", format!("{:032x}", own.trace_id()));
        span.record("span_id", span_id(own));
        if let Some(parent) = parent {
            span.record("parent_id", span_id(parent));
        }
    }
    span
}

/// Runs the rest, and writes its end into the span.
async fn recorded(span: Span, next: Next<'_>) -> Result<Status, Failure> {
    let mut ended =
        Ended { span, outcome: Cow::Borrowed(DROPPED), delivery: Cow::Borrowed("delivery_unknown") };
    let end = next.run().await;
    (ended.outcome, ended.delivery) = (outcome(&end), delivery(&end));
    end
}

/// Writes how a call ended, however that was.
struct Ended {
    span: Span,
    outcome: Cow<'static, str>,
    delivery: Cow<'static, str>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.span.record("outcome", &*self.outcome);
        self.span.record("delivery", &*self.delivery);
    }
}
