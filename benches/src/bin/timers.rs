//! What a million pending timers cost: `cargo run --release -p benches --bin timers`.
//!
//! Timers of one actor, beside sleeps of tokio in one task and in a task each, on one thread. Each figure is the median of
//! three rounds, with the least and the most. Times are the processor's. *Fire* is from the first turn (or sleep that ends) to the last,
//! when all came due within a tenth of a second; for an actor it is the whole way, with the mailbox and the turn.

#![allow(clippy::disallowed_methods, reason = "it measures")]

#[allow(dead_code, reason = "it is the other program's as well")]
#[path = "../heap.rs"]
mod heap;

use std::{
    error::Error,
    future::poll_fn,
    sync::{Arc, LazyLock, OnceLock},
    task::Poll,
    time::Instant,
};

use actor_runtime::{Config, Timers, prelude::*};
use futures::stream::FuturesUnordered;
use tokio::{sync::watch, task::JoinSet, time::Sleep};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

const MANY: u64 = 1_000_000;
const ROUNDS: usize = 3;

#[actor_service]
trait Clock {
    async fn open(&self);
}

struct Bell {
    timers: Arc<OnceLock<Timers>>,
    rung: watch::Sender<(u64, Option<f64>)>,
}

impl Actor for Bell {
    type Services = (ClockService,);

    async fn on_timeout(&mut self, _: Timeout) {
        let last = MANY - 1;
        self.rung.send_if_modified(|(count, first)| {
            first.get_or_insert_with(spent);
            *count += 1;
            *count > last
        });
    }
}

#[actor_service(part)]
impl Clock for Bell {
    async fn open(&self) {
        let timers = current_ctx().expect("this is a turn").timers();
        self.timers.get_or_init(|| timers);
    }
}

/// Nanoseconds and bytes a timer.
#[derive(Clone, Copy)]
struct Costs {
    set: f64,
    bytes: f64,
    cancel: f64,
    fire: f64,
}

/// How far away timers are that are not to fire: a minute or more, in no order.
fn far(n: u64) -> Duration {
    Duration::from_millis(60_000 + n * 7919 % 600_000)
}

/// As far that all are set before the first one fires, and then within a tenth of a second.
fn near(n: u64) -> Duration {
    Duration::from_millis(3_000 + n * 7919 % 100)
}

/// The processor's time of this thread, in nanoseconds, where the system tells it; else time as it passes.
fn spent() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let spent = told.and_then(|told| told.split_whitespace().next()?.parse().ok());
    spent.unwrap_or_else(|| START.elapsed().as_nanos() as f64)
}

fn each(since: f64) -> f64 {
    (spent() - since) / MANY as f64
}

fn live() -> f64 {
    heap::count().live as f64
}

async fn ours(timers: &Timers, rung: &watch::Sender<(u64, Option<f64>)>) -> Costs {
    let before = live();
    let start = spent();
    for n in 0..MANY {
        timers.once(n, far(n)).expect("there is room");
    }
    let (set, bytes) = (each(start), (live() - before) / MANY as f64);
    let start = spent();
    for n in 0..MANY {
        assert!(timers.cancel(n));
    }
    let cancel = each(start);

    let _ = rung.send_replace((0, None));
    for n in 0..MANY {
        timers.once(n, near(n)).expect("there is room");
    }
    let all = rung.subscribe().wait_for(|(count, _)| *count == MANY).await.map(|told| told.1);
    let first = all.ok().flatten().expect("the bell lives");
    Costs { set, bytes, cancel, fire: each(first) }
}

async fn sleeps() -> Costs {
    let before = live();
    let start = spent();
    let mut all: FuturesUnordered<Sleep> = (0..MANY).map(|n| tokio::time::sleep(far(n))).collect();
    // The first poll puts them into tokio's wheel; all of them, without letting others go first.
    let first = tokio::task::unconstrained(poll_fn(|cx| Poll::Ready(all.poll_next_unpin(cx).is_pending())));
    assert!(first.await, "none has ended");
    let (set, bytes) = (each(start), (live() - before) / MANY as f64);
    let start = spent();
    drop(all);
    let cancel = each(start);

    let mut all: FuturesUnordered<Sleep> = (0..MANY).map(|n| tokio::time::sleep(near(n))).collect();
    // A task that must let others go first after each 128 of them takes minutes.
    let fire = tokio::task::unconstrained(async {
        all.next().await;
        let start = spent();
        while all.next().await.is_some() {}
        each(start)
    });
    Costs { set, bytes, cancel, fire: fire.await }
}

async fn tasks() -> Costs {
    let spawn = |all: &mut JoinSet<()>, after| drop(all.spawn(tokio::time::sleep(after)));
    let mut all = JoinSet::new();
    let before = live();
    let start = spent();
    (0..MANY).for_each(|n| spawn(&mut all, far(n)));
    tokio::task::yield_now().await;
    // Behind all of them: on one thread each has had its first poll.
    let _ = tokio::spawn(async {}).await;
    let (set, bytes) = (each(start), (live() - before) / MANY as f64);
    let start = spent();
    all.shutdown().await;
    let cancel = each(start);

    (0..MANY).for_each(|n| spawn(&mut all, near(n)));
    let _ = all.join_next().await;
    let start = spent();
    while all.join_next().await.is_some() {}
    Costs { set, bytes, cancel, fire: each(start) }
}

fn show(name: &str, rounds: &[Costs]) {
    let spread = |of: fn(&Costs) -> f64| {
        let mut figures: Vec<f64> = rounds.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        let last = figures.len() - 1;
        format!("{:5.0} ({:.0}–{:.0})", figures[last / 2], figures[0], figures[last])
    };
    println!(
        "{name:24} {:>18} {:>18} {:>18} {:>18}",
        spread(|costs| costs.bytes),
        spread(|costs| costs.set),
        spread(|costs| costs.cancel),
        spread(|costs| costs.fire),
    );
}

fn main() -> Result<(), Box<dyn Error>> {
    heap::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let config = Config { max_timers: MANY as usize, ..Config::default() };
        let node = Node::builder().config(config).build()?;
        let server = ActorServer::bind_on(&node, "loopback:0").await?;
        let (timers, rung) = (Arc::<OnceLock<Timers>>::default(), watch::Sender::new((0, None)));
        server.register("clock", Bell { timers: timers.clone(), rung: rung.clone() })?;
        ClockClient::on(&node, &server.resolver(), "clock").open().await?;
        let timers = timers.get().ok_or("it was opened")?;
        let mut rows = [("timers of an actor", vec![]), ("sleeps in one task", vec![]), ("a task a sleep", vec![])];
        for _ in 0..ROUNDS {
            rows[0].1.push(ours(timers, &rung).await);
            rows[1].1.push(sleeps().await);
            rows[2].1.push(tasks().await);
        }
        println!("a million pending, each     bytes of heap             ns to set          ns to cancel            ns to fire");
        for (name, rounds) in &rows {
            show(name, rounds);
        }
        Ok(())
    })
}
