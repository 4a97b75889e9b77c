//! The frame that gives room for calls.

use bytes::BytesMut;

use super::{
    call::small,
    kind,
    record::{FrameError, FrameWriter, ReadRecords, Unread, split, varint},
};

const TARGET: u64 = 1;
const CALLS: u64 = 5;
const BYTES: u64 = 6;

/// Room for more calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Credit {
    pub(crate) target: u32,
    pub(crate) calls: u32,
    pub(crate) bytes: u64,
}

impl Credit {
    pub(super) fn encode(self, out: &mut BytesMut) {
        let mut frame = FrameWriter::new(out, kind::CREDIT);
        frame.varint(TARGET, u64::from(self.target));
        frame.varint(CALLS, u64::from(self.calls));
        frame.varint(BYTES, self.bytes);
        frame.finish_short();
    }

    pub(super) fn decode<'a>(rest: impl Into<Unread<'a>>) -> Result<Self, FrameError> {
        let (mut target, mut calls, mut bytes) = (None, 0, 0);
        let (header, _) = split(rest)?;
        for record in ReadRecords(header) {
            let (tag, value) = record?;
            match tag {
                TARGET => target = Some(small(tag, value)?),
                CALLS => calls = small(tag, value)?,
                BYTES => bytes = varint(tag, value)?,
                _ => {}
            }
        }
        Ok(Self { target: target.ok_or(FrameError::Missing(TARGET))?, calls, bytes })
    }
}
