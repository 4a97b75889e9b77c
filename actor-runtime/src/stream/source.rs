//! A stream that is written for another node, item by item, as far as there is room.

use std::{any::Any, task::Context};

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    call::{Delivery, Failure},
    codec::{Encoder, Message},
    context::ActorContext,
    proto::{StreamRoom, put_length},
};

/// A stream whose items can be written.
pub(crate) trait Source: Send {
    /// Writes items as long as the batch takes them.
    fn poll_write(&mut self, cx: &mut Context<'_>, batch: &mut Batch) -> Written;

    /// The actor that it belongs to.
    fn actor(&self) -> Option<ActorContext>;

    /// Has each item go through bytes where it is read on the same node: there are clients in it.
    fn encode_in_place(&mut self);

    /// For finding out the type again.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

/// Why no more was written.
pub(crate) enum Written {
    /// There is nothing yet.
    Pending,
    /// The batch is full.
    Full,
    /// That was all; or it broke off.
    Ended(Option<Failure>),
}

/// Items that leave together: each behind its length, as they travel.
#[derive(Default)]
pub(crate) struct Batch {
    items: BytesMut,
    scratch: BytesMut,
    /// How many items there are, and how long they are without their lengths.
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    /// The one behind them, which is too long to travel with them.
    pub(crate) large: Option<Bytes>,
    /// How many items and bytes there is room for.
    room: StreamRoom,
    limits: Limits,
}

/// How long an item may be.
#[derive(Clone, Copy, Default)]
pub(crate) struct Limits {
    /// Longer ones travel alone.
    pub(crate) own_stream: usize,
    pub(crate) longest: usize,
}

/// What a batch has room for: a frame that does not hold up the others on its lane.
const FULL: usize = 32 * 1024;

impl Batch {
    /// Begins a batch with room for so many items and bytes.
    pub(crate) fn begin(&mut self, room: StreamRoom, limits: Limits) {
        self.room = room;
        self.limits = limits;
        if self.items.capacity() < FULL / 8 {
            self.items.reserve(FULL);
        }
    }

    /// Adds an item. False if there is no room for another one.
    pub(crate) fn push<T: Message>(&mut self, item: &T) -> Result<bool, Failure> {
        self.scratch.clear();
        let mut encoder = Encoder::new(std::mem::take(&mut self.scratch), self.limits.longest);
        let encoded = item.encode(&mut encoder, "item");
        self.scratch = encoder.into_inner();
        encoded.map_err(|error| Failure::of_codec(&error, Delivery::Executed, "an item of the stream"))?;
        let length = self.scratch.len();
        self.room.items = self.room.items.saturating_sub(1);
        self.room.bytes = self.room.bytes.saturating_sub_unsigned(length as u64);
        if length > self.limits.own_stream {
            self.large = Some(self.scratch.split().freeze());
            return Ok(false);
        }
        put_length(&mut self.items, length);
        self.items.put_slice(&self.scratch);
        self.count += 1;
        self.bytes += length as u64;
        Ok(self.room.items > 0 && self.room.bytes > 0 && self.items.len() < FULL)
    }

    /// The items, how many they are and how long; the batch is empty then.
    pub(crate) fn take(&mut self) -> (Bytes, u64, u64) {
        let taken = (self.items.split().freeze(), self.count, self.bytes);
        (self.count, self.bytes) = (0, 0);
        taken
    }
}
