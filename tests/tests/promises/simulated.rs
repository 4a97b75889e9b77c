//! QUIC over a simulated network: runs that repeat, connections that come and go, large bodies, credit.

#![expect(clippy::disallowed_methods, reason = "time is simulated")]
#![allow(clippy::unwrap_used, reason = "an actor of a test may panic as the test may")]

use std::{pin::pin, time::Duration};

use actor_runtime::{
    ActorServer, Config, Delivery, FailureKind, FixedResolver, Node, ServiceClient,
    inspect::{self, InspectClient},
    prelude::*,
    testing::{Log, SimHost, SimNet},
};
use bytes::Bytes;
use futures::future::join_all;
use tests::{Path, ProbeClient, Puppet, Script, runtime};
use tokio::time::{Instant, sleep};

const IDLE: Duration = Duration::from_secs(2);

/// What S6 allows after a death.
const DEATH: Duration = Duration::from_secs(3);

/// A client and a server named "p" on two hosts.
struct Pair {
    net: SimNet,
    client: Node,
    client_host: SimHost,
    server_host: SimHost,
    resolver: FixedResolver,
    script: Script,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let net = SimNet::new(seed);
        let (client_host, server_host) = (net.host("client"), net.host("server"));
        let client = node(&net, &client_host, seed);
        let resolver = FixedResolver::new::<&str, &str>([]);
        Self { net, client, client_host, server_host, resolver, script: Script::default() }
    }

    /// A server on this host, with a puppet of this name.
    async fn serve(&self, host: &SimHost, port: u16, name: &str) -> ActorServer {
        let node = node(&self.net, host, u64::from(u32::from(host.ip())));
        let server = ActorServer::bind_on(&node, format!("127.0.0.1:{port}")).await.unwrap();
        server.register(name, self.puppet()).unwrap();
        self.resolver.set(name, [server.address()]);
        server
    }

    async fn server(&self) -> ActorServer {
        self.serve(&self.server_host, 7000, "p").await
    }

    fn puppet(&self) -> Puppet {
        Puppet { script: self.script.clone(), resolver: self.resolver.clone(), total: 0 }
    }

    fn probe(&self) -> ProbeClient {
        ProbeClient::on(&self.client, &self.resolver, "p")
    }

    fn cut(&self) {
        self.net.partition(&self.client_host, &self.server_host);
    }
}

fn node(net: &SimNet, host: &SimHost, seed: u64) -> Node {
    Node::builder().config(Config::default()).simulated(net, host).seed(seed).build().unwrap()
}

fn simulate<T>(seed: u64, test: impl AsyncFnOnce(&Pair) -> T) -> T {
    runtime(Path::Simulated).block_on(async { test(&Pair::new(seed)).await })
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Calls of all sizes in bad weather, and a restart.
fn eventful(seed: u64) -> (Log, Vec<String>) {
    simulate(seed, async |pair| {
        pair.net.latency(ms(1)..=ms(20)).loss(0.05).duplicate(0.02);
        let server = pair.server().await;
        let probe = pair.probe();
        let long = "x".repeat(100_000);
        for name in ["short", long.as_str()] {
            pair.script.open(name);
            probe.exclusive(name).await.unwrap();
        }
        pair.net.kill(&pair.server_host);
        drop(server);
        let lost = probe.add(1).await.unwrap_err();
        pair.script.log(format!("{:?} {:?}", lost.kind(), lost.delivery()));
        pair.net.revive(&pair.server_host);
        let server = pair.server().await;
        let added = join_all((0..50).map(|n| probe.add(n))).await;
        pair.script.log(format!("{:?}", added.into_iter().map(Result::ok).collect::<Vec<_>>()));
        server.shutdown(ms(100)).await.unwrap();
        (pair.net.log(), pair.script.lines())
    })
}

#[test]
fn a_seed_gives_the_same_run_and_another_seed_another() {
    let (once, again) = (eventful(7), eventful(7));
    assert_eq!(once.1, again.1);
    assert_eq!(once.0, again.0);
    assert_ne!(once.0, eventful(8).0);
}

#[test]
fn calls_under_way_to_a_killed_server_end_in_time_and_later_ones_reach_its_successor() {
    simulate(1, async |pair| {
        let server = pair.server().await;
        let probe = pair.probe();
        probe.add(1).await.unwrap();
        let dies = async {
            pair.script.seen("held begins").await;
            pair.net.kill(&pair.server_host);
            drop(server);
            Instant::now()
        };
        let held = probe.exclusive("held").no_timeout();
        let (held, died) = tokio::join!(async { (held.await.unwrap_err(), Instant::now()) }, dies);
        let (failure, ended) = held;
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::ConnectionLost, Delivery::Unknown));
        assert!(ended - died <= DEATH, "{:?}", ended - died);
        pair.net.revive(&pair.server_host);
        let _server = pair.server().await;
        assert_eq!(probe.add(1).await.unwrap(), 1, "a new actor");
    });
}

