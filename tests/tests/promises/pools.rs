//! Pools: who is a member, who gets a call, and what becomes of calls when members fail.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use actor_runtime::{
    ActorPool, ActorServer, CallError, CallOptions, CallResult, Delivery, FailureKind, FixedResolver,
    Overflow, Retry, ServiceClient, Streaming, actor_service, message,
    pool::{Balance, Ejection, Lookup, MemberState, PoolEvent},
    prelude::{StreamExt, TryStreamExt},
};
use bytes::Bytes;
use futures::{FutureExt, future::join_all, stream, stream::Stream};
use serde::{Deserialize, Serialize, Serializer};
use tests::{Fixture, Path, on_each_path, on_each_path_but, on_path};

#[message]
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    Not(u32),
}

#[actor_service]
trait Worker {
    async fn who(&self) -> u32;
    /// Takes so long.
    async fn work(&self, millis: u64) -> u32;
    #[idempotent]
    async fn repeatable(&self, millis: u64) -> u32;
    /// Fails for those of these numbers.
    async fn refuse(&self, numbers: &[u32]) -> Result<u32, Refusal>;
    /// Panics for this number.
    async fn panic(&self, number: u32) -> u32;
    /// Takes ten seconds for this number.
    async fn stall(&self, number: u32) -> u32;
    fn count(&self, to: u32) -> impl Stream<Item = u32>;
    async fn sum(&self, numbers: Streaming<u32>) -> u32;
    /// How often `work` has begun.
    async fn begun(&self) -> u32;
}

struct Numbered {
    number: u32,
    begun: AtomicU32,
}

impl Numbered {
    fn new(number: u32) -> Self {
        Self { number, begun: Default::default() }
    }
}

