//! The frame that ends a call.

use bytes::{Bytes, BytesMut};

use super::{
    kind,
    record::{
        FrameError, FrameWriter, HeaderTooLong, ReadRecords, Short, Unread, fixed, parts, split, take_number,
        text, varint,
    },
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
    /// The reply is a stream, whose items come behind.
    pub(crate) stream: bool,
    pub(crate) reply: WireReply,
}

const CALL: u64 = 1;
const STATUS: u64 = 2;
const STATUS_TAG: u8 = STATUS as u8;
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
const STREAM: u8 = 3;

/// A text that does not fit is cut here: a panic message can be of any length.
const MAX_TEXT: usize = 4096;

/// Writes the end of a call; its body goes elsewhere if it is longer than `own_stream`, and then that is the answer.
pub(super) fn encode_reply(
    call: u64,
    reply: &WireReply,
    own_stream: usize,
    out: &mut BytesMut,
) -> Result<Option<Bytes>, HeaderTooLong> {
    let mut records = Short::new(kind::REPLY);
    records.varint(CALL as u8, call);
    match reply {
        WireReply::Ended(status, body) => {
            let status = if *status == Status::Replied { REPLIED } else { APPLICATION_ERROR };
            records.bytes(STATUS as u8, [status]);
            if body.len() > own_stream {
                records.varint(BODY_LENGTH as u8, body.len() as u64);
                records.finish(&[], &[], out)?;
                return Ok(Some(body.clone()));
            }
            records.finish(&[], body, out)?;
        }
        WireReply::Failed(failure) => {
            let mut frame = FrameWriter::new(out, kind::REPLY);
            frame.varint(CALL, call);
            frame.bytes(STATUS, &[FAILED]);
            write_failure(&mut frame, failure);
            frame.finish(&[])?;
        }
    }
    Ok(None)
}

/// Writes that a call ended with a stream.
pub(super) fn encode_stream_reply(call: u64, out: &mut BytesMut) {
    let mut frame = FrameWriter::new(out, kind::REPLY);
    frame.varint(CALL, call);
    frame.bytes(STATUS, &[STREAM]);
    frame.finish_short();
}

/// A failure as records. Its tags are those of a `REPLY`.
pub(super) fn write_failure(frame: &mut FrameWriter<'_>, failure: &Failure) {
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
    #[inline(always)]
    pub(super) fn decode<'a>(rest: impl Into<Unread<'a>>) -> Result<Self, FrameError> {
        let (header, body) = split(rest)?;
        match Self::decode_plain(header) {
            Some((call, status)) => {
                let reply = WireReply::Ended(status, body.keep());
                Ok(Self { call, body_length: None, stream: false, reply })
            }
            None => Self::decode_any(header, body),
        }
    }

    /// The records that most replies have and no others, in the order in which we write them.
    #[inline(always)]
    fn decode_plain(mut header: &[u8]) -> Option<(u64, Status)> {
        let call = take_number(&mut header, CALL)?;
        match header {
            [STATUS_TAG, 1, REPLIED] => Some((call, Status::Replied)),
            [STATUS_TAG, 1, APPLICATION_ERROR] => Some((call, Status::ApplicationError)),
            _ => None,
        }
    }

    #[inline(never)]
    fn decode_any(header: &[u8], body: Unread<'_>) -> Result<Self, FrameError> {
        let (mut call, mut status, mut body_length, mut failure) = (None, None, None, None);
        for record in ReadRecords(header) {
            let (tag, value) = record?;
            match tag {
                CALL => call = Some(varint(tag, value)?),
                STATUS => status = Some(fixed::<1>(tag, value)?[0]),
                BODY_LENGTH => body_length = Some(varint(tag, value)?),
                _ => failure.get_or_insert_with(ReadFailure::default).record(tag, value)?,
            }
        }
        let status = status.ok_or(FrameError::Missing(STATUS))?;
        let reply = match status {
            REPLIED => WireReply::Ended(Status::Replied, body.keep()),
            STREAM => WireReply::Ended(Status::Replied, Bytes::new()),
            APPLICATION_ERROR => WireReply::Ended(Status::ApplicationError, body.keep()),
            FAILED => WireReply::Failed(failure.unwrap_or_default().finish()),
            _ => return Err(FrameError::Record(STATUS)),
        };
        let call = call.ok_or(FrameError::Missing(CALL))?;
        let body_length = if status == STREAM { None } else { body_length };
        Ok(Self { call, body_length, stream: status == STREAM, reply })
    }
}

/// A failure as its records are read.
pub(super) struct ReadFailure<'a> {
    /// Whether there was a record that says its kind.
    pub(super) any: bool,
    kind: FailureKind,
    delivery: Delivery,
    detail: &'a str,
    method: &'a str,
    actor: &'a str,
    endpoint: &'a str,
    hops: Vec<Hop>,
}

impl Default for ReadFailure<'_> {
    fn default() -> Self {
        Self {
            any: false,
            kind: FailureKind::Internal,
            delivery: Delivery::Unknown,
            detail: "",
            method: "",
            actor: "",
            endpoint: "",
            hops: Vec::new(),
        }
    }
}

