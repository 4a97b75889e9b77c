//! Pools when something is wrong: members that come back, resolvers that fail, members that hang.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actor_runtime::{
    ActorPool, ActorServer, BoxFuture, BoxStream, CallOptions, Delivery, FailureKind, Namespace,
    ResolveError, ResolveResult, ResolvedEndpoint, Resolver, Retry, actor_service,
    pool::{Balance, Ejection, Member, MemberState, PoolEvent},
    prelude::StreamExt,
};
use futures::{FutureExt, future::join, stream, stream::Stream};
use tests::{Fixture, Path, on_path};

#[actor_service]
trait Worker {
    async fn who(&self) -> u32;
    /// Takes so long.
    async fn work(&self, millis: u64) -> u32;
    /// Takes so long, and nothing else is run meanwhile.
    async fn alone(&mut self, millis: u64) -> u32;
    /// Takes ten seconds for this number.
    async fn stall(&self, number: u32) -> u32;
    /// Panics.
    async fn end(&mut self);
    /// An item at each of the times of its number, then the end at the last one, if there is one.
    fn items(&self, at: Vec<Vec<u64>>) -> impl Stream<Item = u32>;
}

struct Numbered(u32);

#[expect(clippy::disallowed_methods, reason = "a handler that takes time")]
async fn sleep(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

#[expect(clippy::disallowed_methods, reason = "a test measures")]
fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// `None` if it takes longer.
#[expect(clippy::disallowed_methods, reason = "a test does not wait for ever")]
async fn within<T>(seconds: u64, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_secs(seconds), future).await.ok()
}

#[actor_service]
impl Worker for Numbered {
    async fn who(&self) -> u32 {
        self.0
    }

    async fn work(&self, millis: u64) -> u32 {
        sleep(millis).await;
        self.0
    }

    async fn alone(&mut self, millis: u64) -> u32 {
        sleep(millis).await;
        self.0
    }

    async fn stall(&self, number: u32) -> u32 {
        if self.0 == number {
            sleep(10_000).await;
        }
        self.0
    }

    async fn end(&mut self) {
        panic!("as it was told to");
    }

    fn items(&self, at: Vec<Vec<u64>>) -> impl Stream<Item = u32> {
        let number = self.0;
        let at = at.into_iter().nth(number as usize - 1).unwrap_or_default();
        let last = at.len().saturating_sub(1);
        let began = now();
        stream::iter(at.into_iter().enumerate()).filter_map(move |(place, millis)| async move {
            let passed = now().saturating_duration_since(began).as_millis() as u64;
            sleep(millis.saturating_sub(passed)).await;
            (place != last).then_some(number)
        })
    }
}

const LONG: Duration = Duration::from_secs(20);

async fn workers(fixture: &Fixture, count: u32) -> Vec<ActorServer> {
    let mut servers = Vec::new();
    for number in 1..=count {
        let server = fixture.another_server(&format!("worker-{number}")).await;
        server.register("worker", Numbered(number)).expect("a free name");
        servers.push(server);
    }
    fixture.resolver.set("worker", servers.iter().map(ActorServer::address));
    servers
}

async fn pool_of(fixture: &Fixture, size: usize, ejection: Ejection) -> ActorPool<WorkerClient> {
    let pool = ActorPool::builder(&fixture.resolver, "worker").ejection(ejection).build();
    pool.wait_for_size(size, LONG).await.expect("they are there");
    pool
}

/// Three failures, then a second.
fn three() -> Ejection {
    Ejection::default().failures(3).pauses(Duration::from_secs(1), Duration::from_secs(60))
}

/// Calls until the second member is left out.
async fn leave_out_the_second(pool: &ActorPool<WorkerClient>) {
    for _ in 0..30 {
        if matches!(pool.snapshot().members[1].state, MemberState::Ejected(_)) {
            return;
        }
        let _ = pool.call().stall(2).timeout(Duration::from_millis(50)).await;
    }
    panic!("{}", pool.snapshot());
}

async fn numbers(pool: &ActorPool<WorkerClient>, calls: usize) -> BTreeMap<u32, u32> {
    let mut seen = BTreeMap::new();
    for _ in 0..calls {
        *seen.entry(pool.call().who().await.expect("it answers")).or_default() += 1;
    }
    seen
}

