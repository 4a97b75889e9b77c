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

/// What the function gives, which may wait for files; it runs on a thread for that.
///
/// # Errors
/// If it panicked, or the runtime ends.
#[cfg(any(feature = "dns", feature = "file"))]
pub(crate) async fn blocking<T: Send + 'static>(
    function: impl FnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    tokio::task::spawn_blocking(function).await
}
