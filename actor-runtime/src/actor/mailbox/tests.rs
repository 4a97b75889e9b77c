//! The mailbox against a model that is a few vectors: whatever is done to it, it does the same.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

mod model;

use model::{End, Model, ModelStep, Modelled};
use proptest::prelude::*;
use tokio::time::Instant;

use super::{Admit, Answer, Mailbox, Overflow, PURGE_FROM, Rest, Step, StopReason};
use crate::{
    actor::Health,
    call::{
        AnyCall, Delivery, FailureKind, Refused, Stage, accept_response,
        sample::{EXCLUSIVE, Number, ONEWAY_EXCLUSIVE, ONEWAY_SHARED, SHARED, Sample, call, call_now},
        take_request,
    },
    node::clock,
};

/// One thing that happens to a mailbox. Calls are meant by their number, modulo how many there are.
#[derive(Clone, Debug)]
enum Act {
    Push {
        exclusive: bool,
        oneway: bool,
        now: bool,
        deadline: Option<u64>,
    },
    /// The actor asks for a turn itself.
    PushOwn,
    Join {
        deadline: Option<u64>,
    },
    Next {
        admit: Admit,
        finish: Option<usize>,
    },
    Finish(usize),
    /// A handler takes the arguments of a call that was handed out.
    Claim(usize),
    Reply(usize),
    Abandon(usize),
    ParkForKill,
    /// So much time passes, then the deadlines are looked at.
    Sweep(u64),
    Ask,
    Look,
    Stop,
    Kill,
    Close,
    End,
    Retire,
    Cut,
    Rest,
    Resume,
}

fn act() -> impl Strategy<Value = Act> {
    let deadline = || prop::option::of(0..12_u64);
    prop_oneof![
        30 => (any::<bool>(), any::<bool>(), prop::bool::weighted(0.2), deadline()).prop_map(
            |(exclusive, oneway, now, deadline)| Act::Push { exclusive, oneway, now, deadline }
        ),
        5 => Just(Act::PushOwn),
        4 => deadline().prop_map(|deadline| Act::Join { deadline }),
        20 => (
            prop_oneof![Just(Admit::Any), Just(Admit::Shared), Just(Admit::Joins)],
            prop::option::of(any::<usize>()),
        )
            .prop_map(|(admit, finish)| Act::Next { admit, finish }),
        8 => any::<usize>().prop_map(Act::Finish),
        8 => any::<usize>().prop_map(Act::Claim),
        6 => any::<usize>().prop_map(Act::Reply),
        10 => any::<usize>().prop_map(Act::Abandon),
        4 => Just(Act::ParkForKill),
        8 => (0..4_u64).prop_map(Act::Sweep),
        4 => Just(Act::Ask),
        2 => Just(Act::Look),
        1 => Just(Act::Stop),
        1 => Just(Act::Kill),
        1 => Just(Act::Close),
        1 => Just(Act::End),
        2 => Just(Act::Retire),
        1 => Just(Act::Cut),
        2 => Just(Act::Rest),
        4 => Just(Act::Resume),
    ]
}

/// A waker that counts how often it was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The mailbox and its model, side by side.
struct Pair {
    mailbox: Mailbox,
    model: Model,
    calls: Vec<Arc<dyn AnyCall>>,
    /// What was handed out and not given back: the slot and the call.
    running: Vec<(usize, usize)>,
    handed_out: Vec<usize>,
    /// Where answers to the present question come.
    answers: Vec<Answer>,
    wakes: Arc<Wakes>,
    start: Instant,
    now: u64,
}

