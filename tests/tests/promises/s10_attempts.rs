//! S10 and S11: what is tried again, what is not, and what is kept of it, call by call.

#![expect(clippy::disallowed_methods, reason = "time is simulated")]
#![allow(clippy::unwrap_used, reason = "an actor of a test may panic as the test may")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use actor_runtime::{
    ActorServer, Config, Delivery, FailureKind, FixedResolver, Node, Retry,
    prelude::*,
    testing::{SimHost, SimNet},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tests::{Path, Script, runtime};
use tokio::time::{Instant, sleep};

/// An argument that can be written so many times.
#[derive(Clone)]
struct Fickle(Arc<AtomicU32>);

impl Serialize for Fickle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let left = self.0.load(Ordering::Relaxed);
        assert!(left > 0, "cannot be written");
        self.0.store(left - 1, Ordering::Relaxed);
        serializer.serialize_bool(true)
    }
}

impl<'de> Deserialize<'de> for Fickle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bool::deserialize(deserializer).map(|_| Self(Arc::default()))
    }
}

#[actor_service]
trait Work {
    async fn once(&mut self, name: &str);
    #[dedup]
    async fn deduped(&mut self, name: &str);
    #[dedup]
    async fn panics(&self, name: &str);
    #[idempotent]
    async fn repeated(&mut self, name: &str);
    #[idempotent]
    async fn fickle(&mut self, name: String, argument: Fickle);
}

struct Worker(Script);

#[actor_service]
impl Work for Worker {
    async fn once(&mut self, name: &str) {
        self.0.act(name).await;
    }

    async fn deduped(&mut self, name: &str) {
        self.0.act(name).await;
    }

    async fn panics(&self, name: &str) {
        self.0.act(name).await;
        panic!("as it was told");
    }

    async fn repeated(&mut self, name: &str) {
        self.0.act(name).await;
    }

    async fn fickle(&mut self, name: String, _argument: Fickle) {
        self.0.act(&name).await;
    }
}

/// A client and a server on two hosts.
struct World {
    net: SimNet,
    hosts: [SimHost; 2],
    server: ActorServer,
    client: WorkClient,
    script: Script,
}

impl World {
    async fn new(config: Config) -> Self {
        let net = SimNet::new(1);
        let hosts = [net.host("client"), net.host("server")];
        let node = |host: &SimHost, seed| {
            Node::builder().config(config.clone()).simulated(&net, host).seed(seed).build().unwrap()
        };
        let server = ActorServer::bind_on(&node(&hosts[1], 1), "127.0.0.1:7000").await.unwrap();
        let script = Script::default();
        server.register("worker", Worker(script.clone())).unwrap();
        let client = WorkClient::on(&node(&hosts[0], 2), &server.resolver(), "worker");
        script.open("first");
        client.once("first").await.unwrap();
        Self { net, hosts, server, client, script }
    }

    /// Nothing passes for so long that both sides give the connection up.
    async fn interrupt(&self) {
        self.net.partition(&self.hosts[0], &self.hosts[1]);
        sleep(ms(3_500)).await;
        self.net.heal_all();
    }

