//! S1: exclusive turns run alone, shared ones may overlap, and all start in the order of their calls.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures::future::join_all;
use proptest::prelude::*;
use tests::{Fixture, Path, on_each_path, on_each_path_but};
use tokio::task::yield_now;

/// Lets every task that can go on do so.
async fn settle() {
    for _ in 0..50 {
        yield_now().await;
    }
}

#[test]
fn shared_turns_overlap() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        let test = async {
            fixture.script.seen("a begins").await;
            fixture.script.seen("b begins").await;
            assert_eq!(fixture.script.lines(), ["a begins", "b begins"]);
            fixture.script.open("b");
            fixture.script.seen("b ends").await;
            fixture.script.open("a");
        };
        let (a, b, ()) = tokio::join!(probe.shared("a"), probe.shared("b"), test);
        assert_eq!((a.unwrap().as_str(), b.unwrap().as_str()), ("a", "b"));
    });
}

#[test]
fn an_exclusive_turn_runs_alone() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        let test = async {
            fixture.script.seen("w begins").await;
            settle().await;
            assert_eq!(fixture.script.lines(), ["w begins"], "nothing else runs beside it");
            fixture.script.open("w");
            fixture.script.seen("r1 begins").await;
            fixture.script.seen("r2 begins").await;
            settle().await;
            assert_eq!(fixture.script.lines(), ["w begins", "w ends", "r1 begins", "r2 begins"]);
            for name in ["r1", "r2", "w2"] {
                fixture.script.open(name);
            }
        };
        let calls = tokio::join!(
            probe.exclusive("w"),
            probe.shared("r1"),
            probe.shared("r2"),
            probe.exclusive("w2"),
            test
        );
        calls.3.unwrap();
        assert_eq!(fixture.script.lines().last().map(String::as_str), Some("w2 ends"));
    });
}

#[test]
fn readers_behind_a_writer_wait_so_neither_kind_starves() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        let test = async {
            fixture.script.seen("r1 begins").await;
            settle().await;
            assert_eq!(fixture.script.lines(), ["r1 begins"], "r2 came behind w");
            fixture.script.open("r1");
            fixture.script.seen("w begins").await;
            fixture.script.open("w");
            fixture.script.open("r2");
        };
        let _ = tokio::join!(probe.shared("r1"), probe.exclusive("w"), probe.shared("r2"), test);
        let lines = ["r1 begins", "r1 ends", "w begins", "w ends", "r2 begins", "r2 ends"];
        assert_eq!(fixture.script.lines(), lines);
    });
}

#[test]
fn parallel_turns_run_on_several_threads_at_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
    runtime.block_on(async {
        let fixture = Fixture::new(Path::Direct).await;
        let probe = fixture.configured("p", |registration| registration.parallel(2));
        // Each blocks a thread until both are there: on one task this would never end.
        let test = async {
            fixture.script.seen("a begins").await;
            fixture.script.seen("b begins").await;
            fixture.script.open("a");
            fixture.script.open("b");
        };
        let (a, b, ()) = tokio::join!(probe.block("a"), probe.block("b"), test);
        a.unwrap();
        b.unwrap();
    });
}

#[test]
fn no_more_parallel_turns_run_than_were_asked_for_and_exclusive_ones_still_run_alone() {
    on_each_path(async |fixture| {
        let probe = fixture.configured("p", |registration| registration.parallel(2));
        let test = async {
            fixture.script.seen("r1 begins").await;
            fixture.script.seen("r2 begins").await;
            settle().await;
            assert_eq!(fixture.script.lines().len(), 2, "r3 is one too many");
            fixture.script.open("r1");
            fixture.script.seen("r3 begins").await;
            fixture.script.open("r2");
            settle().await;
            assert!(!fixture.script.lines().contains(&"w begins".to_owned()), "r3 still runs");
            fixture.script.open("r3");
            fixture.script.seen("w begins").await;
            fixture.script.open("w");
        };
        let _ = tokio::join!(
            probe.shared("r1"),
            probe.shared("r2"),
            probe.shared("r3"),
            probe.exclusive("w"),
            test
        );
    });
}

#[test]
fn overlap_is_bounded_where_the_registration_says_so() {
    on_each_path(async |fixture| {
        let probe = fixture.configured("p", |registration| registration.overlap(1));
        let test = async {
            fixture.script.seen("a begins").await;
            settle().await;
            assert_eq!(fixture.script.lines(), ["a begins"]);
            fixture.script.open("a");
            fixture.script.open("b");
        };
        let _ = tokio::join!(probe.shared("a"), probe.shared("b"), test);
        assert_eq!(fixture.script.lines(), ["a begins", "a ends", "b begins", "b ends"]);
    });
}

