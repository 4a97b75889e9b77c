//! Traces: one id over all hops, each span the child of the one before.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use actor_runtime::{FixedResolver, NodeBuilder, layers::TraceContext, layers::TraceLayer, prelude::*};
use tests::{Fixture, Path};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

fn with_nodes(configure: impl Fn(NodeBuilder) -> NodeBuilder, test: impl AsyncFn(&Fixture)) {
    for path in Path::ALL {
        tests::runtime(path).block_on(async {
            let fixture = Fixture::with(path, &configure).await;
            fixture.node.scope(test(&fixture)).await;
        });
    }
}

/// What a turn sees: the parent that came, and the trace it runs in.
#[message]
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    sent: Option<String>,
    here: Option<String>,
    state: Option<String>,
}

#[actor_service]
trait Hop {
    /// What this turn and those behind it see.
    async fn hop(&self, further: u32) -> Vec<Seen>;
}

struct Hopper(FixedResolver);

#[actor_service]
impl Hop for Hopper {
    async fn hop(&self, further: u32) -> Vec<Seen> {
        let sent = current_ctx().ok().and_then(|ctx| ctx.metadata().value("traceparent").map(str::to_owned));
        let here = TraceContext::current();
        let state = here.as_ref().and_then(|here| here.state().map(str::to_owned));
        let mut seen = vec![Seen { sent, here: here.map(|here| here.to_string()), state }];
        if further > 0 {
            seen.extend(HopClient::new(&self.0, "hop").hop(further - 1).await.unwrap_or_default());
        }
        seen
    }
}

fn hop(fixture: &Fixture) -> HopClient {
    fixture.register("hop", Hopper(fixture.resolver.clone()));
    HopClient::on(&fixture.node, &fixture.resolver, "hop")
}

fn parsed(text: Option<&String>) -> TraceContext {
    TraceContext::parse(text.expect("a traceparent"), None).expect("as W3C writes it")
}

/// All spans of the hops in the order of the calls: client, server, client, server.
fn spans(seen: &[Seen]) -> Vec<TraceContext> {
    seen.iter().flat_map(|seen| [parsed(seen.sent.as_ref()), parsed(seen.here.as_ref())]).collect()
}

fn always(builder: NodeBuilder) -> NodeBuilder {
    builder.client_layer(TraceLayer::new().always()).server_layer(TraceLayer::new().always())
}

#[test]
fn a_trace_goes_on_over_all_hops_with_a_span_of_its_own_for_each() {
    with_nodes(always, async |fixture| {
        let hop = hop(fixture);
        let seen = hop.hop(2).await.unwrap();
        assert_eq!(seen.len(), 3);
        let spans = spans(&seen);
        assert!(spans.iter().all(|span| span.trace_id() == spans[0].trace_id() && span.is_sampled()));
        let mut ids: Vec<u64> = spans.iter().map(TraceContext::span_id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 6, "every span has an id of its own");
        let another = parsed(hop.hop(0).await.unwrap()[0].sent.as_ref());
        assert_ne!(another.trace_id(), spans[0].trace_id(), "another call begins another trace");
    });
}

const OUTSIDE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

#[test]
fn a_trace_from_outside_goes_on_with_its_state_and_its_flag() {
    with_nodes(always, async |fixture| {
        let hop = hop(fixture);
        let outside = TraceContext::parse(OUTSIDE, Some("a=1,b=2")).unwrap();
        let seen = outside.clone().scope(hop.hop(1)).await.unwrap();
        assert!(spans(&seen).iter().all(|span| span.trace_id() == outside.trace_id() && !span.is_sampled()));
        assert!(seen.iter().all(|seen| seen.state.as_deref() == Some("a=1,b=2")));
        let seen = hop.hop(0).with(outside.clone()).await.unwrap();
        assert_eq!(parsed(seen[0].here.as_ref()).trace_id(), outside.trace_id());
        // What is not a traceparent is as if it were not there.
        let seen =
            hop.hop(0).metadata("traceparent", "00-nothing").metadata("tracestate", "a=1").await.unwrap();
        assert_ne!(parsed(seen[0].here.as_ref()).trace_id(), outside.trace_id());
        assert_eq!(seen[0].state, None);
    });
}

#[test]
fn switched_off_it_hands_a_trace_on_and_begins_none() {
    with_nodes(
        |builder| builder.client_layer(TraceLayer::new()).server_layer(TraceLayer::new()),
        async |fixture| {
            let hop = hop(fixture);
            let seen = hop.hop(1).await.unwrap();
            assert!(seen.iter().all(|seen| seen.sent.is_none() && seen.here.is_none()));
            let outside = TraceContext::parse(OUTSIDE, Some("a=1")).unwrap();
            let seen = outside.scope(hop.hop(1)).await.unwrap();
            assert!(seen.iter().all(|seen| seen.sent.as_deref() == Some(OUTSIDE) && seen.here == seen.sent));
            assert!(seen.iter().all(|seen| seen.state.as_deref() == Some("a=1")));
        },
    );
}

#[test]
fn a_call_that_has_no_room_for_its_trace_is_made_without_it() {
    with_nodes(always, async |fixture| {
        let hop = hop(fixture);
        let full = "x".repeat(actor_runtime::Metadata::MAX_BYTES - 1);
        let seen = hop.hop(0).metadata("k", full).await.unwrap();
        assert_eq!(seen[0].sent, None);
    });
}

/// Keeps the fields of the spans of calls.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<BTreeMap<u64, BTreeMap<String, String>>>>, Arc<AtomicU64>);

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "actor_runtime::call"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.1.fetch_add(1, Ordering::Relaxed) + 1;
        span.record(&mut Fields(self.0.lock().expect("no panic").entry(id).or_default()));
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        values.record(&mut Fields(self.0.lock().expect("no panic").entry(span.into_u64()).or_default()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn spans_say_what_was_called_how_it_ended_and_whose_children_they_are() {
    let kept = Spans::default();
    let _subscriber = tests::traced(kept.clone());
    with_nodes(
        |builder| builder.client_layer(TraceLayer::new()).server_layer(TraceLayer::new()),
        async |fixture| {
            kept.0.lock().unwrap().clear();
            hop(fixture).hop(1).await.unwrap();
            let missing = HopClient::on(&fixture.node, &fixture.resolver, "missing");
            missing.hop(0).await.unwrap_err();
            fixture.settle().await;
            let spans: Vec<_> = std::mem::take(&mut *kept.0.lock().unwrap()).into_values().collect();
            let kinds: Vec<_> = spans.iter().map(|span| &*span["otel.kind"]).collect();
            assert_eq!(kinds, ["client", "server", "client", "server", "client"]);
            for span in &spans[..4] {
                assert_eq!((&*span["rpc.service"], &*span["rpc.method"]), ("Hop", "hop"));
                assert_eq!((&*span["otel.name"], &*span["actor"]), ("Hop/hop", "hop"));
                assert_eq!((&*span["outcome"], &*span["delivery"]), ("ok", "executed"));
                assert_eq!(span["trace_id"], spans[0]["trace_id"]);
            }
            assert_eq!(spans[0].get("parent_id"), None);
            for (parent, child) in spans[..4].iter().zip(&spans[1..4]) {
                assert_eq!(child["parent_id"], parent["span_id"]);
            }
            assert_ne!(spans[4]["trace_id"], spans[0]["trace_id"]);
            assert_eq!(spans[4]["delivery"], "not_delivered");
            assert!(["not_found", "unreachable"].contains(&&*spans[4]["outcome"]), "{:?}", spans[4]);
        },
    );
}
