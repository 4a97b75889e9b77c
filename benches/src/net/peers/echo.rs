//! What a reader of frames does with them: on the client, on a server that answers in the reader, and on one with an
//! actor behind.

use std::{io, sync::Arc};

use bytes::Bytes;

use crate::net::{
    handoff::Handoff,
    slots::Slots,
    wire::{BODY, Frames, SMALL, SMALL_BYTES, Small, put},
};

/// Where frames go that were read. A clone is for another reader of the same connection.
#[derive(Clone)]
pub(crate) enum Receiver {
    /// To those who wait for replies.
    Callers(Arc<Slots>),
    /// Answered at once, into the outgoing buffer.
    Inline(Arc<Handoff<u8>>),
    /// To the actor, a batch at a time.
    Actor(Arc<Handoff<Item>>),
}

/// What an actor finds in its mailbox.
pub(crate) enum Item {
    Batch(Frames),
    /// A call that came on a stream of its own.
    Body(u64, Bytes),
}

impl Receiver {
    /// Takes all that one read brought.
    pub(crate) fn batch(&self, frames: Frames) -> io::Result<()> {
        if frames.is_empty() {
            return Ok(());
        }
        match self {
            Self::Callers(slots) => frames.for_each(|frame| slots.reply(frame.id, frame.body)),
            Self::Inline(outgoing) => {
                let mut result = Ok(());
                outgoing.put(|out| result = answer(frames, out));
                return result;
            }
            Self::Actor(mailbox) => mailbox.put(|items| items.push(Item::Batch(frames))),
        }
        Ok(())
    }

    /// Nothing comes any more.
    pub(crate) fn close(&self) {
        match self {
            Self::Callers(slots) => slots.close(),
            Self::Inline(outgoing) => outgoing.close(),
            Self::Actor(mailbox) => mailbox.close(),
        }
    }
}

/// The actor: takes its mailbox, answers everything in it, and hands the answers over at once. Bodies that came on a
/// stream of their own leave by `send_body`.
pub(crate) async fn actor(
    mailbox: Arc<Handoff<Item>>,
    outgoing: Arc<Handoff<u8>>,
    send_body: impl Fn(u64, Bytes),
) {
    let (mut items, mut answers) = (Vec::new(), Vec::new());
    while mailbox.take(&mut items).await {
        for item in items.drain(..) {
            match item {
                Item::Body(id, body) => send_body(id, body),
                Item::Batch(frames) => {
                    if answer(frames, &mut answers).is_err() {
                        // Its callers are left to their time limit: the floor has no errors to send.
                        return outgoing.close();
                    }
                }
            }
        }
        if !answers.is_empty() {
            outgoing.put(|out| out.append(&mut answers));
        }
    }
    outgoing.close();
}

/// Decodes each argument, and encodes it as the reply.
fn answer(frames: Frames, out: &mut Vec<u8>) -> io::Result<()> {
    let mut place = [0; SMALL_BYTES];
    for frame in frames {
        match frame.kind {
            SMALL => put(out, frame.id, SMALL, Small::decode(&frame.body)?.encode(&mut place)?),
            BODY => put(out, frame.id, BODY, &frame.body),
            other => return Err(io::Error::other(format!("a frame of kind {other}"))),
        }
    }
    Ok(())
}

/// The client's half of a call: a frame into the outgoing buffer, a slot for the reply.
pub(crate) async fn call_small(slots: &Slots, outgoing: &Handoff<u8>, value: &Small) -> io::Result<Small> {
    let reply = slots.wait()?;
    {
        let mut place = [0; SMALL_BYTES];
        let body = value.encode(&mut place)?;
        outgoing.put(|out| put(out, reply.id(), SMALL, body));
    }
    Small::decode(&reply.await?)
}
