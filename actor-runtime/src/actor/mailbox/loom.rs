//! Every interleaving of a mailbox's receiver with those who push, join, ask, leave, stop and kill.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use loom::{future::block_on, thread};

use super::{Admit, Mailbox, Overflow, Started, Step, StopReason};
use crate::actor::Health;
use crate::call::{
    AnyCall, Stage,
    sample::{EXCLUSIVE, SHARED, Sample, call},
    take_request,
};

/// At most three preemptions a run: without a bound the models with three threads take minutes.
fn model(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

fn mailbox(capacity: usize) -> Arc<Mailbox> {
    Arc::new(Mailbox::new(capacity, Overflow::Wait))
}

fn next(mailbox: &Mailbox, admit: Admit) -> Step {
    block_on(poll_fn(|cx| mailbox.poll_next(cx, None, admit)))
}

fn number(started: &Started) -> u64 {
    take_request::<Sample>(&*started.call).expect("handed out once").expect("a value").0
}

/// Invariants 1 and 3: the receiver is woken, and each pusher's calls come in its order.
#[test]
fn two_pushers_and_a_receiver_that_parks() {
    model(|| {
        let mailbox = mailbox(1);
        let pushers: Vec<_> = [vec![10, 11], vec![20]]
            .into_iter()
            .map(|numbers| {
                let mailbox = mailbox.clone();
                thread::spawn(move || {
                    for number in numbers {
                        assert!(mailbox.push(call(&SHARED, number, None)).is_ok());
                    }
                })
            })
            .collect();
        let mut got = Vec::new();
        while got.len() < 3 {
            let Step::Turn(started) = next(&mailbox, Admit::Any) else { panic!("nobody closes it") };
            got.push(number(&started));
            mailbox.finish(started.slot);
        }
        for pusher in pushers {
            pusher.join().expect("no panic");
        }
        let first: Vec<u64> = got.iter().copied().filter(|number| *number < 20).collect();
        assert_eq!(first, [10, 11]);
        assert!(got.contains(&20));
        assert_eq!(mailbox.depth(), (0, 0));
    });
}

/// Invariants 1 and 4: a call is refused, handed out or failed, whoever closes the mailbox meanwhile.
fn pushed_against(close: fn(&Mailbox)) {
    model(move || {
        let mailbox = mailbox(1);
        let calls: Vec<Arc<dyn AnyCall>> = (0..2).map(|number| call(&SHARED, number, None)).collect();
        let pusher = thread::spawn({
            let (mailbox, calls) = (mailbox.clone(), calls.clone());
            move || calls.into_iter().map(|call| mailbox.push(call).is_ok()).collect::<Vec<bool>>()
        });
        let closer = thread::spawn({
            let mailbox = mailbox.clone();
            move || close(&mailbox)
        });
        let mut handed_out = Vec::new();
        while let Step::Turn(started) = next(&mailbox, Admit::Any) {
            handed_out.push(started.call);
        }
        // The loop has ended, and so does its task.
        mailbox.end(StopReason::Abandoned);
        let taken = pusher.join().expect("no panic");
        closer.join().expect("no panic");
        for (call, taken) in calls.iter().zip(taken) {
            let ran = handed_out.iter().filter(|started| Arc::ptr_eq(started, call)).count();
            let over = call.stage() == Stage::Over;
            // What was handed out is not given back here, so the end of the loop ends it too.
            assert_eq!(taken, over);
            assert!(ran <= usize::from(taken));
        }
        assert_eq!(mailbox.depth(), (0, 0));
    });
}

#[test]
fn a_push_against_a_stop() {
    pushed_against(|mailbox| mailbox.stop(StopReason::Unregistered));
}

#[test]
fn a_push_against_a_kill() {
    pushed_against(|mailbox| mailbox.kill(StopReason::Shutdown));
}

/// Only the receiver closes besides: `close` alone comes from the cell's own end.
#[test]
fn a_push_against_a_close() {
    pushed_against(|mailbox| mailbox.close(StopReason::Abandoned));
}

/// Invariant 3: an exclusive turn that waits learns of a kill, and of its reason.
#[test]
fn parking_for_a_kill_against_a_kill() {
    model(|| {
        let mailbox = mailbox(1);
        let killer = thread::spawn({
            let mailbox = mailbox.clone();
            move || mailbox.kill(StopReason::Shutdown)
        });
        let pusher = thread::spawn({
            let mailbox = mailbox.clone();
            move || drop(mailbox.push(call(&SHARED, 1, None)))
        });
        block_on(poll_fn(|cx| if mailbox.park_for_kill(cx) { Poll::Pending } else { Poll::Ready(()) }));
        assert_eq!(mailbox.closed().as_deref(), Some(&StopReason::Shutdown));
        killer.join().expect("no panic");
        pusher.join().expect("no panic");
    });
}

/// Invariant 3: shared turns that wait learn of a kill, also while the next call is exclusive.
#[test]
fn a_shared_phase_against_a_kill() {
    model(|| {
        let mailbox = mailbox(1);
        let killer = thread::spawn({
            let mailbox = mailbox.clone();
            move || mailbox.kill(StopReason::Shutdown)
        });
        let pusher = thread::spawn({
            let mailbox = mailbox.clone();
            move || drop(mailbox.push(call(&EXCLUSIVE, 1, None)))
        });
        block_on(poll_fn(|cx| match mailbox.poll_next(cx, None, Admit::Shared) {
            Poll::Ready(Step::Killed) => Poll::Ready(()),
            Poll::Ready(Step::Turn(_)) => panic!("nothing shared was pushed"),
            _ => Poll::Pending,
        }));
        killer.join().expect("no panic");
        pusher.join().expect("no panic");
    });
}

/// Invariant 3: a receiver that an exclusive call blocks is woken by a join.
#[test]
fn a_join_against_parking_while_blocked() {
    model(|| {
        let mailbox = mailbox(2);
        assert!(mailbox.push(call(&SHARED, 1, None)).is_ok());
        assert!(matches!(next(&mailbox, Admit::Any), Step::Turn(_)), "the shared turn that is joined");
        assert!(mailbox.push(call(&EXCLUSIVE, 2, None)).is_ok());
        let joiner = thread::spawn({
            let mailbox = mailbox.clone();
            move || assert!(mailbox.join(call(&SHARED, 3, None)).is_ok())
        });
        let joined = block_on(poll_fn(|cx| match mailbox.poll_next(cx, None, Admit::Shared) {
            Poll::Ready(Step::Turn(started)) => Poll::Ready(number(&started)),
            Poll::Ready(Step::Blocked) => Poll::Pending,
            _ => panic!("an exclusive call is queued"),
        }));
        assert_eq!(joined, 3);
        joiner.join().expect("no panic");
    });
}

/// Invariant 3: a receiver that an exclusive call blocks is woken when the call's caller leaves.
#[test]
fn a_blocking_call_that_ends_lets_through_what_is_behind_it() {
    model(|| {
        let mailbox = mailbox(1);
        let blocks = call(&EXCLUSIVE, 1, None);
        assert!(mailbox.push(blocks.clone()).is_ok());
        assert!(mailbox.push(call(&SHARED, 2, None)).is_ok());
        let leaver = thread::spawn(move || blocks.abandon());
        let through = block_on(poll_fn(|cx| match mailbox.poll_next(cx, None, Admit::Shared) {
            Poll::Ready(Step::Turn(started)) => Poll::Ready(number(&started)),
            Poll::Ready(Step::Blocked) => Poll::Pending,
            _ => panic!("a shared call is queued"),
        }));
        assert_eq!(through, 2);
        leaver.join().expect("no panic");
    });
}

/// Invariant 4: a join is refused or ends, also when it comes while the loop's task is dropped.
#[test]
fn a_join_against_the_end() {
    model(|| {
        let mailbox = mailbox(1);
        let (runs, joins) = (call(&SHARED, 1, None), call(&SHARED, 2, None));
        assert!(mailbox.push(runs.clone()).is_ok());
        let cx = Context::from_waker(Waker::noop());
        assert!(mailbox.poll_next(&cx, None, Admit::Any).is_ready());
        let joiner = thread::spawn({
            let (mailbox, joins) = (mailbox.clone(), joins.clone());
            move || mailbox.join(joins).is_ok()
        });
        mailbox.end(StopReason::Abandoned);
        let taken = joiner.join().expect("no panic");
        assert_eq!(runs.stage(), Stage::Over);
        assert_eq!(joins.stage() == Stage::Over, taken);
    });
}

/// Invariants 3 and 6: a parked receiver is woken by a question, also while an exclusive call blocks it, and calls that
/// come meanwhile are not forgotten.
#[test]
fn a_question_against_parking() {
    for (admit, method) in [(Admit::Any, &SHARED), (Admit::Shared, &EXCLUSIVE), (Admit::Joins, &SHARED)] {
        model(move || {
            let mailbox = mailbox(1);
            let pusher = thread::spawn({
                let mailbox = mailbox.clone();
                move || assert!(mailbox.push(call(method, 1, None)).is_ok())
            });
            let asker = thread::spawn({
                let mailbox = mailbox.clone();
                move || mailbox.ask().expect("nobody ends it")
            });
            block_on(poll_fn(|cx| {
                loop {
                    match mailbox.poll_next(cx, None, admit) {
                        Poll::Ready(Step::Asked(question)) => {
                            question.send_replace(Some(Health::Ok));
                            return Poll::Ready(());
                        }
                        Poll::Ready(Step::Turn(started)) => mailbox.finish(started.slot),
                        Poll::Ready(Step::Blocked) | Poll::Pending => return Poll::Pending,
                        Poll::Ready(Step::Closed | Step::Retired | Step::Killed) => {
                            panic!("nobody closes it")
                        }
                    }
                }
            }));
            let answer = asker.join().expect("no panic");
            assert_eq!(*answer.borrow(), Some(Health::Ok));
            pusher.join().expect("no panic");
        });
    }
}

/// Invariant 6: whoever asks while the actor is killed and ends is refused, answered, or sees the question dropped.
#[test]
fn a_question_against_a_kill_and_the_end() {
    model(|| {
        let mailbox = mailbox(1);
        let asker = thread::spawn({
            let mailbox = mailbox.clone();
            move || mailbox.ask()
        });
        let killer = thread::spawn({
            let mailbox = mailbox.clone();
            move || mailbox.kill(StopReason::Shutdown)
        });
        let mut answered = false;
        loop {
            match next(&mailbox, Admit::Any) {
                Step::Asked(question) => {
                    question.send_replace(Some(Health::Ok));
                    answered = true;
                }
                Step::Killed => break,
                _ => panic!("there are no calls"),
            }
        }
        mailbox.end(StopReason::Abandoned);
        killer.join().expect("no panic");
        if let Some(answer) = asker.join().expect("no panic") {
            assert!(answer.has_changed().is_err(), "nobody holds the question any more");
            assert_eq!(answer.borrow().is_some(), answered);
        }
    });
}

/// Invariants 1 and 8: a call that comes while one receiver makes way for another is handed out once, by the one or the
/// other, and whoever retires the first is not missed.
#[test]
fn a_call_against_a_receiver_that_makes_way() {
    model(|| {
        let mailbox = mailbox(1);
        let pusher = thread::spawn({
            let mailbox = mailbox.clone();
            move || assert!(mailbox.push(call(&EXCLUSIVE, 1, None)).is_ok())
        });
        let supervisor = thread::spawn({
            let mailbox = mailbox.clone();
            move || assert!(mailbox.retire(StopReason::Restarted))
        });
        let mut got = 0;
        loop {
            match next(&mailbox, Admit::Any) {
                Step::Turn(started) => {
                    got += number(&started);
                    mailbox.finish(started.slot);
                }
                Step::Retired => break,
                _ => panic!("nobody closes it"),
            }
        }
        assert!(mailbox.rest(&std::sync::Arc::new(StopReason::Restarted)) == super::Rest::Resting);
        supervisor.join().expect("no panic");
        pusher.join().expect("no panic");
        assert!(mailbox.resume());
        if got == 0 {
            let Step::Turn(started) = next(&mailbox, Admit::Any) else {
                panic!("it waits for this receiver")
            };
            got = number(&started);
        }
        assert_eq!(got, 1);
    });
}

/// Invariants 4 and 8: a kill that comes while there is no receiver, or just before or after, ends every call.
#[test]
fn a_kill_against_a_receiver_that_makes_way() {
    model(|| {
        let mailbox = mailbox(1);
        let queued = call(&SHARED, 1, None);
        assert!(mailbox.push(queued.clone()).is_ok());
        let killer = thread::spawn({
            let mailbox = mailbox.clone();
            move || mailbox.kill(StopReason::Shutdown)
        });
        let rests = mailbox.rest(&std::sync::Arc::new(StopReason::Restarted)) == super::Rest::Resting;
        if rests && mailbox.resume() {
            while let Step::Turn(started) = next(&mailbox, Admit::Any) {
                mailbox.finish(started.slot);
                started.call.fail(&mut |stage| StopReason::Shutdown.interruption(stage));
            }
        }
        mailbox.end(StopReason::Abandoned);
        killer.join().expect("no panic");
        assert!(queued.stage() == Stage::Over);
        assert!(mailbox.end_reason().is_some());
    });
}

/// Invariant 9: whoever ends a mailbox that rests either comes before the next receiver, which there is not then, or after
/// it, and leaves the end to it.
fn ended_against_a_resume(close: fn(&Mailbox)) {
    model(move || {
        let mailbox = mailbox(1);
        mailbox.await_first_run();
        let closer = thread::spawn({
            let mailbox = mailbox.clone();
            move || close(&mailbox)
        });
        let runs = mailbox.resume();
        closer.join().expect("no panic");
        assert_eq!(mailbox.end_reason().is_some(), !runs);
        if runs {
            assert!(matches!(next(&mailbox, Admit::Any), Step::Closed | Step::Killed));
        }
    });
}

#[test]
fn a_stop_against_a_resume() {
    ended_against_a_resume(|mailbox| mailbox.stop(StopReason::Unregistered));
}

#[test]
fn a_kill_against_a_resume() {
    ended_against_a_resume(|mailbox| mailbox.kill(StopReason::Shutdown));
}

#[test]
fn a_close_against_a_resume() {
    ended_against_a_resume(|mailbox| mailbox.close(StopReason::Stopped));
}

/// Invariants 3 and 10: a failure elsewhere that is told to one run ends that one, or nobody: never the run that follows.
#[test]
fn a_failure_elsewhere_against_a_receiver_that_makes_way() {
    model(|| {
        let mailbox = mailbox(1);
        let run = mailbox.run().expect("it runs");
        let breaker = thread::spawn({
            let mailbox = mailbox.clone();
            move || {
                let reason = Arc::new(StopReason::Killed);
                let cut = mailbox.break_run(run, &reason);
                let told = cut.is_some();
                if let Some(cut) = cut {
                    cut.tell(&reason);
                }
                told
            }
        });
        assert!(mailbox.rest(&Arc::new(StopReason::Restarted)) == super::Rest::Resting);
        assert!(mailbox.resume());
        let again = mailbox.run().expect("the next one");
        assert!(mailbox.broken().is_none() && !mailbox.is_killed());
        breaker.join().expect("no panic");
        assert!(mailbox.broken().is_none() && !mailbox.is_killed());
        // The run that there is can be told.
        let reason = Arc::new(StopReason::Finished);
        assert!(again != run && mailbox.break_run(run, &reason).is_none());
        assert!(mailbox.break_run(again, &reason).is_some());
        let Step::Killed = next(&mailbox, Admit::Any) else { panic!("it was told") };
    });
}

/// Invariant 3: a receiver that parks while its run is told to end by a failure elsewhere is woken.
#[test]
fn parking_against_a_failure_elsewhere() {
    model(|| {
        let mailbox = mailbox(1);
        let run = mailbox.run().expect("it runs");
        let breaker = thread::spawn({
            let mailbox = mailbox.clone();
            move || {
                let reason = Arc::new(StopReason::Killed);
                mailbox.break_run(run, &reason).expect("nobody else ends it").tell(&reason);
            }
        });
        let Step::Killed = next(&mailbox, Admit::Any) else { panic!("nothing else comes") };
        breaker.join().expect("no panic");
        assert!(mailbox.broken().is_some());
    });
}