#[expect(clippy::disallowed_methods, reason = "a handler that takes time")]
async fn sleep(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

#[expect(clippy::disallowed_methods, reason = "a test measures")]
fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

#[actor_service]
impl Worker for Numbered {
    async fn who(&self) -> u32 {
        self.number
    }

    async fn work(&self, millis: u64) -> u32 {
        self.begun.fetch_add(1, Ordering::Relaxed);
        sleep(millis).await;
        self.number
    }

    async fn repeatable(&self, millis: u64) -> u32 {
        sleep(millis).await;
        self.number
    }

    async fn refuse(&self, numbers: &[u32]) -> Result<u32, Refusal> {
        if numbers.contains(&self.number) { Err(Refusal::Not(self.number)) } else { Ok(self.number) }
    }

    async fn panic(&self, number: u32) -> u32 {
        assert_ne!(self.number, number, "as it was told to");
        self.number
    }

    async fn stall(&self, number: u32) -> u32 {
        if self.number == number {
            sleep(10_000).await;
        }
        self.number
    }

    fn count(&self, to: u32) -> impl Stream<Item = u32> {
        let number = self.number;
        stream::iter((0..to).map(move |n| number * 100 + n))
    }

    async fn sum(&self, mut numbers: Streaming<u32>) -> u32 {
        let mut sum = 0;
        while let Ok(Some(number)) = numbers.try_next().await {
            sum += number;
        }
        sum
    }

    async fn begun(&self) -> u32 {
        self.begun.load(Ordering::Relaxed)
    }
}

const LONG: Duration = Duration::from_secs(20);

/// Servers with a worker each, which are numbered from 1.
async fn workers(fixture: &Fixture, count: u32) -> Vec<ActorServer> {
    let mut servers = Vec::new();
    for number in 1..=count {
        let server = fixture.another_server(&format!("worker-{number}")).await;
        server.register("worker", Numbered::new(number)).expect("a free name");
        servers.push(server);
    }
    fixture.resolver.set("worker", servers.iter().map(ActorServer::address));
    servers
}

/// The pool of these, once all are there.
async fn pool_of(fixture: &Fixture, size: usize) -> ActorPool<WorkerClient> {
    let pool = WorkerClient::pool(&fixture.resolver, "worker");
    pool.wait_for_size(size, LONG).await.expect("they are there");
    pool
}

#[test]
fn three_members_and_six_calls_give_one_two_three_one_two_three() {
    on_each_path(async |fixture| {
        let _servers = workers(fixture, 3).await;
        let pool = pool_of(fixture, 3).await;
        let mut order = Vec::new();
        for _ in 0..6 {
            order.push(pool.call().who().await.unwrap());
        }
        assert_eq!(order, [1, 2, 3, 1, 2, 3]);
        assert_eq!(pool.size(), 3);
        let addresses: Vec<_> = pool.endpoints().into_iter().map(|endpoint| endpoint.address).collect();
        assert_eq!(addresses, _servers.iter().map(ActorServer::address).collect::<Vec<_>>());
        assert!(pool.endpoints().iter().all(|endpoint| endpoint.actor.is_some()));
    });
}

#[test]
fn a_pool_of_the_callers_own_node_and_others_is_one_pool() {
    on_path(Path::Direct, async |fixture| {
        let other = fixture.another_server("other").await;
        fixture.server.register("worker", Numbered::new(1)).unwrap();
        other.register("worker", Numbered::new(2)).unwrap();
        fixture.resolver.set("worker", [fixture.server.address(), other.address()]);
        let pool = fixture.resolver.lookup::<WorkerClient>("worker");
        pool.wait_for_size(2, LONG).await.unwrap();
        let client = pool.call();
        let (first, second) = (client.who().await.unwrap(), client.who().await.unwrap());
        assert_eq!((first, second), (1, 2));
    });
}

/// Nobody waited for members: the first calls wait until it is known whether there are some.
#[test]
fn calls_wait_until_the_members_are_known() {
    on_each_path(async |fixture| {
        let _servers = workers(fixture, 2).await;
        let pool = WorkerClient::pool(&fixture.resolver, "worker");
        let replies = join_all((0..4).map(|_| pool.call().who())).await;
        assert!(replies.iter().all(Result::is_ok), "{replies:?}");
    });
}

#[test]
fn an_empty_pool_says_what_exists_and_one_that_cannot_be_reached_says_why() {
    on_each_path(async |fixture| {
        let _servers = workers(fixture, 1).await;
        let pool = WorkerClient::pool(&fixture.resolver, "wroker");
        let failure = pool.call().who().await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::NotFound, Delivery::NotDelivered));
        assert!(failure.detail().contains("\"worker\""), "{failure}");
        let failure = pool.wait_for_size(1, Duration::from_millis(100)).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::DeadlineExceeded);
        assert!(failure.detail().contains("there is \"worker\""), "{failure}");

        let nothing = fixture.another_server("empty").await;
        fixture.resolver.set("nobody", [nothing.address()]);
        let pool = WorkerClient::pool(&fixture.resolver, "nobody");
        let once = CallOptions::new().retry(Retry::none());
        let failure = pool.call().with_options(once).who().await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Unreachable, Delivery::NotDelivered));
        assert!(failure.detail().contains("no member of the pool \"nobody\" can be reached"), "{failure}");
        assert_eq!(pool.size(), 0);
        assert!(matches!(pool.snapshot().members[0].state, MemberState::Unreachable(_)));
    });
}

