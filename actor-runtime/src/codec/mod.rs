//! Values to bytes and back: postcard, one argument after the other.
//!
//! ```text
//!   FooRequestRef::encode ──► Encoder ──► [arg 0][arg 1]…  ──► Decoder ──► FooRequest::decode
//! ```
//!
//! The bytes of a call are the postcard encoding of the tuple of its arguments, which is the same as the encodings
//! of the arguments one after the other; so neither side needs a tuple type. Byte strings take a path of their own
//! ([`Encoder::argument`] recognises them by type, through aliases too) that copies them whole instead of element by
//! element; the bytes on the wire are the same.
//!
//! Invariants:
//! 1. What was encoded is at most [`Encoder::limit`] bytes long, else the error is [`CodecError::TooLarge`].
//! 2. What is decoded is used to its last byte, else the error is [`CodecError::Trailing`].
//! 3. No input makes these functions panic.

use std::cell::RefCell;

use bytes::BytesMut;

mod arrival;
mod decoder;
mod encoder;
mod message;

pub(crate) use arrival::{arriving, arriving_at};
pub use decoder::Decoder;
pub use encoder::Encoder;
#[doc(hidden)]
pub use message::Message;

/// Why a value could not be turned into bytes, or bytes into a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The encoded value is larger than the limit.
    #[error(
        "`{part}` makes the message larger than the limit of {limit} bytes; send it in parts, or raise `Config::max_message_bytes`"
    )]
    TooLarge {
        /// The argument that passed the limit, or `reply`.
        part: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// The value's `Serialize` implementation failed, or asked for something postcard cannot express.
    #[error(
        "`{part}` cannot be encoded: {reason}; calls are encoded with postcard, which cannot do serde's `flatten`, `untagged` and `tag`"
    )]
    Encode {
        /// The argument, or `reply`.
        part: &'static str,
        /// What postcard said.
        reason: Reason,
    },
    /// The bytes are not a value of the type.
    #[error(
        "`{part}` cannot be decoded: {reason}; either the two sides have different versions of the service, or a type on the way uses serde's `skip_serializing_if`, `flatten`, `untagged` or `tag`, which postcard cannot do"
    )]
    Decode {
        /// The argument, or `reply`.
        part: &'static str,
        /// What postcard said.
        reason: Reason,
    },
    /// Bytes were left over after the last argument.
    #[error(
        "{bytes} bytes are left over after the last value; do both sides have the same version of the service?"
    )]
    Trailing {
        /// How many bytes.
        bytes: usize,
    },
    /// A stream was expected and did not come, or one of other items.
    #[error(
        "`{part}` is a stream, and none of its kind came; do both sides have the same version of the service?"
    )]
    NoStream {
        /// The argument, or `reply`.
        part: &'static str,
    },
    /// No method of the service has this id.
    #[error(
        "the service has no method with the id {id:#010x}; do both sides have the same version of the service?"
    )]
    UnknownMethod {
        /// The id that was asked for.
        id: u32,
    },
    /// The reply is an error, and the method has none.
    #[error(
        "the reply of the method with the id {id:#010x} is an error, and the method returns no `Result`; do both sides have the same version of the service?"
    )]
    UnexpectedError {
        /// The method's id.
        id: u32,
    },
}

/// What the encoding said about a value it could not write or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(postcard::Error);

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// An empty buffer to encode into. It is cut off a larger one that the thread keeps, whose memory is used again once
/// all that was cut off it is gone.
pub(crate) fn buffer() -> BytesMut {
    /// What one allocation serves.
    const CHUNK: usize = 16 * 1024;
    /// What is left at least for a message; a larger one grows into an allocation of its own.
    const ROOM: usize = 512;
    thread_local! {
        static BUFFER: RefCell<BytesMut> = RefCell::new(BytesMut::new());
    }
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.capacity() < ROOM {
            buffer.reserve(CHUNK);
        }
        buffer.split_off(buffer.capacity() - ROOM)
    })
}
