//! Records, the stuff of all headers: `varint(tag) varint(length) bytes`.

use bytes::{BufMut, Bytes, BytesMut};

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the frame ends too early")]
    Short,
    #[error("the frame of {0} bytes is longer than the {1} that are allowed here")]
    Long(u32, u32),
    #[error("the record with tag {0} is malformed")]
    Record(u64),
    #[error("the record with tag {0} is missing")]
    Missing(u64),
}

/// What stands in front of every frame: the length of all that follows it, the kind, the length of the header.
pub(super) const PREFIX: usize = 4 + 1 + 2;

/// The longest name of a namespace, an actor or a service: they are kept for as long as the connection lives.
pub(super) const MAX_NAME: usize = 1024;

/// Writes one frame at the end of a buffer: its header record by record, then its body.
///
/// A frame is written whole or not at all.
pub(super) struct FrameWriter<'a> {
    out: &'a mut BytesMut,
    start: usize,
}

impl<'a> FrameWriter<'a> {
    pub(super) fn new(out: &'a mut BytesMut, kind: u8) -> Self {
        make_room(out, 256);
        let start = out.len();
        out.put_slice(&[0, 0, 0, 0, kind, 0, 0]);
        Self { out, start }
    }

    pub(super) fn bytes(&mut self, tag: u64, value: &[u8]) {
        put_varint(self.out, tag);
        put_varint(self.out, value.len() as u64);
        self.out.put_slice(value);
    }

    pub(super) fn varint(&mut self, tag: u64, value: u64) {
        put_varint(self.out, tag);
        put_varint(self.out, varint_length(value) as u64);
        put_varint(self.out, value);
    }

    /// A record of several parts, each but the last with its length in front.
    pub(super) fn parts(&mut self, tag: u64, fixed: &[u8], head: &str, tail: &str) {
        let length = fixed.len() + varint_length(head.len() as u64) + head.len() + tail.len();
        put_varint(self.out, tag);
        put_varint(self.out, length as u64);
        self.out.put_slice(fixed);
        put_varint(self.out, head.len() as u64);
        self.out.put_slice(head.as_bytes());
        self.out.put_slice(tail.as_bytes());
    }

    /// Records that were written before.
    #[cfg(test)]
    pub(super) fn records(&mut self, records: &[u8]) {
        self.out.put_slice(records);
    }

    /// Ends the frame with its body. `Err` with the length if the header is longer than a peer would read; nothing is
    /// written then.
    pub(super) fn finish(self, body: &[u8]) -> Result<(), HeaderTooLong> {
        let header = self.out.len() - self.start - PREFIX;
        let Ok(short) = u16::try_from(header) else {
            self.out.truncate(self.start);
            return Err(HeaderTooLong(header));
        };
        self.out.put_slice(body);
        let length = (self.out.len() - self.start - 4) as u32;
        self.out[self.start..self.start + 4].copy_from_slice(&length.to_le_bytes());
        self.out[self.start + 5..self.start + PREFIX].copy_from_slice(&short.to_le_bytes());
        Ok(())
    }

    /// Ends a frame of a few short records, which no header is too small for.
    pub(super) fn finish_short(self) {
        // Records of bounded length only: the error is impossible, and would write nothing.
        let _ = self.finish(&[]);
    }
}

/// A header of so many bytes: longer than a frame can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeaderTooLong(pub(crate) usize);

/// Bytes that lie in a buffer which others share: a part of it costs nothing until somebody keeps it.
#[derive(Clone, Copy)]
pub(super) struct Unread<'a> {
    buffer: &'a Bytes,
    from: usize,
    to: usize,
}

impl<'a> Unread<'a> {
    pub(super) fn new(buffer: &'a Bytes, part: std::ops::Range<usize>) -> Self {
        Self { buffer, from: part.start, to: part.end }
    }

    /// The bytes, to be kept.
    pub(super) fn keep(self) -> Bytes {
        self.buffer.slice(self.from..self.to)
    }
}

impl<'a> From<&'a Bytes> for Unread<'a> {
    fn from(buffer: &'a Bytes) -> Self {
        Self::new(buffer, 0..buffer.len())
    }
}

