//! The frames of the control stream: who speaks, which services there are, and that the end is near.

use bytes::BytesMut;

use super::{
    call::{find, small},
    kind,
    record::{FrameError, FrameWriter, HeaderTooLong, ReadRecords, Unread, fixed, name, split, text, varint},
};
use crate::actor_id::NodeId;

/// The versions of the wire that this release speaks.
pub(crate) const VERSIONS: Versions = Versions { oldest: 1, newest: 1 };

/// A range of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) oldest: u32,
    pub(crate) newest: u32,
}

impl Versions {
    /// The newest version that both sides speak.
    pub(super) fn agree(self, other: Self) -> Option<u32> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest && newest >= other.oldest).then_some(newest)
    }
}

/// The first frame of each side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) versions: Versions,
    pub(crate) node: NodeId,
    /// Where the node listens, as it wants to be called.
    pub(crate) address: Option<String>,
    pub(crate) grants: Grants,
}

/// What a side lets the other one send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grants {
    /// Calls that have not begun, for each target.
    pub(crate) calls: u32,
    /// Bytes of such calls, for each target: while there are fewer, one more call may be sent.
    pub(crate) bytes: u64,
    /// Bytes of such calls in all, likewise.
    pub(crate) total_bytes: u64,
    /// Targets that are bound at a time.
    pub(crate) targets: u32,
    /// The longest arguments or reply.
    pub(crate) message: u64,
}

const OLDEST: u64 = 1;
const NEWEST: u64 = 2;
const NODE: u64 = 3;
const ADDRESS: u64 = 4;
const CALLS: u64 = 5;
const BYTES: u64 = 6;
const TOTAL_BYTES: u64 = 7;
const TARGETS: u64 = 8;
const MESSAGE: u64 = 9;

const NAME: u64 = 1;
const DIGEST: u64 = 2;
const METHODS: u64 = 3;
const REASON: u64 = 4;

/// What every conversation begins with, so that a stranger is known for one at the first bytes.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"actor/w\n");
const MAGIC_TAG: u64 = 0;

impl Hello {
    pub(super) fn encode(&self, out: &mut BytesMut) -> Result<(), HeaderTooLong> {
        let mut frame = FrameWriter::new(out, kind::HELLO);
        frame.bytes(MAGIC_TAG, &MAGIC.to_le_bytes());
        frame.varint(OLDEST, u64::from(self.versions.oldest));
        frame.varint(NEWEST, u64::from(self.versions.newest));
        frame.bytes(NODE, &self.node.0.to_le_bytes());
        if let Some(address) = &self.address {
            frame.bytes(ADDRESS, address.as_bytes());
        }
        frame.varint(CALLS, u64::from(self.grants.calls));
        frame.varint(BYTES, self.grants.bytes);
        frame.varint(TOTAL_BYTES, self.grants.total_bytes);
        frame.varint(TARGETS, u64::from(self.grants.targets));
        frame.varint(MESSAGE, self.grants.message);
        frame.finish(&[])
    }

    pub(super) fn decode<'a>(rest: impl Into<Unread<'a>>) -> Result<Self, FrameError> {
        let (mut oldest, mut newest, mut node, mut address, mut magic) = (None, None, None, None, None);
        // What a peer that grants nothing is understood to grant: enough to be polite with.
        let mut grants = Grants { calls: 1, bytes: 1, total_bytes: 1, targets: 1, message: 64 * 1024 };
        let (header, _) = split(rest)?;
        for record in ReadRecords(header) {
            let (tag, value) = record?;
            match tag {
                MAGIC_TAG => magic = Some(u64::from_le_bytes(fixed(tag, value)?)),
                OLDEST => oldest = Some(small(tag, value)?),
                NEWEST => newest = Some(small(tag, value)?),
                NODE => node = Some(NodeId(u64::from_le_bytes(fixed(tag, value)?))),
                ADDRESS => address = Some(name(tag, value)?.to_owned()),
                CALLS => grants.calls = small(tag, value)?.max(1),
                BYTES => grants.bytes = varint(tag, value)?.max(1),
                TOTAL_BYTES => grants.total_bytes = varint(tag, value)?.max(1),
                TARGETS => grants.targets = small(tag, value)?.max(1),
                MESSAGE => grants.message = varint(tag, value)?,
                _ => {}
            }
        }
        if magic != Some(MAGIC) {
            return Err(FrameError::Record(MAGIC_TAG));
        }
        let oldest = oldest.ok_or(FrameError::Missing(OLDEST))?;
        let newest = newest.ok_or(FrameError::Missing(NEWEST))?;
        let node = node.ok_or(FrameError::Missing(NODE))?;
        Ok(Self { versions: Versions { oldest, newest }, node, address, grants })
    }
}

