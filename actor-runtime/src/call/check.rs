//! What a direct call does in builds with debug assertions, so that values that would not survive a way between
//! processes are seen before there are two: a sample is encoded, decoded and encoded again. Both checks run in the
//! caller's poll: it is the caller that panics, not the actor.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

use crate::{
    codec::{self, CodecError, Encoder},
    service::{Method, Request, Response, Service},
};

/// Checks the arguments of a sample of direct calls.
pub(super) fn request<S: Service>(method: &'static Method, request: &S::Request) {
    if sampled() {
        check(
            method,
            |out| request.encode(out),
            |bytes| {
                let decoded = S::Request::decode(method.id, bytes)?;
                encode(|out| decoded.encode(out))
            },
        );
    }
}

/// Checks the reply of a sample of direct calls.
pub(super) fn response<S: Service>(method: &'static Method, response: &S::Response) {
    if sampled() {
        check(
            method,
            |out| response.encode(out),
            |bytes| {
                let decoded = S::Response::decode(method.id, response.status(), bytes)?;
                encode(|out| decoded.encode(out))
            },
        );
    }
}

/// Whether this value is one of those that are checked: every seventh. An odd number, since arguments and replies mostly
/// take turns here.
fn sampled() -> bool {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    CALLS.fetch_add(1, Ordering::Relaxed).is_multiple_of(7)
}

fn encode(write: impl FnOnce(&mut Encoder) -> Result<(), CodecError>) -> Result<Bytes, CodecError> {
    let mut encoder = Encoder::new(codec::buffer(), usize::MAX);
    write(&mut encoder)?;
    Ok(encoder.into_inner().freeze())
}

fn check(
    method: &'static Method,
    write: impl FnOnce(&mut Encoder) -> Result<(), CodecError>,
    again: impl FnOnce(Bytes) -> Result<Bytes, CodecError>,
) {
    let first = encode(write);
    let second = first.clone().and_then(again);
    match (&first, &second) {
        (Ok(first), Ok(second)) => assert!(
            first == second,
            "{method}: a value changes when it is encoded and decoded, so it would change between processes: \
             {first:02x?} became {second:02x?}; mend the `Serialize` and `Deserialize` of its type"
        ),
        (Err(error), _) | (_, Err(error)) => {
            panic!("{method}: this call would fail between processes: {error}")
        }
    }
}