    fn times(&self, line: &str) -> usize {
        self.script.lines().iter().filter(|logged| *logged == line).count()
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn simulate(config: Config, test: impl AsyncFnOnce(&World)) {
    runtime(Path::Simulated).block_on(async { test(&World::new(config).await).await });
}

#[test]
fn a_dedup_call_that_runs_while_its_connection_is_lost_gives_its_reply_to_another_attempt() {
    simulate(Config::default(), async |world| {
        let work = async {
            world.script.seen("a begins").await;
            world.interrupt().await;
            world.script.open("a");
        };
        let (end, ()) = tokio::join!(world.client.deduped("a"), work);
        end.unwrap();
        assert_eq!((world.times("a begins"), world.times("a ends")), (1, 1));
    });
}

/// It is known by an attempt that waits for the first one, which nobody else would end.
#[test]
fn a_caller_that_leaves_during_another_attempt_cancels_what_the_first_one_runs() {
    simulate(Config::default(), async |world| {
        let client = world.client.clone();
        let calls = tokio::spawn(async move { client.panics("a").await });
        world.script.seen("a begins").await;
        world.interrupt().await;
        sleep(ms(3_000)).await;
        assert!(!calls.is_finished());
        calls.abort();
        sleep(ms(100)).await;
        world.script.open("a");
        world.script.open("b");
        world.client.once("b").await.unwrap();
        assert_eq!((world.times("a begins"), world.times("a ends")), (1, 0));
    });
}

/// Else a caller that comes and goes would have more calls wait than it was granted.
#[test]
fn a_dedup_call_that_waits_leaves_the_queue_with_its_connection_and_is_run_by_another_attempt() {
    simulate(Config::default(), async |world| {
        let held = async {
            let _ = world.client.once("held").no_timeout().await;
        };
        let work = async {
            world.script.seen("held begins").await;
            // The caller of this one never comes back.
            let gone = world.client.clone();
            let gone = tokio::spawn(async move { gone.deduped("gone").retry(Retry::none()).await });
            sleep(ms(100)).await;
            world.interrupt().await;
            assert_eq!(gone.await.unwrap().unwrap_err().delivery(), Delivery::Unknown);
            world.script.open("held");
            world.script.open("gone");
            world.script.open("back");
        };
        let back = async {
            world.script.seen("held begins").await;
            world.client.clone().deduped("back").await
        };
        let ((), (), back) = tokio::join!(held, work, back);
        back.unwrap();
        sleep(ms(5_000)).await;
        assert_eq!((world.times("back begins"), world.times("gone begins")), (1, 0));
    });
}

#[test]
fn a_panic_is_told_and_not_that_a_connection_was_lost_before_it() {
    simulate(Config::default(), async |world| {
        let work = async {
            world.script.seen("a begins").await;
            world.interrupt().await;
            world.script.open("a");
        };
        let (end, ()) = tokio::join!(world.client.panics("a"), work);
        assert_eq!(end.unwrap_err().kind(), FailureKind::Panicked);
        assert_eq!(world.times("a begins"), 1);
    });
}

#[test]
fn a_call_that_cannot_be_written_again_may_still_have_been_run() {
    simulate(Config::default(), async |world| {
        let fickle = Fickle(Arc::new(AtomicU32::new(1)));
        let work = async {
            world.script.seen("a begins").await;
            world.interrupt().await;
        };
        let (end, ()) = tokio::join!(world.client.fickle("a".to_owned(), fickle), work);
        let failure = end.unwrap_err();
        assert_eq!(
            (failure.kind(), failure.delivery()),
            (FailureKind::ConnectionLost, Delivery::Unknown),
            "{failure}"
        );
    });
}

#[test]
fn a_call_whose_time_is_over_while_it_waits_for_credit_was_not_delivered() {
    simulate(Config { call_credit: 1, ..Config::default() }, async |world| {
        let held = world.client.clone();
        let held = tokio::spawn(async move { held.once("held").no_timeout().await });
        world.script.seen("held begins").await;
        // One waits there, one here.
        let there = world.client.once("there").timeout(ms(500));
        let here = async {
            sleep(ms(50)).await;
            world.client.once("here").timeout(ms(100)).await.unwrap_err()
        };
        let (_, failure) = tokio::join!(there, here);
        let end = (failure.kind(), failure.delivery());
        assert_eq!(end, (FailureKind::DeadlineExceeded, Delivery::NotDelivered), "{failure}");
        world.script.open("held");
        held.await.unwrap().unwrap();
        assert_eq!(world.times("here begins"), 0);
    });
}

/// They do not come one after the other, and a fresh call waits for one pause of theirs at most.
#[test]
fn many_calls_rest_together_and_end_soon_after_their_server_is_back() {
    simulate(Config::default(), async |world| {
        for name in 0..100 {
            world.script.open(&name.to_string());
        }
        world.net.partition(&world.hosts[0], &world.hosts[1]);
        let resting: Vec<_> = (0..100)
            .map(|name| {
                let client = world.client.clone();
                tokio::spawn(async move { client.repeated(&name.to_string()).await })
            })
            .collect();
        sleep(ms(2_400)).await;
        world.net.heal_all();
        let healed = Instant::now();
        world.script.open("fresh");
        world.client.once("fresh").await.unwrap();
        // One pause of a call, and one of the connection.
        assert!(healed.elapsed() < ms(3_000), "{:?}", healed.elapsed());
        for call in resting {
            call.await.unwrap().unwrap();
        }
        assert!(healed.elapsed() < ms(5_000), "{:?}", healed.elapsed());
    });
}

/// A registration of the same name does not know what the first one did.
#[test]
fn a_dedup_call_is_not_run_by_another_registration() {
    simulate(Config::default(), async |world| {
        let work = async {
            world.script.seen("a begins").await;
            world.net.partition(&world.hosts[0], &world.hosts[1]);
            let leaves = world.server.unregister("worker");
            world.script.open("a");
            leaves.await;
            world.server.register("worker", Worker(world.script.clone())).unwrap();
            sleep(ms(2_500)).await;
            world.net.heal_all();
        };
        let (end, ()) = tokio::join!(world.client.deduped("a"), work);
        assert_eq!(end.unwrap_err().delivery(), Delivery::Unknown);
        assert_eq!((world.times("a begins"), world.times("a ends")), (1, 1));
    });
}

/// The same by a way that is looked for when no call waits for it any more.
#[test]
fn a_way_that_nobody_waited_for_is_not_taken_by_dedup_calls() {
    simulate(Config::default(), async |world| {
        let client = world.client.clone();
        world.net.partition(&world.hosts[0], &world.hosts[1]);
        let retry = Retry::default().pauses(ms(10_000), ms(10_000));
        let resting = client.repeated("resting").retry(retry).timeout(ms(60_000));
        // Its connection is lost, and it rests; its caller leaves.
        assert!(tokio::time::timeout(ms(3_000), resting).await.is_err());
        world.net.heal_all();
        let behind = client.once("behind").timeout(ms(500));
        assert!(tokio::time::timeout(ms(200), behind).await.is_err());
        sleep(ms(15_000)).await;
        let work = async {
            world.script.seen("a begins").await;
            world.net.partition(&world.hosts[0], &world.hosts[1]);
            let leaves = world.server.unregister("worker");
            world.script.open("a");
            leaves.await;
            world.server.register("worker", Worker(world.script.clone())).unwrap();
            world.script.open("a");
            sleep(ms(2_500)).await;
            world.net.heal_all();
        };
        let (end, ()) = tokio::join!(client.deduped("a"), work);
        assert_eq!(world.times("a begins"), 1, "{end:?}");
        assert_eq!(end.unwrap_err().delivery(), Delivery::Unknown);
    });
}

/// A connection that had ended before a call was made is no attempt of it.
#[test]
fn a_handle_that_was_not_used_while_its_connection_was_lost_finds_another_one_at_once() {
    simulate(Config::default(), async |world| {
        world.script.open("a");
        world.interrupt().await;
        world.client.once("a").retry(Retry::none()).await.unwrap();
    });
}

#[test]
fn calls_that_rest_end_with_the_runtime_of_their_node() {
    let runtime = runtime(Path::Simulated);
    let client = runtime.block_on(async {
        let node = Node::builder().build().unwrap();
        let resolver = FixedResolver::new([("nobody", "127.0.0.1:9")]);
        WorkClient::on(&node, &resolver, "nobody")
    });
    let retry = Retry::default().pauses(Duration::from_secs(3600), Duration::from_secs(3600));
    let mut call = Box::pin(client.once("a").no_timeout().retry(retry));
    runtime.block_on(async {
        let resting = tokio::time::timeout(Duration::from_secs(60), &mut call).await;
        assert!(resting.is_err(), "{resting:?}");
    });
    drop(runtime);
    let failure = futures::executor::block_on(call).unwrap_err();
    assert_eq!(failure.delivery(), Delivery::NotDelivered, "{failure}");
}
