//! Threads for actors, apart from those of the node's own runtime.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        RwLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
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

/// How long each thread may take to start, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there are no threads.
#[derive(Debug)]
pub(crate) enum WorkersError {
    Start(io::Error),
    Affinity { cpu: usize, error: io::Error },
}

impl Workers {
    /// Starts so many threads. With processors, the first thread runs on the first of them only, and so on, around.
    pub(crate) fn start(name: &str, threads: usize, cpus: &[usize]) -> Result<Self, WorkersError> {
        probe(threads).map_err(WorkersError::Start)?;
        let (started, starting) = mpsc::channel();
        let (next, cpus) = (AtomicUsize::new(0), cpus.to_vec());
        let on_start = move || {
            // The workers are the first ones; those of `spawn_blocking` come later, and may run anywhere.
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number < threads {
                let cpu = (!cpus.is_empty()).then(|| cpus[number % cpus.len()]);
                let pinned = cpu.map_or(Ok(()), |cpu| affinity::bind(cpu).map_err(|error| (cpu, error)));
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
        for started in 0..threads {
            // Those that were there a moment ago may be gone: tokio waits then for one of the others to be free.
            let pinned = starting.recv_timeout(PATIENCE).map_err(|_| {
                let why = format!("the system gave {started} threads, and within {PATIENCE:?} no more");
                WorkersError::Start(io::Error::other(why))
            })?;
            pinned.map_err(|(cpu, error)| WorkersError::Affinity { cpu, error })?;
        }
        Ok(workers)
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Whether the system has so many threads. Where it gives some and then no more, tokio waits for ever for those that it was
/// given, and cannot be told to end them.
fn probe(threads: usize) -> io::Result<()> {
    let gate = RwLock::new(());
    thread::scope(|scope| {
        let _closed = gate.write();
        for _ in 0..threads {
            thread::Builder::new().spawn_scoped(scope, || drop(gate.read()))?;
        }
        Ok(())
    })
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
