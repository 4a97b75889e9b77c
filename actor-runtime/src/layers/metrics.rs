//! Counts and times calls, for whatever recorder the program has.

use std::borrow::Cow;

use metrics::{Label, SharedString};
use tokio::time::Instant;

use super::outcome::{DROPPED, outcome};
use crate::{
    Node,
    call::Failure,
    layer::{Layer, LayerCall, Next, Side},
    names::BoxFuture,
    service::{Method, Status},
};

/// Counts and times calls, and gives the figures to the recorder that the program has installed for the
/// [`metrics`](https://docs.rs/metrics) facade, such as an exporter for Prometheus. Without a recorder nothing is kept.
///
/// | name | kind | labels |
/// |---|---|---|
/// | `actor_calls_total` | counter | `service`, `method`, `side`, `outcome` |
/// | `actor_call_duration_seconds` | histogram, seconds | `service`, `method`, `side`, `outcome` |
/// | `actor_calls_in_flight` | gauge | `service`, `method`, `side` |
///
/// `side` is `client` or `server`; `outcome` is `ok`, `application_error`, or the kind of the failure, such as
/// `deadline_exceeded`, and `cancelled` for a call whose caller left. A client's time begins at the first poll of the call;
/// a server's when the call has come through the mailbox and the layers outside, so it is the handler's.
///
/// There are as many series as methods, two sides and at most twenty outcomes; no label names an actor, a caller or a node.
///
/// Available with the feature `metrics`.
///
/// ```
/// use actor_runtime::{Node, layers::MetricsLayer};
///
/// # #[actor_runtime::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = Node::builder().client_layer(MetricsLayer::new()).server_layer(MetricsLayer::new()).build()?;
/// # drop(node);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MetricsLayer(());

impl MetricsLayer {
    /// Counts and times the calls that it stands around.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Layer for MetricsLayer {
    fn call<'a>(&'a self, call: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        Box::pin(async move {
            let mut measured = Measured::begin(&call);
            let end = next.run().await;
            measured.outcome = outcome(&end);
            end
        })
    }
}

/// A call that has begun; counted where it is dropped, however it ended.
struct Measured<'a> {
    node: &'a Node,
    method: &'static Method,
    side: &'static str,
    began: Instant,
    outcome: Cow<'static, str>,
}

impl<'a> Measured<'a> {
    fn begin(call: &LayerCall<'a>) -> Self {
        let side = match call.side() {
            Side::Client => "client",
            Side::Server => "server",
        };
        let (node, outcome) = (call.node(), Cow::Borrowed(DROPPED));
        let measured = Self { node, method: call.method(), side, began: node.now(), outcome };
        metrics::gauge!("actor_calls_in_flight", measured.labels()).increment(1.0);
        measured
    }

    fn labels(&self) -> Vec<Label> {
        let mut labels = Vec::with_capacity(4);
        labels.push(Label::from_static_parts("service", self.method.service));
        labels.push(Label::from_static_parts("method", self.method.name));
        labels.push(Label::from_static_parts("side", self.side));
        labels
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        metrics::gauge!("actor_calls_in_flight", self.labels()).decrement(1.0);
        let mut labels = self.labels();
        labels.push(Label::new("outcome", SharedString::from(std::mem::take(&mut self.outcome))));
        let took = self.node.now().saturating_duration_since(self.began);
        metrics::histogram!("actor_call_duration_seconds", labels.clone()).record(took.as_secs_f64());
        metrics::counter!("actor_calls_total", labels).increment(1);
    }
}