/// Who comes back at once, as the same node at the same address, tells that it does not know the connection.
#[test]
fn a_server_that_was_started_anew_says_so_before_the_idle_time() {
    simulate(1, async |pair| {
        let server = pair.server().await;
        let probe = pair.probe();
        probe.add(1).await.unwrap();
        pair.net.kill(&pair.server_host);
        drop(server);
        pair.net.revive(&pair.server_host);
        let _server = pair.server().await;
        let started = Instant::now();
        // The first one may have been lost with the connection.
        let first = probe.add(1).await;
        assert!(first.is_ok_and(|total| total == 1) || started.elapsed() < ms(1_000));
        assert!(probe.add(1).await.is_ok());
        assert!(started.elapsed() < ms(1_000), "{:?}", started.elapsed());
    });
}

#[test]
fn a_partition_shorter_than_the_idle_time_is_not_noticed_by_callers() {
    simulate(1, async |pair| {
        let server = pair.server().await;
        let probe = pair.probe();
        probe.add(1).await.unwrap();
        pair.cut();
        let heals = async {
            sleep(IDLE / 2).await;
            pair.net.heal_all();
        };
        let (added, ()) = tokio::join!(join_all((0..100).map(|_| probe.add(1))), heals);
        let added: Vec<u64> = added.into_iter().map(Result::unwrap).collect();
        assert_eq!(added, (2..=101).collect::<Vec<u64>>());
        drop(server);
    });
}

#[test]
fn a_partition_longer_than_the_idle_time_ends_calls_in_time_and_later_ones_connect_anew() {
    simulate(1, async |pair| {
        let _server = pair.server().await;
        let probe = pair.probe();
        probe.add(1).await.unwrap();
        pair.cut();
        let started = Instant::now();
        let failure = probe.add(1).no_timeout().await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::ConnectionLost, Delivery::Unknown));
        assert!(started.elapsed() <= DEATH, "{:?}", started.elapsed());
        let failure = probe.add(1).no_timeout().await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Unreachable, Delivery::NotDelivered));
        pair.net.heal_all();
        assert_eq!(probe.add(1).await.unwrap(), 2, "the actor is the same; what was cut off never came");
    });
}

#[test]
fn a_pause_shorter_than_the_idle_time_costs_time_only_and_a_longer_one_the_connection() {
    simulate(1, async |pair| {
        let _server = pair.server().await;
        let probe = pair.probe();
        probe.add(1).await.unwrap();
        for (pause, survives) in [(IDLE / 2, true), (2 * IDLE, false)] {
            pair.net.pause(&pair.server_host);
            let started = Instant::now();
            let resumes = async {
                sleep(pause).await;
                pair.net.resume(&pair.server_host);
            };
            let (added, ()) = tokio::join!(async { (probe.add(1).await, started.elapsed()) }, resumes);
            assert_eq!(added.0.is_ok(), survives, "{added:?}");
            assert!(added.1 <= DEATH, "{added:?}");
        }
        assert!(probe.add(1).await.is_ok());
    });
}

/// A freeze makes round trips look long; a death after it is found in time all the same.
#[test]
fn a_server_that_dies_after_it_was_frozen_is_found_dead_in_time() {
    simulate(1, async |pair| {
        let server = pair.server().await;
        let probe = pair.probe();
        probe.add(1).await.unwrap();
        for _ in 0..3 {
            pair.net.pause(&pair.server_host);
            let resumes = async {
                sleep(ms(1_850)).await;
                pair.net.resume(&pair.server_host);
            };
            tokio::join!(async { probe.add(1).await.unwrap() }, resumes);
        }
        pair.net.kill(&pair.server_host);
        drop(server);
        let died = Instant::now();
        let failure = probe.add(1).no_timeout().await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::ConnectionLost, Delivery::Unknown));
        assert!(died.elapsed() <= DEATH, "{:?}", died.elapsed());
    });
}

#[test]
fn an_address_that_has_become_stale_is_looked_up_again() {
    simulate(1, async |pair| {
        let first = pair.server().await;
        let probe = pair.probe();
        let pinned = probe.pinned().await.unwrap();
        assert_eq!(probe.add(1).await.unwrap(), 1);
        assert_eq!(pinned.add(1).await.unwrap(), 2);
        let other = pair.net.host("other");
        let _second = pair.serve(&other, 0, "p").await;
        assert_eq!(probe.add(1).await.unwrap(), 3, "nothing says that the first is stale");
        assert!(first.unregister("p").await);
        assert_eq!(probe.add(1).await.unwrap(), 1, "it follows the name");
        let failure = pinned.add(1).await.unwrap_err();
        assert!(matches!(failure.kind(), FailureKind::Stale | FailureKind::Stopped), "{failure}");
        assert_eq!(failure.delivery(), Delivery::NotDelivered);
    });
}

