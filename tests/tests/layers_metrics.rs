//! Metrics: every call is counted once on each side, with the outcome that it had.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use actor_runtime::layers::MetricsLayer;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use tests::{Fixture, Path};

/// Keeps the sum of each series, and the number of values of the histograms.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<BTreeMap<String, f64>>>);

impl Kept {
    fn series(&self) -> MutexGuard<'_, BTreeMap<String, f64>> {
        self.0.lock().expect("no panic under it")
    }

    fn of(&self, series: &str) -> f64 {
        self.series().get(series).copied().unwrap_or_default()
    }

    fn one(&self, key: &Key) -> One {
        let mut labels: Vec<_> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        labels.sort();
        One(self.clone(), format!("{} {}", key.name(), labels.join(" ")))
    }
}

struct One(Kept, String);

impl One {
    fn add(&self, value: f64) {
        *self.0.series().entry(self.1.clone()).or_default() += value;
    }
}

impl CounterFn for One {
    fn increment(&self, value: u64) {
        self.add(value as f64);
    }

    fn absolute(&self, _: u64) {}
}

impl GaugeFn for One {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, _: f64) {}
}

impl HistogramFn for One {
    fn record(&self, value: f64) {
        assert!((0.0..60.0).contains(&value), "{value} seconds");
        self.add(1.0);
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(self.one(key)))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(self.one(key)))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(self.one(key)))
    }
}

// One test: the recorder belongs to the process.
#[test]
fn calls_are_counted_and_timed_on_both_sides_by_their_outcome() {
    let kept = Kept::default();
    assert!(metrics::set_global_recorder(kept.clone()).is_ok(), "there is no other recorder");
    for path in Path::ALL {
        kept.series().clear();
        tests::runtime(path).block_on(async {
            let layers = |builder: actor_runtime::NodeBuilder| {
                builder.client_layer(MetricsLayer::new()).server_layer(MetricsLayer::new())
            };
            let fixture = Fixture::with(path, layers).await;
            let probe = fixture.puppet("p");
            for _ in 0..3 {
                probe.add(1).await.unwrap();
            }
            probe.relay(&["none".to_owned()]).await.unwrap_err();
            tokio::select! {
                _ = probe.shared("left") => unreachable!("nobody opens its door"),
                () = async {
                    fixture.script.seen("left begins").await;
                    for side in ["client", "server"] {
                        let series = format!("actor_calls_in_flight method=shared service=Probe side={side}");
                        assert_eq!(kept.of(&series), 1.0, "{path:?}");
                    }
                } => {}
            }
            fixture.script.seen("left dropped").await;
            probe.shared("late").timeout(Duration::from_millis(500)).await.unwrap_err();
            fixture.script.seen("late dropped").await;
            probe.panic("stumbled").await.unwrap_err();
            fixture.settle().await;
        });
        let counted = |method: &str, side: &str, outcome: &str| {
            let labels = format!("method={method} outcome={outcome} service=Probe side={side}");
            let calls = kept.of(&format!("actor_calls_total {labels}"));
            assert_eq!(calls, kept.of(&format!("actor_call_duration_seconds {labels}")), "{labels}");
            calls
        };
        for side in ["client", "server"] {
            assert_eq!(counted("add", side, "ok"), 3.0, "{path:?} {side}");
            assert_eq!(counted("relay", side, "application_error"), 1.0, "{path:?} {side}");
            assert_eq!(counted("panic", side, "panicked"), 1.0, "{path:?} {side}");
        }
        assert_eq!(counted("shared", "client", "cancelled"), 1.0, "{path:?}");
        assert_eq!(counted("shared", "client", "deadline_exceeded"), 1.0, "{path:?}");
        // To a server both are callers that left.
        assert_eq!(counted("shared", "server", "cancelled"), 2.0, "{path:?}");
        let in_flight = kept.series().clone();
        let in_flight = in_flight.iter().filter(|(series, _)| series.starts_with("actor_calls_in_flight"));
        assert_eq!(in_flight.clone().count(), 8);
        assert_eq!(in_flight.filter(|(_, calls)| **calls != 0.0).count(), 0, "{path:?}");
    }
}
