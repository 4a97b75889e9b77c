//! The end of a program that serves: SIGTERM drains.

use std::{io, time::Duration};

use super::{ActorServer, ShutdownError};

impl ActorServer {
    /// Serves until the process is asked to end (SIGTERM, or Ctrl-C), then shuts down with this grace: the last line of
    /// a program that serves.
    ///
    /// ```no_run
    /// # use actor_runtime::prelude::*;
    /// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = ActorServer::bind("127.0.0.1:7000").await?;
    /// server.run_until_signal(Duration::from_secs(10)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ServeError`]: signals cannot be heard, or not everything ended within the grace.
    ///
    /// # Cancel safety
    /// As [`shutdown`](Self::shutdown) once the signal has come; before, nothing happens.
    pub async fn run_until_signal(&self, grace: Duration) -> Result<(), ServeError> {
        let asked = asked_to_end().await.map_err(|error| ServeError::Signal { reason: error.to_string() })?;
        tracing::info!(signal = asked, ?grace, "shutting down");
        Ok(self.shutdown(grace).await?)
    }
}

#[cfg(unix)]
async fn asked_to_end() -> io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

#[cfg(not(unix))]
async fn asked_to_end() -> io::Result<&'static str> {
    tokio::signal::ctrl_c().await.map(|()| "Ctrl-C")
}

/// Why a program that served did not end well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The process cannot hear signals.
    #[error("the process cannot hear signals: {reason}")]
    Signal {
        /// What the system said.
        reason: String,
    },
    /// Not everything ended within the grace.
    #[error(transparent)]
    Shutdown(#[from] ShutdownError),
}