#[test]
fn members_join_and_leave_while_calls_run() {
    on_each_path(async |fixture| {
        let servers = workers(fixture, 2).await;
        let pool = pool_of(fixture, 2).await;
        let mut events = pool.events();
        // Both have one that goes on.
        let mut running = join_all((0..2).map(|_| pool.call().work(200))).boxed();
        assert!(running.as_mut().now_or_never().is_none());
        fixture.settle().await;

        let third = fixture.another_server("third").await;
        third.register("worker", Numbered::new(3)).unwrap();
        fixture.resolver.set("worker", [servers[1].address(), third.address()]);
        assert!(
            matches!(events.next().await, Some(PoolEvent::Left { endpoint }) if endpoint.address == servers[0].address())
        );
        assert!(
            matches!(events.next().await, Some(PoolEvent::Joined { endpoint }) if endpoint.address == third.address())
        );
        let mut seen = BTreeMap::<u32, u32>::new();
        for _ in 0..6 {
            *seen.entry(pool.call().who().await.unwrap()).or_default() += 1;
        }
        assert_eq!(seen, BTreeMap::from([(2, 3), (3, 3)]));
        let mut replies: Vec<_> = running.await.into_iter().map(Result::unwrap).collect();
        replies.sort_unstable();
        assert_eq!(replies, [1, 2]);
    });
}

#[test]
fn one_bad_entry_does_not_spoil_the_set_and_two_entries_of_one_actor_are_one_member() {
    on_each_path(async |fixture| {
        let servers = workers(fixture, 2).await;
        let nothing = fixture.another_server("empty").await;
        let good = servers.iter().map(|server| server.address().to_string());
        let bad = ["nonsense".to_owned(), nothing.address().to_string()];
        fixture.resolver.set("worker", bad.into_iter().chain(good.clone()).chain(good));
        let pool = pool_of(fixture, 2).await;
        for _ in 0..3 {
            assert_eq!((pool.call().who().await.unwrap(), pool.call().who().await.unwrap()), (1, 2));
        }
        assert_eq!(pool.size(), 2);
        let snapshot = pool.snapshot();
        assert_eq!(snapshot.rejected.len(), 1, "{snapshot}");
    });
}

/// What has provably not reached an actor goes to another one, and nobody notices.
#[test]
fn a_member_that_stops_costs_no_call() {
    on_each_path(async |fixture| {
        let servers = workers(fixture, 3).await;
        let pool = pool_of(fixture, 3).await;
        servers[1].unregister("worker").await;
        for _ in 0..9 {
            assert_ne!(pool.call().who().await.unwrap(), 2);
        }
        fixture.settle().await;
        assert_eq!(pool.size(), 2);
        // Another registration at the same place is another member.
        servers[1].register("worker", Numbered::new(20)).unwrap();
        pool.wait_for_size(3, LONG).await.unwrap();
        let mut seen: Vec<_> = join_all((0..3).map(|_| pool.call().who())).await;
        seen.sort_unstable_by_key(|reply| *reply.as_ref().unwrap());
        assert_eq!(seen.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 3, 20]);
    });
}

#[test]
fn what_may_have_been_run_is_repeated_elsewhere_only_if_it_may_be() {
    on_each_path_but(&[Path::Direct, Path::Loopback], "there is no connection to lose", async |fixture| {
        let mut servers = workers(fixture, 2).await;
        let pool = pool_of(fixture, 2).await;
        let client = pool.call();
        let mut both = join_all((0..2).map(|_| client.work(500))).boxed();
        let mut repeatable = join_all((0..2).map(|_| client.repeatable(500))).boxed();
        assert!(both.as_mut().now_or_never().is_none() && repeatable.as_mut().now_or_never().is_none());
        fixture.settle().await;
        // It says nothing more.
        drop(servers.remove(0));
        let both = both.await;
        assert_eq!(both.iter().filter(|reply| reply.is_ok()).count(), 1, "{both:?}");
        let failure = both.into_iter().find_map(Result::err).unwrap();
        assert_ne!(failure.delivery(), Delivery::NotDelivered);
        assert_eq!(repeatable.await.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [2, 2]);
    });
}