#[test]
fn a_call_that_ends_well_while_its_member_is_left_out_does_not_keep_it_out() {
    on_path(Path::Direct, async |fixture| {
        let _servers = workers(fixture, 3).await;
        let pool = pool_of(fixture, 3, three()).await;
        let client = pool.call();
        let mut long = futures::future::join_all((0..3).map(|_| client.work(900))).boxed();
        assert!(long.as_mut().now_or_never().is_none());
        leave_out_the_second(&pool).await;
        assert!(long.await.iter().all(Result::is_ok));
        fixture.pass(Duration::from_secs(2)).await;
        // The first is the probe.
        let seen = numbers(&pool, 31).await;
        assert!(seen.get(&2).is_some_and(|calls| *calls >= 10), "{seen:?}, {}", pool.snapshot());
    });
}

#[test]
fn a_probe_that_fails_in_a_pool_that_became_small_is_not_the_last_one() {
    on_path(Path::Direct, async |fixture| {
        let servers = workers(fixture, 4).await;
        let pool = pool_of(fixture, 4, three().share(0.25)).await;
        leave_out_the_second(&pool).await;
        // Of three nobody may be left out.
        fixture.resolver.set("worker", servers[..3].iter().map(ActorServer::address));
        fixture.pass(Duration::from_secs(2)).await;
        assert_eq!(pool.size(), 3);
        pool.call().stall(2).timeout(Duration::from_millis(50)).await.unwrap_err();
        fixture.pass(Duration::from_secs(10)).await;
        // The first is the probe.
        let seen = numbers(&pool, 31).await;
        assert!(seen.get(&2).is_some_and(|calls| *calls >= 10), "{seen:?}, {}", pool.snapshot());
    });
}

#[test]
fn a_broadcast_that_does_not_reach_one_says_nothing_against_the_others() {
    on_path(Path::Direct, async |fixture| {
        let servers = workers(fixture, 2).await;
        let nothing = fixture.another_server("empty").await;
        fixture.resolver.set("worker", [servers[0].address(), nothing.address(), servers[1].address()]);
        let pool = pool_of(fixture, 2, Ejection::default().failures(2)).await;
        for _ in 0..10 {
            let all = pool.broadcast().who().wait_all(LONG).await;
            assert_eq!(all.iter().filter(|each| each.is_ok()).count(), 2);
        }
        let snapshot = pool.snapshot();
        for (member, calls) in snapshot.members.iter().zip([10, 0, 10]) {
            assert_eq!((member.calls, member.failed, member.outstanding), (calls, 0, 0), "{snapshot}");
        }
    });
}

/// A member whose one turn does not end has no time for the calls in its mailbox.
#[test]
fn a_member_that_hangs_is_left_out() {
    on_path(Path::Direct, async |fixture| {
        let servers = workers(fixture, 3).await;
        let pool = pool_of(fixture, 3, three()).await;
        let second = actor_runtime::FixedResolver::new([("worker", servers[1].address())]);
        let mut hangs = WorkerClient::new(&second, "worker").alone(10_000_000).no_timeout().boxed();
        assert!((&mut hangs).now_or_never().is_none());
        fixture.settle().await;
        let mut failed = 0;
        for _ in 0..30 {
            failed += u32::from(pool.call().who().timeout(Duration::from_millis(50)).await.is_err());
        }
        assert_eq!(failed, 3, "{}", pool.snapshot());
    });
}

/// Its name still leads to it, and it has no latency that would speak against it.
#[test]
fn an_actor_that_ended_and_has_its_name_still_costs_the_others_no_call() {
    on_path(Path::Direct, async |fixture| {
        let servers = workers(fixture, 2).await;
        for balance in [Balance::PowerOfTwo, Balance::custom(|_: &[Member]| 1)] {
            let pool =
                ActorPool::<WorkerClient>::builder(&fixture.resolver, "worker").balance(balance).build();
            pool.wait_for_size(2, LONG).await.unwrap();
            let second = actor_runtime::FixedResolver::new([("worker", servers[1].address())]);
            let _ = WorkerClient::new(&second, "worker").end().await;
            fixture.settle().await;
            for _ in 0..100 {
                assert_eq!(pool.call().who().await.unwrap(), 1);
            }
        }
    });
}

/// What its resolver does.
type Views = dyn Fn() -> BoxStream<'static, Result<ResolveResult, ResolveError>> + Send + Sync;

#[derive(Clone)]
struct Scripted(Arc<Views>);

impl Scripted {
    fn new<S>(views: impl Fn() -> S + Send + Sync + 'static) -> Self
    where
        S: Stream<Item = Result<ResolveResult, ResolveError>> + Send + 'static,
    {
        Self(Arc::new(move || views().boxed()))
    }
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a script")
    }
}

