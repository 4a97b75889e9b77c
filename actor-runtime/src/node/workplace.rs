//! The network thread goes to the processor of the threads that it works with.
//!
//! Where more threads are busy than there are processors, the system puts a thread wherever there was room when it was woken.
//! The network thread may share a processor with workers of the other side then, and its own workers another one with the other
//! side's network thread: each hand-over waits, on both ways, until a stranger lets go. By their load all places are alike to
//! the system, so it stays like that for long. A network thread that is held up again and again therefore asks where its workers
//! are, and goes to the processor of the first of them that has something sent: there it runs while they have nothing
//! to do, and they while it has nothing.
//!
//! It is not bound there: the system moves it on like any other. Where nobody else wants its processor it stays.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::affinity;

/// Whoever was let have the processor and had nothing much to do has given it back by then.
const HELD_UP: Duration = Duration::from_micros(20);

/// So many times within so long are no accident, such as an interrupt, or a host that had no time for this machine.
const OFTEN: u32 = 4;
const SO_LONG: Duration = Duration::from_millis(4);

/// It goes no more often than this: on a machine where everything is busy and its own threads are everywhere, nothing is
/// gained.
const REST: Duration = Duration::from_millis(10);

/// On which processor workers have something sent, if that is asked.
// Away from what the network thread writes all the time: workers look at it whenever they have something sent.
#[repr(align(128))]
pub(super) struct Workplace(AtomicUsize);

/// Nobody has asked.
const QUIET: usize = usize::MAX;

/// Whoever has something sent next is to say where.
const ASKED: usize = usize::MAX - 1;

impl Workplace {
    pub(super) const fn new() -> Self {
        Self(AtomicUsize::new(QUIET))
    }

    /// The calling thread has something sent.
    pub(super) fn is_here(&self) {
        if self.0.load(Ordering::Relaxed) == ASKED
            && let Some(cpu) = affinity::current()
        {
            // Whoever is last is as good as the first.
            self.0.store(cpu, Ordering::Relaxed);
        }
    }

    fn ask(&self) {
        self.0.store(ASKED, Ordering::Relaxed);
    }

    fn answer(&self) -> Option<usize> {
        Some(self.0.load(Ordering::Relaxed)).filter(|answer| *answer < ASKED)
    }
}

/// Takes the thread that has it to the workplace.
pub(super) struct Commuter {
    /// How often it was held up since then.
    held_up: u32,
    since: Option<Instant>,
    /// Not before this.
    next: Option<Instant>,
    /// It does not go at all.
    stays: bool,
}

impl Commuter {
    /// On the thread that may be taken; or it stays. That the system forbids it shows here, and not once there is much to do.
    pub(super) fn new(goes: bool) -> Self {
        let able = goes && affinity::current().is_some_and(|own| is_able(affinity::go_to(own)));
        Self { held_up: 0, since: None, next: None, stays: !able }
    }

    /// Others may just have had this thread's processor, for so long. True if it has gone where its workers are.
    pub(super) fn waited(&mut self, time: Duration, now: Instant, workplace: &Workplace) -> bool {
        if self.stays || time < HELD_UP || self.next.is_some_and(|next| now < next) {
            return false;
        }
        if self.since.is_none_or(|since| now - since > SO_LONG) {
            (self.since, self.held_up) = (Some(now), 0);
            workplace.ask();
        }
        self.held_up += 1;
        if self.held_up < OFTEN {
            return false;
        }
        let Some(there) = workplace.answer() else { return false };
        (self.since, self.next) = (None, Some(now + REST));
        if affinity::current() == Some(there) {
            return false;
        }
        let gone = affinity::go_to(there);
        let went = matches!(gone, Ok(true));
        self.stays = !is_able(gone);
        went
    }
}

