//! S12: several endpoints over a simulated network: silence, what it costs, and what becomes of attempts that lose.

#![expect(clippy::disallowed_methods, reason = "time is simulated")]
#![allow(clippy::unwrap_used, reason = "an actor of a test may panic as the test may")]

use std::time::Duration;

use actor_runtime::{
    ActorServer, Delivery, FailureKind, FixedResolver, Node,
    prelude::*,
    testing::{Fate, SimHost, SimNet},
};
use futures::future::join_all;
use tests::{Path, Script, runtime};
use tokio::time::{Instant, sleep};

#[actor_service]
trait Desk {
    /// Which one it is.
    async fn who(&self) -> u32;
    /// Logs the number; gives which desk it is.
    async fn note(&mut self, number: u32) -> u32;
}

#[actor_service]
trait Ledger {
    /// Waits for its door; gives which desk it is.
    #[dedup]
    async fn enter(&mut self, name: &str) -> u32;
    /// The same, and is not remembered.
    async fn jot(&mut self, name: &str) -> u32;
}

struct Clerk(u32, Script);

impl Actor for Clerk {
    type Services = (DeskService, LedgerService);
}

#[actor_service(part)]
impl Desk for Clerk {
    async fn who(&self) -> u32 {
        self.0
    }

    async fn note(&mut self, number: u32) -> u32 {
        self.1.log(format!("{number} at {}", self.0));
        self.0
    }
}

#[actor_service(part)]
impl Ledger for Clerk {
    async fn enter(&mut self, name: &str) -> u32 {
        self.1.act(&format!("{name} at {}", self.0)).await;
        self.0
    }

    async fn jot(&mut self, name: &str) -> u32 {
        self.enter(name).await
    }
}

/// What an attempt is alone for before the next one begins.
const DELAY: Duration = Duration::from_millis(250);

/// How long a datagram takes, and a first call with all that comes before it, at most.
const LATENCY: Duration = Duration::from_millis(5);
const FIRST_CALL: Duration = Duration::from_millis(12 * 5);

/// Nothing was heard for so long: then nobody is there.
const IDLE: Duration = Duration::from_secs(2);

/// What S6 allows after a death.
const DEATH: Duration = Duration::from_secs(3);

/// A client, and some servers with a desk each, numbered from 1.
struct World {
    net: SimNet,
    client: Node,
    client_host: SimHost,
    hosts: Vec<SimHost>,
    servers: Vec<Option<ActorServer>>,
    resolver: FixedResolver,
    script: Script,
}

impl World {
    async fn new(servers: u32) -> Self {
        let net = SimNet::new(1);
        net.latency(LATENCY..=LATENCY).keep_events(true);
        let client_host = net.host("client");
        let client = node(&net, &client_host, 99);
        let resolver = FixedResolver::new::<&str, &str>([]);
        let (hosts, servers_of) = ((1..=servers).map(|n| net.host(&n.to_string())).collect(), Vec::new());
        let script = Script::default();
        let mut world = Self { net, client, client_host, hosts, servers: servers_of, resolver, script };
        world.servers.resize_with(servers as usize, || None);
        for at in 0..world.hosts.len() {
            world.start(at).await;
        }
        world.resolver.set("desk", world.hosts.iter().map(|host| format!("{}:7000", host.ip())));
        world
    }

    async fn start(&mut self, at: usize) {
        let number = u32::try_from(at).unwrap() + 1;
        let node = node(&self.net, &self.hosts[at], number.into());
        let server = ActorServer::bind_on(&node, "127.0.0.1:7000").await.unwrap();
        server.register("desk", Clerk(number, self.script.clone())).unwrap();
        self.servers[at] = Some(server);
    }

    /// As by SIGKILL.
    fn kill(&mut self, at: usize) {
        self.net.kill(&self.hosts[at]);
        self.servers[at] = None;
    }

    async fn restart(&mut self, at: usize) {
        self.net.revive(&self.hosts[at]);
        self.start(at).await;
    }

    fn cut(&self, at: usize) {
        self.net.partition(&self.client_host, &self.hosts[at]);
    }

    fn desk(&self) -> DeskClient {
        DeskClient::on(&self.client, &self.resolver, "desk")
    }

    fn ledger(&self) -> LedgerClient {
        LedgerClient::on(&self.client, &self.resolver, "desk")
    }

    /// A client that knows this server only.
    fn only(&self, at: usize) -> DeskClient {
        let address = format!("{}:7000", self.hosts[at].ip());
        DeskClient::on(&self.client, &FixedResolver::new([("desk", address)]), "desk")
    }

    /// How many datagrams were sent to this server.
    fn sent_to(&self, at: usize) -> usize {
        let to = |event: &&actor_runtime::testing::Event| {
            event.to.ip() == self.hosts[at].ip() && event.fate == Fate::Sent
        };
        self.net.log().events().iter().filter(to).count()
    }

    fn times(&self, line: &str) -> usize {
        self.script.lines().iter().filter(|logged| *logged == line).count()
    }
}

