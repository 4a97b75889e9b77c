//! S10, S11: what is tried again, how often, and that nothing is done twice by it.

#![allow(clippy::unwrap_used, reason = "an actor of a test may panic as the test may")]
#![expect(clippy::disallowed_methods, reason = "time is simulated")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actor_runtime::{Config, Node, Retry, ServiceClient, prelude::*, testing::SimNet};
use tests::{Path, on_each_path, runtime};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

#[actor_service]
trait Work {
    async fn plain(&mut self) -> u64;
    #[idempotent]
    async fn harmless(&mut self) -> u64;
    #[dedup]
    async fn once(&mut self) -> u64;
    async fn count(&self) -> u64;
}

/// Says that it has begun, waits until it may go on, and counts.
#[derive(Clone, Default)]
struct Bench {
    begun: Arc<AtomicU64>,
    done: Arc<AtomicU64>,
    begins: Arc<Notify>,
    slow: Arc<AtomicU64>,
}

impl Bench {
    async fn work(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.begins.notify_one();
        sleep(Duration::from_millis(self.slow.load(Ordering::Relaxed))).await;
        self.done.fetch_add(1, Ordering::Relaxed) + 1
    }
}

#[actor_service]
impl Work for Bench {
    async fn plain(&mut self) -> u64 {
        self.work().await
    }

    async fn harmless(&mut self) -> u64 {
        self.work().await
    }

    async fn once(&mut self) -> u64 {
        self.work().await
    }

    async fn count(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }
}

#[test]
fn an_actor_that_comes_back_is_waited_for_and_one_that_never_was_is_not() {
    on_each_path(async |fixture| {
        let bench = Bench::default();
        fixture.register("work", bench.clone());
        let work = WorkClient::on(&fixture.node, &fixture.resolver, "work");
        assert_eq!(work.plain().await.unwrap(), 1);
        fixture.server.unregister("work").await;
        let call = work.plain();
        let back = async {
            fixture.pass(Duration::from_millis(200)).await;
            fixture.register("work", bench.clone());
        };
        let (end, ()) = futures::join!(call, back);
        assert_eq!(end.unwrap(), 2, "{:?}", fixture.path);

        fixture.server.unregister("work").await;
        let begun = Instant::now();
        let stranger = WorkClient::on(&fixture.node, &fixture.resolver, "work");
        let failure = stranger.plain().await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::NotFound, Delivery::NotDelivered));
        let failure = work.plain().retry(Retry::none()).await.unwrap_err();
        assert_eq!(failure.delivery(), Delivery::NotDelivered);
        assert!(begun.elapsed() < Duration::from_millis(150), "{:?}", begun.elapsed());
        assert_eq!(bench.begun.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn attempts_and_deadline_bound_the_waiting() {
    on_each_path(async |fixture| {
        fixture.register("work", Bench::default());
        let work = WorkClient::on(&fixture.node, &fixture.resolver, "work");
        work.plain().await.unwrap();
        fixture.server.unregister("work").await;
        let ms = Duration::from_millis;
        let begun = Instant::now();
        let failure =
            work.plain().retry(Retry::default().attempts(4).pauses(ms(100), ms(100))).await.unwrap_err();
        assert!(failure.detail().contains("gave up after 4 attempts"), "{failure}");
        assert_eq!(failure.delivery(), Delivery::NotDelivered);
        // The second attempt is made at once; a pause is half its length at least.
        let pauses = begun.elapsed();
        assert!(pauses >= ms(100) && pauses < ms(900), "{pauses:?} over {:?}", fixture.path);
        // It does not rest beyond its deadline: nothing could come of it.
        let begun = Instant::now();
        let patient = Retry::default().attempts(1000).pauses(ms(400), ms(400));
        let failure = work.plain().retry(patient).timeout(ms(300)).await.unwrap_err();
        assert_eq!(failure.delivery(), Delivery::NotDelivered);
        assert!(begun.elapsed() <= ms(350), "{:?} over {:?}", begun.elapsed(), fixture.path);
    });
}

/// A client and a server on two hosts, and an actor whose calls take half a second.
async fn cut_while_it_runs(
    call: impl AsyncFn(&WorkClient) -> Result<u64, Failure>,
) -> (Result<u64, Failure>, Bench) {
    let net = SimNet::new(5);
    let (client_host, server_host) = (net.host("client"), net.host("server"));
    let node =
        |host| Node::builder().config(Config::default()).simulated(&net, host).seed(5).build().unwrap();
    let (client, serving) = (node(&client_host), node(&server_host));
    let server = ActorServer::bind_on(&serving, "127.0.0.1:7000").await.unwrap();
    let bench = Bench::default();
    server.register("work", bench.clone()).unwrap();
    let work = WorkClient::on(&client, &FixedResolver::new([("work", server.address())]), "work");
    work.count().await.unwrap();
    bench.slow.store(500, Ordering::Relaxed);
    let cut = async {
        bench.begins.notified().await;
        net.partition(&client_host, &server_host);
        // Longer than the connection lasts.
        sleep(Duration::from_secs(4)).await;
        net.heal(&client_host, &server_host);
    };
    let (end, ()) = futures::join!(call(&work), cut);
    server.shutdown(Duration::from_secs(5)).await.unwrap();
    (end, bench)
}

fn counts(bench: &Bench) -> (u64, u64) {
    (bench.begun.load(Ordering::Relaxed), bench.done.load(Ordering::Relaxed))
}

#[test]
fn a_lost_call_is_run_again_if_it_is_idempotent_and_not_otherwise() {
    runtime(Path::Simulated).block_on(async {
        let (end, bench) = cut_while_it_runs(async |work| work.plain().await).await;
        let failure = end.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::ConnectionLost, Delivery::Unknown));
        assert_eq!(counts(&bench), (1, 1), "an exclusive turn runs on to its end");
        let (end, bench) = cut_while_it_runs(async |work| work.harmless().await).await;
        assert_eq!(end.unwrap(), 2);
        assert_eq!(counts(&bench), (2, 2));
        let (end, _) = cut_while_it_runs(async |work| work.harmless().retry(Retry::none()).await).await;
        assert_eq!(end.unwrap_err().delivery(), Delivery::Unknown);
    });
}

