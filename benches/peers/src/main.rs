//! What an actor of one process costs: this project beside other frameworks and beside bare channels, in one run.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- --json peers.json
//!
//!   rounds: for each round, row and peer ──► a process of its own ──► probe: one measurement ──► report
//! ```
//!
//! A workspace of its own: nobody else builds the frameworks. Every peer runs the same actor, which adds to a number, with a
//! mailbox of 64 calls where it has a bound, and is called in the way that its own documentation shows as the fastest:
//!
//! | peer | ask | tell | waits for its end by |
//! |---|---|---|---|
//! | tokio, kanal | a bounded channel, a oneshot for the answer | the same channel | the task |
//! | actix | `send` | `do_send`: no bound, a `send` would wait for the answer | `stopped` |
//! | kameo | `ask(…).send()`, which allocates less than awaiting the request | `tell(…).send()` | `wait_for_shutdown` |
//! | ractor | `call` | `cast`: its mailboxes have no bound | the task |
//! | xtra | `send` | `send(…).detach()` | the task |
//! | ours | a direct call of a `&mut self` method | a `#[oneway]` method | `stop_now` |
//!
//! On two workers actix has its actors in an `Arbiter` and the callers in the `System`'s thread, as it is made for. Spans
//! and traces of the frameworks are left out of the build. Tells count when they were handled, so that a queue without a
//! bound is no faster than its actor.
//!
//! Figures of one table come from one run, with the peers interleaved; what is worth quoting are ratios. What others used
//! of the machine meanwhile is told below the tables; figures of time are worth little if it is much, allocations and
//! bytes do not depend on it.

mod arguments;
#[path = "../../src/heap.rs"]
mod heap;
#[expect(dead_code, reason = "the other program asks it more")]
#[path = "../../src/machine.rs"]
mod machine;
mod peers;
mod probe;
mod report;
mod rounds;
#[path = "../../src/spread.rs"]
mod spread;
#[path = "../../src/words.rs"]
mod words;

use std::process::ExitCode;

use arguments::{Arguments, Work};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

fn main() -> ExitCode {
    let Arguments { effort, json, work } = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(text) => {
            eprintln!("{text}\n\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    match work {
        Work::Help => println!("{}", arguments::USAGE),
        Work::One(experiment) => print!("{}", probe::measure(experiment, &effort)),
        Work::All => {
            let results = match rounds::run(&effort) {
                Ok(results) => results,
                Err(error) => {
                    eprintln!("{error}");
                    return ExitCode::FAILURE;
                }
            };
            print!("{}", report::tables(&results));
            if let Some(path) = json
                && let Err(error) = std::fs::write(&path, report::json(&results))
            {
                eprintln!("{path} could not be written: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
