//! The frames of streams: items, their end, room for more, and that nobody reads any more.

use bytes::{Buf, Bytes, BytesMut};

use super::{
    kind,
    record::{FrameError, FrameWriter, ReadRecords, Unread, fixed, put_varint, split, take_varint, varint},
    reply::{ReadFailure, write_failure},
};
use crate::call::Failure;

/// Which of a call's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Items go from the caller to the callee.
    Arguments,
    /// Items go from the callee to the caller.
    Reply,
}

/// A stream, as one side of a connection names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StreamId {
    pub(crate) part: Part,
    /// Whether it belongs to a call that this side has made.
    pub(crate) ours: bool,
    /// The number of the call.
    pub(crate) call: u64,
}

impl StreamId {
    /// A stream whose items come to this side.
    pub(crate) fn incoming(part: Part, call: u64) -> Self {
        Self { part, ours: part == Part::Reply, call }
    }

    /// A stream whose items leave from this side.
    pub(crate) fn outgoing(part: Part, call: u64) -> Self {
        Self { part, ours: part == Part::Arguments, call }
    }

    /// Whether it is a stream among the arguments of a call of the other side.
    pub(crate) fn is_argument_of_theirs(self) -> bool {
        self.part == Part::Arguments && !self.ours
    }
}

/// Room for items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) items: u64,
    pub(crate) bytes: u64,
}

impl Room {
    /// What is on its way at most.
    pub(crate) const WINDOW: Self = Self { items: 1024, bytes: 256 * 1024 };
}

/// Items of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Items {
    pub(crate) part: Part,
    pub(crate) call: u64,
    /// There is one item, it has this length, and comes on a stream of its own.
    pub(crate) large: Option<u64>,
    /// The items, each behind its length.
    pub(crate) items: Bytes,
}

/// A stream is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) part: Part,
    pub(crate) call: u64,
    /// It broke off.
    pub(crate) failure: Option<Failure>,
}

const CALL: u64 = 1;
/// Not 2 to 9: an `END` has the records of a failure too.
const PART: u64 = 10;
const LENGTH: u64 = 11;
const ITEMS: u64 = 12;
const BYTES: u64 = 13;

impl Part {
    fn code(self) -> u8 {
        u8::from(self == Self::Reply)
    }

    fn from_code(tag: u64, value: &[u8]) -> Result<Self, FrameError> {
        match fixed::<1>(tag, value)?[0] {
            0 => Ok(Self::Arguments),
            1 => Ok(Self::Reply),
            _ => Err(FrameError::Record(tag)),
        }
    }
}

impl Items {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        let mut frame = FrameWriter::new(out, kind::ITEMS);
        which(&mut frame, self.part, self.call);
        if let Some(length) = self.large {
            frame.varint(LENGTH, length);
        }
        // A header of three numbers.
        let _ = frame.finish(&self.items);
    }

    pub(super) fn decode<'a>(rest: impl Into<Unread<'a>>) -> Result<Self, FrameError> {
        let (header, body) = split(rest)?;
        let (mut which, mut large) = (Which::default(), None);
        for record in ReadRecords(header) {
            match record? {
                (LENGTH, value) => large = Some(varint(LENGTH, value)?),
                (tag, value) => drop(which.record(tag, value)?),
            }
        }
        let (part, call) = which.finish()?;
        Ok(Self { part, call, large, items: if large.is_some() { Bytes::new() } else { body.keep() } })
    }
}

