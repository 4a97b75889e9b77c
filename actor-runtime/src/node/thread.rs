//! The network thread: sockets, timers and streams of a node, away from the threads that run handlers.
//!
//! A handler that blocks its thread holds up other handlers, but no connection: what keeps those alive runs here.

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

use super::{clock, linger::Linger};

/// A thread with a runtime of its own, until this is dropped.
pub(crate) struct NetworkThread {
    handle: Handle,
    linger: Arc<Linger>,
    /// Dropped, it ends the runtime.
    _stop: oneshot::Sender<()>,
}

/// Connections that were closed are still to be told so.
async fn last_words() {
    let until = clock::now() + Duration::from_secs(1);
    while Handle::current().metrics().num_alive_tasks() > 0 && clock::now() < until {
        clock::sleep_until(clock::now() + Duration::from_millis(5)).await;
    }
}

impl NetworkThread {
    /// It looks for more for so long before it sleeps, and follows its workers.
    pub(crate) fn start(linger: Duration, follows: bool) -> io::Result<Self> {
        let (started, starting) = mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let linger = Arc::new(Linger::new(linger, follows));
        let lingers = linger.clone();
        thread::Builder::new().name("actor-network".to_owned()).spawn(move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error))),
            };
            if started.send(Ok(runtime.handle().clone())).is_ok() {
                runtime.block_on(async {
                    tokio::select! {
                        biased;
                        // An error means what a message would: the node is gone.
                        _ = stopped => {}
                        never = lingers.run() => never,
                    }
                });
                runtime.block_on(last_words());
            }
            runtime.shutdown_background();
        })?;
        let handle = starting.recv().map_err(io::Error::other)??;
        Ok(Self { handle, linger, _stop: stop })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// To be told of what comes.
    pub(crate) fn linger(&self) -> &Arc<Linger> {
        &self.linger
    }
}