/// The header and the body of what follows a frame's length and kind.
pub(super) fn split<'a>(rest: impl Into<Unread<'a>>) -> Result<(&'a [u8], Unread<'a>), FrameError> {
    let rest = rest.into();
    let mut left = &rest.buffer[rest.from..rest.to];
    let length = take(&mut left, 2).ok_or(FrameError::Short)?;
    let length = u16::from_le_bytes([length[0], length[1]]);
    let header = take(&mut left, usize::from(length)).ok_or(FrameError::Short)?;
    Ok((header, Unread { from: rest.to - left.len(), ..rest }))
}

/// The record that stands first, if it has this tag and is a number; it is taken out then.
#[inline]
pub(super) fn take_number(header: &mut &[u8], tag: u64) -> Option<u64> {
    let [first, length @ ..0x80, behind @ ..] = *header else { return None };
    let (value, behind) = behind.split_at_checked(usize::from(*length))?;
    if u64::from(*first) != tag {
        return None;
    }
    let number = varint(tag, value).ok()?;
    *header = behind;
    Some(number)
}

/// The records of a header, one after the other.
pub(super) struct ReadRecords<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for ReadRecords<'a> {
    type Item = Result<(u64, &'a [u8]), FrameError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        // Almost all are so.
        if let [tag @ ..0x80, length @ ..0x80, behind @ ..] = self.0
            && let Some((value, behind)) = behind.split_at_checked(usize::from(*length))
        {
            self.0 = behind;
            return Some(Ok((u64::from(*tag), value)));
        }
        self.next_long()
    }
}

impl<'a> ReadRecords<'a> {
    #[cold]
    fn next_long(&mut self) -> Option<Result<(u64, &'a [u8]), FrameError>> {
        let record = take_varint(&mut self.0).and_then(|tag| {
            let length = usize::try_from(take_varint(&mut self.0)?).ok()?;
            Some((tag, take(&mut self.0, length)?))
        });
        if record.is_none() {
            self.0 = &[];
        }
        Some(record.ok_or(FrameError::Short))
    }
}

pub(super) fn text(tag: u64, value: &[u8]) -> Result<&str, FrameError> {
    std::str::from_utf8(value).map_err(|_| FrameError::Record(tag))
}

/// The name of a namespace, an actor or a service.
pub(super) fn name(tag: u64, value: &[u8]) -> Result<&str, FrameError> {
    if value.len() > MAX_NAME { Err(FrameError::Record(tag)) } else { text(tag, value) }
}

#[inline]
pub(super) fn varint(tag: u64, mut value: &[u8]) -> Result<u64, FrameError> {
    if let [byte @ ..0x80] = value {
        return Ok(u64::from(*byte));
    }
    match (take_varint(&mut value), value) {
        (Some(number), []) => Ok(number),
        _ => Err(FrameError::Record(tag)),
    }
}

pub(super) fn fixed<const N: usize>(tag: u64, value: &[u8]) -> Result<[u8; N], FrameError> {
    value.try_into().map_err(|_| FrameError::Record(tag))
}

/// What [`FrameWriter::parts`] wrote.
pub(super) fn parts<const N: usize>(tag: u64, value: &[u8]) -> Result<([u8; N], &str, &str), FrameError> {
    let mut rest = value;
    let read = |rest: &mut &'_ [u8]| -> Option<([u8; N], usize)> {
        let fixed = take(rest, N)?.try_into().ok()?;
        Some((fixed, usize::try_from(take_varint(rest)?).ok()?))
    };
    let (fixed, length) = read(&mut rest).ok_or(FrameError::Record(tag))?;
    let head = take(&mut rest, length).ok_or(FrameError::Record(tag))?;
    Ok((fixed, text(tag, head)?, text(tag, rest)?))
}

/// The beginning of a frame: its prefix and a few short records, put together where nothing has to grow.
pub(super) struct Short {
    bytes: [u8; Self::ROOM],
    length: usize,
}

impl Short {
    /// Seven records of a varint each, and room to write eight bytes at once.
    const ROOM: usize = PREFIX + 7 * 12 + 8;

