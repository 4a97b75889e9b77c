//! A backend that has had too much asks for a pause.

use std::time::Duration;

use hyper::{HeaderMap, header::RETRY_AFTER};
use tokio::time::Instant;

use crate::{
    clock,
    sync::{Mutex, lock},
};

/// The longest pause that a backend can ask for.
const LONGEST: Duration = Duration::from_secs(300);

/// Who knows nothing yet waits no longer than this without a word.
const SHORT: Duration = Duration::from_secs(1);

/// Until when a backend is left alone, and why.
#[derive(Debug, Default)]
pub(crate) struct Holdoff {
    present: Mutex<Option<Present>>,
}

#[derive(Debug)]
struct Present {
    until: Instant,
    reason: String,
}

impl Holdoff {
    /// It is left alone for this long from now on, at most five minutes, since it said this.
    pub(crate) fn begin(&self, time: Duration, reason: &str) {
        let until = clock::now() + time.min(LONGEST);
        let mut present = lock(&self.present);
        if present.as_ref().is_none_or(|present| present.until < until) {
            *present = Some(Present { until, reason: reason.to_owned() });
        }
    }

    /// Ends when it may be asked again, for a question with an answer or a failure of before, which serves meanwhile.
    ///
    /// # Errors
    /// Without one: why it is left alone, at once, if that lasts for more than a second.
    pub(crate) async fn passed(&self, has_answer: bool) -> Result<(), String> {
        loop {
            let left = match &*lock(&self.present) {
                None => return Ok(()),
                Some(present) => {
                    let left = present.until.saturating_duration_since(clock::now());
                    if left > SHORT && !has_answer {
                        return Err(format!("it is left alone, since it said: {}", present.reason));
                    }
                    left
                }
            };
            if left.is_zero() {
                return Ok(());
            }
            clock::sleep(left).await;
        }
    }
}

/// The pause that an answer asks for, in seconds. A date is not understood: a clock that differs would make it anything.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_backend_is_left_alone_for_as_long_as_it_asks_but_not_for_ever() {
        let (holdoff, began) = (Holdoff::default(), clock::now());
        holdoff.passed(false).await.unwrap();
        assert_eq!(clock::now(), began);
        holdoff.begin(Duration::from_secs(7), "seven");
        holdoff.begin(Duration::from_secs(2), "two");
        let error = holdoff.passed(false).await.unwrap_err();
        assert_eq!((&*error, clock::now()), ("it is left alone, since it said: seven", began));
        holdoff.passed(true).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 7);
        holdoff.begin(SHORT, "short");
        holdoff.passed(false).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 8);
        holdoff.begin(Duration::from_secs(u64::MAX), "long");
        holdoff.passed(true).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 308);
    }
}