/// A service that the sender's actors serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceDigest {
    pub(crate) name: String,
    /// A hash of the fingerprints of its methods.
    pub(crate) digest: u64,
}

impl ServiceDigest {
    pub(super) fn encode(&self, out: &mut BytesMut) -> Result<(), HeaderTooLong> {
        let mut frame = FrameWriter::new(out, kind::SERVICE);
        frame.bytes(NAME, self.name.as_bytes());
        frame.bytes(DIGEST, &self.digest.to_le_bytes());
        frame.finish(&[])
    }

    pub(super) fn decode<'a>(rest: impl Into<Unread<'a>>) -> Result<Self, FrameError> {
        let (header, _) = split(rest)?;
        let name = name(NAME, find(header, NAME)?.ok_or(FrameError::Missing(NAME))?)?.to_owned();
        let digest = find(header, DIGEST)?.ok_or(FrameError::Missing(DIGEST))?;
        Ok(Self { name, digest: u64::from_le_bytes(fixed(DIGEST, digest)?) })
    }
}

/// The methods of one service with their fingerprints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceTable {
    pub(crate) name: String,
    /// (method id, fingerprint); `None` if the sender does not know the service.
    pub(crate) methods: Option<Vec<(u32, u64)>>,
}

impl ServiceTable {
    pub(super) fn encode(&self, out: &mut BytesMut) -> Result<(), HeaderTooLong> {
        let mut frame = FrameWriter::new(out, kind::TABLE);
        frame.bytes(NAME, self.name.as_bytes());
        if let Some(methods) = &self.methods {
            let pairs: Vec<u8> = methods
                .iter()
                .flat_map(|(id, fingerprint)| id.to_le_bytes().into_iter().chain(fingerprint.to_le_bytes()))
                .collect();
            frame.bytes(METHODS, &pairs);
        }
        frame.finish(&[])
    }

    pub(super) fn decode<'a>(rest: impl Into<Unread<'a>>) -> Result<Self, FrameError> {
        let (header, _) = split(rest)?;
        let name = name(NAME, find(header, NAME)?.ok_or(FrameError::Missing(NAME))?)?.to_owned();
        let methods = find(header, METHODS)?.map(|pairs| {
            let (pairs, rest) = pairs.as_chunks::<12>();
            let pair = |pair: &[u8; 12]| {
                let both = |at: usize, length: usize| {
                    let mut wide = [0; 8];
                    wide[..length].copy_from_slice(&pair[at..at + length]);
                    u64::from_le_bytes(wide)
                };
                (both(0, 4) as u32, both(4, 8))
            };
            if rest.is_empty() {
                Ok(pairs.iter().map(pair).collect())
            } else {
                Err(FrameError::Record(METHODS))
            }
        });
        Ok(Self { name, methods: methods.transpose()? })
    }
}

/// Asks for the table of a service.
pub(super) fn encode_ask(service: &str, out: &mut BytesMut) -> Result<(), HeaderTooLong> {
    let mut frame = FrameWriter::new(out, kind::ASK);
    frame.bytes(NAME, service.as_bytes());
    frame.finish(&[])
}

pub(super) fn decode_ask<'a>(rest: impl Into<Unread<'a>>) -> Result<String, FrameError> {
    let (header, _) = split(rest)?;
    Ok(name(NAME, find(header, NAME)?.ok_or(FrameError::Missing(NAME))?)?.to_owned())
}

