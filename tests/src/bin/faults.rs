//! Strikes servers while they are called, and prints how long calls stayed pending (S6):
//!
//! ```text
//! cargo run -p tests --bin faults -- --kills 200 --stops 50 [--parallel 10] [--idle 1000]
//! cargo run --release -p tests --bin faults -- --ledger 10000
//! ```
//!
//! `--ledger` makes so many calls under each of five faults, to a server that writes every effect to a file, and holds
//! what callers were told against that file (S10). It ends with an error if anything is not as it has to be.
//!
//! `--idle` opens so many connections to one server and prints what each costs either side; use a release build for
//! that. Ends with an error if a call stayed pending for longer than S6 allows.

use std::{error::Error, path::Path, time::Duration};

use tests::{
    faults::{BOUND, Fault, Figures, IN_FLIGHT, idle, strike},
    ledger, process,
};

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [serve, listen] = &arguments[..]
        && serve == "serve"
    {
        return process::serve(listen).await;
    }
    if let [keep, listen, file] = &arguments[..]
        && keep == "keep"
    {
        return process::keep(listen, file).await;
    }
    let (mut kills, mut stops, mut parallel, mut connections, mut calls) = (0, 0, 10, 0, 0);
    for pair in arguments.chunks(2) {
        let [option, value] = pair else { return Err(format!("{pair:?} has no value").into()) };
        match option.as_str() {
            "--kills" => kills = value.parse()?,
            "--stops" => stops = value.parse()?,
            "--parallel" => parallel = value.parse()?,
            "--idle" => connections = value.parse()?,
            "--ledger" => calls = value.parse()?,
            _ => return Err(format!("there is no option {option}").into()),
        }
    }
    let program = std::env::current_exe()?;
    let mut longest = Duration::ZERO;
    for (fault, servers) in [(Fault::Killed, kills), (Fault::Frozen, stops)] {
        if servers > 0 {
            let figures = strike(&program, fault, servers, parallel).await;
            print(fault, &figures);
            longest = longest.max(figures.longest);
        }
    }
    if connections > 0 {
        let idle = idle(&program, connections).await;
        let kib = |bytes: u64| bytes as f64 / 1024.0;
        println!("idle connection: {:.1} KiB client, {:.1} KiB server", kib(idle.client), kib(idle.server));
    }
    if calls > 0 {
        keep_ledgers(&program, calls).await?;
    }
    if longest > BOUND {
        return Err(format!("a call stayed pending for {longest:?}; S6 allows {BOUND:?}").into());
    }
    Ok(())
}

/// Runs each fault of the ledger, and prints what became of its calls.
async fn keep_ledgers(program: &Path, calls: u64) -> Result<(), Box<dyn Error>> {
    let mut wrong = Vec::new();
    for fault in ledger::Fault::ALL {
        #[expect(clippy::disallowed_methods, reason = "it measures, and belongs to no node")]
        let begun = std::time::Instant::now();
        let figures = ledger::run(program, fault, calls).await;
        println!("{fault:?}: {:.1?}\n{figures}", begun.elapsed());
        if !figures.is_right() {
            wrong.push(fault);
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("what callers were told is wrong: {wrong:?}").into()) }
}

fn print(fault: Fault, figures: &Figures) {
    let Figures { servers, calls, longest, ended, longest_return } = figures;
    println!("{fault:?}: {servers} servers, {IN_FLIGHT} calls in flight at each, {calls} calls ended");
    println!("  the longest stayed pending for {longest:.3?}; S6 allows {BOUND:.3?}");
    if fault == Fault::Frozen {
        println!("  the longest until a server that went on answered again: {longest_return:.3?}");
    }
    for (end, count) in ended {
        println!("  {count:>6} {end}");
    }
}
