//! The frames that a caller sends: what is to be called, the calls, and their cancellation.

use std::{
    fmt,
    num::NonZero,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};

use super::{
    kind,
    record::{
        FrameError, FrameWriter, HeaderTooLong, ReadRecords, Short, Unread, fixed, name, parts, split,
        take_number, varint,
    },
};
use crate::{
    actor_id::ActorId,
    call::{Link, Metadata},
    service::Access,
};

/// Gives a number to what is called, for the calls that follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bind {
    pub(crate) target: u32,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Which registration is meant; without it, whatever has the name.
    pub(crate) actor: Option<ActorId>,
}

/// The envelope of a call.
#[derive(Clone, Default)]
pub(crate) struct CallHeader {
    /// What the reply will say it belongs to.
    pub(crate) call: u64,
    /// The method's id.
    pub(crate) method: u32,
    /// The number that a [`Bind`] gave.
    pub(crate) target: u32,
    /// Time left, in whole microseconds.
    pub(crate) remaining: Option<Duration>,
    /// When it came, on the receiver's clock: its time runs from then, also while its body is on the way. Not sent.
    pub(crate) arrived: Option<Instant>,
    /// The body comes on a stream of its own, and has this length.
    pub(crate) body_length: Option<u64>,
    /// The call starts after this one, if that one still waits for its body.
    pub(crate) after: Option<NonZero<u64>>,
    /// The items of an argument that is a stream come behind, once they are asked for.
    pub(crate) stream: bool,
    /// None if there is nothing in it, as in most calls.
    pub(crate) context: Option<Box<CallContext>>,
}

/// What was sent, and not when it came: recorded conversations are compared by it.
impl fmt::Debug for CallHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, method, target, remaining, arrived: _, body_length, after, context, stream } = self;
        let mut header = f.debug_struct("CallHeader");
        if *stream {
            header.field("stream", stream);
        }
        let none = CallContext::default();
        header
            .field("call", call)
            .field("method", method)
            .field("target", target)
            .field("remaining", remaining)
            .field("body_length", body_length)
            .field("after", after)
            .field("context", context.as_deref().unwrap_or(&none))
            .finish()
    }
}

/// What a call brings from the turn that makes it, and what layers have added.
#[derive(Clone, Default)]
pub(crate) struct CallContext {
    pub(crate) chain: Option<Arc<Link>>,
    /// The actor in whose turn the call is made.
    pub(crate) caller: Option<ActorId>,
    pub(crate) metadata: Option<Box<Metadata>>,
    /// What all attempts of the call have in common, and no other call of its caller's node; 0 if there is one attempt.
    pub(crate) number: u64,
    /// Whether it may have been run before.
    pub(crate) again: bool,
    /// The call is refused rather than kept waiting for a place in the actor's mailbox.
    pub(crate) now: bool,
}

const CALL: u64 = 1;
const METHOD: u64 = 2;
const METHOD_TAG: u8 = METHOD as u8;
const NAMESPACE: u64 = 3;
const NAME: u64 = 4;
const ACTOR: u64 = 5;
const REMAINING: u64 = 6;
const HOP: u64 = 7;
const TARGET: u64 = 8;
const CALLER: u64 = 9;
const METADATA: u64 = 10;
const BODY_LENGTH: u64 = 11;
const AFTER: u64 = 12;
const NUMBER: u64 = 13;
const AGAIN: u64 = 14;
const NOW: u64 = 16;
const STREAM: u64 = 15;

impl Bind {
    pub(crate) fn encode(&self, out: &mut BytesMut) -> Result<(), HeaderTooLong> {
        let mut frame = FrameWriter::new(out, kind::BIND);
        frame.varint(TARGET, u64::from(self.target));
        frame.bytes(NAMESPACE, self.namespace.as_bytes());
        frame.bytes(NAME, self.name.as_bytes());
        if let Some(actor) = self.actor {
            frame.bytes(ACTOR, &actor.to_bytes());
        }
        frame.finish(&[])
    }

