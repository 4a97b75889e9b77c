//! What holds whatever two sides do, and however the link between them mixes it.

use super::pair::{Counts, Pair};

/// Runs of every kind; `end` brings one to its end.
fn runs(cases: std::ops::Range<u64>, end: impl Fn(&mut Pair) -> Counts) {
    let mut all = Counts::default();
    for seed in cases {
        let run = || {
            let mut pair = Pair::new(seed);
            for _ in 0..pair.rng.usize(20..400) {
                pair.step();
            }
            end(&mut pair)
        };
        let counts = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            eprintln!("the run with seed {seed} failed");
            std::panic::resume_unwind(panic)
        });
        all.calls += counts.calls;
        all.seen += counts.seen;
        all.not_delivered += counts.not_delivered;
    }
    // A harness that does nothing would find nothing.
    assert!(all.seen > 1_000 && all.calls > all.seen, "{all:?}");
}

#[test]
fn every_call_comes_out_once_and_in_order_and_all_credit_comes_back() {
    runs(0..1_000, |pair| {
        pair.settle();
        pair.finish()
    });
}

#[test]
fn a_connection_that_breaks_tells_the_truth_about_every_call() {
    runs(10_000..11_000, Pair::lose);
}

#[test]
fn after_a_goodbye_what_was_not_sent_comes_back_and_the_rest_ends() {
    runs(20_000..20_500, |pair| {
        let side = pair.rng.usize(0..2);
        pair.goodbye(side);
        for _ in 0..pair.rng.usize(0..100) {
            pair.step();
        }
        pair.settle();
        pair.finish()
    });
}
