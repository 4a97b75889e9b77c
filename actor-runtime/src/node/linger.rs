//! The network thread goes on looking for a moment before it sleeps.
//!
//! What comes over connections mostly comes in quick succession: replies to the calls that have just left, then calls of
//! those who got them. A thread that sleeps between is woken for each batch. That takes its sender longer than to send, the batch
//! lies there until the thread runs, and the system may put the thread on another processor, away from those that it
//! works with. So after something has come it looks for more, for [`Config::linger`](crate::Config::linger), and at each look
//! lets go first whoever else wants its processor. Held up by them again and again, it goes where its workers are
//! ([`workplace`](super::workplace)).
//!
//! Where looking was in vain, the next times it is left out, each time more of them: what comes now and then costs what it
//! did.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use tokio::{sync::Notify, task::yield_now};

use super::{
    clock,
    workplace::{Commuter, Workplace},
};

/// It looks for no longer than this, whatever the settings say.
const LONGEST: Duration = Duration::from_millis(10);

/// So many times in a row it looks in vain before it leaves any out.
const PATIENCE: u32 = 16;

/// So many times in a row are left out at most.
const MOST: u32 = 63;

/// What has come to a network thread.
pub(crate) struct Linger {
    /// So long it looks for more since something came last.
    moment: Duration,
    /// It goes to the processor of its workers.
    follows: bool,
    count: AtomicU64,
    came: Notify,
    workplace: Workplace,
}

impl Linger {
    pub(super) fn new(moment: Duration, follows: bool) -> Self {
        Self {
            follows,
            moment: moment.min(LONGEST),
            count: AtomicU64::new(0),
            came: Notify::new(),
            workplace: Workplace::new(),
        }
    }

    /// Something has come that others may follow. On the network thread.
    pub(crate) fn came(&self) {
        if !self.moment.is_zero() {
            self.count.fetch_add(1, Ordering::Relaxed);
            self.came.notify_one();
        }
    }

    /// The calling thread has something sent.
    pub(crate) fn works_here(&self) {
        self.workplace.is_here();
    }

    /// Keeps the thread that polls this awake while more may come.
    pub(super) async fn run(&self) -> ! {
        let (mut seen, mut pause) = (0, Pause::default());
        let mut commuter = Commuter::new(self.follows && !self.moment.is_zero());
        loop {
            seen = self.next(seen).await;
            if pause.is_over() {
                let before = seen;
                seen = self.look(seen, &mut commuter).await;
                pause.looked(seen != before);
            }
        }
    }

    /// Waits until more has come than was seen, and gives how much.
    async fn next(&self, seen: u64) -> u64 {
        loop {
            match self.count() {
                count if count == seen => self.came.notified().await,
                count => return count,
            }
        }
    }

    /// Looks for more for as long as some comes, and a moment. Gives how much has come by then.
    async fn look(&self, mut seen: u64, commuter: &mut Commuter) -> u64 {
        let mut until = clock::now() + self.moment;
        loop {
            // The other threads of this processor, then the tasks of this one, and whatever has come to it.
            let before = clock::now();
            thread::yield_now();
            let after = clock::now();
            yield_now().await;
            commuter.waited(after - before, after, &self.workplace);
            let (count, now) = (self.count(), clock::now());
            if count != seen {
                (seen, until) = (count, now + self.moment);
            } else if now >= until {
                return seen;
            }
        }
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

/// How often it is not worth while to look.
#[derive(Default)]
struct Pause {
    /// How many more times are left out.
    left: u32,
    /// How many times in a row it was in vain.
    misses: u32,
}

impl Pause {
    /// Whether it is to be looked this time.
    fn is_over(&mut self) -> bool {
        let over = self.left == 0;
        self.left = self.left.saturating_sub(1);
        over
    }

    /// It was looked, for something or in vain.
    fn looked(&mut self, found: bool) {
        self.misses = if found { 0 } else { self.misses.saturating_add(1) };
        let beyond = self.misses.saturating_sub(PATIENCE).min(MOST.ilog2() + 1);
        self.left = (1 << beyond) - 1;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        sync::Arc,
        task::{Context, Wake, Waker},
    };

    use futures::FutureExt;

    use super::*;

    const MOMENT: Duration = Duration::from_micros(200);

    /// A waker, and how often it was woken.
    fn counting() -> (Arc<AtomicU64>, Waker) {
        struct Counts(Arc<AtomicU64>);
        impl Wake for Counts {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let count = Arc::new(AtomicU64::new(0));
        (count.clone(), Arc::new(Counts(count)).into())
    }

    #[tokio::test]
    async fn what_comes_meanwhile_is_seen_and_prolongs_the_look() {
        let (linger, mut commuter) = (Linger::new(MOMENT, false), Commuter::new(false));
        let mut look = pin!(linger.look(0, &mut commuter));
        let begun = clock::now();
        for n in 1..=3 {
            while clock::now() < begun + n * MOMENT / 2 {}
            linger.came();
            assert!(look.as_mut().now_or_never().is_none(), "it looks on after {n}");
        }
        assert_eq!(look.await, 3);
        assert!(clock::now() >= begun + 3 * MOMENT / 2 + MOMENT);
    }

    #[tokio::test]
    async fn it_sleeps_once_a_moment_has_passed_in_vain() {
        let linger = Linger::new(MOMENT, false);
        let mut run = pin!(linger.run());
        let woken = futures::task::noop_waker();
        linger.came();
        assert!(run.as_mut().poll(&mut Context::from_waker(&woken)).is_pending());
        let begun = clock::now();
        // It is through with looking when it waits for the next that comes, and nothing has to poll it until then.
        while clock::now() < begun + 2 * MOMENT {
            assert!(run.as_mut().poll(&mut Context::from_waker(&woken)).is_pending());
        }
        let (flag, waker) = counting();
        assert!(run.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        yield_now().await;
        assert_eq!(flag.load(Ordering::Relaxed), 0, "it has woken itself");
        linger.came();
        assert_eq!(flag.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn it_sleeps_at_once_if_it_is_not_to_look() {
        let linger = Linger::new(Duration::ZERO, true);
        let (flag, waker) = counting();
        let mut run = pin!(linger.run());
        assert!(run.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        linger.came();
        assert_eq!(flag.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_was_in_vain_is_left_out_more_often_each_time_and_not_for_ever() {
        let mut pause = Pause::default();
        let mut left_out = Vec::new();
        for _ in 0..PATIENCE + 8 {
            let mut out = 0;
            while !pause.is_over() {
                out += 1;
            }
            left_out.push(out);
            pause.looked(false);
        }
        let (patient, left_out) = left_out.split_at(PATIENCE as usize);
        assert!(patient.iter().all(|out| *out == 0));
        assert_eq!(left_out, [0, 1, 3, 7, 15, 31, 63, 63]);
        while !pause.is_over() {}
        pause.looked(true);
        assert!(pause.is_over());
    }
}
