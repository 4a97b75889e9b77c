//! Frames, and how they are cut out of a stream of bytes.

use std::{mem, ops::Range};

use bytes::{Bytes, BytesMut};

use super::{
    call::{Bind, CallHeader, decode_cancel, decode_release},
    credit::Credit,
    hello::{Hello, ServiceDigest, ServiceTable, decode_ask, decode_goodbye},
    items::{End, Items, Part, Room, decode_room, decode_stop},
    record::{FrameError, Unread},
    reply::ReplyHeader,
};

/// The kinds of frames, as they are numbered on the wire.
pub(super) mod kind {
    pub(in super::super) const BIND: u8 = 1;
    pub(in super::super) const RELEASE: u8 = 2;
    pub(in super::super) const CALL: u8 = 3;
    pub(in super::super) const CANCEL: u8 = 4;
    pub(in super::super) const REPLY: u8 = 5;
    pub(in super::super) const CREDIT: u8 = 6;
    pub(in super::super) const ITEMS: u8 = 7;
    pub(in super::super) const END: u8 = 8;
    pub(in super::super) const ROOM: u8 = 9;
    pub(in super::super) const STOP: u8 = 10;
    pub(in super::super) const HELLO: u8 = 16;
    pub(in super::super) const SERVICE: u8 = 17;
    pub(in super::super) const ASK: u8 = 18;
    pub(in super::super) const TABLE: u8 = 19;
    pub(in super::super) const GOODBYE: u8 = 20;
}

/// One frame.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    Bind(Bind),
    Release(u32),
    Call(CallHeader, Bytes),
    Cancel(u64),
    Reply(ReplyHeader),
    Credit(Credit),
    Items(Items),
    End(End),
    Room(Part, u64, Room),
    Stop(Part, u64),
    Hello(Hello),
    Service(ServiceDigest),
    Ask(String),
    Table(ServiceTable),
    Goodbye(String),
}

impl Frame {
    /// Reads what follows the length of a frame; `None` for a kind that this release does not know.
    #[inline(always)]
    fn decode(buffer: &Bytes, part: Range<usize>) -> Result<Option<Self>, FrameError> {
        let kind = *buffer[part.clone()].first().ok_or(FrameError::Short)?;
        let rest = Unread::new(buffer, part.start + 1..part.end);
        // Nearly all are these.
        match kind {
            kind::CALL => {
                let (header, body) = CallHeader::decode(rest)?;
                Ok(Some(Self::Call(header, body)))
            }
            kind::REPLY => Ok(Some(Self::Reply(ReplyHeader::decode(rest)?))),
            kind => Self::decode_other(kind, rest),
        }
    }

    #[inline(never)]
    fn decode_other(kind: u8, rest: Unread<'_>) -> Result<Option<Self>, FrameError> {
        Ok(Some(match kind {
            kind::BIND => Self::Bind(Bind::decode(rest)?),
            kind::RELEASE => Self::Release(decode_release(rest)?),
            kind::CANCEL => Self::Cancel(decode_cancel(rest)?),
            kind::CREDIT => Self::Credit(Credit::decode(rest)?),
            kind::ITEMS => Self::Items(Items::decode(rest)?),
            kind::END => Self::End(End::decode(rest)?),
            kind::ROOM => {
                let (part, call, room) = decode_room(rest)?;
                Self::Room(part, call, room)
            }
            kind::STOP => {
                let (part, call) = decode_stop(rest)?;
                Self::Stop(part, call)
            }
            kind::HELLO => Self::Hello(Hello::decode(rest)?),
            kind::SERVICE => Self::Service(ServiceDigest::decode(rest)?),
            kind::ASK => Self::Ask(decode_ask(rest)?),
            kind::TABLE => Self::Table(ServiceTable::decode(rest)?),
            kind::GOODBYE => Self::Goodbye(decode_goodbye(rest)?),
            _ => return Ok(None),
        }))
    }
}

/// The longest frame. Longer bodies travel on streams of their own.
pub(crate) const MAX_FRAME: u32 = 256 * 1024;

/// Cuts a stream into frames.
///
/// Frames that lie whole in one chunk share its memory; one that is spread over several is joined.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    /// The beginning of a frame.
    part: BytesMut,
    /// For [`read`](Self::read): the memory is used again.
    cut: RawFrames,
}

impl FrameReader {
    /// Takes what came next; the frames that it completes are put behind the others.
    pub(crate) fn read(&mut self, chunk: Bytes, frames: &mut Vec<Frame>) -> Result<(), FrameError> {
        let mut cut = mem::take(&mut self.cut);
        let read = self.cut(chunk, &mut cut).and_then(|()| cut.decode(|frame| frames.push(frame)));
        self.cut = cut;
        read
    }