#[test]
fn overloaded_costs_one_try_elsewhere() {
    on_each_path(async |fixture| {
        let mut servers = Vec::new();
        for number in 1..=2 {
            let server = fixture.another_server(&format!("small-{number}")).await;
            let registration = server.registration("worker", Numbered::new(number)).mailbox(1);
            registration.overflow(Overflow::Fail).overlap(1).register().unwrap();
            servers.push(server);
        }
        fixture.resolver.set("worker", servers.iter().map(ActorServer::address));
        let pool = pool_of(fixture, 2).await;
        // The first one is full.
        let first = WorkerClient::new(&FixedResolver::new([("worker", servers[0].address())]), "worker");
        let mut running = [first.work(30_000), first.work(30_000)];
        for call in &mut running {
            assert!(call.now_or_never().is_none());
            fixture.settle().await;
        }
        for _ in 0..4 {
            assert_eq!(pool.call().who().await.unwrap(), 2);
        }
    });
}

#[test]
fn an_error_of_the_method_is_an_answer() {
    on_each_path(async |fixture| {
        let _servers = workers(fixture, 3).await;
        let pool = pool_of(fixture, 3).await;
        let mut replies = Vec::new();
        for _ in 0..12 {
            replies.push(pool.call().refuse(&[2]).await);
        }
        let refused =
            replies.iter().filter(|reply| **reply == Err(CallError::Application(Refusal::Not(2)))).count();
        assert_eq!((refused, replies.iter().filter(|reply| reply.is_ok()).count()), (4, 8));
        assert!(pool.snapshot().members.iter().all(|member| member.failed == 0));
    });
}

#[test]
fn a_key_has_its_member_and_only_the_keys_of_a_member_that_leaves_move() {
    on_each_path(async |fixture| {
        let servers = workers(fixture, 4).await;
        let pool = pool_of(fixture, 4).await;
        let mut before = Vec::new();
        for key in 0..40 {
            let who = pool.call_for(&key).who().await.unwrap();
            assert_eq!(pool.call_for(&key).who().await.unwrap(), who);
            before.push(who);
        }
        for number in 1..=4 {
            assert!(before.contains(&number), "{before:?}");
        }
        fixture.resolver.set("worker", servers[..3].iter().map(ActorServer::address));
        while pool.size() > 3 {
            fixture.settle().await;
        }
        for (key, before) in before.into_iter().enumerate() {
            let after = pool.call_for(&(key as i32)).who().await.unwrap();
            assert!(before == 4 || after == before);
        }
    });
}

#[test]
fn outstanding_calls_are_counted_and_none_is_counted_for_ever() {
    on_each_path(async |fixture| {
        let _servers = workers(fixture, 2).await;
        let pool = pool_of(fixture, 2).await;
        let outstanding =
            || pool.snapshot().members.iter().map(|member| member.outstanding).collect::<Vec<_>>();
        let client = pool.call();
        let mut replied = join_all((0..4).map(|_| client.work(100))).boxed();
        let mut dropped = join_all((0..4).map(|_| client.work(100_000))).boxed();
        let mut late =
            join_all((0..4).map(|_| client.work(100_000).timeout(Duration::from_millis(150)))).boxed();
        assert!(replied.as_mut().now_or_never().is_none());
        assert!(dropped.as_mut().now_or_never().is_none() && late.as_mut().now_or_never().is_none());
        assert_eq!(outstanding(), [6, 6]);
        assert!(replied.await.into_iter().all(|reply| reply.is_ok()));
        assert_eq!(outstanding(), [4, 4]);
        drop(dropped);
        assert_eq!(outstanding(), [2, 2]);
        assert!(
            late.await.into_iter().all(|reply| reply.unwrap_err().kind() == FailureKind::DeadlineExceeded)
        );
        assert_eq!(outstanding(), [0, 0]);
        // A call that was never polled has no place.
        drop(client.who());
        assert_eq!(outstanding(), [0, 0]);
    });
}

