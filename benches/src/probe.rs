//! One measurement, in a process of its own.
#![expect(clippy::disallowed_methods, reason = "what is measured is wall time, on a runtime of its own")]

use std::{fmt::Write, time::Instant};

use tokio::runtime::{Builder, Runtime};

use crate::{
    arguments::{Effort, Experiment, PeerName, Row, RuntimeName},
    heap, machine,
    peers::{Kanal, Ours, Peer, Tokio},
};

/// How many callers there are at once, where there are many.
const CALLERS: usize = 64;

/// Measures, and gives lines of a metric's name and its value.
pub(crate) fn measure(experiment: Experiment, effort: &Effort) -> String {
    let Experiment { row, peer, runtime } = experiment;
    let runtime = build(runtime);
    match peer {
        PeerName::Tokio => measure_peer::<Tokio>(&runtime, row, effort),
        PeerName::Kanal => measure_peer::<Kanal>(&runtime, row, effort),
        PeerName::DirectMut => measure_peer::<Ours<false, false>>(&runtime, row, effort),
        PeerName::DirectRef => measure_peer::<Ours<false, true>>(&runtime, row, effort),
        PeerName::EncodedMut => measure_peer::<Ours<true, false>>(&runtime, row, effort),
        PeerName::EncodedRef => measure_peer::<Ours<true, true>>(&runtime, row, effort),
    }
}

fn build(name: RuntimeName) -> Runtime {
    let mut builder = match name {
        RuntimeName::Multi => Builder::new_multi_thread(),
        RuntimeName::Current => Builder::new_current_thread(),
    };
    builder.worker_threads(2).enable_all().build().expect("a tokio runtime")
}

fn measure_peer<P: Peer>(runtime: &Runtime, row: Row, effort: &Effort) -> String {
    let effort = *effort;
    let mut lines = Lines(String::new());
    runtime.block_on(async move {
        // On a worker: a caller on the thread of `block_on` would pay for a wake-up across threads at every ask.
        let task = tokio::spawn(async move {
            match row {
                Row::Alone => alone::<P>(&mut lines, effort.thousands * 1000).await,
                Row::Callers64 => callers::<P>(&mut lines, effort.thousands * 1000).await,
                Row::Spawn => spawn::<P>(&mut lines, effort.actors).await,
                Row::Memory => memory::<P>(&mut lines, effort.actors / 10).await,
            }
            lines.0
        });
        task.await.expect("a measurement")
    })
}

/// One caller.
async fn alone<P: Peer>(lines: &mut Lines, asks: usize) {
    let peer = P::start().await;
    let actor = peer.spawn("one");
    let handle = peer.handle("one", &actor);
    repeat::<P>(&handle, asks / 5).await;
    let start = Instant::now();
    repeat::<P>(&handle, asks).await;
    lines.add("ns", start.elapsed().as_nanos() as f64 / asks as f64);

    let mut each = Vec::with_capacity(asks);
    for _ in 0..asks {
        let start = Instant::now();
        P::ask(&handle, 1).await;
        each.push(start.elapsed().as_nanos());
    }
    each.sort_unstable();
    lines.add("p50", each[asks / 2] as f64);
    lines.add("p99", each[asks / 100 * 99] as f64);
}

async fn repeat<P: Peer>(handle: &P::Handle, asks: usize) {
    for _ in 0..asks {
        P::ask(handle, 1).await;
    }
}

/// Many callers of one actor, each with a handle of its own.
async fn callers<P: Peer>(lines: &mut Lines, asks: usize) {
    let peer = P::start().await;
    let actor = peer.spawn("one");
    let handle = peer.handle("one", &actor);
    repeat::<P>(&handle, 1).await;
    // The first time warms up.
    for asks in [asks / 5, asks] {
        let each = asks / CALLERS;
        let start = Instant::now();
        let tasks: Vec<_> = (0..CALLERS)
            .map(|_| {
                let handle = handle.clone();
                tokio::spawn(async move { repeat::<P>(&handle, each).await })
            })
            .collect();
        for task in tasks {
            task.await.expect("a caller");
        }
        lines.set("million_per_s", (each * CALLERS) as f64 / start.elapsed().as_secs_f64() / 1e6);
    }
}

/// Starting many actors, until the last one answers.
async fn spawn<P: Peer>(lines: &mut Lines, actors: usize) {
    let peer = P::start().await;
    let mut running: Vec<P::Actor> = Vec::with_capacity(actors + 1);
    let names: Vec<String> = (0..actors).map(|n| format!("a{n}")).collect();
    let first = peer.spawn("first");
    repeat::<P>(&peer.handle("first", &first), 1).await;
    let start = Instant::now();
    running.extend(names.iter().map(|name| peer.spawn(name)));
    let last = actors - 1;
    repeat::<P>(&peer.handle(&names[last], &running[last]), 1).await;
    lines.add("ns", start.elapsed().as_nanos() as f64 / actors as f64);
}

/// What an actor and an ask take of the heap.
async fn memory<P: Peer>(lines: &mut Lines, actors: usize) {
    const ASKS: u64 = 10_000;
    heap::start();
    let peer = P::start().await;
    let first = peer.spawn("first");
    let handle = peer.handle("first", &first);
    repeat::<P>(&handle, 1_000).await;
    let before = heap::count();
    repeat::<P>(&handle, ASKS as usize).await;
    let after = heap::count();
    lines.add("ask_allocations", (after.allocations - before.allocations) as f64 / ASKS as f64);
    lines.add("ask_bytes", (after.allocated - before.allocated) as f64 / ASKS as f64);

    let mut running: Vec<P::Actor> = Vec::with_capacity(actors);
    let names: Vec<String> = (0..actors).map(|n| format!("a{n}")).collect();
    let (before, resident) = (heap::count(), machine::resident());
    running.extend(names.iter().map(|name| peer.spawn(name)));
    // All have been polled, and found nothing, once the last one answers.
    let last = actors - 1;
    repeat::<P>(&peer.handle(&names[last], &running[last]), 1).await;
    let each = |live: i64| live as f64 / actors as f64;
    lines.add("idle_bytes", each(heap::count().live - before.live));
    if let (Some(before), Some(after)) = (resident, machine::resident()) {
        lines.add("idle_resident", each(after as i64 - before as i64));
    }
    for (name, actor) in names.iter().zip(&running) {
        repeat::<P>(&peer.handle(name, actor), 1).await;
    }
    lines.add("called_bytes", each(heap::count().live - before.live));
}

/// What a measurement tells the process that started it.
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