#[test]
fn a_shutdown_drains_and_its_goodbye_moves_clients_to_another_server() {
    simulate(1, async |pair| {
        let first = pair.server().await;
        let probe = pair.probe();
        let later = probe.clone();
        probe.add(1).await.unwrap();
        let leaves = async {
            pair.script.seen("held begins").await;
            // They wait in the mailbox of the first.
            let queued = join_all((0..5).map(|_| probe.add(1)));
            let drains = async {
                sleep(ms(20)).await;
                let _second = pair.serve(&pair.net.host("other"), 0, "p").await;
                let started = Instant::now();
                let moves = async {
                    sleep(ms(20)).await;
                    assert_eq!(later.add(1).await.unwrap(), 1, "at the other server");
                    pair.script.open("held");
                };
                let (ended, ()) = tokio::join!(first.shutdown(Duration::from_secs(5)), moves);
                ended.unwrap();
                assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
                assert_eq!(later.add(1).await.unwrap(), 2);
            };
            let (queued, ()) = tokio::join!(queued, drains);
            let queued: Vec<u64> = queued.into_iter().map(Result::unwrap).collect();
            assert_eq!(queued, [2, 3, 4, 5, 6], "what was queued is run");
        };
        let (held, ()) = tokio::join!(probe.exclusive("held"), leaves);
        held.unwrap();
    });
}

#[actor_service]
trait Bulk {
    async fn echo(&self, bytes: Bytes) -> Bytes;
    /// How many bytes came, and which one of the calls this was.
    async fn note(&mut self, number: u64, bytes: Bytes) -> u64;
    async fn noted(&self) -> Vec<u64>;
}

#[derive(Default)]
struct Echo(Vec<u64>);

#[actor_service]
impl Bulk for Echo {
    async fn echo(&self, bytes: Bytes) -> Bytes {
        bytes
    }

    async fn note(&mut self, number: u64, bytes: Bytes) -> u64 {
        self.0.push(number);
        bytes.len() as u64
    }

    async fn noted(&self) -> Vec<u64> {
        self.0.clone()
    }
}

#[test]
fn large_bodies_and_small_calls_share_a_connection_that_loses_and_reorders() {
    simulate(1, async |pair| {
        pair.net.latency(ms(1)..=ms(10)).loss(0.02);
        let server = pair.server().await;
        server.register("bulk", Echo::default()).unwrap();
        let bulk = BulkClient::on(&pair.client, &server.resolver(), "bulk");
        let probe = pair.probe();
        let body = Bytes::from((0..1 << 20).map(|n: u32| n as u8).collect::<Vec<u8>>());
        let large = join_all((0..4).map(|_| bulk.echo(body.clone())));
        let small = join_all((0..500).map(|_| probe.add(1)));
        let (large, small) = tokio::join!(large, small);
        assert!(large.into_iter().all(|echo| echo.unwrap() == body));
        let small: Vec<u64> = small.into_iter().map(Result::unwrap).collect();
        assert_eq!(small, (1..=500).collect::<Vec<u64>>());
    });
}

#[test]
fn the_calls_of_one_handle_start_in_order_whatever_their_sizes() {
    for seed in 0..8 {
        simulate(seed, async |pair| {
            pair.net.latency(ms(1)..=ms(20)).loss(0.05);
            let server = pair.server().await;
            server.register("bulk", Echo::default()).unwrap();
            let bulk = BulkClient::on(&pair.client, &server.resolver(), "bulk");
            let mut random = fastrand::Rng::with_seed(seed);
            let lengths: Vec<usize> =
                (0..60)
                    .map(|_| {
                        if random.u8(0..4) == 0 {
                            random.usize(40_000..300_000)
                        } else {
                            random.usize(0..100)
                        }
                    })
                    .collect();
            let calls = (0..).zip(&lengths).map(|(n, length)| bulk.note(n, Bytes::from(vec![0; *length])));
            for (reply, length) in join_all(calls).await.into_iter().zip(&lengths) {
                assert_eq!(reply.unwrap(), *length as u64);
            }
            assert_eq!(bulk.noted().await.unwrap(), (0..60).collect::<Vec<u64>>(), "seed {seed}");
        });
    }
}

