//! One measurement, in a process of its own.
#![expect(clippy::disallowed_methods, reason = "what is measured is wall time, on a runtime of its own")]

use std::{
    fmt::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    arguments::{Effort, Experiment, PeerName, Row},
    heap,
    peers::{Actix, Kameo, Kanal, Ours, Peer, Ractor, Tokio, Xtra},
};

/// How many callers there are at once, where there are many.
const CALLERS: usize = 64;

/// How many asks are made between two looks at the clock, by all callers together.
const STRETCH: usize = 6_400;

/// How many tells are sent before all of them have to have been handled.
const TELLS: u64 = 20_000;

/// Who is asked at once.
const FAN: usize = 1_000;

/// How many idle actors are weighed, and how many asks.
const IDLE: usize = 10_000;
const ASKS: usize = 10_000;

/// Measures, and gives lines of a metric's name and its value.
pub(crate) fn measure(experiment: Experiment, effort: &Effort) -> String {
    match experiment.peer {
        PeerName::Tokio => of::<Tokio>(experiment, effort),
        PeerName::Kanal => of::<Kanal>(experiment, effort),
        PeerName::Actix => of::<Actix>(experiment, effort),
        PeerName::Kameo => of::<Kameo>(experiment, effort),
        PeerName::Ractor => of::<Ractor>(experiment, effort),
        PeerName::Xtra => of::<Xtra>(experiment, effort),
        PeerName::Ours => of::<Ours>(experiment, effort),
    }
}

fn of<P: Peer>(experiment: Experiment, effort: &Effort) -> String {
    let Experiment { row, threads, .. } = experiment;
    let time = effort.time;
    P::run(threads, async move {
        if row == Row::Memory {
            heap::start();
        }
        let peer = P::start(threads).await;
        match row {
            Row::Alone => alone(&peer, time).await,
            Row::Callers64 => callers(&peer, time).await,
            Row::Tell1 => tell(&peer, 1, time).await,
            Row::Tell4 => tell(&peer, 4, time).await,
            Row::Life => life(&peer, time).await,
            Row::FanOut => fan_out(&peer, time).await,
            Row::Memory => memory(&peer).await,
        }
    })
}

/// One caller: half of the time without a clock, half of it with one around each ask.
async fn alone<P: Peer>(peer: &P, time: Duration) -> String {
    let actor = peer.spawn().await;
    let handle = peer.handle(&actor);
    let mut lines = Lines::default();
    // The first time warms up.
    for time in [time / 5, time / 2] {
        let (start, mut asks) = (Instant::now(), 0);
        while start.elapsed() < time {
            repeat::<P>(&handle, STRETCH).await;
            asks += STRETCH;
        }
        lines.set("ns", start.elapsed().as_nanos() as f64 / asks as f64);
    }
    let (start, mut each) = (Instant::now(), Vec::new());
    let mut last = start;
    while last - start < time / 2 {
        P::ask(&handle, 1).await;
        let now = Instant::now();
        each.push((now - last).as_nanos());
        last = now;
    }
    each.sort_unstable();
    lines.add("p50", each[each.len() / 2] as f64);
    lines.add("p99", each[each.len() / 100 * 99] as f64);
    lines.0
}

async fn repeat<P: Peer>(handle: &P::Handle, asks: usize) {
    for _ in 0..asks {
        P::ask(handle, 1).await;
    }
}

/// Many callers of one actor, each with a handle of its own.
async fn callers<P: Peer>(peer: &P, time: Duration) -> String {
    let actor = peer.spawn().await;
    let handle = peer.handle(&actor);
    let mut lines = Lines::default();
    for time in [time / 5, time] {
        let start = Instant::now();
        let tasks: Vec<_> = (0..CALLERS)
            .map(|_| {
                let handle = handle.clone();
                tokio::spawn(async move {
                    let mut asks = 0;
                    while start.elapsed() < time {
                        repeat::<P>(&handle, STRETCH / CALLERS).await;
                        asks += STRETCH / CALLERS;
                    }
                    asks
                })
            })
            .collect();
        let mut asks = 0;
        for task in tasks {
            asks += task.await.expect("a caller");
        }
        lines.set("million_per_s", asks as f64 / start.elapsed().as_secs_f64() / 1e6);
    }
    lines.0
}

