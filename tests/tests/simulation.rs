//! Random faults keep the promises: S1–S3, S6–S12, seed by seed. `docs/testing.md` says how to run many.

#![expect(clippy::disallowed_methods, reason = "how fast it goes is measured by the real clock")]

use std::time::Instant;

use tests::simulation::{Report, simulate};

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn random_faults_break_no_promise() {
    let (start, seeds) = (number("START", 0), number("SEEDS", 20));
    let (mut all, mut failed) = (Report::default(), Vec::new());
    let began = Instant::now();
    for seed in start..start + seeds {
        let report = simulate(seed);
        if !report.wrong.is_empty() {
            println!(
                "seed {seed}; again: START={seed} SEEDS=1 cargo test -p tests --test simulation -- --nocapture"
            );
            report.wrong.iter().for_each(|wrong| println!("  {wrong}"));
            if std::env::var_os("STORY").is_some() {
                println!("{}", report.story);
            }
            failed.push(seed);
        }
        all.add(report);
    }
    let rate = seeds as f64 / began.elapsed().as_secs_f64();
    println!("{all}\n{seeds:>10}  seeds from {start}, {rate:.1} a second; digest {:016x}", all.digest);
    assert!(failed.is_empty(), "{} of {seeds} seeds failed: {failed:?}", failed.len());
}

#[test]
fn a_seed_is_a_run() {
    let (start, seeds) = (number("START", 0), number("SEEDS", 5));
    let differ: Vec<u64> = (start..start + seeds).filter(|seed| simulate(*seed) != simulate(*seed)).collect();
    assert!(differ.is_empty(), "two runs differ of each of these seeds: {differ:?}");
    assert_ne!(simulate(1).digest, simulate(2).digest);
}