#[test]
fn a_busy_actor_lets_other_tasks_run() {
    let reason = "a task that never waits holds up simulated time";
    on_each_path_but(&[Path::Simulated], reason, async |fixture| {
        let probe = fixture.configured("p", |registration| registration.mailbox(10_000));
        let turns_of_others = Arc::new(AtomicU64::new(0));
        let counter = turns_of_others.clone();
        let other = fixture.node.spawn(async move {
            // Tokio's own `yield_now` waits for a round of the scheduler; this goes to the end of the queue.
            std::future::poll_fn(|cx| {
                counter.fetch_add(1, Ordering::Relaxed);
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            })
            .await;
        });
        let totals = join_all((0..5_000).map(|_| probe.add(1))).await;
        other.abort();
        assert_eq!(totals.len(), 5_000);
        let turns = turns_of_others.load(Ordering::Relaxed);
        assert!(turns > 20, "another task ran {turns} times during 5,000 turns");
    });
}

/// One call of the random schedules.
#[derive(Clone, Debug)]
struct Planned {
    exclusive: bool,
    /// When its turn is allowed to end, in steps.
    ends: u8,
}

fn planned() -> impl Strategy<Value = Vec<Planned>> {
    let one = (any::<bool>(), 0_u8..20).prop_map(|(exclusive, ends)| Planned { exclusive, ends });
    proptest::collection::vec(one, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// The log of random calls is one that a lock with FIFO order, readers and writers, could have produced.
    #[test]
    fn any_schedule_is_one_of_a_fair_readers_and_writers_lock(calls in planned()) {
        on_each_path(async |fixture| {
            let probe = fixture.puppet("p");
            let names: Vec<String> = (0..calls.len()).map(|n| format!("{n}")).collect();
            let turns = join_all(calls.iter().zip(&names).map(|(call, name)| {
                if call.exclusive { probe.exclusive(name) } else { probe.shared(name) }
            }));
            let doors = async {
                for step in 0..20 {
                    for (_, name) in calls.iter().zip(&names).filter(|(call, _)| call.ends == step) {
                        fixture.script.open(name);
                    }
                    fixture.pass(Duration::from_millis(1)).await;
                    settle().await;
                }
            };
            let (results, ()) = tokio::join!(turns, doors);
            assert!(results.iter().all(Result::is_ok));
            check(&calls, &fixture.script.lines());
        });
    }
}

fn check(calls: &[Planned], log: &[String]) {
    let mut running: Vec<usize> = Vec::new();
    let mut next = 0;
    for line in log {
        let (name, event) = line.split_once(' ').expect("name and event");
        let n: usize = name.parse().expect("a number");
        match event {
            "begins" => {
                assert_eq!(n, next, "turns begin in the order of the calls: {log:?}");
                next += 1;
                let alone = running.is_empty();
                let shared = running.iter().all(|other| !calls[*other].exclusive) && !calls[n].exclusive;
                assert!(alone || shared, "{n} began beside {running:?}: {log:?}");
                running.push(n);
            }
            "ends" => running.retain(|other| *other != n),
            other => panic!("{n} {other}"),
        }
    }
    assert_eq!((next, running.len()), (calls.len(), 0));
}

#[test]
fn a_shared_turn_does_not_wait_for_an_exclusive_one_whose_caller_left() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        let test = async {
            fixture.script.seen("first begins").await;
            let mut left = Box::pin(probe.exclusive("left"));
            assert!(futures::poll!(&mut left).is_pending());
            let leave = async {
                // The turns of the actor have seen by now what they wait for.
                fixture.pass(Duration::from_millis(1)).await;
                drop(left);
            };
            let (second, ()) = tokio::join!(probe.shared("second").timeout(Duration::from_secs(1)), async {
                tokio::join!(leave, async {
                    fixture.script.open("second");
                });
            });
            assert_eq!(second.unwrap(), "second");
            fixture.script.open("first");
        };
        let (first, ()) = tokio::join!(probe.shared("first"), test);
        assert_eq!(first.unwrap(), "first");
        assert_eq!(
            fixture.script.lines(),
            ["first begins", "second begins", "second ends", "first ends"],
            "the exclusive turn never began"
        );
    });
}