impl Resolver for Scripted {
    fn resolve<'a>(
        &'a self,
        namespace: &'a Namespace,
        name: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        async move { Err(ResolveError::new(namespace, name, "pools watch")) }.boxed()
    }

    fn watch(&self, _: &Namespace, _: &str) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        (self.0)()
    }
}

/// These places, with a mark.
fn found(servers: &[ActorServer], mark: &str) -> ResolveResult {
    ResolveResult::new(servers.iter().map(|server| {
        let mut endpoint = ResolvedEndpoint::new(server.address(), "worker");
        endpoint.metadata.insert("mark".into(), mark.into());
        endpoint
    }))
}

fn pool_by(fixture: &Fixture, resolver: &Scripted) -> ActorPool<WorkerClient> {
    ActorPool::builder(resolver, "worker").node(&fixture.node).build()
}

#[test]
fn an_answer_that_is_stale_keeps_the_members_and_is_told() {
    on_path(Path::Direct, async |fixture| {
        let servers = workers(fixture, 2).await;
        let fresh = found(&servers, "");
        let mut stale = fresh.clone();
        stale.stale = Some(actor_runtime::Staleness::new(Duration::from_secs(3), "the registry is down"));
        let results = [fresh.clone(), stale, fresh];
        let (next, turns) = tokio::sync::watch::channel(0_usize);
        let resolver = Scripted::new(move || {
            let (results, turns) = (results.clone(), turns.clone());
            stream::unfold((0, turns), move |(turn, mut turns)| {
                let result = results.get(turn).cloned();
                async move {
                    turns.wait_for(|upto| turn <= *upto).await.ok()?;
                    Some((Ok(result?), (turn + 1, turns)))
                }
            })
            .chain(stream::pending())
        });
        let pool = pool_by(fixture, &resolver);
        let mut events = pool.events();
        pool.wait_for_size(2, LONG).await.unwrap();
        next.send_replace(1);
        let why = loop {
            if let PoolEvent::ResolverFailed { why } = events.next().await.unwrap() {
                break why;
            }
        };
        assert_eq!(why, "the registry is down; its last answer holds");
        assert_eq!((pool.size(), pool.snapshot().resolver_failure), (2, Some(why)));
        assert!(pool.call().who().await.is_ok());
        next.send_replace(2);
        while pool.snapshot().resolver_failure.is_some() {
            fixture.settle().await;
        }
        assert_eq!(pool.size(), 2);
    });
}

#[test]
fn a_resolver_that_panics_is_a_resolver_that_failed_and_is_asked_again() {
    on_path(Path::Direct, async |fixture| {
        let servers = workers(fixture, 2).await;
        let present = found(&servers, "");
        for in_watch in [true, false] {
            let (times, present) = (std::sync::atomic::AtomicU32::new(0), present.clone());
            let resolver = Scripted::new(move || {
                let first = times.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
                assert!(!(first && in_watch), "as the test wants");
                let present = present.clone();
                stream::once(async move {
                    assert!(!first, "as the test wants");
                    Ok(present)
                })
                .chain(stream::pending())
            });
            let pool = pool_by(fixture, &resolver);
            let once = CallOptions::new().retry(Retry::none());
            let failed = within(3, pool.call().with_options(once).who().no_timeout()).await;
            let failure = failed.expect("nobody waits for a resolver that panicked").unwrap_err();
            assert_eq!(
                (failure.kind(), failure.delivery()),
                (FailureKind::Unreachable, Delivery::NotDelivered)
            );
            assert!(failure.detail().contains("as the test wants"), "{failure}");
            pool.wait_for_size(2, LONG).await.unwrap();
            assert!(pool.call().who().await.is_ok());
        }
    });
}

#[test]
fn an_endpoint_whose_metadata_changes_while_it_is_reached_is_reached_all_the_same() {
    on_path(Path::Simulated, async |fixture| {
        let servers = workers(fixture, 2).await;
        let views = ["old", "new"].map(|mark| found(&servers, mark));
        let resolver = Scripted::new(move || stream::iter(views.clone().map(Ok)).chain(stream::pending()));
        let pool = pool_by(fixture, &resolver);
        pool.wait_for_size(2, LONG).await.unwrap();
        assert!(pool.endpoints().iter().all(|endpoint| endpoint.metadata["mark"] == "new"));
    });
}

