use std::any::{Any, TypeId};

use bytes::{BufMut, Bytes, BytesMut};
use postcard::ser_flavors::Flavor;
use serde::Serialize;

use super::{CodecError, Reason};

/// Writes values one after the other, up to a limit.
#[derive(Debug)]
pub struct Encoder {
    out: BytesMut,
    start: usize,
    limit: usize,
}

impl Encoder {
    /// Appends to `out`; at most `limit` bytes may be added to it.
    pub fn new(out: BytesMut, limit: usize) -> Self {
        let start = out.len();
        Self { out, start, limit }
    }

    /// How many bytes may be written.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// What was written, behind what was in the buffer before.
    pub fn into_inner(self) -> BytesMut {
        self.out
    }

    /// Writes one value. `part` names it in errors.
    ///
    /// `Vec<u8>` and `Bytes` are copied whole, whatever name the user's type alias gives them.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`] and [`CodecError::Encode`]; the buffer then holds a part of the value.
    pub fn argument<T: Serialize + 'static>(
        &mut self,
        part: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        let any: &dyn Any = value;
        if let Some(bytes) = any.downcast_ref::<Vec<u8>>() {
            return self.bytes(part, bytes);
        }
        if let Some(bytes) = any.downcast_ref::<Bytes>() {
            return self.bytes(part, bytes);
        }
        self.unsized_argument(part, value)
    }

    /// Writes one borrowed value that may be unsized, such as `str`.
    ///
    /// # Errors
    /// As [`argument`](Self::argument).
    pub fn unsized_argument<T: Serialize + ?Sized>(
        &mut self,
        part: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        let limit = self.limit;
        let room = self.room();
        postcard::serialize_with_flavor(value, Sink { out: &mut self.out, room }).map_err(|reason| {
            match reason {
                postcard::Error::SerializeBufferFull => CodecError::TooLarge { part, limit },
                reason => CodecError::Encode { part, reason: Reason(reason) },
            }
        })
    }

    /// Writes one borrowed slice; a slice of bytes is copied whole.
    ///
    /// # Errors
    /// As [`argument`](Self::argument).
    pub fn slice<T: Serialize + 'static>(
        &mut self,
        part: &'static str,
        value: &[T],
    ) -> Result<(), CodecError> {
        if TypeId::of::<T>() != TypeId::of::<u8>() {
            return self.unsized_argument(part, value);
        }
        self.length(part, value.len())?;
        // The type test is constant, so this is a plain copy once it is compiled for `u8`.
        self.out.extend(value.iter().filter_map(|byte| (byte as &dyn Any).downcast_ref::<u8>()));
        Ok(())
    }

    fn bytes(&mut self, part: &'static str, bytes: &[u8]) -> Result<(), CodecError> {
        self.length(part, bytes.len())?;
        self.out.put_slice(bytes);
        Ok(())
    }

    /// Writes the length of a byte string, having made sure that the string fits behind it.
    fn length(&mut self, part: &'static str, length: usize) -> Result<(), CodecError> {
        const VARINT_MAX: usize = 10;
        if length.saturating_add(VARINT_MAX) > self.room() {
            return Err(CodecError::TooLarge { part, limit: self.limit });
        }
        self.out.reserve(length + VARINT_MAX);
        self.unsized_argument(part, &(length as u64))
    }

    fn room(&self) -> usize {
        self.limit.saturating_sub(self.out.len() - self.start)
    }
}

/// A postcard sink that grows up to a limit.
struct Sink<'a> {
    out: &'a mut BytesMut,
    room: usize,
}

impl Flavor for Sink<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.room = self.room.checked_sub(data.len()).ok_or(postcard::Error::SerializeBufferFull)?;
        self.out.put_slice(data);
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.try_extend(&[data])
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(
        limit: usize,
        write: impl FnOnce(&mut Encoder) -> Result<(), CodecError>,
    ) -> Result<Bytes, CodecError> {
        let mut encoder = Encoder::new(BytesMut::new(), limit);
        write(&mut encoder)?;
        Ok(encoder.into_inner().freeze())
    }

    #[test]
    fn byte_strings_have_the_same_bytes_on_every_path() {
        let value: Vec<u8> = (0..=255).collect();
        let plain = encoded(1 << 16, |e| e.unsized_argument("a", &value)).unwrap();
        assert_eq!(encoded(1 << 16, |e| e.argument("a", &value)).unwrap(), plain);
        assert_eq!(encoded(1 << 16, |e| e.argument("a", &Bytes::from(value.clone()))).unwrap(), plain);
        assert_eq!(encoded(1 << 16, |e| e.slice("a", &value[..])).unwrap(), plain);
        assert_eq!(plain, postcard::to_stdvec(&value).unwrap());
    }

    #[test]
    fn the_limit_is_exact_for_ordinary_values_and_never_passed_by_bytes() {
        assert!(encoded(4, |e| e.argument("a", &"abc".to_owned())).is_ok());
        let error = CodecError::TooLarge { part: "a", limit: 3 };
        assert_eq!(encoded(3, |e| e.argument("a", &"abc".to_owned())), Err(error));
        for write in [
            (|e: &mut Encoder| e.argument("b", &vec![0_u8; 100])) as fn(&mut Encoder) -> _,
            |e| e.argument("b", &Bytes::from_static(&[0; 100])),
            |e| e.slice("b", &[0_u8; 100]),
        ] {
            assert_eq!(encoded(99, write), Err(CodecError::TooLarge { part: "b", limit: 99 }));
        }
    }
}
