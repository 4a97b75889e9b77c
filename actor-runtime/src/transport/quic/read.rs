//! Reading: what the other side's streams bring.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use quinn::RecvStream;

use super::{NOT_NEEDED, UNKNOWN, alarm::Alarm, config, drive::Driver};
use crate::{
    cork::Flush,
    node::clock,
    proto::{Expected, FrameReader, RawFrames, StreamKind},
};

/// Reads a stream of the other side, whatever it is.
pub(super) async fn read(driver: Arc<Driver>, mut stream: RecvStream) {
    let counted = Counted(driver.clone());
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
        // In a task of its own, which ends when nobody needs the body any more.
        kind => driver.carry(true, kind, body(driver.clone(), stream, kind, rest, counted)),
    }
}

/// Reads a body. Dropped on the way, the stream is stopped: nothing of it is kept.
async fn body(driver: Arc<Driver>, mut stream: RecvStream, kind: StreamKind, rest: Bytes, counted: Counted) {
    let mut arriving = Arriving { driver: &driver, kind, complete: false };
    if let Some(body) = receive(&driver, &mut stream, kind, rest).await {
        arriving.complete = true;
        driver.link.body_arrived(kind, body);
    } else {
        let _ = stream.stop(NOT_NEEDED);
    }
    drop(counted);
    driver.forget(true, kind);
}

/// A stream of the other side that is read.
struct Counted(Arc<Driver>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.receiving.fetch_sub(1, Ordering::Relaxed);
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

/// When to look whether something was left lying: replies by a handler that blocks its thread ([`cork`](crate::cork)), calls
/// by a caller that does ([`inbox`](crate::transport::Link::lane_came)). Not sooner: a timer that rings once for a few
/// calls costs as much as they do.
const LEFT_LYING: Duration = Duration::from_millis(5);

/// How many chunks are taken from quinn at once.
const CHUNKS: usize = 64;

/// Reads the control stream or the lane: all that has arrived at once.
async fn frames(driver: &Driver, mut stream: RecvStream, kind: StreamKind, rest: Bytes) {
    if kind == StreamKind::Lane && driver.link.opened().await.is_err() {
        return;
    }
    let mut reader = FrameReader::default();
    let (mut raw, mut frames) = (RawFrames::default(), Vec::new());
    let mut chunks: [Bytes; CHUNKS] = [const { Bytes::new() }; CHUNKS];
    chunks[0] = rest;
    let mut taken = 1;
    let mut alarm = pin!(Alarm::new());
    loop {
        for chunk in &mut chunks[..taken] {
            let read = match kind {
                StreamKind::Lane => reader.cut(std::mem::take(chunk), &mut raw),
                _ => reader.read(std::mem::take(chunk), &mut frames),
            };
            if let Err(error) = read {
                return driver.link.broken(error);
            }
        }
        if raw.count() > 0
            && let Some(linger) = &driver.linger
        {
            linger.came();
        }
        if raw.count() > 0 && (driver.link.lane_came(&mut raw) || driver.link.serves()) {
            alarm.as_mut().flush_within(LEFT_LYING);
        }
        if !frames.is_empty() {
            driver.link.control(&mut frames);
        }
        // Only what has arrived buys time for the rest of a frame.
        if taken > 0 {
            alarm.as_mut().expect_more(reader.is_partial());
        }
        let more = async {
            if kind == StreamKind::Lane {
                driver.link.has_room().await;
            }
            stream.read_chunks(&mut chunks).await
        };
        let more = tokio::select! {
            biased;
            more = more => Some(more),
            () = alarm.as_mut().rings() => None,
        };
        if alarm.as_mut().is_time_to_flush() {
            // First: a relay that has not come to it yet has calls gathered when it does.
            let relayed = driver.link.is_relayed();
            // What somebody has put out who blocks its thread now.
            driver.link.flush();
            if relayed {
                alarm.as_mut().flush_within(LEFT_LYING);
            } else if driver.link.serves() {
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
        let mut moved = pin!(driver.link.lane_moved());
        moved.as_mut().enable();
        match driver.link.body_expected(kind) {
            Some(Expected::Bytes(length)) => return Some(length),
            Some(Expected::Nothing) => return None,
            None => moved.await,
        }
    }
}
