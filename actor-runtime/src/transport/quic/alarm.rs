//! What a reader has to look after at some time, at the price of one timer that is rarely touched.
//!
//! A timer that is set anew for each batch costs more than the batch. So this one is only ever set to an earlier time than
//! it has; when it rings too early, it is set again.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use super::config;
use crate::node::clock;

pin_project! {
    pub(super) struct Alarm {
        #[pin]
        timer: Sleep,
        // When the timer rings, if it is set.
        set: Option<Instant>,
        // When to see to replies that were left lying.
        flush: Option<Instant>,
        // How long it was, or will be, from one look to the next.
        pause: Duration,
        // How long the rest of a frame may still take.
        rest: Option<Instant>,
    }
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self {
            timer: clock::sleep_until(clock::now()),
            set: None,
            flush: None,
            pause: Duration::ZERO,
            rest: None,
        }
    }

    /// Something may be left lying: it is to be seen to after this time, counted from the first of several.
    pub(super) fn flush_within(self: Pin<&mut Self>, time: Duration) {
        let this = self.project();
        if this.flush.is_none() || *this.pause > time {
            *this.pause = time;
            *this.flush = Some(clock::now() + time);
        }
    }

    /// Something may still be left lying later: the next look is after twice the time. So nothing lies longer than what
    /// it came from took.
    pub(super) fn flush_again(self: Pin<&mut Self>) {
        let this = self.project();
        *this.pause = this.pause.saturating_mul(2);
        *this.flush = Some(clock::now() + *this.pause);
    }

    /// Whether a frame has begun and not ended.
    pub(super) fn expect_more(self: Pin<&mut Self>, partial: bool) {
        *self.project().rest = partial.then(|| clock::now() + config::STREAM_PATIENCE);
    }

    /// Ends when something is to be looked at. Never, if there is nothing.
    pub(super) async fn rings(mut self: Pin<&mut Self>) {
        poll_fn(|cx| {
            let mut this = self.as_mut().project();
            let Some(wanted) = this.flush.iter().chain(&*this.rest).min().copied() else {
                return Poll::Pending;
            };
            loop {
                if this.set.is_none_or(|set| wanted < set) {
                    this.timer.as_mut().reset(wanted);
                    *this.set = Some(wanted);
                }
                if this.timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                *this.set = None;
                if wanted <= clock::now() {
                    return Poll::Ready(());
                }
            }
        })
        .await;
    }

    /// Whether it is time to see to what was left lying; told once.
    pub(super) fn is_time_to_flush(self: Pin<&mut Self>) -> bool {
        self.project().flush.take_if(|at| *at <= clock::now()).is_some()
    }

    /// Whether the rest of a frame did not come in time.
    pub(super) fn is_too_late(&self) -> bool {
        self.rest.is_some_and(|at| at <= clock::now())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_rings_for_what_is_first_and_again_for_what_is_left() {
        let start = clock::now();
        let mut alarm = pin!(Alarm::new());
        alarm.as_mut().expect_more(true);
        alarm.as_mut().flush_within(Duration::from_millis(1));
        alarm.as_mut().flush_within(Duration::from_millis(9));
        alarm.as_mut().rings().await;
        assert_eq!(clock::now() - start, Duration::from_millis(1));
        assert!(alarm.as_mut().is_time_to_flush() && !alarm.as_mut().is_time_to_flush());
        assert!(!alarm.is_too_late());
        alarm.as_mut().rings().await;
        assert_eq!(clock::now() - start, config::STREAM_PATIENCE);
        assert!(alarm.is_too_late());
    }

    #[tokio::test(start_paused = true)]
    async fn looks_grow_rarer_until_something_new_comes() {
        let start = clock::now();
        let mut alarm = pin!(Alarm::new());
        let mut looks = Vec::new();
        alarm.as_mut().flush_within(Duration::from_millis(1));
        for look in 0..5 {
            alarm.as_mut().rings().await;
            assert!(alarm.as_mut().is_time_to_flush());
            looks.push((clock::now() - start).as_millis());
            alarm.as_mut().flush_again();
            if look == 3 {
                alarm.as_mut().flush_within(Duration::from_millis(1));
            }
        }
        assert_eq!(looks, [1, 3, 7, 15, 16]);
    }

    async fn rings_within(alarm: Pin<&mut Alarm>, seconds: u64) -> bool {
        tokio::select! {
            () = alarm.rings() => true,
            () = clock::sleep_until(clock::now() + Duration::from_secs(seconds)) => false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_come_is_not_waited_for() {
        let start = clock::now();
        let mut alarm = pin!(Alarm::new());
        alarm.as_mut().expect_more(true);
        assert!(!rings_within(alarm.as_mut(), 3).await);
        alarm.as_mut().expect_more(false);
        assert!(!rings_within(alarm.as_mut(), 60).await);
        alarm.as_mut().expect_more(true);
        alarm.as_mut().rings().await;
        assert_eq!(clock::now() - start, Duration::from_secs(63) + config::STREAM_PATIENCE);
    }
}
