//! Everything that actors do, at random and for long, and what is left of it afterwards:
//!
//! ```text
//! cargo run --release -p tests --bin soak -- --seconds 600 [--seed S] [--json FILE]
//!
//!   a short run in nodes of its own      what is made once in a process is there
//!   nodes ─► warm-up ─► rest ─► first half ─► rest ─► second half ─► rest ─► nodes dropped ─► rest
//!                        │                      │                       │                        │
//!                        └──── counted: heap, tasks, threads, files, actors, names, timers ──────┘
//! ```
//!
//! Some users each do one thing after another, which they end themselves: actors live, are stopped, killed, panic and are
//! restarted by supervisors; timers are set, cancelled and forgotten; actors and programs watch others; calls have deadlines,
//! are given up, carry streams; names are registered, replaced and freed; groups of threads and nodes come and go. All of it
//! within a node, directly and encoded, and between two nodes over QUIC on 127.0.0.1.
//!
//! At rest nobody does anything, and the nodes are still there: what grows from rest to rest with the number of operations
//! is a leak in a node. When the nodes are dropped nothing of them may be left.
//!
//! It ends with 1 if anything is left, or something was seen that may not be: a call that outlived its bound, a watch
//! that was not told exactly once, a cancelled timer that fired, a wrong reply. How late the machine wakes a task is
//! measured meanwhile and added to every bound, so that a busy machine does not fail it.

#![allow(clippy::disallowed_methods, reason = "it measures, and belongs to no node")]
#![allow(clippy::expect_used, reason = "a test may panic")]

mod arguments;
mod deeds;
#[expect(dead_code, reason = "the benches ask it more")]
#[path = "../../../../benches/src/heap.rs"]
mod heap;
mod left;
mod report;
mod tally;
mod users;
mod worker;
mod world;

use std::{process::ExitCode, sync::Arc, time::Duration};

use tokio::runtime::Builder;

use crate::{arguments::Arguments, left::Left, report::Report, tally::Tally, world::World};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// Of the whole time: what warms up the process, and the nodes. Both halves share the rest.
const PROCESS: f64 = 0.05;
const NODES: f64 = 0.15;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{}", arguments::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(text) => {
            eprintln!("{text}\n\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    heap::start();
    // Panics are among what is tried; those that nobody meant are told.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let payload = panic.payload();
        let text =
            payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        if !text.is_some_and(|text| text.starts_with(worker::MEANT)) {
            told(panic);
        }
    }));
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let report = runtime.block_on(soak(arguments.clone()));
    drop(runtime);
    print!("{}", report.text());
    if let Some(path) = &arguments.json
        && let Err(error) = std::fs::write(path, report.json())
    {
        eprintln!("{path} could not be written: {error}");
        return ExitCode::FAILURE;
    }
    if report.is_right() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn soak(arguments: Arguments) -> Report {
    let Arguments { seconds, seed, .. } = arguments;
    let part = |part: f64| Duration::from_secs_f64(seconds as f64 * part);
    let tally = Arc::new(Tally::new());
    let watcher = tokio::spawn(tally.clone().look(Duration::from_secs(seconds)));

    let world = World::new().await;
    users::run(&world, &tally, seed, part(PROCESS)).await;
    drop(world);
    let before = Left::when_quiet(&tally, None).await;

    let world = World::new().await;
    let mut rests = Vec::new();
    for (round, time) in
        [NODES, (1.0 - NODES - PROCESS) / 2.0, (1.0 - NODES - PROCESS) / 2.0].into_iter().enumerate()
    {
        let seed = seed.wrapping_add(1_000_000 * (round as u64 + 1));
        users::run(&world, &tally, seed, part(time)).await;
        rests.push((tally.deeds(), Left::at_rest(&world, &tally, rests.first().map(|(_, left)| left)).await));
    }
    world.shut_down(&tally).await;
    drop(world);
    let after = Left::when_quiet(&tally, Some(&before)).await;
    watcher.abort();
    Report { seed, seconds, before, rests, after, tally }
}