/// Whether to try again another time.
fn is_able(gone: io::Result<bool>) -> bool {
    if let Err(error) = &gone {
        tracing::debug!(%error, "the network thread cannot choose its processor; it stays where the system puts it");
    }
    gone.is_ok()
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::clock;

    /// Two processors that threads of this test may run on; none on a machine that has one.
    fn two() -> Option<[usize; 2]> {
        let allowed = affinity::allowed().unwrap();
        allowed.first_chunk().copied()
    }

    /// On a thread of its own that is on this processor, what `then` gives.
    fn on<T: Send>(cpu: usize, then: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let run = move || {
                affinity::pin(cpu).unwrap();
                then()
            };
            std::thread::Builder::new().spawn_scoped(scope, run).unwrap().join().unwrap()
        })
    }

    /// A thread that may run everywhere and is here now.
    fn come_to(cpu: usize) {
        assert!(affinity::go_to(cpu).unwrap());
    }

    /// One that may go where it likes, and has been held up often enough but for once.
    fn held_up(now: Instant, workplace: &Workplace) -> Commuter {
        let mut commuter = Commuter::new(true);
        for _ in 1..OFTEN {
            assert!(!commuter.waited(HELD_UP, now, workplace), "not often enough");
        }
        commuter
    }

    #[test]
    fn who_is_held_up_again_and_again_goes_where_its_workers_are_and_not_at_once_again() {
        let Some([here, there]) = two() else { return };
        let (workplace, mut gone) = (Workplace::new(), 0);
        for _ in 0..100 {
            let now = clock::now();
            let mut commuter = held_up(now, &workplace);
            on(there, || workplace.is_here());
            come_to(here);
            // Not always: the system may have moved it there between.
            if commuter.waited(HELD_UP, now, &workplace) {
                gone += 1;
                for n in 0..3 * OFTEN {
                    on(there, || workplace.is_here());
                    come_to(here);
                    assert!(!commuter.waited(HELD_UP, now + REST / 2, &workplace), "too soon: {n}");
                }
            }
        }
        assert!(gone > 20, "{gone} of 100");
    }

    #[test]
    fn who_is_held_up_now_and_then_stays_and_so_does_who_is_told_of_no_place_or_is_there() {
        let Some([here, there]) = two() else { return };
        let (now, workplace) = (clock::now(), Workplace::new());
        on(there, || workplace.is_here());
        come_to(here);
        let mut commuter = held_up(now, &workplace);
        assert!(!commuter.waited(HELD_UP, now, &workplace), "nobody has sent anything since it has asked");
        for n in 1..3 * OFTEN {
            let now = now + 2 * n * SO_LONG;
            on(there, || workplace.is_here());
            come_to(here);
            assert!(!commuter.waited(HELD_UP, now, &workplace), "once in {SO_LONG:?}");
            for _ in 0..OFTEN {
                assert!(!commuter.waited(HELD_UP / 2, now, &workplace), "it was not held up");
            }
        }
        let mut commuter = held_up(now, &workplace);
        on(there, || workplace.is_here());
        on(there, || assert!(!commuter.waited(HELD_UP, now, &workplace), "it is there"));
        let mut commuter = held_up(now, &workplace);
        on(there, || workplace.is_here());
        on(here, || assert!(!commuter.waited(HELD_UP, now, &workplace), "it may not run there"));
    }

    #[test]
    fn who_is_not_to_go_asks_nobody() {
        let workplace = Workplace::new();
        let mut commuter = Commuter::new(false);
        for _ in 0..3 * OFTEN {
            assert!(!commuter.waited(HELD_UP, clock::now(), &workplace));
            workplace.is_here();
        }
        assert_eq!(workplace.answer(), None);
    }

    /// They may not get out of its way.
    #[test]
    fn threads_that_are_bound_to_processors_do_not_say_where_they_are() {
        let Some([_, there]) = two() else { return };
        let workplace = Workplace::new();
        workplace.ask();
        on(there, || {
            affinity::bind(there).unwrap();
            workplace.is_here();
        });
        assert_eq!(workplace.answer(), None);
    }
}
