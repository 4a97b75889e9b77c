use serde::{Serialize, de::DeserializeOwned};

use super::{CodecError, Decoder, Encoder};
use crate::schema::{self, Schema};

/// What can be an argument, a reply or an error. Generated code asks everything of such a type through this one trait,
/// so that a type that cannot be sent is one error, in words of ours. (Supertraits would be reported one by one.)
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent",
    label = "cannot be an argument, a reply or an error",
    note = "write `#[message]` above each type of yours in it; a type of another crate may have a feature for serde",
    note = "what is sent implements serde's `Serialize` and `Deserialize`, is `Send`, and borrows nothing"
)]
pub trait Message: Sized {
    /// As [`schema::of`].
    fn schema() -> Schema;

    /// As [`schema`](Self::schema), of a `Vec`.
    fn schema_vec() -> Schema;

    /// As [`Encoder::argument`].
    fn encode(&self, out: &mut Encoder, part: &'static str) -> Result<(), CodecError>;

    /// As [`encode`](Self::encode), of a `Vec`.
    #[expect(clippy::ptr_arg, reason = "the encoder knows a `Vec<u8>` by its type, and copies it whole")]
    fn encode_vec(vec: &Vec<Self>, out: &mut Encoder, part: &'static str) -> Result<(), CodecError>;

    /// As [`Encoder::slice`], which writes what [`encode_vec`](Self::encode_vec) does.
    fn encode_slice(slice: &[Self], out: &mut Encoder, part: &'static str) -> Result<(), CodecError>;

    /// As [`Decoder::argument`].
    fn decode(decoder: &mut Decoder, part: &'static str) -> Result<Self, CodecError>;

    /// As [`decode`](Self::decode), of a `Vec`.
    fn decode_vec(decoder: &mut Decoder, part: &'static str) -> Result<Vec<Self>, CodecError>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Message for T {
    fn schema() -> Schema {
        schema::of::<Self>()
    }

    fn schema_vec() -> Schema {
        schema::of::<Vec<Self>>()
    }

    fn encode(&self, out: &mut Encoder, part: &'static str) -> Result<(), CodecError> {
        out.argument(part, self)
    }

    fn encode_vec(vec: &Vec<Self>, out: &mut Encoder, part: &'static str) -> Result<(), CodecError> {
        out.argument(part, vec)
    }

    fn encode_slice(slice: &[Self], out: &mut Encoder, part: &'static str) -> Result<(), CodecError> {
        out.slice(part, slice)
    }

    fn decode(decoder: &mut Decoder, part: &'static str) -> Result<Self, CodecError> {
        decoder.argument(part)
    }

    fn decode_vec(decoder: &mut Decoder, part: &'static str) -> Result<Vec<Self>, CodecError> {
        decoder.argument(part)
    }
}
