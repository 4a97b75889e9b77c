//! Writing: the control stream, the lane, and bodies on streams of their own.

use std::{
    future::{Future, poll_fn},
    sync::{Arc, Weak, atomic::Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use quinn::SendStream;

use super::{
    NOT_NEEDED, config,
    drive::Driver,
    pump::{Lane, Pump},
};
use crate::{
    node::{clock, linger::Linger},
    proto::{StreamKind, Weight},
    transport::{Carry, Link, signal::Signal},
};

/// Writes the control stream, all that there is at once.
pub(super) async fn control(driver: Arc<Driver>) {
    let Some(mut stream) = begin(&driver, StreamKind::Control).await else { return };
    let link = &driver.link;
    if write_on(&driver, &mut stream, |cx| link.poll_control(cx)).await {
        finish(stream).await;
    }
}

/// Writes the lane: by the pump, from wherever something is put out, until the end.
pub(super) async fn lane(driver: Arc<Driver>, pump: Option<Arc<ConnectionPump>>) {
    let Some(stream) = begin(&driver, StreamKind::Lane).await else { return };
    let mut stream = match pump {
        Some(pump) => match pumped(&driver, &pump, stream).await {
            Some(stream) => stream,
            None => return,
        },
        None => stream,
    };
    let link = &driver.link;
    if write_on(&driver, &mut stream, |cx| link.poll_lane(cx)).await {
        finish(stream).await;
    }
}

/// Has the pump write the lane until the stream is to be finished, and gives it back then; none if it is closed.
async fn pumped(driver: &Arc<Driver>, pump: &Arc<ConnectionPump>, stream: SendStream) -> Option<SendStream> {
    let flow = Arc::new(Signal::new(Flow::Open));
    pump.give_lane(LaneStream {
        driver: driver.clone(),
        stream,
        rest: Bytes::new(),
        flow: flow.clone(),
        last: Flow::Open,
    });
    let lent = Lent(pump);
    driver.link.carried_by(Box::new(Carrier { pump: Arc::downgrade(pump), linger: driver.linger.clone() }));
    let watch = async {
        while flow.wait_for(|flow| *flow != Flow::Open).await == Flow::Blocked {
            let before = driver.written.load(Ordering::Relaxed);
            tokio::select! {
                biased;
                _ = flow.wait_for(|flow| *flow != Flow::Blocked) => {}
                () = clock::sleep_until(clock::now() + config::STREAM_PATIENCE) => {
                    if driver.check_read(before).is_none() {
                        return;
                    }
                }
            }
        }
    };
    tokio::select! {
        biased;
        _ = driver.finish.wait_for(|finish| *finish) => {}
        () = watch => return None,
    }
    let LaneStream { mut stream, rest, .. } = lent.0.take_lane()?;
    let written = rest.is_empty() || write_all(driver, &mut stream, &mut [rest]).await;
    written.then_some(stream)
}

/// However the task ends, the pump lets go of the stream.
struct Lent<'a>(&'a Arc<ConnectionPump>);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        drop(self.0.take_lane());
    }
}

/// What drives a connection, and writes its lane.
pub(super) type ConnectionPump = Pump<LaneStream>;

/// The way from a link to what drives its connection.
struct Carrier {
    pump: Weak<ConnectionPump>,
    linger: Option<Arc<Linger>>,
}

impl Carry for Carrier {
    fn works_here(&self) {
        if let Some(linger) = &self.linger {
            linger.works_here();
        }
    }

    fn carry(&self) -> bool {
        self.pump.upgrade().is_some_and(|pump| pump.carry())
    }
}

/// The lane's stream, for the pump.
pub(super) struct LaneStream {
    driver: Arc<Driver>,
    stream: SendStream,
    /// What the stream has not taken yet.
    rest: Bytes,
    /// For who waits that the other side reads.
    flow: Arc<Signal<Flow>>,
    /// What was told last.
    last: Flow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Open,
    /// The stream takes no more until the other side has read some.
    Blocked,
    Closed,
}

impl Lane for LaneStream {
    /// What comes in meanwhile is left for whoever has it sent: it would leave in pieces, as small as they come.
    fn write(&mut self, cx: &mut Context<'_>) {
        let mut taken = false;
        loop {
            if self.rest.is_empty() && !std::mem::replace(&mut taken, true) {
                self.rest = self.driver.link.take_lane(cx);
            }
            if self.rest.is_empty() {
                return self.tell(Flow::Open);
            }
            let mut chunks = [std::mem::take(&mut self.rest)];
            let written = std::pin::pin!(self.stream.write_chunks(&mut chunks)).poll(cx);
            let [rest] = chunks;
            self.rest = rest;
            match written {
                Poll::Ready(Ok(_)) => drop(self.driver.written.fetch_add(1, Ordering::Relaxed)),
                Poll::Ready(Err(_)) => return self.tell(Flow::Closed),
                Poll::Pending => return self.tell(Flow::Blocked),
            }
        }
    }
}

impl LaneStream {
    fn tell(&mut self, flow: Flow) {
        if self.last != flow {
            self.last = flow;
            self.flow.set(flow);
        }
    }
}

/// A stream of the control frames or the lane, ahead of bodies.
async fn begin(driver: &Driver, kind: StreamKind) -> Option<SendStream> {
    let mut stream = open(driver).await?;
    let priority = i32::from(kind == StreamKind::Control);
    // An error says that the stream is closed, and so will the next write.
    let _ = stream.set_priority(1 + priority);
    write_all(driver, &mut stream, &mut [kind.encode()]).await.then_some(stream)
}

/// Writes what there is until the stream is to be finished. False if it is closed.
async fn write_on(
    driver: &Driver,
    stream: &mut SendStream,
    mut next: impl FnMut(&mut Context<'_>) -> Poll<Bytes>,
) -> bool {
    loop {
        let bytes = match poll_fn(|cx| Poll::Ready(next(cx))).await {
            Poll::Ready(bytes) => bytes,
            Poll::Pending if driver.finish.get() => return true,
            Poll::Pending => tokio::select! {
                biased;
                bytes = poll_fn(&mut next) => bytes,
                _ = driver.finish.wait_for(|finish| *finish) => continue,
            },
        };
        if !write_all(driver, stream, &mut [bytes]).await {
            return false;
        }
    }
}

async fn finish(mut stream: SendStream) {
    if stream.finish().is_ok() {
        // Until the other side has it all.
        let _ = stream.stopped().await;
    }
}

/// Writes one body. Dropped on the way, the stream is reset: nobody takes half a body for a whole one.
pub(super) async fn send(driver: Arc<Driver>, kind: StreamKind, mut body: Bytes, leaving: Leaving) {
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

/// A body of this weight is under way: it counts until it has left.
pub(super) struct Leaving(Arc<Link>, Weight);

impl Leaving {
    pub(super) fn new(link: &Arc<Link>, weight: Weight) -> Self {
        link.body_leaves(weight);
        Self(link.clone(), weight)
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if self.1 != Weight::default() {
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
