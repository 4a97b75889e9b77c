//! The clock and the tasks of this crate: tokio's, so that tests can pause the time. A resolver serves nodes and belongs to
//! none, so there is no node to ask.
#![expect(clippy::disallowed_methods, reason = "this is the one place of the crate that touches them")]

use std::{future::Future, time::Duration};

use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, Sleep},
};

/// What time it is.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Ends after this time.
pub(crate) fn sleep(time: Duration) -> Sleep {
    tokio::time::sleep(time)
}

/// What the future gives, or `None` if it takes longer.
pub(crate) async fn within<F: Future>(time: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(time, future).await.ok()
}

/// Runs a future on a task of its own; `None` outside of a tokio runtime.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Option<JoinHandle<()>> {
    Some(Handle::try_current().ok()?.spawn(future))
}

/// Runs a function that may wait, for files for example, on a thread for that. It has to be called on a tokio runtime.
#[cfg(any(feature = "dns", feature = "file", feature = "kubernetes"))]
pub(crate) fn spawn_blocking<T: Send + 'static>(
    function: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    tokio::task::spawn_blocking(function)
}