impl Pair {
    fn new(capacity: usize, overflow: Overflow) -> Self {
        Self {
            mailbox: Mailbox::new(capacity, overflow),
            model: Model::new(capacity, overflow),
            calls: Vec::new(),
            running: Vec::new(),
            handed_out: Vec::new(),
            answers: Vec::new(),
            wakes: Arc::default(),
            start: clock::now(),
            now: 0,
        }
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn arrive(&mut self, exclusive: bool, oneway: bool, now: bool, after: Option<u64>) -> usize {
        let deadline = after.map(|after| self.now + after);
        let method = match (exclusive, oneway) {
            (true, false) => &EXCLUSIVE,
            (false, false) => &SHARED,
            (true, true) => &ONEWAY_EXCLUSIVE,
            (false, true) => &ONEWAY_SHARED,
        };
        let number = self.calls.len() as u64;
        let made = if now { call_now } else { call };
        self.calls.push(made(method, number, deadline.map(|at| self.at(at))));
        self.model.calls.push(Modelled {
            exclusive,
            oneway,
            now,
            accepted: false,
            deadline,
            claimed: false,
            blocks: false,
            end: None,
        });
        self.calls.len() - 1
    }

    fn admitted(&mut self, call: usize, got: Result<bool, Refused>, expected: Result<bool, FailureKind>) {
        match (got, expected) {
            (Ok(watch), Ok(expected)) => {
                assert_eq!(watch, expected, "whether the deadlines are looked after");
            }
            (Err(Refused { call: given_back, failure }), Err(kind)) => {
                assert!(Arc::ptr_eq(&given_back, &self.calls[call]));
                assert_eq!((failure.kind(), failure.delivery()), (kind, Delivery::NotDelivered));
                // It is the caller's again, who gives up.
                given_back.abandon();
                self.model.end(call, End::Left);
            }
            (got, expected) => {
                panic!("{expected:?} expected, got {:?}", got.map_err(|refused| refused.failure))
            }
        }
    }

    fn give_back(&mut self, at: usize) -> Option<usize> {
        let at = at.checked_rem(self.running.len())?;
        let (slot, call) = self.running.remove(at);
        self.model.running.retain(|running| *running != call);
        Some(slot)
    }

    fn some(&self, at: usize) -> Option<usize> {
        at.checked_rem(self.calls.len())
    }

    fn act(&mut self, act: Act) {
        let waker = Waker::from(self.wakes.clone());
        let cx = Context::from_waker(&waker);
        match act {
            // Nobody is there to do that.
            Act::Next { .. } | Act::ParkForKill if self.model.resting => {}
            Act::Push { exclusive, oneway, now, deadline } => {
                let call = self.arrive(exclusive, oneway, now, deadline);
                let got = self.mailbox.push(self.calls[call].clone());
                let expected = self.model.push(call);
                self.admitted(call, got, expected);
            }
            Act::PushOwn => {
                let turn = self.arrive(true, false, false, None);
                let taken = self.mailbox.push_own(self.calls[turn].clone());
                assert_eq!(taken, self.model.push_own(turn));
                if !taken {
                    self.calls[turn].abandon();
                    self.model.end(turn, End::Left);
                }
            }
            Act::Join { deadline } => {
                let call = self.arrive(false, false, false, deadline);
                let got = self.mailbox.join(self.calls[call].clone());
                let expected = self.model.join(call);
                self.admitted(call, got, expected);
            }
            Act::Next { admit, finish } => {
                let finish = finish.and_then(|at| self.give_back(at));
                let step = match self.mailbox.poll_next(&cx, finish, admit) {
                    Poll::Ready(Step::Turn(started)) => {
                        let at = self.calls.iter().position(|call| Arc::ptr_eq(call, &started.call));
                        let call = at.expect("a call that was pushed");
                        assert!(!self.handed_out.contains(&call), "handed out twice");
                        self.handed_out.push(call);
                        self.running.push((started.slot, call));
                        ModelStep::Turn(call)
                    }
                    Poll::Ready(Step::Asked(question)) => {
                        question.send_replace(Some(Health::Ok));
                        for answer in self.answers.drain(..) {
                            assert_eq!(*answer.borrow(), Some(Health::Ok), "all askers share a question");
                        }
                        ModelStep::Asked
                    }
                    Poll::Ready(Step::Blocked) => ModelStep::Blocked,
                    Poll::Ready(Step::Closed) => ModelStep::Closed,
                    Poll::Ready(Step::Retired) => ModelStep::Retired,
                    Poll::Ready(Step::Killed) => ModelStep::Killed,
                    Poll::Pending => ModelStep::Pending,
                };
                assert_eq!(step, self.model.next(admit));
            }
            Act::Finish(at) => {
                if let Some(slot) = self.give_back(at) {
                    self.mailbox.finish(slot);
                }
            }
            Act::Claim(at) => {
                let Some((_, call)) = at.checked_rem(self.running.len()).map(|at| self.running[at]) else {
                    return;
                };
                let request = take_request::<Sample>(&*self.calls[call]);
                let claimed = request.is_some();
                if let Some(request) = request {
                    assert_eq!(request.expect("a value").0, call as u64);
                }
                let modelled = &mut self.model.calls[call];
                assert_eq!(claimed, modelled.end.is_none() && !modelled.claimed);
                modelled.claimed = true;
            }
            Act::Reply(at) => {
                let Some((_, call)) = at.checked_rem(self.running.len()).map(|at| self.running[at]) else {
                    return;
                };
                accept_response::<Sample>(&*self.calls[call], Number(0), usize::MAX, true).expect("a number");
                self.model.end(call, End::Replied);
            }
            Act::Abandon(at) => {
                let Some(call) = self.some(at) else { return };
                let failed = matches!(self.model.calls[call].end, Some(End::Failed(..) | End::Replied));
                if !failed {
                    self.calls[call].abandon();
                    if !self.model.calls[call].accepted {
                        self.model.end(call, End::Left);
                    }
                }
            }
            Act::ParkForKill => {
                assert_eq!(self.mailbox.park_for_kill(&cx), !self.model.killed);
                if !self.model.killed {
                    self.model.receiver = Some(false);
                }
            }
            Act::Sweep(after) => {
                self.now += after;
                let next = self.mailbox.sweep(self.at(self.now));
                let expected = self.model.sweep(self.now);
                assert_eq!(next, expected.map(|at| self.at(at)), "the next sweep");
            }
            Act::Ask => {
                let answer = self.mailbox.ask();
                assert_eq!(answer.is_some(), self.model.ask(), "whether somebody will answer");
                self.answers.extend(answer);
            }
            Act::Look => {
                let look = self.mailbox.look(self.at(self.now));
                self.model.purge();
                let Model { queue, waiting, joins, running, .. } = &self.model;
                assert_eq!((look.queued, look.waiting), (queue.len() + joins.len(), waiting.len()));
                assert_eq!((look.running, look.ended), (running.len(), self.model.ended));
            }
            Act::Stop => {
                self.mailbox.stop(StopReason::Unregistered);
                if self.model.resting {
                    return self.ended();
                }
                self.model.closing = true;
                self.model.wake();
            }
            Act::Kill => {
                self.mailbox.kill(StopReason::Shutdown);
                self.model.killed = true;
                if self.model.resting {
                    return self.ended();
                }
                self.model.close();
                for call in self.model.running.clone() {
                    self.model.fail(call, FailureKind::Stopped);
                }
            }
            Act::Close => {
                self.mailbox.close(StopReason::Shutdown);
                if self.model.resting {
                    return self.ended();
                }
                self.model.close();
            }
            Act::End => {
                self.mailbox.end(StopReason::Abandoned);
                self.ended();
            }
            Act::Retire => {
                let retires = !self.model.ended && !self.model.resting;
                assert_eq!(self.mailbox.retire(StopReason::Restarted), retires);
                if retires {
                    self.model.retiring = true;
                    self.model.wake();
                }
            }
            Act::Cut => {
                self.mailbox.cut(&StopReason::Restarted);
                if !self.model.ended && !self.model.resting {
                    self.model.killed = true;
                    self.model.wake();
                    for call in self.model.running.clone() {
                        self.model.fail(call, FailureKind::Stopped);
                    }
                }
            }
            Act::Rest => {
                let rests = self.mailbox.rest(&Arc::new(StopReason::Restarted)) == Rest::Resting;
                assert_eq!(rests, self.model.rest(), "whether another receiver is to come");
                if rests {
                    self.running.clear();
                    self.unanswered();
                }
            }
            Act::Resume => assert_eq!(self.mailbox.resume(), {
                self.model.resting = false;
                !self.model.ended
            }),
        }
    }

    fn ended(&mut self) {
        self.unanswered();
        self.model.end_all();
        self.running.clear();
    }

    fn unanswered(&mut self) {
        for answer in self.answers.drain(..) {
            assert!(answer.has_changed().is_err(), "nobody is left to answer");
        }
    }

    fn compare(&self) {
        let Model { queue, waiting, joins, capacity, .. } = &self.model;
        assert_eq!(self.mailbox.depth(), (queue.len() + joins.len(), waiting.len()));
        assert!(waiting.is_empty() || queue.len() == *capacity, "invariant 2");
        assert_eq!(self.mailbox.closed().is_some(), self.model.closing);
        assert_eq!(self.mailbox.is_killed(), self.model.killed);
        assert_eq!(self.wakes.count(), self.model.wakes, "how often the receiver was woken");
        for (call, modelled) in self.calls.iter().zip(&self.model.calls) {
            let stage = match (modelled.end, modelled.claimed) {
                (Some(_), _) => Stage::Over,
                (None, true) => Stage::Running,
                (None, false) => Stage::Waiting,
            };
            assert_eq!(call.stage(), stage);
            if modelled.accepted {
                assert_eq!(call.ended(), Some(false), "invariant 6");
                assert!(call.peek().is_ok());
                continue;
            }
            assert_eq!(call.ended().is_some(), modelled.end.is_some(), "invariant 6");
            match modelled.end {
                Some(End::Failed(kind, delivery)) => {
                    let failure = call.peek().expect_err("it failed");
                    assert_eq!((failure.kind(), failure.delivery()), (kind, delivery));
                }
                Some(End::Replied) => assert!(call.peek().is_ok()),
                Some(End::Left) | None => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn a_mailbox_does_what_its_model_does(
        capacity in 1..4_usize,
        fail in any::<bool>(),
        acts in prop::collection::vec(act(), 0..120),
    ) {
        let overflow = if fail { Overflow::Fail } else { Overflow::Wait };
        let mut pair = Pair::new(capacity, overflow);
        for act in acts {
            pair.act(act);
            pair.compare();
        }
    }
}

#[test]
fn callers_that_time_out_in_a_loop_leave_nothing_behind() {
    let mailbox = Mailbox::new(1, Overflow::Wait);
    for _ in 0..10_000 {
        let call = call(&SHARED, 0, None);
        assert!(mailbox.push(call.clone()).is_ok());
        call.abandon();
        let (queued, waiting) = mailbox.depth();
        assert!(queued <= 1 && waiting <= PURGE_FROM, "{queued} {waiting}");
    }
}

#[test]
fn a_new_mailbox_has_allocated_nothing() {
    let mailbox = Mailbox::new(64, Overflow::Wait);
    let state = crate::sync::lock(&mailbox.state);
    assert!(state.queue.capacity() == 0 && state.beside.is_none());
    assert_eq!(state.running.capacity(), 0);
}
