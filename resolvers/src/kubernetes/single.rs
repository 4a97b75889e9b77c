//! Work that is done one at a time, for all who wait for it.

use std::time::Duration;

use tokio::{sync::Mutex, task::JoinHandle, time::Instant};

use crate::clock;

/// Whoever asks this soon after a failure hears of that one.
const AGAIN: Duration = Duration::from_secs(1);

/// One piece of work that may block. It goes on when nobody waits for it any more, and the next who asks gets what it gives.
pub(super) struct Single<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    running: Option<JoinHandle<Result<T, String>>>,
    failed: Option<(Instant, String)>,
}

impl<T: Send + 'static> Single<T> {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { running: None, failed: None }) }
    }

    /// What the work gives that is under way, or else this one, within `time`.
    ///
    /// # Cancel safety
    /// The future can be dropped: the work goes on.
    pub(super) async fn run(
        &self,
        time: Duration,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let ran = clock::within(time, async {
            let mut state = self.state.lock().await;
            if let Some((at, error)) = &state.failed
                && at.elapsed() < AGAIN
            {
                return Err(error.clone());
            }
            let running = state.running.get_or_insert_with(|| clock::spawn_blocking(work));
            let ran =
                running.await.unwrap_or_else(|error| Err(format!("the credentials were not read: {error}")));
            state.running = None;
            state.failed = ran.as_ref().err().map(|error| (clock::now(), error.clone()));
            ran
        });
        ran.await.unwrap_or_else(|| Err(format!("there were no credentials within {time:?}")))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    };

    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn work_that_nobody_waits_for_goes_on_and_is_not_begun_twice() {
        let (single, begun) = (Single::new(), Arc::new(AtomicUsize::new(0)));
        let (go, gone) = mpsc::channel();
        let first = {
            let begun = begun.clone();
            single.run(Duration::from_millis(50), move || {
                begun.fetch_add(1, SeqCst);
                gone.recv().map_err(|error| error.to_string())
            })
        };
        assert_eq!(first.await.unwrap_err(), "there were no credentials within 50ms");
        go.send(7).unwrap();
        assert_eq!(single.run(Duration::from_secs(10), || Ok(8)).await, Ok(7));
        assert_eq!(begun.load(SeqCst), 1);
        assert_eq!(single.run(Duration::from_secs(10), || Ok(8)).await, Ok(8));
    }

    #[tokio::test]
    async fn all_who_wait_hear_of_one_failure() {
        let (single, begun) = (Single::<()>::new(), Arc::new(AtomicUsize::new(0)));
        let all = join_all((0..20).map(|_| {
            let begun = begun.clone();
            single.run(Duration::from_secs(10), move || {
                begun.fetch_add(1, SeqCst);
                Err("it burns".to_owned())
            })
        }));
        assert!(all.await.iter().all(|ran| *ran == Err("it burns".to_owned())));
        assert_eq!(begun.load(SeqCst), 1);
    }
}
