//! How a stream begins.

use bytes::{Bytes, BytesMut};

use super::{
    items::Part,
    record::{put_varint, take_varint},
};

/// What a stream is for: the first bytes of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum StreamKind {
    Control,
    Lane,
    /// The body of a call, by the caller's number of the call.
    CallBody(u64),
    ReplyBody(u64),
    /// A long item: of the arguments or the reply of this call, and which of the long ones it is.
    Item(Part, u64, u64),
}

impl StreamKind {
    pub(crate) fn encode(self) -> Bytes {
        let mut out = BytesMut::new();
        let (kind, numbers) = match self {
            Self::Control => (1, [None, None]),
            Self::Lane => (2, [None, None]),
            Self::CallBody(call) => (3, [Some(call), None]),
            Self::ReplyBody(call) => (4, [Some(call), None]),
            Self::Item(Part::Arguments, call, item) => (5, [Some(call), Some(item)]),
            Self::Item(Part::Reply, call, item) => (6, [Some(call), Some(item)]),
        };
        put_varint(&mut out, kind);
        for number in numbers.into_iter().flatten() {
            put_varint(&mut out, number);
        }
        out.freeze()
    }

    /// Reads it from the front of `bytes`. `Ok(None)` if more bytes are needed; `Err` with a kind that is not known.
    pub(crate) fn decode(bytes: &mut Bytes) -> Result<Option<Self>, u64> {
        let mut rest = &bytes[..];
        let number = |rest: &mut &[u8]| {
            // No number is longer than ten bytes.
            let none = if rest.len() >= 10 { Err(0_u64) } else { Ok(None) };
            take_varint(rest).map_or(none, |number| Ok(Some(number)))
        };
        let Some(kind) = number(&mut rest)? else { return Ok(None) };
        let kind = match kind {
            1 => Self::Control,
            2 => Self::Lane,
            3 | 4 => match (number(&mut rest)?, kind) {
                (Some(call), 3) => Self::CallBody(call),
                (Some(call), _) => Self::ReplyBody(call),
                (None, _) => return Ok(None),
            },
            5 | 6 => {
                let part = if kind == 5 { Part::Arguments } else { Part::Reply };
                let Some(call) = number(&mut rest)? else { return Ok(None) };
                let Some(item) = number(&mut rest)? else { return Ok(None) };
                Self::Item(part, call, item)
            }
            kind => return Err(kind),
        };
        let taken = bytes.len() - rest.len();
        *bytes = bytes.slice(taken..);
        Ok(Some(kind))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stream_of_an_unknown_kind_is_known_for_one_and_no_number_is_waited_for_forever() {
        let decode = |bytes: &[u8]| StreamKind::decode(&mut Bytes::copy_from_slice(bytes));
        assert_eq!(decode(&[]), Ok(None));
        assert_eq!(decode(&[7]), Err(7));
        assert_eq!(decode(&[0]), Err(0));
        assert_eq!(decode(&[0x80; 9]), Ok(None));
        assert_eq!(decode(&[0x80; 10]), Err(0));
        assert_eq!(decode(&[[3].as_slice(), &[0x80; 9]].concat()), Ok(None));
        assert_eq!(decode(&[[3].as_slice(), &[0x80; 10]].concat()), Err(0));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = StreamKind::decode(&mut Bytes::from(bytes));
        }
    }
}
