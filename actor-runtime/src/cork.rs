//! Replies that leave together.
//!
//! An actor that has many calls to answer answers them one after the other in one poll of its task. If each reply woke
//! the thread that sends it, that thread would send one at a time. So while a task is *corked*, what it puts out is only
//! noted, and sent when its poll ends. A poll that has lasted for a moment is corked no longer: what its handlers answer
//! is worth more than a wake-up. And a handler that blocks its thread early in such a poll holds up what was answered
//! before it; so whoever handed the calls over looks from time to time whether something was left lying
//! (`transport/quic/read`).

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::node::clock;

/// A poll that has lasted so long sends at once.
const MOMENT: Duration = Duration::from_millis(1);

/// Something that was put out and is to be sent.
pub(crate) trait Flush: Send + Sync {
    /// Sends it, if nobody has yet.
    fn flush(&self);
}

#[derive(Default)]
struct Noted {
    /// How many corked polls are under way on this thread, one inside the other.
    depth: usize,
    /// When something was first noted in the outermost one.
    begun: Option<Instant>,
    /// How often something was noted in it.
    times: u32,
    /// It has lasted.
    long: bool,
    flushes: Vec<Arc<dyn Flush>>,
}

thread_local! {
    static NOTED: RefCell<Noted> = RefCell::default();
}

/// Has `flush` called when the poll that runs on this thread ends. False if it is not corked: then it is up to the caller.
pub(crate) fn later<F: Flush + 'static>(flush: &Arc<F>) -> bool {
    let mut overdue = None;
    let noted = NOTED.with_borrow_mut(|noted| {
        if noted.depth == 0 {
            return false;
        }
        noted.times += 1;
        // Most handlers are quick, and to look at the clock has its price too.
        if noted.times.is_power_of_two() || noted.times.is_multiple_of(8) {
            let now = clock::now();
            noted.long |= now >= *noted.begun.get_or_insert(now) + MOMENT;
        }
        if noted.long {
            overdue = Some(std::mem::take(&mut noted.flushes));
            return false;
        }
        let same = |last: &Arc<dyn Flush>| std::ptr::addr_eq(Arc::as_ptr(last), Arc::as_ptr(flush));
        if !noted.flushes.last().is_some_and(same) {
            noted.flushes.push(flush.clone());
        }
        true
    });
    if let Some(overdue) = overdue {
        for flush in overdue {
            flush.flush();
        }
    }
    noted
}

pin_project! {
    /// A future whose polls are corked.
    pub(crate) struct Corked<F> {
        #[pin]
        inner: F,
    }
}

impl<F> Corked<F> {
    pub(crate) fn new(inner: F) -> Self {
        Self { inner }
    }
}

impl<F: Future> Future for Corked<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _uncork = Uncork::new();
        self.project().inner.poll(cx)
    }
}

/// However the poll ends, what was noted is sent.
struct Uncork;

impl Uncork {
    fn new() -> Self {
        NOTED.with_borrow_mut(|noted| {
            if noted.depth == 0 {
                noted.begun = None;
                noted.times = 0;
                noted.long = false;
            }
            noted.depth += 1;
        });
        Self
    }
}

impl Drop for Uncork {
    fn drop(&mut self) {
        let flushes = NOTED.with_borrow_mut(|noted| {
            noted.depth -= 1;
            (noted.depth == 0 && !noted.flushes.is_empty()).then(|| std::mem::take(&mut noted.flushes))
        });
        if let Some(flushes) = flushes {
            flush_all(flushes);
        }
    }
}

fn flush_all(mut flushes: Vec<Arc<dyn Flush>>) {
    for flush in flushes.drain(..) {
        flush.flush();
    }
    // The list's memory is used again.
    NOTED.with_borrow_mut(|noted| {
        if noted.flushes.capacity() < flushes.capacity() && noted.flushes.is_empty() {
            noted.flushes = flushes;
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Flush for Count {
        fn flush(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn run(future: impl Future<Output = ()>) {
        let mut future = std::pin::pin!(future);
        assert!(future.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_ready());
    }

    #[test]
    fn what_is_put_out_in_a_poll_is_sent_once_when_the_outermost_poll_ends() {
        let (a, b) = (Arc::new(Count::default()), Arc::new(Count::default()));
        assert!(!later(&a));
        let seen = |count: &Arc<Count>| count.0.load(Ordering::Relaxed);
        let inner = Corked::new(async { assert!(later(&a)) });
        run(Corked::new(async {
            assert!(later(&a) && later(&b) && later(&b));
            inner.await;
            assert_eq!((seen(&a), seen(&b)), (0, 0));
        }));
        // The same one twice is sent twice where another came between.
        assert_eq!((seen(&a), seen(&b)), (2, 1));
        assert!(!later(&a));
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_that_lasts_sends_at_once() {
        let (a, b) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let mut corked = std::pin::pin!(Corked::new(async {
            assert!(later(&a));
            // Time does not pass in a poll that does not end, unless it is made to.
            NOTED.with_borrow_mut(|noted| noted.begun = Some(clock::now() - MOMENT));
            assert!(!later(&b));
            assert_eq!((a.0.load(Ordering::Relaxed), b.0.load(Ordering::Relaxed)), (1, 0));
        }));
        corked.as_mut().await;
        assert_eq!((a.0.load(Ordering::Relaxed), b.0.load(Ordering::Relaxed)), (1, 0));
    }

    #[test]
    fn it_is_sent_when_the_poll_panics_too() {
        let a = Arc::new(Count::default());
        let panics = Corked::new(async {
            later(&a);
            panic!("in the poll");
        });
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(panics)));
        assert!(caught.is_err());
        assert_eq!(a.0.load(Ordering::Relaxed), 1);
    }
}
