//! Tasks of a node.
#![expect(clippy::disallowed_methods, reason = "the node is where tasks are spawned")]

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    runtime::Handle,
    task::{AbortHandle, JoinHandle},
};

/// A task that runs on a node. Dropping this leaves the task running.
///
/// As a future it gives what the task returned.
#[derive(Debug)]
pub struct Task<T>(JoinHandle<T>);

impl<T> Task<T> {
    /// Ends the task at its next await.
    pub fn abort(&self) {
        self.0.abort();
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    pub(crate) fn abort_on_drop(&self) -> AbortOnDrop {
        AbortOnDrop(self.0.abort_handle())
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let end = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(end.map_err(|error| TaskError { panicked: error.is_panic() }))
    }
}

/// A task that gave nothing back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskError {
    panicked: bool,
}

impl TaskError {
    /// Whether it panicked; otherwise it was aborted, or its runtime ended.
    pub fn is_panic(&self) -> bool {
        self.panicked
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.panicked {
            "the task panicked"
        } else {
            "the task was aborted or its runtime ended"
        })
    }
}

impl Error for TaskError {}

/// Ends a task when it is dropped.
pub(crate) struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) fn spawn<F>(runtime: &Handle, future: F) -> Task<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    Task(runtime.spawn(future))
}

pub(crate) fn spawn_blocking<T: Send + 'static>(
    runtime: &Handle,
    code: impl FnOnce() -> T + Send + 'static,
) -> Task<T> {
    Task(runtime.spawn_blocking(code))
}