#[test]
fn short_calls_go_ahead_of_a_body_that_is_under_way() {
    simulate(1, async |pair| {
        let server = pair.server().await;
        server.register("bulk", Echo::default()).unwrap();
        let bulk = BulkClient::on(&pair.client, &server.resolver(), "bulk");
        let probe = pair.probe();
        probe.add(1).await.unwrap();
        bulk.noted().await.unwrap();
        pair.net.latency(ms(10)..=ms(10)).loss(0.01);
        let mut body = pin!(bulk.note(1, Bytes::from(vec![0; 4 << 20])));
        assert!(futures::poll!(body.as_mut()).is_pending());
        let mut took = Vec::new();
        for _ in 0..30 {
            let called = Instant::now();
            probe.add(1).await.unwrap();
            took.push(called.elapsed());
        }
        assert!(futures::poll!(body.as_mut()).is_pending(), "the body is still under way");
        took.sort_unstable();
        assert!(took[15] <= ms(40), "a round trip takes 20 ms, and calls took {took:?}");
        body.await.unwrap();
    });
}

/// What comes behind a long call that is taken back is still behind the long call before that one.
#[test]
fn a_long_call_that_is_taken_back_keeps_its_place_for_those_behind_it() {
    for taken_back_first in [false, true] {
        simulate(1, async |pair| {
            let server = pair.server().await;
            server.register("bulk", Echo::default()).unwrap();
            let bulk = BulkClient::on(&pair.client, &server.resolver(), "bulk");
            bulk.echo(Bytes::new()).await.unwrap();
            let long = || Bytes::from(vec![0; 1 << 20]);
            let mut first = pin!(bulk.note(1, long()));
            let mut second = Box::pin(bulk.note(2, long()));
            let mut third = pin!(bulk.note(3, Bytes::new()));
            assert!(futures::poll!(first.as_mut()).is_pending());
            assert!(futures::poll!(second.as_mut()).is_pending());
            if taken_back_first {
                drop(second);
                assert!(futures::poll!(third.as_mut()).is_pending());
            } else {
                assert!(futures::poll!(third.as_mut()).is_pending());
                // The server knows all three by now, and has the body of none.
                sleep(ms(3)).await;
                drop(second);
            }
            let (first, third) = tokio::join!(first, third);
            assert_eq!((first.unwrap(), third.unwrap()), (1 << 20, 0));
            assert_eq!(bulk.noted().await.unwrap(), [1, 3]);
        });
    }
}

#[test]
fn two_thousand_callers_of_a_slow_actor_lose_nothing_and_wait_at_home() {
    simulate(1, async |pair| {
        let server = pair.server().await;
        let probe = pair.probe();
        probe.add(0).await.unwrap();
        let inspect = InspectClient::on(&pair.client, &server.resolver(), inspect::NAME);
        let credit = u64::from(server.node().config().call_credit);
        let looks = async {
            pair.script.seen("held begins").await;
            let callers = join_all((0..2_000).map(|_| probe.add(1).no_timeout()));
            let looks = async {
                let mut most = 0;
                for _ in 0..50 {
                    sleep(ms(10)).await;
                    let health = inspect.health().await.unwrap();
                    let actor = health.actor("p").unwrap();
                    most = most.max(actor.queued + actor.waiting);
                }
                pair.script.open("held");
                most
            };
            let (callers, most) = tokio::join!(callers, looks);
            assert!(most <= credit, "{most} calls were at the server, and {credit} were granted");
            assert!(most > 64, "{most}: more than the mailbox holds may be under way");
            let callers: Vec<u64> = callers.into_iter().map(Result::unwrap).collect();
            assert_eq!(callers, (1..=2_000).collect::<Vec<u64>>());
        };
        let (held, ()) = tokio::join!(probe.exclusive("held"), looks);
        held.unwrap();
    });
}

#[test]
fn a_server_calls_back_the_actors_of_its_callers() {
    simulate(1, async |pair| {
        let _server = pair.server().await;
        // The client's node listens too.
        let own = ActorServer::bind_on(&pair.client, "127.0.0.1:0").await.unwrap();
        own.register("back", pair.puppet()).unwrap();
        pair.resolver.set("back", [own.address()]);
        pair.script.open("back");
        let route = ["end:back".to_owned()];
        assert_eq!(pair.probe().relay(&route).await.unwrap(), "back");
        assert_eq!(pair.script.lines(), ["back begins", "back ends"]);
        // And while calls go the other way.
        let calls = join_all((0..20).map(|_| {
            pair.script.open("back");
            pair.probe().relay(&route)
        }));
        assert!(calls.await.into_iter().all(|answer| answer.unwrap() == "back"));
    });
}
