//! The threads of a process: where callers and handlers run, and where the network does.

use std::{future::Future, io, thread};

use tokio::runtime::{Builder, Handle, Runtime};

/// The threads of one process.
pub(crate) struct Places {
    callers: Runtime,
    network: Handle,
}

/// Ways to start something on them.
#[derive(Clone)]
pub(crate) struct Handles {
    pub(crate) callers: Handle,
    pub(crate) network: Handle,
}

impl Places {
    /// Two workers for everything.
    pub(crate) fn two_workers() -> io::Result<Self> {
        let callers = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        Ok(Self { network: callers.handle().clone(), callers })
    }

    /// Two workers, and a thread for the network.
    pub(crate) fn network_thread() -> io::Result<Self> {
        let network = Builder::new_current_thread().enable_all().build()?;
        let handle = network.handle().clone();
        thread::Builder::new()
            .name("network".to_owned())
            .spawn(move || network.block_on(std::future::pending::<()>()))?;
        Ok(Self { network: handle, ..Self::two_workers()? })
    }

    /// This thread for everything.
    pub(crate) fn one_thread() -> io::Result<Self> {
        let callers = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { network: callers.handle().clone(), callers })
    }

    pub(crate) fn handles(&self) -> Handles {
        Handles { callers: self.callers.handle().clone(), network: self.network.clone() }
    }

    /// Runs the future where callers run. Not on the thread of `block_on`, where there are workers: each wake-up of
    /// it would cross threads.
    pub(crate) fn run<F>(&self, future: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.callers.block_on(async { tokio::spawn(future).await.expect("a measurement does not panic") })
    }
}

impl Handles {
    /// Runs the future where the network runs, and waits for it.
    pub(crate) async fn on_network<F>(&self, future: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.network.spawn(future).await.expect("the network does not panic")
    }
}