#[test]
fn a_lost_dedup_call_gets_the_reply_of_its_only_run() {
    runtime(Path::Simulated).block_on(async {
        let (end, bench) = cut_while_it_runs(async |work| work.once().await).await;
        assert_eq!(end.unwrap(), 1);
        assert_eq!(counts(&bench), (1, 1));
        // Each call is one of its own.
        let (end, bench) = cut_while_it_runs(async |work| {
            let first = work.once().await?;
            Ok(first * 10 + work.once().await?)
        })
        .await;
        assert_eq!(end.unwrap(), 12);
        assert_eq!(counts(&bench), (2, 2));
    });
}

#[test]
fn a_dedup_call_is_not_run_by_another_registration() {
    runtime(Path::Simulated).block_on(async {
        let net = SimNet::new(6);
        let (client_host, server_host) = (net.host("client"), net.host("server"));
        let node =
            |host| Node::builder().config(Config::default()).simulated(&net, host).seed(6).build().unwrap();
        let client = node(&client_host);
        let server = ActorServer::bind_on(&node(&server_host), "127.0.0.1:7000").await.unwrap();
        let (first, second) = (Bench::default(), Bench::default());
        server.register("work", first.clone()).unwrap();
        let work = WorkClient::on(&client, &FixedResolver::new([("work", server.address())]), "work");
        let pinned = work.pinned().await.unwrap();
        assert_eq!((work.once().await.unwrap(), pinned.once().await.unwrap()), (1, 2));
        first.begins.notified().await;
        first.slow.store(500, Ordering::Relaxed);
        let change = async {
            first.begins.notified().await;
            net.partition(&client_host, &server_host);
            sleep(Duration::from_secs(4)).await;
            server.unregister("work").await;
            server.register("work", second.clone()).unwrap();
            net.heal(&client_host, &server_host);
        };
        let (end, (), lost) = futures::join!(work.once(), change, pinned.once());
        let failure = end.unwrap_err();
        assert_eq!(failure.delivery(), Delivery::Unknown, "{failure}");
        assert_eq!(lost.unwrap_err().delivery(), Delivery::Unknown);
        // What was queued there runs too: somebody may ask for its reply.
        assert_eq!(counts(&first), (4, 4));
        assert_eq!(counts(&second), (0, 0));
        assert_eq!(work.once().await.unwrap(), 1, "a new call is the new one's");
        server.shutdown(Duration::from_secs(5)).await.unwrap();
    });
}
