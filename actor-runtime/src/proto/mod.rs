//! What travels: envelopes of calls and replies, as records that a peer may skip.
//!
//! ```text
//!   frame  = varint(length of the header) header body
//!   header = record*                   record = varint(tag) varint(length) bytes
//!   body   = the arguments, or the reply, one after the other in postcard
//! ```
//!
//! A record with a tag that the reader does not know is skipped; one that is known and malformed is an error, named
//! by its tag. No input makes these functions panic, or allocate more than the frame is long.

mod call;
mod record;
mod reply;

pub(crate) use call::CallHeader;
pub(crate) use record::FrameError;
pub(crate) use reply::ReplyHeader;