impl End {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        let write = |out: &mut BytesMut, failure: Option<&Failure>| {
            let mut frame = FrameWriter::new(out, kind::END);
            which(&mut frame, self.part, self.call);
            if let Some(failure) = failure {
                write_failure(&mut frame, failure);
            }
            frame.finish(&[])
        };
        if write(out, self.failure.as_ref()).is_err()
            && let Some(failure) = &self.failure
        {
            // Without what makes it too long. It must not look like an end.
            let short = Failure::new(failure.kind(), failure.delivery(), "its text was too long to be sent");
            let _ = write(out, Some(&short));
        }
    }

    pub(super) fn decode<'a>(rest: impl Into<Unread<'a>>) -> Result<Self, FrameError> {
        let (header, _) = split(rest)?;
        let (mut which, mut failure) = (Which::default(), ReadFailure::default());
        for record in ReadRecords(header) {
            let (tag, value) = record?;
            if !which.record(tag, value)? {
                failure.record(tag, value)?;
            }
        }
        let (part, call) = which.finish()?;
        Ok(Self { part, call, failure: failure.any.then(|| failure.finish()) })
    }
}

pub(super) fn encode_room(part: Part, call: u64, room: Room, out: &mut BytesMut) {
    let mut frame = FrameWriter::new(out, kind::ROOM);
    which(&mut frame, part, call);
    frame.varint(ITEMS, room.items);
    frame.varint(BYTES, room.bytes);
    frame.finish_short();
}

pub(super) fn decode_room<'a>(rest: impl Into<Unread<'a>>) -> Result<(Part, u64, Room), FrameError> {
    let (header, _) = split(rest)?;
    let (mut which, mut room) = (Which::default(), Room::default());
    for record in ReadRecords(header) {
        match record? {
            (ITEMS, value) => room.items = varint(ITEMS, value)?,
            (BYTES, value) => room.bytes = varint(BYTES, value)?,
            (tag, value) => drop(which.record(tag, value)?),
        }
    }
    let (part, call) = which.finish()?;
    Ok((part, call, room))
}

pub(super) fn encode_stop(part: Part, call: u64, out: &mut BytesMut) {
    let mut frame = FrameWriter::new(out, kind::STOP);
    which(&mut frame, part, call);
    frame.finish_short();
}

pub(super) fn decode_stop<'a>(rest: impl Into<Unread<'a>>) -> Result<(Part, u64), FrameError> {
    let (header, _) = split(rest)?;
    let mut which = Which::default();
    for record in ReadRecords(header) {
        let (tag, value) = record?;
        which.record(tag, value)?;
    }
    which.finish()
}

fn which(frame: &mut FrameWriter<'_>, part: Part, call: u64) {
    frame.varint(CALL, call);
    frame.bytes(PART, &[part.code()]);
}

/// The records that say which stream is meant.
#[derive(Default)]
struct Which {
    part: Option<Part>,
    call: Option<u64>,
}

impl Which {
    /// True if it was one of them.
    fn record(&mut self, tag: u64, value: &[u8]) -> Result<bool, FrameError> {
        match tag {
            CALL => self.call = Some(varint(tag, value)?),
            PART => self.part = Some(Part::from_code(tag, value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn finish(self) -> Result<(Part, u64), FrameError> {
        let part = self.part.ok_or(FrameError::Missing(PART))?;
        Ok((part, self.call.ok_or(FrameError::Missing(CALL))?))
    }
}

/// Writes the length of an item that follows.
pub(crate) fn put_length(out: &mut BytesMut, length: usize) {
    put_varint(out, length as u64);
}

/// Takes the first of several items, each behind its length. `None` if there is none whole.
pub(crate) fn take_length(items: &mut Bytes) -> Option<Bytes> {
    let mut rest = &items[..];
    let length = usize::try_from(take_varint(&mut rest)?).ok()?;
    if length > rest.len() {
        return None;
    }
    items.advance(items.len() - rest.len());
    Some(items.split_to(length))
}

/// The lengths of items, one after the other; `Err` if they are not what the bytes hold.
pub(super) fn lengths(items: &[u8]) -> impl Iterator<Item = Result<u64, FrameError>> + '_ {
    let mut rest = items;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = take_varint(&mut rest).filter(|length| *length <= rest.len() as u64);
        let Some(length) = length else {
            rest = &[];
            return Some(Err(FrameError::Short));
        };
        rest = &rest[length as usize..];
        Some(Ok(length))
    })
}
