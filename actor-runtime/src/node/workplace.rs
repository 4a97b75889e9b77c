//! The network thread goes to the processor of the threads that it works with.
//!
//! Where more threads are busy than there are processors, the system puts a thread wherever there was room when it was woken.
//! The network thread may share a processor with threads of other programs then, while the workers that it sends for share theirs
//! with others too: each hand-over waits, on both ways, until a stranger lets go. By their load all places are alike to the
//! system, so it stays like that for long. A network thread that is held up therefore goes to the processor of its workers:
//! there it runs while they have nothing to do, and they while it has nothing.
//!
//! It is not bound there: the system moves it on like any other. On a processor that nobody else wants it stays.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::affinity;

/// Whoever gets a processor keeps it for longer than this only if he has work of his own.
const HELD_UP: Duration = Duration::from_micros(20);

/// It goes no more often than this: on a machine where everything is busy and its own threads are everywhere, nothing is
/// gained.
const REST: Duration = Duration::from_millis(10);

/// The processor on which something was last given to the network thread.
pub(super) struct Workplace(AtomicUsize);

const NOWHERE: usize = usize::MAX;

impl Workplace {
    pub(super) const fn new() -> Self {
        Self(AtomicUsize::new(NOWHERE))
    }

    /// The calling thread works with the network thread.
    pub(super) fn is_here(&self) {
        // Looked at first: it is seldom another one, and who writes takes it from who reads.
        if let Some(cpu) = affinity::current()
            && self.0.load(Ordering::Relaxed) != cpu
        {
            self.0.store(cpu, Ordering::Relaxed);
        }
    }

    fn get(&self) -> Option<usize> {
        Some(self.0.load(Ordering::Relaxed)).filter(|cpu| *cpu != NOWHERE)
    }
}

/// Takes the thread that has it to the workplace.
#[derive(Default)]
pub(super) struct Commuter {
    /// Not before this.
    next: Option<Instant>,
    /// The system does not let it.
    stays: bool,
}

impl Commuter {
    /// Others have just had this thread's processor for so long. True if it has gone where its own threads are.
    pub(super) fn waited(&mut self, time: Duration, now: Instant, workplace: &Workplace) -> bool {
        if time < HELD_UP || self.stays || self.next.is_some_and(|next| now < next) {
            return false;
        }
        let Some(there) = workplace.get().filter(|cpu| affinity::current().is_some_and(|own| own != *cpu))
        else {
            return false;
        };
        self.next = Some(now + REST);
        affinity::go_to(there).unwrap_or_else(|error| {
            tracing::debug!(%error, "the network thread cannot go to its workers' processor; it stays where it is put");
            self.stays = true;
            false
        })
    }
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

    #[test]
    fn who_is_held_up_goes_where_its_own_threads_are_and_not_at_once_again() {
        let Some([here, there]) = two() else { return };
        let workplace = Workplace::new();
        on(there, || workplace.is_here());
        let (mut commuter, now, mut gone) = (Commuter::default(), clock::now(), 0);
        for n in 0..100 {
            let now = now + n * REST;
            come_to(here);
            gone += u32::from(commuter.waited(HELD_UP, now, &workplace));
            come_to(here);
            assert!(!commuter.waited(HELD_UP, now + REST / 2, &workplace), "too soon");
        }
        // Not all: the system may have moved it there between.
        assert!(gone > 50, "{gone} of 100");
    }

    #[test]
    fn who_has_its_processor_for_itself_or_no_threads_or_is_beside_them_stays() {
        let Some([here, there]) = two() else { return };
        let (now, workplace) = (clock::now(), Workplace::new());
        let waited = |time| on(here, || Commuter::default().waited(time, now, &workplace));
        assert!(!waited(HELD_UP), "there is no such place");
        on(here, || workplace.is_here());
        assert!(!waited(HELD_UP), "it is there");
        on(there, || workplace.is_here());
        assert!(!waited(HELD_UP / 2), "nobody else wants the processor");
        assert!(!waited(HELD_UP), "it may not run there");
    }
}