#[test]
fn the_least_loaded_member_gets_the_call_and_a_choice_of_ones_own_is_followed() {
    on_each_path(async |fixture| {
        let _servers = workers(fixture, 3).await;
        let builder = || ActorPool::<WorkerClient>::builder(&fixture.resolver, "worker").node(&fixture.node);
        for fair in [Balance::LeastLoaded, Balance::PowerOfTwo] {
            let pool = builder().balance(fair.clone()).build();
            pool.wait_for_size(3, LONG).await.unwrap();
            // Each has answered by then.
            for _ in 0..40 {
                pool.call().who().await.unwrap();
            }
            let client = pool.call();
            let mut running = join_all((0..30).map(|_| client.work(1_000))).boxed();
            assert!(running.as_mut().now_or_never().is_none());
            let snapshot = pool.snapshot();
            let loads: Vec<_> = snapshot.members.iter().map(|member| member.outstanding).collect();
            // Over sockets who is faster by chance gets more.
            let fewest = if fixture.path.is_paused() || matches!(fair, Balance::LeastLoaded) { 4 } else { 0 };
            assert!(loads.iter().all(|load| *load >= fewest), "{snapshot}");
        }
        let last = builder()
            .balance(Balance::custom(|members: &[actor_runtime::pool::Member]| members.len() - 1))
            .build();
        last.wait_for_size(3, LONG).await.unwrap();
        for _ in 0..3 {
            assert_eq!(last.call().who().await.unwrap(), 3);
        }
    });
}

#[test]
fn a_member_that_fails_is_left_out_is_probed_and_comes_back() {
    on_each_path_but(&[Path::Quic], "it takes seconds", async |fixture| {
        let _servers = workers(fixture, 3).await;
        let ejection =
            Ejection::default().failures(3).pauses(Duration::from_secs(1), Duration::from_secs(60));
        let pool = ActorPool::<WorkerClient>::builder(&fixture.resolver, "worker").ejection(ejection).build();
        pool.wait_for_size(3, LONG).await.unwrap();
        let mut events = pool.events();
        let stall = async || pool.call().stall(2).timeout(Duration::from_millis(50)).await;
        let mut failed = 0;
        for _ in 0..12 {
            failed += u32::from(stall().await.is_err());
        }
        assert_eq!(failed, 3);
        let ejected = events.next().await;
        assert!(
            matches!(&ejected, Some(PoolEvent::Ejected { pause, .. }) if *pause == Duration::from_secs(1)),
            "{ejected:?}"
        );
        let mut seen = BTreeMap::<u32, u32>::new();
        for _ in 0..6 {
            *seen.entry(pool.call().who().await.unwrap()).or_default() += 1;
        }
        assert_eq!(seen.len(), 2, "{seen:?}");
        fixture.pass(Duration::from_secs(2)).await;
        // One call is the probe.
        pool.call().who().await.unwrap();
        let returned = events.next().await;
        assert!(matches!(returned, Some(PoolEvent::Returned { .. })), "{returned:?}");
        assert!(pool.snapshot().members.iter().all(|member| matches!(member.state, MemberState::Ready)));
    });
}

#[test]
fn a_broadcast_has_one_outcome_a_member_in_the_order_of_endpoints() {
    on_each_path(async |fixture| {
        let servers = workers(fixture, 3).await;
        let nothing = fixture.another_server("empty").await;
        let addresses = [servers[0].address(), nothing.address(), servers[1].address(), servers[2].address()];
        fixture.resolver.set("worker", &addresses);
        let pool = pool_of(fixture, 3).await;
        let results = pool.broadcast().refuse(&[2]).wait_all(LONG).await;
        let endpoints: Vec<_> = results.iter().map(|each| each.endpoint.address.clone()).collect();
        assert_eq!(endpoints, addresses);
        assert_eq!(results[0].value(), Some(&1));
        assert!(
            matches!(&results[1].result, Err(CallError::Failed(failure)) if failure.delivery() == Delivery::NotDelivered)
        );
        assert_eq!(results[2].result, Err(CallError::Application(Refusal::Not(2))));
        assert_eq!((results[3].is_ok(), results[3].value()), (true, Some(&3)));
        // Awaited as it is, it is the same.
        assert_eq!(pool.broadcast().who().await.len(), 4);
    });
}

