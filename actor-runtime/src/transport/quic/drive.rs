//! What carries a link's bytes over one connection.
//!
//! Two tasks write (control, lane), one sees to streams of their own and to the end, one takes streams and reads each
//! in a task of its own, one waits for the connection to end. When it has, all of them end.

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt};
use tokio::{runtime::Handle, sync::Notify};

use super::{alarm::Alarm, config, failures};
use crate::{
    call::FailureKind,
    cork::Flush,
    node::{AbortOnDrop, Task, clock, task},
    proto::{Abort, CloseCode, Expected, Frame, FrameReader, StreamKind, StreamWork},
    sync::{Mutex, lock},
    transport::{Link, signal::Signal},
};

/// One connection, for the tasks that carry its bytes.
struct Driver {
    handle: Handle,
    link: Arc<Link>,
    connection: Connection,
    /// Frames of the lane were taken in: a body may have its header now.
    lane_moved: Notify,
    /// The control stream and the lane are to be finished.
    finish: Signal<bool>,
    /// Streams of their own that are under way.
    bodies: Mutex<HashMap<(bool, StreamKind), AbortOnDrop>>,
    receiving: AtomicU32,
    permitted: AtomicU32,
    /// How often something was written: the other side reads.
    written: AtomicU64,
    /// The other side has opened its control stream, its lane.
    control: AtomicBool,
    lane: AtomicBool,
    /// Counts the bodies that were sent.
    sent: AtomicU32,
    /// Counts what arrives of bodies.
    arrived: AtomicU32,
}

/// A stream that was reset or stopped because nobody needs it any more.
const NOT_NEEDED: VarInt = VarInt::from_u32(1);
/// A stream of a kind that this release does not know.
const UNKNOWN: VarInt = VarInt::from_u32(2);

