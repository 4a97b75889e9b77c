//! What carries a link's bytes over one connection.
//!
//! One task writes the control stream, one lends the lane's to the [pump](super::pump) and sees that the other side reads it, one
//! sees to streams of their own and to the end, one takes streams and reads each in a task of its own, one waits for the
//! connection to end. When it has, all of them end.

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use quinn::{Connection, ConnectionError};
use tokio::runtime::Handle;

use super::{
    Place, config, failures,
    read::read,
    write::{ConnectionPump, Leaving, control, lane, send},
};
use crate::{
    call::FailureKind,
    node::{AbortOnDrop, Task, clock, linger::Linger, task},
    proto::{Abort, CloseCode, StreamKind, StreamWork},
    sync::{Mutex, lock},
    transport::{Link, signal::Signal},
};

/// One connection, for the tasks that carry its bytes.
pub(super) struct Driver {
    pub(super) handle: Handle,
    /// Is told of what comes on the lane.
    pub(super) linger: Option<Arc<Linger>>,
    pub(super) link: Arc<Link>,
    pub(super) connection: Connection,
    /// The control stream and the lane are to be finished.
    pub(super) finish: Signal<bool>,
    /// Streams of their own that are under way.
    pub(super) bodies: Mutex<HashMap<(bool, StreamKind), AbortOnDrop>>,
    pub(super) receiving: AtomicU32,
    pub(super) permitted: AtomicU32,
    /// How often something was written: the other side reads.
    pub(super) written: AtomicU64,
    /// The other side has opened its control stream, its lane.
    pub(super) control: AtomicBool,
    pub(super) lane: AtomicBool,
    /// Counts the bodies that were sent.
    pub(super) sent: AtomicU32,
    /// Counts what arrives of bodies.
    pub(super) arrived: AtomicU32,
}

/// How long last words may take.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Carries the link's bytes from now on.
pub(super) fn start(
    network: &Place,
    link: &Arc<Link>,
    connection: Connection,
    pump: Option<Arc<ConnectionPump>>,
    idle: Duration,
) {
    let driver = Arc::new(Driver {
        handle: network.handle.clone(),
        linger: network.linger.clone(),
        link: link.clone(),
        connection,
        finish: Signal::new(false),
        bodies: Mutex::default(),
        receiving: AtomicU32::new(0),
        permitted: AtomicU32::new(config::FIRST_STREAMS),
        written: AtomicU64::new(0),
        control: AtomicBool::new(false),
        lane: AtomicBool::new(false),
        sent: AtomicU32::new(0),
        arrived: AtomicU32::new(0),
    });
    let cut_off = CutOff(link.clone());
    drop(task::spawn(&network.handle, async move {
        driver.run(pump, idle).await;
        drop(cut_off);
    }));
}

impl Driver {
    async fn run(self: Arc<Self>, pump: Option<Arc<ConnectionPump>>, idle: Duration) {
        let control = self.spawn(control(self.clone()));
        let lane = self.spawn(lane(self.clone(), pump));
        let streams = self.spawn(self.clone().streams(control, lane));
        let taking = self.spawn(self.clone().take_streams());
        let _until_the_end = (streams.abort_on_drop(), taking.abort_on_drop());
        let closed = async {
            let closed = self.connection.closed();
            let mut closed = std::pin::pin!(closed);
            match self.link.timeout() {
                None => closed.await,
                Some(at) => tokio::select! {
                    error = &mut closed => error,
                    () = clock::sleep_until(at) => {
                        self.link.time_passed();
                        closed.await
                    }
                },
            }
        };
        let error = tokio::select! {
            biased;
            error = closed => error,
            () = self.silence(idle) => {
                self.connection.close(CloseCode::Silent.code().into(), b"nothing was heard for too long");
                ConnectionError::TimedOut
            }
        };
        // What is still under way ends with this.
        let bodies = std::mem::take(&mut *lock(&self.bodies));
        drop(bodies);
        self.link.read_all();
        failures::tell(&self.link, &error, idle);
    }

    fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        task::spawn(&self.handle, future)
    }

    /// Ends when nothing has been heard for the idle time, at most a third of it later.
    ///
    /// QUIC's own idle timer is not enough: it waits for three probe timeouts if these are longer, and they are many
    /// seconds once a round trip has taken one, as it does when a peer was frozen for a while.
    async fn silence(&self, idle: Duration) {
        let heard = || self.connection.stats().udp_rx.datagrams;
        let (mut before, mut silent) = (heard(), 0);
        while silent < 3 {
            clock::sleep_until(clock::now() + idle / 3).await;
            let now = heard();
            silent = if now == before { silent + 1 } else { 0 };
            before = now;
        }
    }

    /// Sees to streams of their own, and to the end that this side wants.
    async fn streams(self: Arc<Self>, control: Task<()>, lane: Task<()>) {
        let _until_the_end = (control.abort_on_drop(), lane.abort_on_drop());
        loop {
            match poll_fn(|cx| self.link.poll_streams(cx)).await {
                StreamWork::Send(body) => {
                    let leaving = Leaving::new(&self.link, body.weight());
                    self.carry(false, body.kind, send(self.clone(), body.kind, body.bytes, leaving));
                }
                StreamWork::Abort(abort) => {
                    let key = match abort {
                        Abort::Sending(kind) => (false, kind),
                        Abort::Receiving(kind) => (true, kind),
                    };
                    let aborted = lock(&self.bodies).remove(&key);
                    drop(aborted);
                }
                StreamWork::Close(closing) => {
                    self.finish.set(true);
                    let written = async {
                        let _ = tokio::join!(control, lane);
                    };
                    tokio::select! {
                        () = written => {}
                        () = clock::sleep_until(clock::now() + LAST_WORDS) => {}
                    }
                    let peer = self.link.far();
                    if closing.code.code() != 0 {
                        tracing::warn!(%peer, cause = %closing.reason, "broke a connection off");
                    }
                    return self.connection.close(closing.code.code().into(), closing.reason.as_bytes());
                }
            }
        }
    }

    /// After long waiting, while so much had been written before: none if nothing was since, on any stream.
    pub(super) fn check_read(&self, before: u64) -> Option<()> {
        if self.written.load(Ordering::Relaxed) != before {
            return Some(());
        }
        self.link.unread();
        None
    }

    /// Ends when nothing has arrived of any body for too long.
    pub(super) async fn patience(&self) {
        loop {
            let before = self.arrived.load(Ordering::Relaxed);
            clock::sleep_until(clock::now() + config::STREAM_PATIENCE).await;
            if self.arrived.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }

    /// Carries a body in a task that is there to be broken off.
    pub(super) fn carry<F>(&self, receiving: bool, kind: StreamKind, carrying: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // Under the lock: that it is not needed may be found between its beginning and its being kept.
        let mut bodies = lock(&self.bodies);
        let task = self.spawn(carrying);
        let before = bodies.insert((receiving, kind), task.abort_on_drop());
        drop(bodies);
        drop(before);
    }

    pub(super) fn forget(&self, receiving: bool, kind: StreamKind) {
        let ended = lock(&self.bodies).remove(&(receiving, kind));
        drop(ended);
    }

    /// Takes the streams of the other side.
    async fn take_streams(self: Arc<Self>) {
        let mut readers = tokio::task::JoinSet::new();
        while let Ok(stream) = self.connection.accept_uni().await {
            self.make_room();
            let reader = read(self.clone(), stream);
            readers.spawn_on(reader, &self.handle);
            while readers.try_join_next().is_some() {}
        }
    }

    /// Permits more streams where nearly all are in use.
    fn make_room(&self) {
        let open = self.receiving.fetch_add(1, Ordering::Relaxed) + 1;
        let permitted = self.permitted.load(Ordering::Relaxed);
        if open >= permitted / 4 * 3 && permitted < config::MOST_STREAMS {
            let more = (2 * permitted).min(config::MOST_STREAMS);
            self.permitted.store(more, Ordering::Relaxed);
            self.connection.set_max_concurrent_uni_streams(more.into());
        }
    }
}

/// However the driver ends, also with its runtime: no link waits for it afterwards.
struct CutOff(Arc<Link>);

impl Drop for CutOff {
    fn drop(&mut self) {
        if !self.0.has_ended() {
            self.0.lost(FailureKind::Stopped, "the runtime that the connection ran on has ended");
        }
        self.0.dropped();
    }
}
