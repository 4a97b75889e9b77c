//! What goes over the wire: frames of a length, a call's id, a kind and a body.
//!
//! ```text
//!   u32 length of what follows │ u64 id │ u8 kind │ body
//! ```

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// A small call's argument, and its reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Small {
    pub(crate) id: u64,
    pub(crate) x: f64,
    pub(crate) name: String,
}

/// The body is a [`Small`] in postcard.
pub(crate) const SMALL: u8 = 1;

/// The body is bytes.
pub(crate) const BODY: u8 = 2;

/// A [`Small`] takes no more than this: the names are short.
pub(crate) const SMALL_BYTES: usize = 256;

/// Nobody sends a longer frame.
const LONGEST: usize = 16 << 20;

const LENGTH: usize = 4;
const HEAD: usize = 9;

impl Small {
    /// Some value; `n` makes it another one.
    pub(crate) fn some(n: u64) -> Self {
        Self { id: n, x: 0.5, name: "a short name".to_owned() }
    }

    /// Its bytes, in the given place.
    pub(crate) fn encode<'a>(&self, place: &'a mut [u8; SMALL_BYTES]) -> io::Result<&'a [u8]> {
        postcard::to_slice(self, place).map(|bytes| &*bytes).map_err(io::Error::other)
    }

    pub(crate) fn decode(bytes: &[u8]) -> io::Result<Self> {
        postcard::from_bytes(bytes).map_err(io::Error::other)
    }
}

/// One call or reply.
pub(crate) struct Frame {
    pub(crate) id: u64,
    pub(crate) kind: u8,
    pub(crate) body: Bytes,
}

/// Appends a frame.
pub(crate) fn put(out: &mut Vec<u8>, id: u64, kind: u8, body: &[u8]) {
    let length = u32::try_from(HEAD + body.len()).expect("bodies are of a few MiB");
    out.reserve(LENGTH + HEAD + body.len());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&id.to_le_bytes());
    out.push(kind);
    out.extend_from_slice(body);
}

/// Takes off what is there of whole frames, and makes room for the rest of one that is not whole.
pub(crate) fn take_whole(buffer: &mut BytesMut) -> io::Result<Frames> {
    let mut whole = 0;
    while let Some(length) = buffer.get(whole..whole + LENGTH) {
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        if !(HEAD..=LONGEST).contains(&length) {
            return Err(io::Error::other(format!("a frame of {length} bytes")));
        }
        let end = whole + LENGTH + length;
        if end > buffer.len() {
            let missing = end - buffer.len();
            if missing > buffer.capacity() - buffer.len() {
                buffer.reserve(missing);
            }
            break;
        }
        whole = end;
    }
    Ok(Frames(buffer.split_to(whole).freeze()))
}

/// Whole frames, one after the other.
pub(crate) struct Frames(Bytes);

impl Frames {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Iterator for Frames {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        if self.0.is_empty() {
            return None;
        }
        let length = self.0.get_u32_le() as usize;
        let (id, kind) = (self.0.get_u64_le(), self.0.get_u8());
        Some(Frame { id, kind, body: self.0.split_to(length - HEAD) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_however_they_arrive() {
        let mut sent = Vec::new();
        put(&mut sent, 7, SMALL, b"one");
        put(&mut sent, 8, BODY, b"");
        let (mut buffer, mut received) = (BytesMut::new(), Vec::new());
        for byte in sent {
            buffer.extend_from_slice(&[byte]);
            received.extend(take_whole(&mut buffer).unwrap().map(|frame| (frame.id, frame.kind, frame.body)));
        }
        assert_eq!(received, [(7, SMALL, Bytes::from("one")), (8, BODY, Bytes::new())]);
    }

    #[test]
    fn a_length_that_cannot_be_is_refused() {
        for length in [0, HEAD - 1, LONGEST + 1] {
            let length = u32::try_from(length).unwrap();
            assert!(take_whole(&mut BytesMut::from(&length.to_le_bytes()[..])).is_err());
        }
    }
}
