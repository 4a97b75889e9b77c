//! What quinn runs on: tokio, and a [pump](ConnectionPump) for each connection in place of a task.

use std::{cell::RefCell, future::Future, io, pin::Pin, sync::Arc, time::Instant};

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use tokio::runtime::Handle;

use super::write::ConnectionPump;
use crate::node::task;

/// The runtime of a node's network.
#[derive(Debug)]
pub(super) struct NetworkRuntime(pub(super) Handle);

thread_local! {
    /// What was spawned by the call that is being watched.
    static SPAWNED: RefCell<Option<Vec<Arc<ConnectionPump>>>> = const { RefCell::new(None) };
}

/// Has quinn begin a connection, and gives what drives it: quinn spawns that before it returns, and tells nobody.
pub(super) fn begun<T>(begin: impl FnOnce() -> T) -> (T, Option<Arc<ConnectionPump>>) {
    let _unwatched = Unwatched;
    SPAWNED.set(Some(Vec::new()));
    let begun = begin();
    (begun, SPAWNED.take().and_then(|mut spawned| spawned.pop()))
}

/// Nothing is watched any more, also where quinn has panicked.
struct Unwatched;

impl Drop for Unwatched {
    fn drop(&mut self) {
        drop(SPAWNED.take());
    }
}

impl Runtime for NetworkRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        let _entered = self.0.enter();
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let watched = SPAWNED.with_borrow(Option::is_some);
        if !watched {
            drop(task::spawn(&self.0, future));
            return;
        }
        // The budget of a user's task is not the connection's: where it is used up, the driver would see nothing that has
        // come, and not be woken for more.
        let future = Box::pin(tokio::task::unconstrained(future));
        let (pump, driving) = ConnectionPump::new(Some(self.0.clone()), future);
        drop(task::spawn(&self.0, driving));
        SPAWNED.with_borrow_mut(|spawned| spawned.get_or_insert_default().push(pump));
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let _entered = self.0.enter();
        watched(socket)
    }

    fn now(&self) -> Instant {
        // Of the runtime that was entered: the network's, also in a turn of another thread.
        TokioRuntime.now()
    }
}

#[cfg(unix)]
fn watched(socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    Ok(Arc::new(super::socket::Socket::new(socket)?))
}

#[cfg(not(unix))]
fn watched(socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    TokioRuntime.wrap_udp_socket(socket)
}
