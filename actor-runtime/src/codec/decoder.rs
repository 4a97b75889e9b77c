use std::any::{Any, TypeId};

use bytes::{Buf, Bytes};
use serde::de::DeserializeOwned;

use super::{CodecError, Reason};
use crate::stream::Arrived;

/// Reads values one after the other.
#[derive(Debug)]
pub struct Decoder {
    rest: Bytes,
    /// The stream that came with the bytes; few have one.
    stream: Option<Box<Arrived>>,
}

/// Bytes without a stream.
impl From<Bytes> for Decoder {
    fn from(bytes: Bytes) -> Self {
        Self::new(bytes)
    }
}

impl Decoder {
    /// Reads from `bytes`.
    pub fn new(bytes: Bytes) -> Self {
        Self { rest: bytes, stream: None }
    }

    /// Reads what came with a stream.
    pub(crate) fn with_stream(bytes: Bytes, stream: Option<Box<Arrived>>) -> Self {
        Self { rest: bytes, stream }
    }

    /// The stream that came with the bytes, if nobody has taken it.
    pub(crate) fn stream(&mut self) -> Option<Arrived> {
        self.stream.take().map(|stream| *stream)
    }

    /// Reads one value. `part` names it in errors.
    ///
    /// `Vec<u8>` is copied whole and `Bytes` is not copied at all: it shares the buffer that the message arrived in.
    ///
    /// # Errors
    /// [`CodecError::Decode`].
    pub fn argument<T: DeserializeOwned + 'static>(&mut self, part: &'static str) -> Result<T, CodecError> {
        if TypeId::of::<T>() == TypeId::of::<Vec<u8>>() {
            let bytes = self.bytes(part)?;
            return cast(Vec::from(bytes), part);
        }
        if TypeId::of::<T>() == TypeId::of::<Bytes>() {
            let bytes = self.bytes(part)?;
            return cast(bytes, part);
        }
        let (value, rest) = postcard::take_from_bytes(&self.rest)
            .map_err(|reason| CodecError::Decode { part, reason: Reason(reason) })?;
        let read = self.rest.len() - rest.len();
        self.rest.advance(read);
        Ok(value)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`CodecError::Trailing`] if something is left over.
    pub fn finish(self) -> Result<(), CodecError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(CodecError::Trailing { bytes }),
        }
    }

    fn bytes(&mut self, part: &'static str) -> Result<Bytes, CodecError> {
        let failed = |reason| CodecError::Decode { part, reason: Reason(reason) };
        let (length, rest) = postcard::take_from_bytes::<usize>(&self.rest).map_err(failed)?;
        if length > rest.len() {
            return Err(failed(postcard::Error::DeserializeUnexpectedEnd));
        }
        let start = self.rest.len() - rest.len();
        self.rest.advance(start);
        Ok(self.rest.split_to(length))
    }
}

/// `value` as a `T`, where the caller has seen that the types are the same.
fn cast<T: 'static, V: 'static>(value: V, part: &'static str) -> Result<T, CodecError> {
    let mut slot: Option<T> = None;
    if let Some(slot) = (&mut slot as &mut dyn Any).downcast_mut::<Option<V>>() {
        *slot = Some(value);
    }
    slot.ok_or(CodecError::Decode { part, reason: Reason(postcard::Error::WontImplement) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_not_copied() {
        let source = Bytes::from(postcard::to_stdvec(&vec![7_u8; 300]).unwrap());
        let mut decoder = Decoder::new(source.clone());
        let value: Bytes = decoder.argument("a").unwrap();
        assert_eq!(value, vec![7_u8; 300]);
        assert_eq!(value.as_ptr(), source[2..].as_ptr());
        assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn a_length_beyond_the_end_is_an_error_before_anything_is_allocated() {
        for text in [&[0xff, 0xff, 0xff, 0xff, 0x0f, 1][..], &[5, 1, 2], &[0xff; 12], &[]] {
            let whole = Bytes::copy_from_slice(text);
            assert!(Decoder::new(whole.clone()).argument::<Vec<u8>>("a").is_err());
            assert!(Decoder::new(whole).argument::<Bytes>("a").is_err());
        }
    }

    #[test]
    fn what_is_left_over_is_an_error() {
        let mut decoder = Decoder::new(Bytes::from_static(&[1, 2, 3]));
        assert_eq!(decoder.argument::<u8>("a"), Ok(1));
        assert_eq!(decoder.finish(), Err(CodecError::Trailing { bytes: 2 }));
    }
}