/// How long last words may take.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Carries the link's bytes from now on.
pub(super) fn start(handle: &Handle, link: &Arc<Link>, connection: Connection, idle: Duration) {
    let driver = Arc::new(Driver {
        handle: handle.clone(),
        link: link.clone(),
        connection,
        lane_moved: Notify::new(),
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
    drop(task::spawn(handle, async move {
        driver.run(idle).await;
        drop(cut_off);
    }));
}

impl Driver {
    async fn run(self: Arc<Self>, idle: Duration) {
        let control = self.spawn(write(self.clone(), StreamKind::Control));
        let lane = self.spawn(write(self.clone(), StreamKind::Lane));
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
                    let leaving = Leaving::new(&self.link, body.reply_bytes());
                    let sending = self.spawn(send(self.clone(), body.kind, body.bytes, leaving));
                    self.keep(false, body.kind, &sending);
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
    fn check_read(&self, before: u64) -> Option<()> {
        if self.written.load(Ordering::Relaxed) != before {
            return Some(());
        }
        self.link.unread();
        None
    }

    /// Ends when nothing has arrived of any body for too long.
    async fn patience(&self) {
        loop {
            let before = self.arrived.load(Ordering::Relaxed);
            clock::sleep_until(clock::now() + config::STREAM_PATIENCE).await;
            if self.arrived.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }

    fn keep(&self, receiving: bool, kind: StreamKind, task: &Task<()>) {
        let mut bodies = lock(&self.bodies);
        bodies.insert((receiving, kind), task.abort_on_drop());
        // It may have ended before it was kept.
        if task.is_finished() {
            bodies.remove(&(receiving, kind));
        }
    }

    fn forget(&self, receiving: bool, kind: StreamKind) {
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

/// Writes the control stream or the lane, all that there is at once.
async fn write(driver: Arc<Driver>, kind: StreamKind) {
    let Some(mut stream) = open(&driver).await else { return };
    let priority = i32::from(kind == StreamKind::Control);
    // Ahead of bodies; an error says that the stream is closed, and so will the next write.
    let _ = stream.set_priority(1 + priority);
    if !write_all(&driver, &mut stream, &mut [kind.encode()]).await {
        return;
    }
    let link = &driver.link;
    let next = |cx: &mut Context<'_>| match kind {
        StreamKind::Control => link.poll_control(cx),
        _ => link.poll_lane(cx),
    };
    loop {
        let bytes = match poll_fn(|cx| Poll::Ready(next(cx))).await {
            Poll::Ready(bytes) => bytes,
            Poll::Pending if driver.finish.get() => break,
            Poll::Pending => tokio::select! {
                biased;
                bytes = poll_fn(next) => bytes,
                _ = driver.finish.wait_for(|finish| *finish) => continue,
            },
        };
        if !write_all(&driver, &mut stream, &mut [bytes]).await {
            return;
        }
    }
    if stream.finish().is_ok() {
        // Until the other side has it all.
        let _ = stream.stopped().await;
    }
}

/// Writes one body. Dropped on the way, the stream is reset: nobody takes half a body for a whole one.
async fn send(driver: Arc<Driver>, kind: StreamKind, mut body: Bytes, leaving: Leaving) {
    // As long as its end is here, the call was not delivered.
    driver.link.body_held(kind, true);
    let end = body.split_off(body.len().saturating_sub(1));
    let Some(stream) = open(&driver).await else { return };
    // One after the other, behind the control stream and the lane; an error says that the stream is closed.
    let place = driver.sent.fetch_add(1, Ordering::Relaxed) % i32::MAX.unsigned_abs();
    let _ = stream.set_priority(-place.cast_signed());
    // Whether it is finished; one that is not is reset when it is dropped.
    let mut stream = Unfinished(stream, false);
    if write_all(&driver, &mut stream.0, &mut [kind.encode(), body]).await {
        driver.link.body_held(kind, false);
        stream.1 = write_all(&driver, &mut stream.0, &mut [end]).await && stream.0.finish().is_ok();
    }
    drop(leaving);
    driver.forget(false, kind);
}

/// A body with so many bytes of a reply is under way: they count until it has left.
struct Leaving(Arc<Link>, u64);

impl Leaving {
    fn new(link: &Arc<Link>, bytes: u64) -> Self {
        link.body_leaves(bytes);
        Self(link.clone(), bytes)
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if self.1 > 0 {
            self.0.body_left(self.1);
        }
    }
}

/// Opens a stream, once the other side permits one more.
async fn open(driver: &Driver) -> Option<SendStream> {
    let mut opening = std::pin::pin!(driver.connection.open_uni());
    loop {
        let before = driver.written.load(Ordering::Relaxed);
        tokio::select! {
            biased;
            stream = &mut opening => return stream.ok(),
            () = clock::sleep_until(clock::now() + config::STREAM_PATIENCE) => driver.check_read(before)?,
        }
    }
}

/// Writes all of it. False if the stream is closed, or the other side takes nothing of anything for long.
async fn write_all(driver: &Driver, stream: &mut SendStream, mut chunks: &mut [Bytes]) -> bool {
    while !chunks.is_empty() {
        let before = driver.written.load(Ordering::Relaxed);
        let written = tokio::select! {
            biased;
            written = stream.write_chunks(chunks) => written,
            () = clock::sleep_until(clock::now() + config::STREAM_PATIENCE) => {
                if driver.check_read(before).is_none() {
                    return false;
                }
                continue;
            }
        };
        let Ok(written) = written else { return false };
        driver.written.fetch_add(1, Ordering::Relaxed);
        chunks = &mut chunks[written.chunks..];
    }
    true
}

struct Unfinished(SendStream, bool);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.1 {
            let _ = self.0.reset(NOT_NEEDED);
        }
    }
}

/// Reads a stream of the other side, whatever it is.
async fn read(driver: Arc<Driver>, mut stream: RecvStream) {
    let counted = Counted(&driver.receiving);
    let Some((kind, rest)) = beginning(&driver, &mut stream).await else { return };
    // One of each, or their order would mean nothing.
    let first = match kind {
        StreamKind::Control => !driver.control.swap(true, Ordering::Relaxed),
        StreamKind::Lane => !driver.lane.swap(true, Ordering::Relaxed),
        _ => true,
    };
    if !first {
        return driver.link.violated("a second control stream or lane");
    }
    match kind {
        StreamKind::Control | StreamKind::Lane => {
            frames(&driver, stream, kind, rest).await;
        }
        kind => {
            let mut arriving = Arriving { driver: &driver, kind, complete: false };
            if let Some(body) = receive(&driver, &mut stream, kind, rest).await {
                arriving.complete = true;
                driver.link.body_arrived(kind, body);
            } else {
                let _ = stream.stop(NOT_NEEDED);
            }
        }
    }
    drop(counted);
}

struct Counted<'a>(&'a AtomicU32);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body that arrives; broken off, its call is told.
struct Arriving<'a> {
    driver: &'a Driver,
    kind: StreamKind,
    complete: bool,
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        if !self.complete {
            self.driver.link.body_failed(self.kind);
        }
    }
}