    pub(super) fn decode<'a>(rest: impl Into<Unread<'a>>) -> Result<Self, FrameError> {
        let (mut target, mut namespace, mut actor_name, mut actor) = (None, "", "", None);
        let (header, _) = split(rest)?;
        for record in ReadRecords(header) {
            let (tag, value) = record?;
            match tag {
                TARGET => target = Some(small(tag, value)?),
                NAMESPACE => namespace = name(tag, value)?,
                NAME => actor_name = name(tag, value)?,
                ACTOR => actor = Some(ActorId::from_bytes(fixed(tag, value)?)),
                _ => {}
            }
        }
        let target = target.ok_or(FrameError::Missing(TARGET))?;
        Ok(Self { target, namespace: namespace.to_owned(), name: actor_name.to_owned(), actor })
    }
}

/// The number is free again.
pub(super) fn encode_release(target: u32, out: &mut BytesMut) {
    let mut frame = FrameWriter::new(out, kind::RELEASE);
    frame.varint(TARGET, u64::from(target));
    frame.finish_short();
}

pub(super) fn decode_release<'a>(rest: impl Into<Unread<'a>>) -> Result<u32, FrameError> {
    let (header, _) = split(rest)?;
    match find(header, TARGET)? {
        Some(value) => small(TARGET, value),
        None => Err(FrameError::Missing(TARGET)),
    }
}

/// Nobody waits for the call any more.
pub(super) fn encode_cancel(call: u64, out: &mut BytesMut) {
    let mut frame = FrameWriter::new(out, kind::CANCEL);
    frame.varint(CALL, call);
    frame.finish_short();
}

pub(super) fn decode_cancel<'a>(rest: impl Into<Unread<'a>>) -> Result<u64, FrameError> {
    let (header, _) = split(rest)?;
    match find(header, CALL)? {
        Some(value) => varint(CALL, value),
        None => Err(FrameError::Missing(CALL)),
    }
}

/// Recorded conversations hold it in this form: what came later stands in it only where it is.
impl fmt::Debug for CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut context = f.debug_struct("CallContext");
        context.field("chain", &self.chain).field("caller", &self.caller).field("metadata", &self.metadata);
        if self.number != 0 {
            context.field("number", &self.number).field("again", &self.again);
        }
        if self.now {
            context.field("now", &true);
        }
        context.finish()
    }
}

impl CallContext {
    /// The context as records: written where no lock is held, since there may be much of it.
    pub(crate) fn encode(&self) -> Bytes {
        if self.chain.is_none()
            && self.caller.is_none()
            && self.metadata.is_none()
            && self.number == 0
            && !self.now
        {
            return Bytes::new();
        }
        let mut out = BytesMut::new();
        let mut records = FrameWriter::new(&mut out, 0);
        for link in self.chain.iter().flat_map(|link| link.iter()) {
            let mut head = [0; 17];
            head[..16].copy_from_slice(&link.actor.to_bytes());
            head[16] = u8::from(link.access == Access::Exclusive);
            records.parts(HOP, &head, &link.name, &link.method);
        }
        if let Some(caller) = self.caller {
            records.bytes(CALLER, &caller.to_bytes());
        }
        for (name, value) in self.metadata.iter().flat_map(|metadata| metadata.iter()) {
            records.parts(METADATA, &[], name, value);
        }
        if self.number != 0 {
            records.varint(NUMBER, self.number);
            if self.again {
                records.varint(AGAIN, 1);
            }
        }
        if self.now {
            records.bytes(NOW, &[]);
        }
        out.freeze().slice(super::record::PREFIX..)
    }
}

impl CallHeader {
    /// Writes the frame; the records of the context were written before.
    pub(crate) fn encode(
        &self,
        context: &[u8],
        body: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), HeaderTooLong> {
        let mut records = Short::new(kind::CALL);
        records.varint(CALL as u8, self.call);
        records.bytes(METHOD as u8, self.method.to_le_bytes());
        records.varint(TARGET as u8, u64::from(self.target));
        if let Some(remaining) = self.remaining {
            records.varint(REMAINING as u8, u64::try_from(remaining.as_micros()).unwrap_or(u64::MAX));
        }
        if let Some(length) = self.body_length {
            records.varint(BODY_LENGTH as u8, length);
        }
        if let Some(after) = self.after {
            records.varint(AFTER as u8, after.get());
        }
        if self.stream {
            records.varint(STREAM as u8, 1);
        }
        records.finish(context, body, out)
    }