    /// The same, and leaves the frames to be decoded by somebody else.
    pub(crate) fn cut(&mut self, mut chunk: Bytes, raw: &mut RawFrames) -> Result<(), FrameError> {
        while !self.part.is_empty() && !chunk.is_empty() {
            let wanted = match frame_length(&self.part)? {
                Some(length) => length - self.part.len(),
                None => 4 - self.part.len(),
            };
            let taken = chunk.split_to(wanted.min(chunk.len()));
            self.part.extend_from_slice(&taken);
            if frame_length(&self.part)?.is_some_and(|length| length == self.part.len()) {
                raw.pieces.push(mem::take(&mut self.part).freeze());
                raw.count += 1;
            }
        }
        let mut at = 0;
        while let Some(length) = frame_length(&chunk[at..])? {
            if length > chunk.len() - at {
                break;
            }
            raw.count += 1;
            at += length;
        }
        self.part.extend_from_slice(&chunk[at..]);
        if at > 0 {
            chunk.truncate(at);
            raw.pieces.push(chunk);
        }
        Ok(())
    }

    /// Whether it is in the middle of a frame.
    pub(crate) fn is_partial(&self) -> bool {
        !self.part.is_empty()
    }
}

/// Frames as they lie in the stream, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct RawFrames {
    /// Each has whole frames.
    pieces: Vec<Bytes>,
    count: usize,
}

impl RawFrames {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn bytes(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// Whether the first one is the end of a call.
    pub(crate) fn begin_with_a_reply(&self) -> bool {
        self.pieces.first().and_then(|piece| piece.get(4)) == Some(&kind::REPLY)
    }

    /// Takes the others behind its own.
    pub(crate) fn append(&mut self, others: &mut Self) {
        self.pieces.append(&mut others.pieces);
        self.count += mem::take(&mut others.count);
    }

    /// Reads them one by one, and keeps none. What stands before one that cannot be read is read.
    // Inlined: a frame is taken where it is read, and is not put together to be taken apart.
    #[inline]
    pub(crate) fn decode(&mut self, mut take: impl FnMut(Frame)) -> Result<(), FrameError> {
        self.count = 0;
        for piece in self.pieces.drain(..) {
            let mut at = 0;
            while let Some(length) = frame_length(&piece[at..])? {
                if let Some(frame) = Frame::decode(&piece, at + 4..at + length)? {
                    take(frame);
                }
                at += length;
            }
        }
        Ok(())
    }
}

/// How long the frame is that begins here, its length itself included; checked before anything is kept for it.
fn frame_length(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some(length) = bytes.first_chunk::<4>() else { return Ok(None) };
    match u32::from_le_bytes(*length) {
        length @ 3..=MAX_FRAME => Ok(Some(length as usize + 4)),
        0..3 => Err(FrameError::Short),
        length => Err(FrameError::Long(length, MAX_FRAME)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::samples::{encode, frames, raw};

    /// All frames there are, with some of unknown kinds between them.
    fn stream() -> (Bytes, Vec<String>) {
        let mut bytes = Vec::new();
        for (_, frame) in frames() {
            bytes.extend(encode(&frame));
            bytes.extend(raw(200, b"whatever", b"from a later release"));
        }
        (bytes.into(), frames().iter().map(|(_, frame)| format!("{frame:?}")).collect())
    }

    fn read(chunks: impl IntoIterator<Item = Bytes>) -> Vec<String> {
        let (mut reader, mut frames) = (FrameReader::default(), Vec::new());
        for chunk in chunks {
            reader.read(chunk, &mut frames).unwrap();
        }
        assert!(!reader.is_partial());
        frames.iter().map(|frame| format!("{frame:?}")).collect()
    }

    #[test]
    fn frames_come_out_the_same_however_the_stream_is_cut() {
        let (bytes, meant) = stream();
        assert_eq!(read([bytes.clone()]), meant);
        for length in [1, 2, 3, 4, 5, 7, 11, 64, 100] {
            assert_eq!(read(bytes.chunks(length).map(Bytes::copy_from_slice)), meant, "chunks of {length}");
        }
        for at in 0..=bytes.len() {
            assert_eq!(read([bytes.slice(..at), bytes.slice(at..)]), meant, "cut at {at}");
        }
    }

    #[test]
    fn a_frame_that_is_too_short_for_its_parts_is_none() {
        for (bytes, error) in [
            (&[2, 0, 0, 0, 5, 0][..], FrameError::Short),
            (&[0, 0, 0, 0], FrameError::Short),
            // A header that is longer than the frame.
            (&[3, 0, 0, 0, 4, 1, 0], FrameError::Short),
            // A record that is longer than the header.
            (&[6, 0, 0, 0, 4, 3, 0, 1, 2, 7], FrameError::Short),
            (&[6, 0, 0, 0, 4, 3, 0, 1, 1, 0x80], FrameError::Record(1)),
        ] {
            let read = FrameReader::default().read(Bytes::copy_from_slice(bytes), &mut Vec::new());
            assert_eq!(read, Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn whole_frames_are_not_copied() {
        let frame = encode(&frames()[3].1);
        let mut frames = Vec::new();
        FrameReader::default().read(frame.clone(), &mut frames).unwrap();
        let Frame::Call(_, body) = &frames[0] else { panic!("{frames:?}") };
        assert!(frame.as_ptr_range().contains(&body.as_ptr()));
    }
}