impl<'a> ReadFailure<'a> {
    /// Reads a record if it is one of a failure's.
    pub(super) fn record(&mut self, tag: u64, value: &'a [u8]) -> Result<(), FrameError> {
        match tag {
            KIND => {
                self.any = true;
                self.kind = FailureKind::from_code(fixed::<1>(tag, value)?[0]);
            }
            DELIVERY => self.delivery = Delivery::from_code(fixed::<1>(tag, value)?[0]),
            DETAIL => self.detail = text(tag, value)?,
            METHOD => self.method = text(tag, value)?,
            ACTOR => self.actor = text(tag, value)?,
            ENDPOINT => self.endpoint = text(tag, value)?,
            HOP if self.hops.len() < Link::MAX => {
                let ([], actor, method) = parts::<0>(tag, value)?;
                self.hops.push(Hop { actor: actor.to_owned(), method: method.to_owned() });
            }
            HOP => return Err(FrameError::Record(tag)),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Failure {
        let failure = Failure::new(self.kind, self.delivery, self.detail);
        failure.about(self.method, self.actor, self.endpoint).with_hops(self.hops)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::{
        call::unknown_record,
        frame::MAX_FRAME,
        samples::{encode, failure, frames},
    };

    fn replies() -> Vec<ReplyHeader> {
        let reply = |(_, frame)| match frame {
            crate::proto::Frame::Reply(reply) => Some(reply),
            _ => None,
        };
        frames().into_iter().filter_map(reply).collect()
    }

    fn written(reply: &WireReply) -> Bytes {
        let mut out = BytesMut::new();
        assert_eq!(encode_reply(7, reply, 128 * 1024, &mut out), Ok(None));
        out.freeze()
    }

    fn comes_back(reply: &WireReply) -> Failure {
        let WireReply::Failed(failure) = ReplyHeader::decode(&written(reply).slice(5..)).unwrap().reply
        else {
            panic!("not a failure")
        };
        failure
    }

    #[test]
    fn an_envelope_comes_back_as_it_was() {
        for reply in replies() {
            let frame = encode(&crate::proto::Frame::Reply(reply.clone()));
            assert_eq!(ReplyHeader::decode(&frame.slice(5..)).unwrap(), reply);
        }
    }

    #[test]
    fn a_long_body_goes_elsewhere_and_its_length_stays() {
        let body = Bytes::from(vec![7; 101]);
        let mut out = BytesMut::new();
        let reply = WireReply::Ended(Status::ApplicationError, body.clone());
        assert_eq!(encode_reply(7, &reply, 100, &mut out), Ok(Some(body)));
        let header = ReplyHeader::decode(&out.freeze().slice(5..)).unwrap();
        assert_eq!(header.body_length, Some(101));
        assert_eq!(header.reply, WireReply::Ended(Status::ApplicationError, Bytes::new()));
    }

    #[test]
    fn unknown_records_are_skipped_and_missing_ones_named() {
        let frame = |tags: &[u64]| {
            let mut out = BytesMut::new();
            let mut frame = FrameWriter::new(&mut out, kind::REPLY);
            for tag in tags {
                frame.records(&unknown_record());
                frame.bytes(*tag, &[1]);
            }
            frame.finish(&[]).unwrap();
            ReplyHeader::decode(&out.freeze().slice(5..)).map(|header| header.call)
        };
        assert_eq!(frame(&[CALL, STATUS]), Ok(1));
        assert_eq!(frame(&[STATUS]), Err(FrameError::Missing(CALL)));
        assert_eq!(frame(&[CALL]), Err(FrameError::Missing(STATUS)));
    }

    #[test]
    fn a_status_that_is_not_known_is_no_reply_and_an_unknown_failure_is_one() {
        let frame = |status: u8| {
            let mut out = BytesMut::new();
            let mut frame = FrameWriter::new(&mut out, kind::REPLY);
            frame.varint(CALL, 1);
            frame.bytes(STATUS, &[status]);
            frame.bytes(KIND, &[200]);
            frame.bytes(DELIVERY, &[200]);
            frame.finish(&[]).unwrap();
            ReplyHeader::decode(&out.freeze().slice(5..)).map(|header| header.reply)
        };
        assert_eq!(frame(4), Err(FrameError::Record(STATUS)));
        let unknown = Failure::new(FailureKind::Internal, Delivery::Unknown, "");
        assert_eq!(frame(FAILED), Ok(WireReply::Failed(unknown)));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "\u{e4}".repeat(MAX_TEXT);
        let failure = Failure::new(FailureKind::Panicked, Delivery::Unknown, format!("x{text}"));
        let detail = comes_back(&WireReply::Failed(failure)).detail().to_owned();
        assert_eq!(detail, format!("x{}", "\u{e4}".repeat((MAX_TEXT - 1) / 2)));
        assert!(detail.len() <= MAX_TEXT);
    }

    #[test]
    fn the_longest_texts_and_the_longest_chain_fit_a_header() {
        let text = "\u{e4}".repeat(MAX_TEXT);
        let hop = Hop { actor: text.as_str().into(), method: text.as_str().into() };
        let failure = failure().about(&text, &text, &text);
        let failure =
            Failure::new(failure.kind(), failure.delivery(), text.as_str()).about(&text, &text, &text);
        let reply = WireReply::Failed(failure.with_hops(vec![hop; 2 * Link::MAX]));
        let failure = comes_back(&reply);
        assert_eq!(failure.hops().len(), Link::MAX);
        assert_eq!(failure.hops()[0].actor.len(), 256);
        for text in [failure.detail(), failure.method(), failure.actor(), failure.endpoint()] {
            assert_eq!(text.len(), MAX_TEXT);
        }
        assert!(written(&reply).len() < MAX_FRAME as usize);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ReplyHeader::decode(&Bytes::from(bytes));
        }

        #[test]
        fn no_change_of_a_good_frame_makes_it_panic(which: usize, at: usize, byte: u8, cut: usize) {
            let all = replies();
            let frame = crate::proto::Frame::Reply(all[which % all.len()].clone());
            let mut bytes = encode(&frame).slice(5..).to_vec();
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % length);
            let _ = ReplyHeader::decode(&Bytes::from(bytes));
        }
    }
}
