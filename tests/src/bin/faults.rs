//! Strikes servers while they are called, and prints how long calls stayed pending (S6):
//!
//! ```text
//! cargo run -p tests --bin faults -- --kills 200 --stops 50 [--parallel 10] [--idle 1000]
//! ```
//!
//! `--idle` opens so many connections to one server and prints what each costs either side; use a release build for
//! that. Ends with an error if a call stayed pending for longer than S6 allows.

use std::{error::Error, time::Duration};

use tests::{
    faults::{BOUND, Fault, Figures, IN_FLIGHT, idle, strike},
    process,
};

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [serve, listen] = &arguments[..]
        && serve == "serve"
    {
        return process::serve(listen).await;
    }
    let (mut kills, mut stops, mut parallel, mut connections) = (0, 0, 10, 0);
    for pair in arguments.chunks(2) {
        let [option, value] = pair else { return Err(format!("{pair:?} has no value").into()) };
        match option.as_str() {
            "--kills" => kills = value.parse()?,
            "--stops" => stops = value.parse()?,
            "--parallel" => parallel = value.parse()?,
            "--idle" => connections = value.parse()?,
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
    if longest > BOUND {
        return Err(format!("a call stayed pending for {longest:?}; S6 allows {BOUND:?}").into());
    }
    Ok(())
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
