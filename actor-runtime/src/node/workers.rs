//! Threads for actors, apart from those of the node's own runtime.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use tokio::runtime::{Builder, Handle, Runtime};

use super::affinity;
use crate::panics::text_of;

/// Threads with a runtime of their own, until this is dropped.
pub(crate) struct Workers {
    handle: Handle,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

/// Why there are no threads.
#[derive(Debug)]
pub(crate) enum WorkersError {
    Start(io::Error),
    Affinity { cpu: usize, error: io::Error },
}

impl Workers {
    /// Starts so many threads. With processors, the first thread runs on the first of them only, and so on, around.
    pub(crate) fn start(name: &str, threads: usize, cpus: &[usize]) -> Result<Self, WorkersError> {
        let (started, starting) = mpsc::channel();
        let (next, cpus) = (AtomicUsize::new(0), cpus.to_vec());
        let on_start = move || {
            // The workers are the first ones; those of `spawn_blocking` come later, and may run anywhere.
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number < threads {
                let cpu = (!cpus.is_empty()).then(|| cpus[number % cpus.len()]);
                let pinned = cpu.map_or(Ok(()), |cpu| affinity::pin(cpu).map_err(|error| (cpu, error)));
                // Nobody listens any more if another one failed.
                let _ = started.send(pinned);
            }
        };
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(threads).thread_name(name).on_thread_start(on_start).enable_all();
        // Where the system gives no thread, tokio panics.
        let built = catch_unwind(AssertUnwindSafe(|| builder.build()));
        let runtime = built
            .unwrap_or_else(|panic| Err(io::Error::other(text_of(&*panic))))
            .map_err(WorkersError::Start)?;
        let workers = Self { handle: runtime.handle().clone(), runtime: Some(runtime) };
        for pinned in starting.iter().take(threads) {
            pinned.map_err(|(cpu, error)| WorkersError::Affinity { cpu, error })?;
        }
        Ok(workers)
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// The threads end when they have nothing to run, or at their next await; nobody waits for that. It may be one of them
/// that drops this.
impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