/// That one cannot be reached is nothing against the others: they are not called for it, and not left out.
#[test]
fn who_cannot_be_reached_costs_the_others_nothing() {
    on_each_path(async |fixture| {
        let servers = workers(fixture, 2).await;
        let nothing = fixture.another_server("empty").await;
        let addresses = [servers[0].address(), nothing.address(), servers[1].address()];
        fixture.resolver.set("worker", &addresses);
        let pool = pool_of(fixture, 2).await;
        for _ in 0..8 {
            let results = pool.broadcast().who().wait_all(LONG).await;
            assert_eq!(results.iter().map(CallResult::is_ok).collect::<Vec<_>>(), [true, false, true]);
            let failure = results[1].error().unwrap();
            assert!(!failure.to_string().contains(&servers[0].address().to_string()), "{failure}");
        }
        let snapshot = pool.snapshot();
        let counts: Vec<_> = snapshot.members.iter().map(|member| (member.calls, member.failed)).collect();
        assert_eq!(counts, [(8, 0), (0, 0), (8, 0)], "{snapshot}");
        let too_few = pool.broadcast().who().quorum(3, LONG).await.unwrap_err().to_string();
        assert!(too_few.contains("members succeeded, and 3 had to: ") && too_few.contains("not delivered"));
    });
}

#[test]
fn a_broadcast_to_nobody_is_an_empty_result() {
    on_each_path(async |fixture| {
        let pool = WorkerClient::pool(&fixture.resolver, "nobody");
        assert!(pool.broadcast().who().wait_all(None).await.is_empty());
        assert!(pool.broadcast().who().wait_any(None).await.is_none());
        assert!(pool.broadcast().who().first_ok(None).await.unwrap_err().is_empty());
        assert!(pool.broadcast().who().quorum(0, None).await.unwrap().is_empty());
        assert!(pool.broadcast().who().quorum(1, None).await.unwrap_err().results.is_empty());
        assert_eq!(pool.broadcast().who().as_completed(None).count().await, 0);
    });
}

#[test]
fn a_broadcast_has_one_deadline_and_who_answers_in_time_is_heard() {
    on_each_path(async |fixture| {
        let _servers = workers(fixture, 3).await;
        let pool = pool_of(fixture, 3).await;
        // One after the other, and each takes longer than there is.
        let started = now();
        let results = pool.broadcast().work(300).concurrency(1).wait_all(Duration::from_millis(450)).await;
        let outcomes: Vec<_> = results.iter().map(CallResult::is_ok).collect();
        assert_eq!(outcomes, [true, false, false]);
        for each in &results[1..] {
            assert_eq!(each.error().unwrap().kind(), FailureKind::DeadlineExceeded);
        }
        assert_eq!(results[2].error().unwrap().delivery(), Delivery::NotDelivered);
        fixture.check_time(started.elapsed(), Duration::from_millis(450));
    });
}

static ENCODINGS: AtomicU32 = AtomicU32::new(0);

/// Counts how often it is encoded.
#[derive(Deserialize)]
#[serde(transparent)]
struct Weights(Bytes);

impl Serialize for Weights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ENCODINGS.fetch_add(1, Ordering::Relaxed);
        self.0.serialize(serializer)
    }
}

#[actor_service]
trait Scale {
    async fn weigh(&mut self, weights: Weights) -> usize;
}

struct Beam;

#[actor_service]
impl Scale for Beam {
    async fn weigh(&mut self, weights: Weights) -> usize {
        weights.0.len()
    }
}

