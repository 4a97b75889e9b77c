//! S6: every call ends, whatever becomes of those who carry it and of the code that it brings along.

#![allow(clippy::unwrap_used, reason = "an actor of a test may panic as the test may")]

use std::{
    panic::panic_any,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use actor_runtime::{
    BoxFuture, BoxStream, Failure, FixedResolver, Layer, LayerCall, Namespace, Next, ResolveError,
    ResolveResult, Resolver, Status, prelude::*,
};
use actor_runtime::{Delivery, FailureKind, Node};
use futures::FutureExt;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tests::{Fixture, Path, ProbeClient, Puppet, Script, on_each_path, on_path};

/// An argument that does what it should not.
#[derive(Default)]
struct Fuse {
    /// Panics when it is written.
    unwritable: bool,
    on_drop: Option<Box<dyn FnOnce() + Send>>,
}

impl Fuse {
    fn on_drop(act: impl FnOnce() + Send + 'static) -> Self {
        Self { unwritable: false, on_drop: Some(Box::new(act)) }
    }
}

impl Serialize for Fuse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(!self.unwritable, "cannot be written");
        serializer.serialize_bool(true)
    }
}

impl<'de> Deserialize<'de> for Fuse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bool::deserialize(deserializer).map(|_| Self::default())
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        if let Some(act) = self.on_drop.take() {
            act();
        }
    }
}

#[actor_service]
trait Bench {
    /// Waits until the test goes on.
    async fn hold(&mut self, name: &str);
    /// Waits until the test goes on, and panics when it is cancelled.
    async fn hold_loudly(&self, name: &str);
    async fn take(&mut self, fuse: Fuse);
}

struct Wood(Script);

#[actor_service]
impl Bench for Wood {
    async fn hold(&mut self, name: &str) {
        self.0.act(name).await;
    }

    async fn hold_loudly(&self, name: &str) {
        let _loud = Fuse::on_drop(|| panic_any("dropped too early"));
        self.0.act(name).await;
    }

    async fn take(&mut self, fuse: Fuse) {
        drop(fuse);
    }
}

fn bench(fixture: &Fixture) -> BenchClient {
    fixture.server.register("bench", Wood(fixture.script.clone())).unwrap();
    fixture.resolver.set("bench", [fixture.server.address()]);
    BenchClient::on(&fixture.node, &fixture.resolver, "bench")
}

#[test]
fn an_argument_that_cannot_be_written_fails_its_own_call_only() {
    on_each_path(async |fixture| {
        bench(fixture);
        // Each client sends its first call from the task that looks up its actor.
        for _ in 0..16 {
            let bench = BenchClient::on(&fixture.node, &fixture.resolver, "bench");
            let broken = bench.take(Fuse { unwritable: true, on_drop: None });
            let (broken, next) = tokio::join!(broken, bench.take(Fuse::default()));
            match broken {
                // Direct calls are written now and then only, and never in release builds.
                Ok(()) => assert_eq!(fixture.path, Path::Direct),
                Err(failure) => {
                    let what = (failure.kind(), failure.delivery());
                    assert_eq!(what, (FailureKind::Malformed, Delivery::NotDelivered), "{failure}");
                    assert!(failure.detail().contains("cannot be written"), "{failure}");
                }
            }
            next.unwrap();
        }
    });
}

#[test]
fn an_argument_that_panics_while_it_is_dropped_keeps_no_other_call_from_ending() {
    on_each_path(async |fixture| {
        let bench = bench(fixture);
        let test = async {
            fixture.script.seen("held begins").await;
            let loud = bench.take(Fuse::on_drop(|| panic_any("dropped"))).no_timeout();
            let quiet = bench.take(Fuse::default()).no_timeout();
            let (loud, quiet, _) =
                tokio::join!(loud, quiet, fixture.server.shutdown(Duration::from_millis(10)));
            assert_eq!(loud.unwrap_err().kind(), FailureKind::Stopped);
            assert_eq!(quiet.unwrap_err().kind(), FailureKind::Stopped);
        };
        let (held, ()) = tokio::join!(bench.hold("held"), test);
        held.unwrap_err();
    });
}

#[test]
fn an_argument_may_make_a_call_while_it_is_dropped_with_an_expired_one() {
    on_each_path(async |fixture| {
        let bench = bench(fixture);
        let test = async {
            fixture.script.seen("held begins").await;
            let calls = bench.clone();
            let fuse = Fuse::on_drop(move || {
                let call = calls.take(Fuse::default()).timeout(Duration::from_millis(1));
                assert!(call.now_or_never().is_none());
            });
            let failure = bench.take(fuse).timeout(Duration::from_secs(1)).await.unwrap_err();
            assert_eq!(failure.kind(), FailureKind::DeadlineExceeded);
            let failure = bench.take(Fuse::default()).timeout(Duration::from_secs(1)).await.unwrap_err();
            assert_eq!(failure.kind(), FailureKind::DeadlineExceeded, "deadlines are still kept");
            fixture.script.open("held");
        };
        let (held, ()) = tokio::join!(bench.hold("held"), test);
        held.unwrap();
    });
}