/// Who says nothing else than the last time, and at once, keeps nobody waiting.
#[test]
fn a_resolver_that_talks_without_end_starves_nobody() {
    on_path(Path::Quic, async |fixture| {
        let servers = workers(fixture, 2).await;
        let view = found(&servers, "");
        let resolver = Scripted::new(move || {
            stream::repeat_with({
                let view = view.clone();
                move || Ok(view.clone())
            })
        });
        let pool = pool_by(fixture, &resolver);
        pool.wait_for_size(2, LONG).await.unwrap();
        assert!(pool.call().who().await.is_ok());
    });
}

#[test]
fn a_broadcast_whose_members_nobody_knows_has_an_outcome_that_says_so() {
    on_path(Path::Direct, async |fixture| {
        let silent = pool_by(fixture, &Scripted::new(stream::pending));
        let all = silent.broadcast().who().wait_all(Duration::from_millis(100)).await;
        assert_eq!(all.len(), 1);
        let failure = all[0].error().unwrap();
        assert_eq!(
            (failure.kind(), failure.delivery()),
            (FailureKind::DeadlineExceeded, Delivery::NotDelivered)
        );

        let fails = Scripted::new(|| {
            stream::once(async { Err(ResolveError::new(&Namespace::local(), "worker", "out of order")) })
        });
        let fails = pool_by(fixture, &fails);
        let all = fails.broadcast().who().wait_all(LONG).await;
        assert_eq!(all.len(), 1);
        let failure = all[0].error().unwrap();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Unreachable, Delivery::NotDelivered));
        assert!(failure.detail().contains("out of order"), "{failure}");
    });
}

#[test]
fn a_members_time_is_what_it_takes_and_not_what_was_waited_before() {
    on_path(Path::Direct, async |fixture| {
        let servers = workers(fixture, 1).await;
        let view = found(&servers, "");
        let resolver = Scripted::new(move || {
            let view = view.clone();
            stream::once(async move {
                sleep(5_000).await;
                Ok(view)
            })
            .chain(stream::pending())
        });
        let pool = pool_by(fixture, &resolver);
        pool.call().work(10).await.unwrap();
        let latency = pool.snapshot().members[0].latency.unwrap();
        assert!(latency < Duration::from_secs(1), "{latency:?}");
    });
}

#[test]
fn calls_of_one_client_do_not_wait_for_each_others_pauses() {
    on_path(Path::Direct, async |fixture| {
        let pool = WorkerClient::pool(&fixture.resolver, "nobody");
        let client = pool.call();
        let began = now();
        let failing = async |pause: u64| {
            let pause = Duration::from_millis(pause);
            let retry = Retry::default().attempts(2).pauses(pause, pause);
            client.who().retry(retry).no_timeout().await.unwrap_err();
            began.elapsed()
        };
        let (long, short) = join(failing(10_000), failing(100)).await;
        assert!(short < Duration::from_millis(200), "{short:?}");
        assert!(long >= Duration::from_secs(5), "{long:?}");
    });
}

#[test]
fn a_key_stays_with_its_member_while_another_one_is_probed() {
    on_path(Path::Direct, async |fixture| {
        let _servers = workers(fixture, 3).await;
        let pool = pool_of(fixture, 3, three()).await;
        let mut keys = Vec::new();
        for key in 0..30 {
            keys.push((key, pool.call_for(&key).who().await.unwrap()));
        }
        leave_out_the_second(&pool).await;
        fixture.pass(Duration::from_secs(2)).await;
        for &(key, who) in
            keys.iter().filter(|(_, who)| *who != 2).chain(keys.iter().filter(|(_, who)| *who == 2))
        {
            assert_eq!(pool.call_for(&key).who().await.unwrap(), who, "{}", pool.snapshot());
        }
    });
}

/// The first ends between two items of the second, and the third has none.
#[test]
fn a_stream_that_ends_leaves_none_of_the_others_unread() {
    on_path(Path::Direct, async |fixture| {
        let _servers = workers(fixture, 3).await;
        let pool = pool_of(fixture, 3, Ejection::default()).await;
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let plans = [vec![20], vec![10, 30, 40, 1_000_000], vec![1_000_000]];
            let mut merged = pool.broadcast().items(order.map(|n| plans[n].clone()).to_vec()).merged(LONG);
            for item in 0..3 {
                let next =
                    within(100, merged.next()).await.unwrap_or_else(|| panic!("{order:?}: no item {item}"));
                assert!(next.unwrap().1.is_ok());
                // Until the first has ended.
                sleep(15).await;
            }
        }
    });
}
