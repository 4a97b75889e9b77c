use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};

use super::record::{FrameError, ReadRecords, Records, fixed, parts, split, text, varint};
use crate::{
    actor_id::{ActorId, NodeId},
    call::{Caller, Link, Metadata},
    service::Access,
};

/// The envelope of a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallHeader<'a> {
    /// What the reply will say it belongs to.
    pub(crate) call: u64,
    /// The method's id.
    pub(crate) method: u32,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// Which registration is meant; without it, whatever has the name.
    pub(crate) actor: Option<ActorId>,
    /// Time left, in whole microseconds.
    pub(crate) remaining: Option<Duration>,
    pub(crate) chain: Option<Arc<Link>>,
    pub(crate) caller: Option<Caller>,
    pub(crate) metadata: Option<Box<Metadata>>,
}

const CALL: u64 = 1;
const METHOD: u64 = 2;
const NAMESPACE: u64 = 3;
const NAME: u64 = 4;
const ACTOR: u64 = 5;
const REMAINING: u64 = 6;
const HOP: u64 = 7;
const CALLER_NODE: u64 = 8;
const CALLER_ACTOR: u64 = 9;
const METADATA: u64 = 10;

impl<'a> CallHeader<'a> {
    /// Writes the header; the body is to follow. `Err` with the length if it is too long.
    pub(crate) fn encode(&self, out: BytesMut) -> Result<BytesMut, usize> {
        let mut records = Records::new(out);
        records.varint(CALL, self.call);
        records.bytes(METHOD, &self.method.to_le_bytes());
        records.bytes(NAMESPACE, self.namespace.as_bytes());
        records.bytes(NAME, self.name.as_bytes());
        if let Some(actor) = self.actor {
            records.bytes(ACTOR, &actor_bytes(actor));
        }
        if let Some(remaining) = self.remaining {
            records.varint(REMAINING, u64::try_from(remaining.as_micros()).unwrap_or(u64::MAX));
        }
        for link in self.chain.iter().flat_map(|link| link.iter()) {
            let mut head = [0; 17];
            head[..16].copy_from_slice(&actor_bytes(link.actor));
            head[16] = u8::from(link.access == Access::Exclusive);
            records.parts(HOP, &head, &link.name, &link.method);
        }
        if let Some(caller) = self.caller {
            records.bytes(CALLER_NODE, &caller.node.0.to_le_bytes());
            if let Some(actor) = caller.actor {
                records.bytes(CALLER_ACTOR, &actor_bytes(actor));
            }
        }
        for (name, value) in self.metadata.iter().flat_map(|metadata| metadata.iter()) {
            records.parts(METADATA, &[], name, value);
        }
        records.finish()
    }

    /// Reads a frame: the header, and the body behind it.
    pub(crate) fn decode(frame: &'a Bytes) -> Result<(Self, Bytes), FrameError> {
        let (header, body) = split(frame)?;
        let mut decoded = Self::default();
        let (mut call, mut method) = (None, None);
        let mut hops = Vec::new();
        let mut metadata = Metadata::new();
        let mut caller = None;
        for record in ReadRecords(header) {
            let (tag, value) = record?;
            match tag {
                CALL => call = Some(varint(tag, value)?),
                METHOD => method = Some(u32::from_le_bytes(fixed(tag, value)?)),
                NAMESPACE => decoded.namespace = text(tag, value)?,
                NAME => decoded.name = text(tag, value)?,
                ACTOR => decoded.actor = Some(actor(fixed(tag, value)?)),
                REMAINING => decoded.remaining = Some(Duration::from_micros(varint(tag, value)?)),
                HOP if hops.len() < Link::MAX => hops.push(parts::<17>(tag, value)?),
                CALLER_NODE => caller = Some(NodeId(u64::from_le_bytes(fixed(tag, value)?))),
                CALLER_ACTOR => {
                    decoded.caller =
                        caller.map(|node| Caller { node, actor: fixed(tag, value).ok().map(actor) });
                }
                METADATA => {
                    let ([], name, value) = parts::<0>(tag, value)?;
                    metadata.insert(name, value).map_err(|_| FrameError::Record(tag))?;
                }
                HOP => return Err(FrameError::Record(tag)),
                _ => {}
            }
        }
        decoded.call = call.ok_or(FrameError::Missing(CALL))?;
        decoded.method = method.ok_or(FrameError::Missing(METHOD))?;
        decoded.caller = decoded.caller.or(caller.map(|node| Caller { node, actor: None }));
        decoded.metadata = (!metadata.is_empty()).then(|| Box::new(metadata));
        for (head, name, method) in hops.into_iter().rev() {
            let [id @ .., access] = head;
            let access = if access == 0 { Access::Shared } else { Access::Exclusive };
            let link = Link::new(actor(id), name.into(), method.into(), access, decoded.chain.take());
            decoded.chain = Some(Arc::new(link));
        }
        Ok((decoded, body))
    }
}

