use bytes::{BufMut, Bytes, BytesMut};

/// The largest header that is read.
const MAX_HEADER: usize = 64 * 1024;

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the frame ends too early")]
    Short,
    #[error("the header of {0} bytes is longer than {MAX_HEADER}")]
    LongHeader(u64),
    #[error("the record with tag {0} is malformed")]
    Record(u64),
    #[error("the record with tag {0} is missing")]
    Missing(u64),
}

/// Writes the records of a header, and puts the length of the header in front of them.
pub(super) struct Records {
    out: BytesMut,
    start: usize,
}

/// Room for the header's length; the headers of nearly all calls fit in two bytes of varint.
const LENGTH_ROOM: usize = 3;

impl Records {
    pub(super) fn new(mut out: BytesMut) -> Self {
        let start = out.len();
        out.put_bytes(0, LENGTH_ROOM);
        Self { out, start }
    }

    pub(super) fn bytes(&mut self, tag: u64, value: &[u8]) {
        put_varint(&mut self.out, tag);
        put_varint(&mut self.out, value.len() as u64);
        self.out.put_slice(value);
    }

    pub(super) fn varint(&mut self, tag: u64, value: u64) {
        put_varint(&mut self.out, tag);
        put_varint(&mut self.out, varint_length(value) as u64);
        put_varint(&mut self.out, value);
    }

    /// A record of several parts, each but the last with its length in front.
    pub(super) fn parts(&mut self, tag: u64, fixed: &[u8], head: &str, tail: &str) {
        let length = fixed.len() + varint_length(head.len() as u64) + head.len() + tail.len();
        put_varint(&mut self.out, tag);
        put_varint(&mut self.out, length as u64);
        self.out.put_slice(fixed);
        put_varint(&mut self.out, head.len() as u64);
        self.out.put_slice(head.as_bytes());
        self.out.put_slice(tail.as_bytes());
    }

    /// The buffer, ready for the body. `Err` with the length if the header is longer than a peer would read.
    pub(super) fn finish(mut self) -> Result<BytesMut, usize> {
        let length = self.out.len() - self.start - LENGTH_ROOM;
        if length > MAX_HEADER {
            return Err(length);
        }
        // A varint may be longer than it need be: three bytes hold what MAX_HEADER allows.
        let low = |shift: usize| (length >> shift & 0x7f) as u8;
        self.out[self.start..self.start + LENGTH_ROOM].copy_from_slice(&[
            low(0) | 0x80,
            low(7) | 0x80,
            low(14),
        ]);
        Ok(self.out)
    }
}

/// The header and the body of a frame.
pub(super) fn split(frame: &Bytes) -> Result<(&[u8], Bytes), FrameError> {
    let mut rest = &frame[..];
    let length = take_varint(&mut rest).ok_or(FrameError::Short)?;
    if length > MAX_HEADER as u64 {
        return Err(FrameError::LongHeader(length));
    }
    let header = take(&mut rest, length as usize).ok_or(FrameError::Short)?;
    let body = frame.slice(frame.len() - rest.len()..);
    Ok((header, body))
}

/// The records of a header, one after the other.
pub(super) struct ReadRecords<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for ReadRecords<'a> {
    type Item = Result<(u64, &'a [u8]), FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
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

pub(super) fn varint(tag: u64, mut value: &[u8]) -> Result<u64, FrameError> {
    match (take_varint(&mut value), value) {
        (Some(number), []) => Ok(number),
        _ => Err(FrameError::Record(tag)),
    }
}

pub(super) fn fixed<const N: usize>(tag: u64, value: &[u8]) -> Result<[u8; N], FrameError> {
    value.try_into().map_err(|_| FrameError::Record(tag))
}

/// What [`Records::parts`] wrote.
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

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
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

fn put_varint(out: &mut BytesMut, mut value: u64) {
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
        for length in [0, 1, 200, 20_000, MAX_HEADER - 8] {
            let mut records = Records::new(BytesMut::new());
            records.bytes(9, &vec![7; length]);
            let mut frame = records.finish().unwrap();
            frame.put_slice(b"body");
            let frame = frame.freeze();
            let (header, body) = split(&frame).unwrap();
            let all: Vec<_> = ReadRecords(header).collect();
            assert_eq!(all, [Ok((9, &vec![7; length][..]))]);
            assert_eq!(&body[..], b"body");
        }
        let mut records = Records::new(BytesMut::new());
        records.bytes(9, &vec![7; MAX_HEADER]);
        assert!(records.finish().is_err());
    }
}