/// The sender takes no more calls.
pub(super) fn encode_goodbye(reason: &str, out: &mut BytesMut) {
    let mut frame = FrameWriter::new(out, kind::GOODBYE);
    let mut end = reason.len().min(512);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    frame.bytes(REASON, &reason.as_bytes()[..end]);
    frame.finish_short();
}

pub(super) fn decode_goodbye<'a>(rest: impl Into<Unread<'a>>) -> Result<String, FrameError> {
    let (header, _) = split(rest)?;
    find(header, REASON)?.map_or(Ok(String::new()), |reason| Ok(text(REASON, reason)?.to_owned()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::proto::{
        Frame,
        call::unknown_record,
        credit::Credit,
        samples::{encode, frames},
    };

    fn of_the_control_stream() -> Vec<Bytes> {
        let encoded = frames().into_iter().map(|(_, frame)| encode(&frame));
        encoded.filter(|frame| frame[4] >= kind::HELLO || frame[4] == kind::CREDIT).collect()
    }

    fn decode_all(rest: &Bytes) {
        let _ = (Hello::decode(rest), ServiceDigest::decode(rest), ServiceTable::decode(rest));
        let _ = (decode_ask(rest), decode_goodbye(rest), Credit::decode(rest));
    }

    #[test]
    fn unknown_records_are_skipped_and_missing_ones_named() {
        let hello = crate::proto::samples::hello();
        let whole = encode(&Frame::Hello(hello.clone())).slice(7..);
        let with_more = [&unknown_record()[..], &whole, &unknown_record()].concat();
        let rest =
            |header: &[u8]| Bytes::from(crate::proto::samples::raw(kind::HELLO, header, b"")).slice(5..);
        assert_eq!(Hello::decode(&rest(&with_more)), Ok(hello));
        // Records of ten, three, three and ten bytes.
        for (missing, at, length) in [(OLDEST, 10, 3), (NEWEST, 13, 3), (NODE, 16, 10)] {
            let without = [&whole[..at], &whole[at + length..]].concat();
            assert_eq!(Hello::decode(&rest(&without)), Err(FrameError::Missing(missing)));
        }
        assert_eq!(Hello::decode(&rest(&whole[10..])), Err(FrameError::Record(MAGIC_TAG)));
    }

    #[test]
    fn a_peer_that_grants_nothing_may_be_called_a_little() {
        let header: Vec<u8> = encode(&Frame::Hello(crate::proto::samples::hello()))[7..7 + 26].to_vec();
        let rest = Bytes::from(crate::proto::samples::raw(kind::HELLO, &header, b"")).slice(5..);
        let grants = Hello::decode(&rest).unwrap().grants;
        let least = Grants { calls: 1, bytes: 1, total_bytes: 1, targets: 1, message: 65_536 };
        assert_eq!(grants, least);
    }

    #[test]
    fn a_long_farewell_is_cut_between_characters() {
        let mut out = BytesMut::new();
        encode_goodbye(&format!("x{}", "\u{e4}".repeat(500)), &mut out);
        let reason = decode_goodbye(&out.freeze().slice(5..)).unwrap();
        assert_eq!(reason, format!("x{}", "\u{e4}".repeat(255)));
    }

    #[test]
    fn a_table_of_half_a_method_is_malformed() {
        let mut out = BytesMut::new();
        let mut frame = FrameWriter::new(&mut out, kind::TABLE);
        frame.bytes(NAME, b"S");
        frame.bytes(METHODS, &[0; 13]);
        frame.finish(&[]).unwrap();
        assert_eq!(ServiceTable::decode(&out.freeze().slice(5..)), Err(FrameError::Record(METHODS)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            decode_all(&Bytes::from(bytes));
        }

        #[test]
        fn no_change_of_a_good_frame_makes_it_panic(which: usize, at: usize, byte: u8, cut: usize) {
            let all = of_the_control_stream();
            let mut bytes = all[which % all.len()].slice(5..).to_vec();
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % length);
            decode_all(&Bytes::from(bytes));
        }
    }
}