#[test]
fn the_arguments_of_a_broadcast_are_encoded_once_for_all_members() {
    on_each_path(async |fixture| {
        // Where calls stay in the process, this one is of the caller's own node.
        fixture.server.register("scale", Beam).unwrap();
        let (mut addresses, mut others) = (vec![fixture.server.address()], Vec::new());
        for number in 1..8 {
            let server = fixture.another_server(&format!("scale-{number}")).await;
            server.register("scale", Beam).unwrap();
            addresses.push(server.address());
            others.push(server);
        }
        fixture.resolver.set("scale", addresses);
        let pool = fixture.resolver.lookup::<ScaleClient>("scale");
        pool.wait_for_size(8, LONG).await.unwrap();
        ENCODINGS.store(0, Ordering::Relaxed);
        let results = pool.broadcast().weigh(Weights(vec![7; 65_536].into())).wait_all(LONG).await;
        let sizes: Vec<_> = results.into_iter().map(|each| each.result.unwrap()).collect();
        assert_eq!((sizes, ENCODINGS.load(Ordering::Relaxed)), (vec![65_536; 8], 1));
    });
}

#[test]
fn the_first_the_first_good_one_and_a_quorum_are_waited_for() {
    on_each_path(async |fixture| {
        let _servers = workers(fixture, 3).await;
        let pool = pool_of(fixture, 3).await;
        assert!(pool.broadcast().who().wait_any(LONG).await.unwrap().is_ok());
        let first = pool.broadcast().refuse(&[1, 2]).first_ok(LONG).await.unwrap();
        assert_eq!(first.value(), Some(&3));
        let refused = pool.broadcast().refuse(&[1, 2, 3]).first_ok(LONG).await.unwrap_err();
        assert_eq!(refused.len(), 3);
        let two = pool.broadcast().refuse(&[2]).quorum(2, LONG).await.unwrap();
        assert!(two.len() == 2 && two.iter().all(CallResult::is_ok));
        let error = pool.broadcast().refuse(&[1, 2]).quorum(2, LONG).await.unwrap_err();
        assert_eq!(error.needed, 2);
        let mut seen: Vec<_> =
            pool.broadcast().who().as_completed(LONG).map(|each| each.result.unwrap()).collect().await;
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3]);
    });
}

#[test]
fn a_broadcast_that_is_dropped_cancels_what_is_left() {
    on_each_path(async |fixture| {
        let _servers = workers(fixture, 3).await;
        let pool = pool_of(fixture, 3).await;
        let mut running = pool.broadcast().work(100_000).wait_all(None).boxed();
        assert!(running.as_mut().now_or_never().is_none());
        fixture.settle().await;
        assert!(running.as_mut().now_or_never().is_none());
        assert!(pool.snapshot().members.iter().all(|member| member.outstanding == 1));
        drop(running);
        assert!(pool.snapshot().members.iter().all(|member| member.outstanding == 0));
        fixture.settle().await;
        for each in pool.broadcast().begun().wait_all(LONG).await {
            assert_eq!(each.result.unwrap(), 1);
        }
    });
}

#[test]
fn streams_of_all_members_are_one_tagged_stream() {
    on_each_path(async |fixture| {
        let servers = workers(fixture, 3).await;
        let pool = pool_of(fixture, 3).await;
        let mut items = BTreeMap::<String, Vec<u32>>::new();
        let mut merged = pool.broadcast().count(3).merged(LONG);
        while let Some((endpoint, item)) = merged.next().await {
            items.entry(endpoint.address.to_string()).or_default().push(item.unwrap());
        }
        for (server, number) in servers.iter().zip(1..) {
            let expected: Vec<u32> = (0..3).map(|n| number * 100 + n).collect();
            assert_eq!(items[&server.address().to_string()], expected);
        }
        assert_eq!(items.len(), 3);
        // A stream can be an argument of a call to one.
        assert_eq!(pool.call().sum(stream::iter([1, 2, 3])).await.unwrap(), 6);
        let counted: Vec<u32> = pool.call().count(2).await.unwrap().try_collect().await.unwrap();
        assert_eq!(counted.len(), 2);
    });
}

