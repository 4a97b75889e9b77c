//! Waiting on a thread that is nobody's worker.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use tokio::{runtime::Handle, time::Instant};

use super::clock;

/// Makes sure that this thread may be blocked: that it does not drive async code now.
///
/// Only tokio knows, and says so by a panic of its own; asking it lets threads of `spawn_blocking`, `block_in_place` and
/// a mere `enter` pass, where there is a runtime and blocking is right all the same.
///
/// # Panics
/// If it drives async code.
#[track_caller]
pub(crate) fn refuse_in_async(what: &str) {
    let Ok(handle) = Handle::try_current() else { return };
    let may_block = catch_unwind(AssertUnwindSafe(|| handle.block_on(async {}))).is_ok();
    assert!(
        may_block,
        "`{what}` would block a thread that drives async code, and with it everything else that this thread has to do: \
         write `.await` here; or, in code that cannot, call it inside `tokio::task::spawn_blocking`, or inside \
         `tokio::task::block_in_place` on a multi-threaded runtime"
    );
}

/// Polls a future on this thread until it ends, and sleeps meanwhile. `None` if it is not over at its limit, which is
/// asked for after each poll.
pub(crate) fn wait<F: Future + Unpin>(
    mut future: &mut F,
    limit: impl Fn(&F) -> Option<Instant>,
) -> Option<F::Output> {
    let parked = Arc::new(Parked { thread: thread::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(parked.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(end) = Pin::new(&mut future).poll(&mut cx) {
            return Some(end);
        }
        let limit = limit(future);
        while !parked.woken.swap(false, Ordering::Acquire) {
            match limit.map(|limit| limit.saturating_duration_since(clock::now())) {
                None => thread::park(),
                Some(left) if left.is_zero() => return None,
                Some(left) => thread::park_timeout(left),
            }
        }
    }
}

/// A thread that sleeps. The flag is what counts: other code of the thread may use up the token of a wake.
struct Parked {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, time::Duration};

    use super::*;

    #[test]
    fn a_wake_whose_token_somebody_took_is_not_lost() {
        let mut polls = 0;
        let mut future = pin!(poll_fn(|cx| {
            polls += 1;
            if polls == 3 {
                return Poll::Ready(polls);
            }
            cx.waker().wake_by_ref();
            thread::park();
            Poll::Pending
        }));
        assert_eq!(wait(&mut future, |_| None), Some(3));
    }

    #[test]
    fn a_wait_ends_at_its_limit() {
        let until = clock::now() + Duration::from_millis(20);
        assert_eq!(wait(&mut std::future::pending::<()>(), |_| Some(until)), None);
        assert!(clock::now() >= until);
    }
}
