use bytes::{Bytes, BytesMut};

use super::record::{FrameError, ReadRecords, Records, fixed, parts, split, text, varint};
use crate::{
    call::{Delivery, Failure, FailureKind, Hop, Link, WireReply},
    service::Status,
};

/// The envelope of the end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplyHeader {
    /// The call that ended.
    pub(crate) call: u64,
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

const REPLIED: u8 = 0;
const APPLICATION_ERROR: u8 = 1;
const FAILED: u8 = 2;

/// A text that does not fit is cut here: a panic message can be of any length.
const MAX_TEXT: usize = 4096;

impl ReplyHeader {
    /// Writes the header and the body.
    pub(crate) fn encode(&self, out: BytesMut) -> Result<BytesMut, usize> {
        let mut records = Records::new(out);
        records.varint(CALL, self.call);
        match &self.reply {
            WireReply::Ended(status, body) => {
                let status = if *status == Status::Replied { REPLIED } else { APPLICATION_ERROR };
                records.bytes(STATUS, &[status]);
                let mut out = records.finish()?;
                out.extend_from_slice(body);
                Ok(out)
            }
            WireReply::Failed(failure) => {
                records.bytes(STATUS, &[FAILED]);
                records.bytes(KIND, &[failure.kind().code()]);
                records.bytes(DELIVERY, &[failure.delivery().code()]);
                let texts = [
                    (DETAIL, failure.detail()),
                    (METHOD, failure.method()),
                    (ACTOR, failure.actor()),
                    (ENDPOINT, failure.endpoint()),
                ];
                for (tag, text) in texts {
                    records.bytes(tag, cut(text).as_bytes());
                }
                for hop in failure.hops().iter().take(Link::MAX) {
                    records.parts(HOP, &[], cut(&hop.actor), cut(&hop.method));
                }
                records.finish()
            }
        }
    }

    /// Reads a frame.
    pub(crate) fn decode(frame: &Bytes) -> Result<Self, FrameError> {
        let (header, body) = split(frame)?;
        let (mut call, mut status) = (None, None);
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
        Ok(Self { call: call.ok_or(FrameError::Missing(CALL))?, reply })
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn replies() -> Vec<WireReply> {
        let hops = vec![
            Hop { actor: "a".into(), method: "S/m".into() },
            Hop { actor: "b".into(), method: "".into() },
        ];
        vec![
            WireReply::Ended(Status::Replied, Bytes::from_static(b"body")),
            WireReply::Ended(Status::ApplicationError, Bytes::new()),
            WireReply::Failed(
                Failure::new(FailureKind::Cycle, Delivery::NotDelivered, "round")
                    .about("S/m", "a", "e")
                    .with_hops(hops),
            ),
        ]
    }

    #[test]
    fn an_envelope_comes_back_as_it_was() {
        for reply in replies() {
            let header = ReplyHeader { call: 1 << 40, reply };
            let frame = header.encode(BytesMut::new()).unwrap().freeze();
            assert_eq!(ReplyHeader::decode(&frame).unwrap(), header);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let failure = Failure::new(FailureKind::Panicked, Delivery::Unknown, "ä".repeat(MAX_TEXT));
        let header = ReplyHeader { call: 1, reply: WireReply::Failed(failure) };
        let frame = header.encode(BytesMut::new()).unwrap().freeze();
        let WireReply::Failed(decoded) = ReplyHeader::decode(&frame).unwrap().reply else {
            panic!("not a failure")
        };
        assert_eq!(decoded.detail(), "ä".repeat(MAX_TEXT / 2));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ReplyHeader::decode(&Bytes::from(bytes));
        }

        #[test]
        fn no_change_of_a_good_frame_makes_it_panic(which in 0_usize..3, at in 0_usize..99, byte in any::<u8>(), cut in 0_usize..99) {
            let header = ReplyHeader { call: 7, reply: replies().swap_remove(which) };
            let mut bytes = header.encode(BytesMut::new()).unwrap().to_vec();
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % length);
            let _ = ReplyHeader::decode(&Bytes::from(bytes));
        }
    }
}
