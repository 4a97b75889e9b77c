//! What a call between two processes costs over bare QUIC and TLS: the floors that a product is measured against.
//!
//! ```text
//!   rounds ──► client's process: probe ──► report          by turns, a row at a time
//!                │ ▲
//!     identity   ▼ │ port, then calls over 127.0.0.1
//!              server's process: peer                      ends when its standard input closes
//! ```
//!
//! Both processes are this program again. Everything is encrypted, and both sides show a certificate.
#![expect(
    clippy::disallowed_methods,
    reason = "the floors have no node to ask, and what is measured is wall time"
)]

mod arguments;
mod handoff;
mod peers;
mod places;
mod probe;
mod process;
mod quic;
mod report;
mod rounds;
mod slots;
mod trust;
mod wire;

use std::{io, process::ExitCode};

use arguments::{Arguments, Work};

/// The subcommand that people use, and the one that this program uses itself.
const NET: &str = "net";
const SERVE: &str = "net-serve";

/// Does what the command line asks for, if it asks for this.
pub(crate) fn main(mut arguments: impl Iterator<Item = String>) -> Option<ExitCode> {
    let result = match arguments.next()?.as_str() {
        NET => match Arguments::parse(arguments) {
            Ok(arguments) => net(&arguments),
            Err(text) => {
                eprintln!("{text}\n\n{}", arguments::USAGE);
                return Some(ExitCode::from(2));
            }
        },
        SERVE => {
            let peer = arguments.next().unwrap_or_default().parse();
            peer.map_err(|text: String| io::Error::other(text)).and_then(process::serve)
        }
        _ => return None,
    };
    Some(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    })
}

fn net(arguments: &Arguments) -> io::Result<()> {
    match arguments.work {
        Work::Help => println!("{}", arguments::USAGE),
        Work::One(experiment) => print!("{}", probe::measure(experiment, arguments.effort)?),
        Work::All => {
            let results = rounds::run(arguments);
            print!("{}", report::table(&results));
            if let Some(path) = &arguments.json {
                std::fs::write(path, report::json(&results))?;
            }
            if results.runs.iter().any(|run| run.figures.is_empty()) {
                return Err(io::Error::other("some measurements failed"));
            }
        }
    }
    Ok(())
}