#[test]
fn try_now_fails_where_it_would_wait_for_members() {
    on_each_path(async |fixture| {
        let _servers = workers(fixture, 1).await;
        let pool = WorkerClient::pool(&fixture.resolver, "worker");
        let failure = pool.call().who().try_now().await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Overloaded);
        pool.wait_for_size(1, LONG).await.unwrap();
        assert_eq!(pool.call().who().try_now().await.unwrap(), 1);
        assert_eq!(pool.call().actor_name(), "worker");
    });
}

#[test]
fn a_batch_has_one_result_an_item_in_order_whatever_becomes_of_members() {
    on_each_path(async |fixture| {
        let servers = workers(fixture, 3).await;
        let pool = pool_of(fixture, 3).await;
        let mut far = Vec::new();
        let (results, report) = {
            let told = std::sync::Arc::new(std::sync::Mutex::new(0));
            let tell = told.clone();
            let batch = pool.map(0..200_u32, |worker, item| worker.refuse(&[*item])).window(8);
            let batch = batch.on_progress(move |progress| *tell.lock().unwrap() = progress.done);
            servers[2].unregister("worker").await;
            let all = batch.run().await;
            far.push(*told.lock().unwrap());
            all
        };
        assert_eq!((results.len(), far), (200, vec![200]));
        // Of the first three at most one has met the member that refuses it.
        let refused =
            results.iter().filter(|result| matches!(result, Err(CallError::Application(_)))).count();
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 200 - refused);
        assert!(refused <= 3);
        assert_eq!(
            (report.items, report.succeeded, report.failed),
            (200, 200 - refused as u64, refused as u64)
        );
        assert!(report.retries <= 8, "{report}");
    });
}

#[test]
fn a_batch_keeps_its_window_and_can_keep_its_order() {
    on_each_path(async |fixture| {
        let _servers = workers(fixture, 2).await;
        let pool = pool_of(fixture, 2).await;
        // The first takes longest.
        let mut batch = pool
            .map(vec![120_u64, 60, 20, 20, 20], |worker, millis| worker.work(*millis))
            .window(3)
            .ordered();
        let mut order = Vec::new();
        while let Some(done) = batch.next().await {
            assert!(done.result.is_ok());
            order.push(done.index);
        }
        assert_eq!(order, [0, 1, 2, 3, 4]);
        let mut batch = pool.map(vec![200_u64, 20], |worker, millis| worker.work(*millis));
        let mut order = Vec::new();
        while let Some(done) = batch.next().await {
            order.push(done.index);
        }
        assert_eq!(order, [1, 0]);
        // Endless items, and a window of three.
        let mut endless = pool.map(0_u64.., |worker, _| worker.work(100_000)).window(3);
        assert!(endless.next().now_or_never().is_none());
        let outstanding: usize = pool.snapshot().members.iter().map(|member| member.outstanding).sum();
        assert_eq!(outstanding, 3);
        drop(endless);
        let outstanding: usize = pool.snapshot().members.iter().map(|member| member.outstanding).sum();
        assert_eq!(outstanding, 0);
    });
}

#[test]
fn items_that_may_have_been_run_are_called_again_only_if_that_does_no_harm() {
    on_each_path_but(&[Path::Direct, Path::Loopback], "there is no connection to lose", async |fixture| {
        for repeatable in [false, true] {
            let mut servers = workers(fixture, 2).await;
            let pool = pool_of(fixture, 2).await;
            let batch = pool.map(0..4, |worker, _| worker.work(500));
            let mut batch = if repeatable { batch.repeatable() } else { batch };
            assert!(batch.next().now_or_never().is_none());
            fixture.settle().await;
            drop(servers.remove(0));
            let (results, report) = batch.run().await;
            let failed = results.iter().filter(|result| result.is_err()).count();
            assert_eq!((results.len(), failed), (4, if repeatable { 0 } else { 2 }), "{results:?}");
            assert_eq!(report.retries, if repeatable { 2 } else { 0 });
            drop(servers);
        }
    });
}