fn node(net: &SimNet, host: &SimHost, seed: u64) -> Node {
    Node::builder().simulated(net, host).seed(seed).build().unwrap()
}

fn simulate(servers: u32, test: impl AsyncFnOnce(&mut World)) {
    runtime(Path::Simulated).block_on(async { test(&mut World::new(servers).await).await });
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[track_caller]
fn check(elapsed: Duration, range: std::ops::Range<Duration>) {
    assert!(range.contains(&elapsed), "{elapsed:?} where {range:?} was expected");
}

#[test]
fn one_that_is_silent_costs_the_delay_and_one_that_answers_has_no_rival() {
    simulate(3, async |world| {
        let started = Instant::now();
        assert_eq!(world.desk().who().await.unwrap(), 1);
        check(started.elapsed(), LATENCY..FIRST_CALL);
        assert_eq!((world.sent_to(1), world.sent_to(2)), (0, 0), "they are not even dialled");
        world.kill(0);
        sleep(DEATH).await;
        for silent in 1..=2 {
            let started = Instant::now();
            assert_eq!(world.desk().who().await.unwrap(), silent + 1);
            check(started.elapsed(), DELAY * silent..DELAY * silent + FIRST_CALL);
            world.kill(silent as usize);
            sleep(DEATH).await;
        }
    });
}

/// It was connected before, and does not say that it is frozen.
#[test]
fn one_that_has_stopped_to_answer_on_its_connection_costs_no_more() {
    simulate(2, async |world| {
        assert_eq!(world.desk().who().await.unwrap(), 1);
        world.net.pause(&world.hosts[0]);
        let started = Instant::now();
        assert_eq!(world.desk().who().await.unwrap(), 2);
        check(started.elapsed(), DELAY..DELAY + FIRST_CALL);
    });
}

#[test]
fn a_first_one_that_is_slow_still_wins_if_it_answers_before_the_second() {
    simulate(2, async |world| {
        world.net.link(&world.client_host, &world.hosts[0]).latency(ms(100)..=ms(100));
        // It begins when a quarter of a second is over, and would be half a second from its end then.
        world.net.link(&world.client_host, &world.hosts[1]).latency(ms(300)..=ms(300));
        assert_eq!(world.desk().who().await.unwrap(), 1);
    });
}

#[test]
fn that_none_answers_is_told_after_the_time_of_one_and_the_delays() {
    simulate(3, async |world| {
        (0..3).for_each(|at| world.cut(at));
        let started = Instant::now();
        let failure = world.desk().who().await.unwrap_err();
        check(started.elapsed(), IDLE + 2 * DELAY..IDLE + 3 * DELAY);
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Unreachable, Delivery::NotDelivered));
        for host in &world.hosts {
            let cause = format!(
                "actor://{0}:7000/desk: unreachable: nothing answered at {0}:7000 within 2s",
                host.ip()
            );
            assert!(failure.detail().contains(&cause), "{failure}");
        }
    });
}

#[test]
fn a_call_that_has_less_time_than_a_search_ends_in_its_time() {
    simulate(3, async |world| {
        (0..3).for_each(|at| world.cut(at));
        let started = Instant::now();
        let failure = world.desk().who().timeout(ms(400)).await.unwrap_err();
        assert_eq!(
            (failure.kind(), failure.delivery()),
            (FailureKind::DeadlineExceeded, Delivery::NotDelivered)
        );
        check(started.elapsed(), ms(400)..ms(420));
    });
}

/// A place that has just refused to be dialled again does not delay those who come next.
#[test]
fn one_that_rests_after_a_failure_gets_no_head_start() {
    simulate(2, async |world| {
        world.cut(0);
        // Each failure makes the next rest longer.
        for _ in 0..4 {
            world.only(0).who().await.unwrap_err();
        }
        let started = Instant::now();
        assert_eq!(world.desk().who().await.unwrap(), 2);
        check(started.elapsed(), LATENCY..FIRST_CALL);
    });
}

/// Who shares an attempt with one that loses its interest has the connection as soon as if it were alone.
#[test]
fn an_attempt_that_loses_goes_on_for_others_who_wait_for_it() {
    let slow = |world: &World| {
        for (from, to) in [(&world.client_host, &world.hosts[0]), (&world.hosts[0], &world.client_host)] {
            world.net.link(from, to).latency(ms(150)..=ms(150));
        }
    };
    let mut alone = Duration::ZERO;
    simulate(2, async |world| {
        slow(world);
        let started = Instant::now();
        assert_eq!(world.only(0).who().await.unwrap(), 1);
        alone = started.elapsed();
    });
    assert!(alone > DELAY + FIRST_CALL);
    for (first, second) in [(0, 20), (20, 0)] {
        simulate(2, async |world| {
            slow(world);
            let started = Instant::now();
            let both = async {
                sleep(ms(first)).await;
                assert_eq!(world.desk().who().await.unwrap(), 2);
            };
            let one = async {
                sleep(ms(second)).await;
                assert_eq!(world.only(0).who().await.unwrap(), 1);
                started.elapsed()
            };
            let ((), shared) = tokio::join!(both, one);
            check(shared, alone..alone + LATENCY);
        });
    }
}

