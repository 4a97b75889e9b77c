//! S10 between processes: what callers are told of their calls is what a file says that the server wrote. The long run is
//! `cargo run --release -p tests --bin faults -- --ledger 10000`.

use std::path::Path;

use tests::ledger::{Fault, run};

const CALLS: u64 = 200;

async fn keeps_its_ledger(fault: Fault) {
    let figures = run(Path::new(env!("CARGO_BIN_EXE_faults")), fault, CALLS).await;
    println!("{fault:?}:\n{figures}");
    assert_eq!(figures.calls, CALLS);
    assert_eq!(figures.faults > 0, fault != Fault::None);
    assert!(figures.is_right(), "{figures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_is_right_while_nothing_happens() {
    keeps_its_ledger(Fault::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_is_right_while_requests_are_lost() {
    keeps_its_ledger(Fault::RequestsLost).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_is_right_while_replies_are_lost() {
    keeps_its_ledger(Fault::RepliesLost).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_is_right_while_connections_are_cut_in_mid_body() {
    keeps_its_ledger(Fault::CutInMidBody).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_is_right_while_its_server_is_killed_and_started_again() {
    keeps_its_ledger(Fault::Killed).await;
}
