//! What a call in one process costs, beside a bare channel that does the same; and, as `net`, what one between two
//! processes costs, beside bare QUIC and TLS.
//!
//! ```text
//!   rounds: for each round, row and peer ──► a process of its own ──► probe: one measurement ──► report
//!           (again, if others used the machine meanwhile)
//! ```
//!
//! All figures of a table come from one run, with the peers interleaved, so that a change of the machine's mood
//! touches all of them; what is worth quoting are the ratios to bare tokio.

mod arguments;
mod heap;
mod machine;
#[cfg(target_os = "linux")]
mod net;
mod peers;
mod probe;
mod report;
mod rounds;
mod spread;
mod words;

use std::process::ExitCode;

use arguments::{Arguments, Work};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(code) = net::main(std::env::args().skip(1)) {
        return code;
    }
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
            print!("{}", report::table(&results));
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