    /// Reads a frame: the header, and the body behind it.
    #[inline(always)]
    pub(super) fn decode<'a>(rest: impl Into<Unread<'a>>) -> Result<(Self, Bytes), FrameError> {
        let (header, body) = split(rest)?;
        let decoded = match Self::decode_plain(header) {
            Some(plain) => plain,
            None => Self::decode_any(header)?,
        };
        Ok((decoded, body.keep()))
    }

    /// The records that most calls have and no others, in the order in which we write them.
    #[inline(always)]
    fn decode_plain(mut header: &[u8]) -> Option<Self> {
        let call = take_number(&mut header, CALL)?;
        let [METHOD_TAG, 4, a, b, c, d, behind @ ..] = header else { return None };
        let method = u32::from_le_bytes([*a, *b, *c, *d]);
        header = behind;
        let target = u32::try_from(take_number(&mut header, TARGET)?).ok()?;
        let remaining = take_number(&mut header, REMAINING).map(Duration::from_micros);
        header.is_empty().then(|| Self { call, method, target, remaining, ..Self::default() })
    }

    #[inline(never)]
    fn decode_any(header: &[u8]) -> Result<Self, FrameError> {
        let mut decoded = Self::default();
        let (mut call, mut method, mut target, mut context) = (None, None, None, None);
        for record in ReadRecords(header) {
            let (tag, value) = record?;
            match tag {
                CALL => call = Some(varint(tag, value)?),
                METHOD => method = Some(u32::from_le_bytes(fixed(tag, value)?)),
                TARGET => target = Some(small(tag, value)?),
                REMAINING => decoded.remaining = Some(Duration::from_micros(varint(tag, value)?)),
                BODY_LENGTH => decoded.body_length = Some(varint(tag, value)?),
                STREAM => decoded.stream = varint(tag, value)? != 0,
                AFTER => decoded.after = NonZero::new(varint(tag, value)?),
                HOP | CALLER | METADATA | NOW | NUMBER | AGAIN => {
                    context.get_or_insert_with(ReadContext::default).record(tag, value)?;
                }
                _ => {}
            }
        }
        decoded.call = call.ok_or(FrameError::Missing(CALL))?;
        decoded.method = method.ok_or(FrameError::Missing(METHOD))?;
        decoded.target = target.ok_or(FrameError::Missing(TARGET))?;
        decoded.context = context.map(|context| Box::new(context.finish()));
        Ok(decoded)
    }
}

/// A context as its records are read.
#[derive(Default)]
struct ReadContext<'a> {
    read: CallContext,
    /// Outermost first.
    hops: Vec<([u8; 17], &'a str, &'a str)>,
    metadata: Metadata,
}

impl<'a> ReadContext<'a> {
    fn record(&mut self, tag: u64, value: &'a [u8]) -> Result<(), FrameError> {
        match tag {
            HOP if self.hops.len() < Link::MAX => self.hops.push(parts::<17>(tag, value)?),
            CALLER => self.read.caller = Some(ActorId::from_bytes(fixed(tag, value)?)),
            METADATA => {
                let ([], name, value) = parts::<0>(tag, value)?;
                self.metadata.insert(name, value).map_err(|_| FrameError::Record(tag))?;
            }
            NOW => self.read.now = true,
            NUMBER => self.read.number = varint(tag, value)?,
            AGAIN => self.read.again = varint(tag, value)? != 0,
            _ => return Err(FrameError::Record(tag)),
        }
        Ok(())
    }

    fn finish(self) -> CallContext {
        let Self { mut read, hops, metadata } = self;
        read.metadata = (!metadata.is_empty()).then(|| Box::new(metadata));
        for (head, name, method) in hops.into_iter().rev() {
            let [id @ .., access] = head;
            let access = if access == 0 { Access::Shared } else { Access::Exclusive };
            let link =
                Link::new(ActorId::from_bytes(id), name.into(), method.into(), access, read.chain.take());
            read.chain = Some(Arc::new(link));
        }
        read
    }
}

/// The last record with this tag.
pub(super) fn find(header: &[u8], wanted: u64) -> Result<Option<&[u8]>, FrameError> {
    let mut found = None;
    for record in ReadRecords(header) {
        let (tag, value) = record?;
        if tag == wanted {
            found = Some(value);
        }
    }
    Ok(found)
}

pub(super) fn small(tag: u64, value: &[u8]) -> Result<u32, FrameError> {
    u32::try_from(varint(tag, value)?).map_err(|_| FrameError::Record(tag))
}