/// What the stream is for, and what came behind that.
async fn beginning(driver: &Driver, stream: &mut RecvStream) -> Option<(StreamKind, Bytes)> {
    let mut bytes = Bytes::new();
    loop {
        match StreamKind::decode(&mut bytes) {
            Ok(Some(kind)) => return Some((kind, bytes)),
            Ok(None) => {}
            Err(_) => {
                // A later release may use it for something that this one can do without.
                let _ = stream.stop(UNKNOWN);
                return None;
            }
        }
        let chunk = tokio::select! {
            chunk = stream.read_chunk(64 * 1024, true) => chunk.ok()??.bytes,
            () = driver.patience() => {
                driver.link.silent("a stream did not say what it is for");
                return None;
            }
        };
        bytes = if bytes.is_empty() { chunk } else { [bytes, chunk].concat().into() };
    }
}

/// When to look whether replies were left lying ([`cork`](crate::cork)).
const LEFT_LYING: Duration = Duration::from_millis(1);

/// How many chunks are taken from quinn at once.
const CHUNKS: usize = 64;

/// Reads the control stream or the lane: all that has arrived at once.
async fn frames(driver: &Driver, mut stream: RecvStream, kind: StreamKind, rest: Bytes) {
    if kind == StreamKind::Lane && driver.link.opened().await.is_err() {
        return;
    }
    let mut reader = FrameReader::default();
    let mut frames: Vec<Frame> = Vec::new();
    let mut chunks: [Bytes; CHUNKS] = [const { Bytes::new() }; CHUNKS];
    chunks[0] = rest;
    let mut taken = 1;
    let mut alarm = pin!(Alarm::new());
    loop {
        for chunk in &mut chunks[..taken] {
            if let Err(error) = reader.read(std::mem::take(chunk), &mut frames) {
                return driver.link.broken(error);
            }
        }
        if !frames.is_empty() {
            if kind == StreamKind::Lane {
                let serves = driver.link.lane(&mut frames);
                driver.lane_moved.notify_waiters();
                if serves {
                    alarm.as_mut().flush_within(LEFT_LYING);
                }
            } else {
                driver.link.control(&mut frames);
            }
        }
        // Only what has arrived buys time for the rest of a frame.
        if taken > 0 {
            alarm.as_mut().expect_more(reader.is_partial());
        }
        let more = tokio::select! {
            biased;
            more = stream.read_chunks(&mut chunks) => Some(more),
            () = alarm.as_mut().rings() => None,
        };
        if alarm.as_mut().is_time_to_flush() {
            // Replies that a handler has behind it, which blocks its thread now.
            driver.link.flush();
            if driver.link.serves() {
                alarm.as_mut().flush_again();
            }
        }
        match more {
            Some(Ok(Some(more))) => taken = more,
            // The other side has said its last words, or the connection is gone.
            Some(Ok(None) | Err(_)) => return,
            None if alarm.is_too_late() => return driver.link.silent("a frame was begun and not ended"),
            None => taken = 0,
        }
    }
}

/// Reads one body. `None` if it was broken off, or nobody needs it.
async fn receive(driver: &Driver, stream: &mut RecvStream, kind: StreamKind, rest: Bytes) -> Option<Bytes> {
    let length = tokio::select! {
        length = expected(driver, kind) => length?,
        () = clock::sleep_until(clock::now() + config::STREAM_PATIENCE) => {
            driver.link.silent("a body came without its call");
            return None;
        }
    };
    // It is within the limits: the machine has looked at it.
    let mut body = BytesMut::with_capacity(usize::try_from(length).ok()?);
    body.extend_from_slice(&rest);
    let mut chunks: [Bytes; CHUNKS] = [const { Bytes::new() }; CHUNKS];
    loop {
        if body.len() as u64 > length {
            driver.link.violated("a body is longer than was said");
            return None;
        }
        let taken = tokio::select! {
            taken = stream.read_chunks(&mut chunks) => taken.ok()?,
            () = driver.patience() => {
                driver.link.silent("a body was begun and not ended");
                return None;
            }
        };
        driver.arrived.fetch_add(1, Ordering::Relaxed);
        let Some(taken) = taken else {
            if (body.len() as u64) < length {
                driver.link.violated("a body is shorter than was said");
                return None;
            }
            return Some(body.freeze());
        };
        for chunk in &mut chunks[..taken] {
            body.extend_from_slice(&std::mem::take(chunk));
        }
    }
}

/// How long a body is to be, once its header has come.
async fn expected(driver: &Driver, kind: StreamKind) -> Option<u64> {
    loop {
        let mut moved = std::pin::pin!(driver.lane_moved.notified());
        moved.as_mut().enable();
        match driver.link.body_expected(kind) {
            Some(Expected::Bytes(length)) => return Some(length),
            Some(Expected::Nothing) => return None,
            None => moved.await,
        }
    }
}
