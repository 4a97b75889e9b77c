//! The frame that ends a call.

use bytes::{Bytes, BytesMut};

use super::{
    kind,
    record::{FrameError, FrameWriter, HeaderTooLong, ReadRecords, fixed, parts, split, text, varint},
};
use crate::{
    call::{Delivery, Failure, FailureKind, Hop, Link, WireReply},
    service::Status,
};

/// The envelope of the end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplyHeader {
    /// The call that ended.
    pub(crate) call: u64,
    /// The body comes on a stream of its own, and has this length.
    pub(crate) body_length: Option<u64>,
    pub(crate) reply: WireReply,
}

const CALL: u64 = 1;
const STATUS: u64 = 2;
const KIND: u64 = 3;
const DELIVERY: u64 = 4;
const DETAIL: u64 = 5;
const METHOD: u64 = 6;
const ACTOR: u64 = 7;
const ENDPOINT: u64 = 8;
const HOP: u64 = 9;
const BODY_LENGTH: u64 = 11;

const REPLIED: u8 = 0;
const APPLICATION_ERROR: u8 = 1;
const FAILED: u8 = 2;

/// A text that does not fit is cut here: a panic message can be of any length.
const MAX_TEXT: usize = 4096;

/// Writes the end of a call; its body goes elsewhere if it is longer than `own_stream`, and then that is the answer.
pub(super) fn encode_reply(
    call: u64,
    reply: &WireReply,
    own_stream: usize,
    out: &mut BytesMut,
) -> Result<Option<Bytes>, HeaderTooLong> {
    let mut frame = FrameWriter::new(out, kind::REPLY);
    frame.varint(CALL, call);
    match reply {
        WireReply::Ended(status, body) => {
            let status = if *status == Status::Replied { REPLIED } else { APPLICATION_ERROR };
            frame.bytes(STATUS, &[status]);
            if body.len() > own_stream {
                frame.varint(BODY_LENGTH, body.len() as u64);
                frame.finish(&[])?;
                return Ok(Some(body.clone()));
            }
            frame.finish(body)?;
        }
        WireReply::Failed(failure) => {
            frame.bytes(STATUS, &[FAILED]);
            write_failure(&mut frame, failure);
            frame.finish(&[])?;
        }
    }
    Ok(None)
}

fn write_failure(frame: &mut FrameWriter<'_>, failure: &Failure) {
    frame.bytes(KIND, &[failure.kind().code()]);
    frame.bytes(DELIVERY, &[failure.delivery().code()]);
    let texts = [
        (DETAIL, failure.detail()),
        (METHOD, failure.method()),
        (ACTOR, failure.actor()),
        (ENDPOINT, failure.endpoint()),
    ];
    for (tag, text) in texts {
        frame.bytes(tag, cut(text).as_bytes());
    }
    for hop in failure.hops().iter().take(Link::MAX) {
        frame.parts(HOP, &[], cut_name(&hop.actor), cut_name(&hop.method));
    }
}

impl ReplyHeader {
    /// Reads a frame.
    pub(super) fn decode(rest: &Bytes) -> Result<Self, FrameError> {
        let (header, body) = split(rest)?;
        let (mut call, mut status, mut body_length) = (None, None, None);
        let (mut kind, mut delivery) = (FailureKind::Internal, Delivery::Unknown);
        let (mut detail, mut method, mut actor, mut endpoint) = ("", "", "", "");
        let mut hops = Vec::new();
        for record in ReadRecords(header) {
            let (tag, value) = record?;
            match tag {
                CALL => call = Some(varint(tag, value)?),
                STATUS => status = Some(fixed::<1>(tag, value)?[0]),
                KIND => kind = FailureKind::from_code(fixed::<1>(tag, value)?[0]),
                DELIVERY => delivery = Delivery::from_code(fixed::<1>(tag, value)?[0]),
                DETAIL => detail = text(tag, value)?,
                METHOD => method = text(tag, value)?,
                ACTOR => actor = text(tag, value)?,
                BODY_LENGTH => body_length = Some(varint(tag, value)?),
                ENDPOINT => endpoint = text(tag, value)?,
                HOP if hops.len() < Link::MAX => {
                    let ([], actor, method) = parts::<0>(tag, value)?;
                    hops.push(Hop { actor: actor.to_owned(), method: method.to_owned() });
                }
                HOP => return Err(FrameError::Record(tag)),
                _ => {}
            }
        }
        let reply = match status.ok_or(FrameError::Missing(STATUS))? {
            REPLIED => WireReply::Ended(Status::Replied, body),
            APPLICATION_ERROR => WireReply::Ended(Status::ApplicationError, body),
            FAILED => {
                let failure = Failure::new(kind, delivery, detail).about(method, actor, endpoint);
                WireReply::Failed(failure.with_hops(hops))
            }
            _ => return Err(FrameError::Record(STATUS)),
        };
        Ok(Self { call: call.ok_or(FrameError::Missing(CALL))?, body_length, reply })
    }
}

fn cut(text: &str) -> &str {
    cut_at(text, MAX_TEXT)
}

/// So short that a whole chain of them fits into a header.
fn cut_name(text: &str) -> &str {
    cut_at(text, 256)
}

fn cut_at(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