/// A record that no release knows, for tests of what skips it.
#[cfg(test)]
pub(super) fn unknown_record() -> Vec<u8> {
    let mut record = BytesMut::new();
    super::record::put_varint(&mut record, 77);
    super::record::put_varint(&mut record, 20);
    record.extend_from_slice(b"from a later release");
    record.to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::{
        Frame,
        samples::{call, encode, frames},
    };

    /// What follows the kind of a frame.
    fn rest(frame: &Frame) -> Bytes {
        encode(frame).slice(5..)
    }

    fn of_a_caller() -> Vec<Frame> {
        let kinds = |frame: &Frame| {
            matches!(frame, Frame::Bind(_) | Frame::Release(_) | Frame::Call(..) | Frame::Cancel(_))
        };
        frames().into_iter().map(|(_, frame)| frame).filter(kinds).collect()
    }

    fn decode_all(rest: &Bytes) {
        let _ = (Bind::decode(rest), CallHeader::decode(rest), decode_cancel(rest), decode_release(rest));
    }

    #[test]
    fn an_envelope_comes_back_as_it_was() {
        let large = CallHeader { body_length: Some(u64::MAX), after: NonZero::new(1 << 50), ..call() };
        for header in [call(), large, CallHeader::default()] {
            let rest = rest(&Frame::Call(header.clone(), Bytes::from_static(b"body")));
            let (decoded, body) = CallHeader::decode(&rest).unwrap();
            assert_eq!(format!("{decoded:?}"), format!("{header:?}"));
            assert_eq!(&body[..], b"body");
        }
    }

    #[test]
    fn unknown_records_are_skipped_and_missing_ones_named() {
        let frame = |tags: &[u64]| {
            let mut out = BytesMut::new();
            let mut frame = FrameWriter::new(&mut out, kind::CALL);
            for tag in tags {
                frame.records(&unknown_record());
                match *tag {
                    METHOD => frame.bytes(METHOD, &[9, 0, 0, 0]),
                    tag => frame.varint(tag, 9),
                }
            }
            frame.records(&unknown_record());
            frame.finish(&[]).unwrap();
            CallHeader::decode(&out.freeze().slice(5..)).map(|(header, _)| header.method)
        };
        assert_eq!(frame(&[CALL, METHOD, TARGET]), Ok(9));
        assert_eq!(frame(&[METHOD, TARGET]), Err(FrameError::Missing(CALL)));
        assert_eq!(frame(&[CALL, TARGET]), Err(FrameError::Missing(METHOD)));
        assert_eq!(frame(&[CALL, METHOD]), Err(FrameError::Missing(TARGET)));
    }

    #[test]
    fn a_chain_that_is_too_long_and_metadata_beyond_its_bounds_are_malformed() {
        let decode = |tag: u64, fixed: &[u8], count: usize, value: &str| {
            let mut out = BytesMut::new();
            let mut frame = FrameWriter::new(&mut out, kind::CALL);
            for at in 0..count {
                frame.parts(tag, fixed, &at.to_string(), value);
            }
            frame.varint(CALL, 1);
            frame.bytes(METHOD, &[0; 4]);
            frame.varint(TARGET, 1);
            frame.finish(&[]).unwrap();
            CallHeader::decode(&out.freeze().slice(5..)).map(drop)
        };
        assert_eq!(decode(HOP, &[0; 17], Link::MAX, ""), Ok(()));
        assert_eq!(decode(HOP, &[0; 17], Link::MAX + 1, ""), Err(FrameError::Record(HOP)));
        assert_eq!(decode(METADATA, &[], Metadata::MAX_ENTRIES, ""), Ok(()));
        assert_eq!(decode(METADATA, &[], Metadata::MAX_ENTRIES + 1, ""), Err(FrameError::Record(METADATA)));
        let long = "x".repeat(Metadata::MAX_BYTES);
        assert_eq!(decode(METADATA, &[], 1, &long), Err(FrameError::Record(METADATA)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            decode_all(&Bytes::from(bytes));
        }

        #[test]
        fn no_change_of_a_good_frame_makes_it_panic(which: usize, at: usize, byte: u8, cut: usize) {
            let all = of_a_caller();
            let mut bytes = rest(&all[which % all.len()]).to_vec();
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % length);
            decode_all(&Bytes::from(bytes));
        }
    }
}
