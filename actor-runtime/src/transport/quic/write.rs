//! Writing: the control stream, the lane, and bodies on streams of their own.

use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use quinn::SendStream;

use super::{NOT_NEEDED, config, drive::Driver};
use crate::{
    node::clock,
    proto::{StreamKind, Weight},
    transport::Link,
};

/// Writes the control stream or the lane, all that there is at once.
pub(super) async fn write(driver: Arc<Driver>, kind: StreamKind) {
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