#[test]
fn a_handler_that_panics_while_it_is_cancelled_ends_its_actor_with_that_reason() {
    on_each_path(async |fixture| {
        let bench = bench(fixture);
        let failure = bench.hold_loudly("held").timeout(Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::DeadlineExceeded);
        let failure = bench.hold("next").await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Stopped);
        assert!(failure.detail().contains("panicked in Bench/hold_loudly: dropped too early"), "{failure}");
    });
}

struct Idle;

impl Layer for Idle {
    fn call<'a>(&'a self, _: LayerCall<'a>, _: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        Box::pin(async { Ok(Status::Replied) })
    }
}

/// What is dropped with a call that has its reply may be the last that held a server, of the node that has called.
#[test]
fn an_argument_may_end_its_server_while_it_is_dropped() {
    on_path(Path::Quic, async |fixture| {
        let bench = bench(fixture);
        bench.take(Fuse::default()).await.unwrap();
        let server = ActorServer::bind_on(&fixture.node, "127.0.0.1:0").await.unwrap();
        bench.take(Fuse::on_drop(move || drop(server))).await.unwrap();
        bench.take(Fuse::default()).timeout(Duration::from_secs(5)).await.unwrap();
    });
}

/// As of an executor that has ended.
struct Gone;

impl Wake for Gone {
    fn wake(self: Arc<Self>) {
        panic_any("nobody runs it");
    }
}

#[test]
fn a_waker_that_panics_takes_no_other_call_with_it_and_no_actor() {
    on_each_path(async |fixture| {
        let bench = bench(fixture);
        let waker = Waker::from(Arc::new(Gone));
        let mut gone = Context::from_waker(&waker);
        let mut replied = pin!(bench.hold("a"));
        assert!(replied.as_mut().poll(&mut gone).is_pending());
        fixture.script.seen("a begins").await;
        let mut late = pin!(bench.hold("b").timeout(Duration::from_millis(200)));
        assert!(late.as_mut().poll(&mut gone).is_pending());
        let later = bench.hold("c").timeout(Duration::from_millis(400)).await.unwrap_err();
        assert_eq!(later.kind(), FailureKind::DeadlineExceeded);
        fixture.script.open("a");
        bench.take(Fuse::default()).await.unwrap();
        let failure = late.await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::DeadlineExceeded);
        replied.await.unwrap();
    });
}

#[test]
fn a_server_layer_that_ends_a_call_without_a_reply_is_told_off() {
    for path in Path::ALL {
        tests::runtime(path).block_on(async {
            let fixture = Fixture::with(path, |builder| builder.server_layer(Idle)).await;
            let bench = bench(&fixture);
            let failure = bench.take(Fuse::default()).await.unwrap_err();
            assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Internal, Delivery::NotDelivered));
            assert_eq!(
                failure.detail(),
                "a server layer ended the call without a reply; return a `Failure` instead"
            );
        });
    }
}

/// Panics the first time.
#[derive(Clone, Debug)]
struct Stumbles {
    stumbled: Arc<AtomicBool>,
    resolver: FixedResolver,
}

impl Resolver for Stumbles {
    fn resolve<'a>(
        &'a self,
        namespace: &'a Namespace,
        name: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        assert!(self.stumbled.swap(true, Ordering::Relaxed), "stumbled");
        self.resolver.resolve(namespace, name)
    }

    fn watch(
        &self,
        namespace: &Namespace,
        name: &str,
    ) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        self.resolver.watch(namespace, name)
    }
}

#[test]
fn a_resolver_that_panics_fails_the_calls_that_wait_and_no_later_one() {
    on_each_path(async |fixture| {
        bench(fixture);
        let stumbles = Stumbles { stumbled: Arc::default(), resolver: fixture.resolver.clone() };
        let bench = BenchClient::on(&fixture.node, &stumbles, "bench");
        let failure = bench.take(Fuse::default()).await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Stopped, Delivery::NotDelivered));
        bench.take(Fuse::default()).await.unwrap();
    });
}

#[test]
fn a_call_on_a_node_whose_runtime_has_ended_fails_at_once() {
    for path in Path::ALL {
        let runtime = runtime();
        let (probe, _server) = runtime.block_on(async {
            let fixture = Fixture::new(path).await;
            let known = fixture.puppet("p");
            known.add(1).await.unwrap();
            ([known, ProbeClient::on(&fixture.node, &fixture.resolver, "p")], fixture.server)
        });
        drop(runtime);
        for probe in probe {
            let failure = futures::executor::block_on(probe.total().no_timeout()).unwrap_err();
            assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Stopped, Delivery::NotDelivered));
        }
    }
}

#[test]
fn an_actor_whose_runtime_ended_before_it_ran_takes_no_calls() {
    let ended = runtime();
    let fixture = ended.block_on(Fixture::new(Path::Loopback));
    drop(ended);
    let puppet = Puppet { script: fixture.script.clone(), resolver: fixture.resolver.clone(), total: 0 };
    fixture.server.registration("p", puppet).register().unwrap();
    fixture.resolver.set("p", [fixture.server.address()]);
    block_on(async {
        let node = Node::builder().build().unwrap();
        let mut call = pin!(ProbeClient::on(&node, &fixture.resolver, "p").total().no_timeout());
        let failure = call.as_mut().await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Stopped, Delivery::NotDelivered));
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}