    pub(super) fn new(kind: u8) -> Self {
        let mut bytes = [0; Self::ROOM];
        bytes[4] = kind;
        Self { bytes, length: PREFIX }
    }

    #[inline]
    pub(super) fn varint(&mut self, tag: u8, mut value: u64) {
        let mut length = 0;
        let at = self.length + 2;
        while value >= 0x80 {
            self.bytes[at + length] = value as u8 | 0x80;
            value >>= 7;
            length += 1;
        }
        self.bytes[at + length] = value as u8;
        length += 1;
        self.bytes[at - 2] = tag;
        self.bytes[at - 1] = length as u8;
        self.length = at + length;
    }

    #[inline]
    pub(super) fn bytes<const N: usize>(&mut self, tag: u8, value: [u8; N]) {
        self.bytes[self.length] = tag;
        self.bytes[self.length + 1] = N as u8;
        self.bytes[self.length + 2..self.length + 2 + N].copy_from_slice(&value);
        self.length += 2 + N;
    }

    /// Writes the frame, with records that were written before behind its own. `Err` with the length if the header is
    /// longer than a peer would read; nothing is written then.
    pub(super) fn finish(
        mut self,
        records: &[u8],
        body: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), HeaderTooLong> {
        let header = self.length - PREFIX + records.len();
        let short = u16::try_from(header).map_err(|_| HeaderTooLong(header))?;
        let length = (PREFIX - 4 + header + body.len()) as u32;
        self.bytes[..4].copy_from_slice(&length.to_le_bytes());
        self.bytes[5..PREFIX].copy_from_slice(&short.to_le_bytes());
        make_room(out, self.length + records.len() + body.len());
        out.extend_from_slice(&self.bytes[..self.length]);
        if !records.is_empty() {
            out.extend_from_slice(records);
        }
        out.extend_from_slice(body);
        Ok(())
    }
}

/// Few frames are longer; a buffer that was taken away is not grown again step by step.
fn make_room(out: &mut BytesMut, wanted: usize) {
    const CHUNK: usize = 4 * 1024;
    if out.capacity() - out.len() < wanted {
        out.reserve(wanted.max(CHUNK));
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

pub(super) fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    if let [byte @ ..0x80, behind @ ..] = *rest {
        *rest = behind;
        return Some(u64::from(*byte));
    }
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

pub(super) fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn varint_length(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_of_every_length_come_back() {
        for bits in 0..64 {
            for value in [1_u64 << bits, (1_u64 << bits) - 1, u64::MAX] {
                let mut out = BytesMut::new();
                put_varint(&mut out, value);
                assert_eq!(out.len(), varint_length(value));
                let mut rest = &out[..];
                assert_eq!((take_varint(&mut rest), rest.len()), (Some(value), 0));
            }
        }
        for bad in [&[0x80][..], &[0xff; 10], &[0xff; 11], &[]] {
            assert_eq!(take_varint(&mut &bad[..]), None);
        }
    }

    #[test]
    fn a_header_is_cut_from_its_body_whatever_its_length() {
        for length in [0, 1, 200, 20_000, 65_531] {
            let mut out = BytesMut::from(&b"before"[..]);
            let mut writer = FrameWriter::new(&mut out, 3);
            writer.bytes(9, &vec![7; length]);
            writer.finish(b"body").unwrap();
            let frame = out.freeze().slice(6..);
            assert_eq!(frame[..5], [((frame.len() - 4) as u32).to_le_bytes().as_slice(), &[3]].concat());
            let rest = frame.slice(5..);
            let (header, body) = split(&rest).map(|(h, b)| (h.to_vec(), b.keep())).unwrap();
            let all: Vec<_> = ReadRecords(&header).collect();
            assert_eq!(all, [Ok((9, &vec![7; length][..]))]);
            assert_eq!(&body[..], b"body");
        }
    }

    #[test]
    fn a_header_that_is_too_long_leaves_nothing_behind() {
        let mut out = BytesMut::from(&b"before"[..]);
        let mut writer = FrameWriter::new(&mut out, 3);
        writer.bytes(9, &vec![7; 65_600]);
        assert!(writer.finish(b"body").is_err());
        assert_eq!(&out[..], b"before");
    }
}