#[test]
fn an_attempt_that_loses_and_that_nobody_else_waits_for_leaves_no_connection() {
    for latency in [140, 200, 300] {
        simulate(2, async |world| {
            world.net.link(&world.client_host, &world.hosts[0]).latency(ms(latency)..=ms(latency));
            assert_eq!(world.desk().who().await.unwrap(), 2);
            // What is late is still answered once.
            sleep(3 * DEATH).await;
            let before = world.sent_to(0);
            assert!(before > 0, "it was dialled");
            sleep(Duration::from_secs(60)).await;
            assert_eq!(world.sent_to(0), before, "{latency} ms away");
        });
    }
}

#[test]
fn first_calls_keep_their_order_while_the_first_place_is_silent() {
    simulate(2, async |world| {
        world.cut(0);
        let desk = world.desk();
        let at = join_all((0..100).map(|number| desk.note(number))).await;
        assert!(at.into_iter().all(|at| at.unwrap() == 2));
        let in_order: Vec<String> = (0..100).map(|number| format!("{number} at 2")).collect();
        assert_eq!(world.script.lines(), in_order);
    });
}

#[test]
fn calls_go_on_at_the_next_when_a_server_is_killed_under_them() {
    simulate(3, async |world| {
        let desk = world.desk();
        let (mut lost, mut at) = (Vec::new(), Vec::new());
        for number in 0..300 {
            match number {
                50 => world.kill(0),
                150 => {
                    world.restart(0).await;
                    world.kill(1);
                }
                250 => world.kill(0),
                _ => {}
            }
            let started = Instant::now();
            match desk.note(number).await {
                Ok(who) => at.push((number, who)),
                Err(failure) => lost.push((number, failure.delivery())),
            }
            assert!(started.elapsed() < DEATH + 3 * DELAY, "{number}: {:?}", started.elapsed());
        }
        // Those on the way when a server died: nobody knows, and they are not made again.
        assert_eq!(lost, [50, 150, 250].map(|number| (number, Delivery::Unknown)));
        let who = |number| [1, 2, 1, 3][[50, 150, 250].iter().filter(|killed| number > **killed).count()];
        let told = at.iter().map(|&(number, at)| (number, at == who(number)));
        assert!(told.clone().all(|(_, right)| right) && told.count() == 297, "{at:?}");
        let done: Vec<String> = at.iter().map(|(number, at)| format!("{number} at {at}")).collect();
        assert_eq!(world.script.lines(), done, "each was run once");
    });
}

/// What the first one did nobody else knows.
#[test]
fn a_dedup_call_that_may_have_run_is_asked_of_nobody_else() {
    simulate(2, async |world| {
        let ledger = world.ledger();
        let call = tokio::spawn(async move { (ledger.enter("a").await, ledger) });
        world.script.seen("a at 1 begins").await;
        world.kill(0);
        let (end, ledger) = call.await.unwrap();
        let failure = end.unwrap_err();
        assert_eq!(failure.delivery(), Delivery::Unknown, "{failure}");
        assert_eq!(world.times("a at 2 begins"), 0);
        // The handle goes on.
        world.script.open("b at 2");
        assert_eq!(ledger.enter("b").await.unwrap(), 2);
    });
}

/// A call under way at the second one, from which nothing is heard for so long, while the first one is back. How it
/// ended, and how often it was begun at each.
fn interrupted(cut: Duration, dedup: bool) -> (Result<u32, Failure>, [usize; 2]) {
    let mut ended = None;
    simulate(2, async |world| {
        world.kill(0);
        let ledger = world.ledger();
        let call =
            tokio::spawn(async move { if dedup { ledger.enter("a").await } else { ledger.jot("a").await } });
        world.script.seen("a at 2 begins").await;
        world.restart(0).await;
        world.cut(1);
        sleep(cut).await;
        world.net.heal_all();
        world.script.open("a at 2");
        let end = call.await.unwrap();
        ended = Some((end, [1, 2].map(|at| world.times(&format!("a at {at} begins")))));
    });
    ended.unwrap()
}

/// Although an earlier place can be called again by then.
#[test]
fn a_dedup_call_that_may_have_run_is_asked_for_again_where_it_ran() {
    let mut saved = 0;
    for cut in (2_000..3_000).step_by(20).map(ms) {
        let (plain, _) = interrupted(cut, false);
        let (end, begun) = interrupted(cut, true);
        assert_eq!(begun, [0, 1], "{cut:?}");
        let unknown = |failure: &Failure| failure.delivery() == Delivery::Unknown;
        assert!(end.as_ref().map_or_else(unknown, |at| *at == 2), "{cut:?}: {end:?}");
        // Its connection was lost.
        saved += u32::from(plain.is_err() && end.is_ok());
    }
    assert!(saved > 0);
}