/// Some producers, and one actor that has handled everything before more is sent.
async fn tell<P: Peer>(peer: &P, producers: u64, time: Duration) -> String {
    let actor = peer.spawn().await;
    let handle = peer.handle(&actor);
    let mut lines = Lines::default();
    let mut told = 0;
    for time in [time / 5, time] {
        let (start, before) = (Instant::now(), told);
        while start.elapsed() < time {
            let tasks: Vec<_> = (0..producers)
                .map(|_| {
                    let handle = handle.clone();
                    tokio::spawn(async move {
                        for _ in 0..TELLS / producers {
                            P::tell(&handle).await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("a producer");
            }
            told += TELLS;
            // Once, where asks do not overtake tells.
            while P::ask(&handle, 0).await < told {}
        }
        lines.set("million_per_s", (told - before) as f64 / start.elapsed().as_secs_f64() / 1e6);
    }
    lines.0
}

/// One life after another, from the start to the end.
async fn life<P: Peer>(peer: &P, time: Duration) -> String {
    let mut lines = Lines::default();
    for time in [time / 5, time] {
        let (start, mut lives) = (Instant::now(), 0_u64);
        while start.elapsed() < time {
            let actor = peer.spawn().await;
            let handle = peer.handle(&actor);
            assert_eq!(P::ask(&handle, 1).await, 1);
            peer.stop(handle, actor).await;
            lives += 1;
        }
        lines.set("ns", start.elapsed().as_nanos() as f64 / lives as f64);
    }
    lines.0
}

/// One ask each of many actors, all of them before the first answer is awaited.
async fn fan_out<P: Peer>(peer: &P, time: Duration) -> String {
    let mut actors = Vec::with_capacity(FAN);
    for _ in 0..FAN {
        actors.push(peer.spawn().await);
    }
    let handles: Arc<[P::Handle]> = actors.iter().map(|actor| peer.handle(actor)).collect();
    let mut lines = Lines::default();
    let mut each = 0;
    for time in [time / 5, time] {
        let (start, before) = (Instant::now(), each);
        while start.elapsed() < time {
            each += 1;
            assert_eq!(P::fan_out(&handles).await, each * FAN as u64, "every actor was asked once");
        }
        lines.set("us", start.elapsed().as_secs_f64() * 1e6 / (each - before) as f64);
    }
    lines.0
}

/// What an actor and an ask take of the heap.
async fn memory<P: Peer>(peer: &P) -> String {
    let mut lines = Lines::default();
    let first = peer.spawn().await;
    let handle = peer.handle(&first);
    repeat::<P>(&handle, ASKS / 10).await;
    let before = heap::count();
    repeat::<P>(&handle, ASKS).await;
    let after = heap::count();
    lines.add("ask_allocations", (after.allocations - before.allocations) as f64 / ASKS as f64);
    lines.add("ask_bytes", (after.allocated - before.allocated) as f64 / ASKS as f64);

    let mut actors = Vec::with_capacity(IDLE);
    let before = heap::count();
    for _ in 0..IDLE {
        actors.push(peer.spawn().await);
    }
    // All have been polled, and found nothing.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let each = |live: i64| live as f64 / IDLE as f64;
    lines.add("idle_bytes", each(heap::count().live - before.live));
    for actor in &actors {
        P::ask(&peer.handle(actor), 1).await;
    }
    lines.add("called_bytes", each(heap::count().live - before.live));
    lines.0
}

/// What a measurement tells the process that started it.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, metric: &str, value: f64) {
        writeln!(self.0, "{metric} {value}").expect("a text takes what is written");
    }

    /// In place of what was said before.
    fn set(&mut self, metric: &str, value: f64) {
        self.0.clear();
        self.add(metric, value);
    }
}