pub(super) fn actor_bytes(actor: ActorId) -> [u8; 16] {
    (u128::from(actor.node.0) | u128::from(actor.serial) << 64).to_le_bytes()
}

pub(super) fn actor(bytes: [u8; 16]) -> ActorId {
    let both = u128::from_le_bytes(bytes);
    ActorId { node: NodeId(both as u64), serial: (both >> 64) as u64 }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;
    use proptest::prelude::*;

    use super::*;

    fn header() -> CallHeader<'static> {
        let id = |node, serial| ActorId { node: NodeId(node), serial };
        let outer = Link::new(id(1, 2), "front".into(), "Front/ask".into(), Access::Exclusive, None);
        let inner = Link::new(id(3, 4), "middle".into(), "M/a".into(), Access::Shared, Some(Arc::new(outer)));
        let mut metadata = Metadata::new();
        metadata.insert("tenant", "a").unwrap();
        metadata.insert("zone", "").unwrap();
        CallHeader {
            call: 300,
            method: 0xdead_beef,
            namespace: "job-7",
            name: "calc",
            actor: Some(id(u64::MAX, 5)),
            remaining: Some(Duration::from_micros(1_234_567)),
            chain: Some(Arc::new(inner)),
            caller: Some(Caller { node: NodeId(9), actor: Some(id(9, 1)) }),
            metadata: Some(Box::new(metadata)),
        }
    }

    fn frame(header: &CallHeader<'_>) -> Bytes {
        let mut frame = header.encode(BytesMut::new()).unwrap();
        frame.put_slice(b"body");
        frame.freeze()
    }

    #[test]
    fn an_envelope_comes_back_as_it_was() {
        for header in [header(), CallHeader::default()] {
            let frame = frame(&header);
            let (decoded, body) = CallHeader::decode(&frame).unwrap();
            assert_eq!(format!("{decoded:?}"), format!("{header:?}"));
            assert_eq!(&body[..], b"body");
        }
    }

    #[test]
    fn unknown_records_are_skipped_and_missing_ones_named() {
        let mut records = Records::new(BytesMut::new());
        records.bytes(77, b"from a later release");
        records.varint(CALL, 1);
        let frame = records.finish().unwrap().freeze();
        assert_eq!(CallHeader::decode(&frame).unwrap_err(), FrameError::Missing(METHOD));
        let mut records = Records::new(BytesMut::new());
        records.bytes(77, b"from a later release");
        records.varint(CALL, 1);
        records.bytes(METHOD, &[1, 0, 0, 0]);
        assert_eq!(CallHeader::decode(&records.finish().unwrap().freeze()).unwrap().0.method, 1);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = CallHeader::decode(&Bytes::from(bytes));
        }

        #[test]
        fn no_change_of_a_good_frame_makes_it_panic(at in 0_usize..150, byte in any::<u8>(), cut in 0_usize..150) {
            let mut bytes = frame(&header()).to_vec();
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % length);
            let _ = CallHeader::decode(&Bytes::from(bytes));
        }
    }
}
