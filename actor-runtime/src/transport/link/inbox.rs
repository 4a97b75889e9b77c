//! The lane, from the frames that were cut out of it to the machine.
//!
//! A few frames are read where they arrive. Many are left to the node's own runtime ([`Relay`](super::Relay)): memory that
//! one thread fills, another reads and frees is dear, and so is a task that is woken from a thread of another runtime. So
//! the thread that sees to the network only moves bytes then, and what is made of them is made where it is used.

use std::{
    pin::pin,
    sync::{TryLockError, atomic::Ordering},
};

use tokio::sync::futures::Notified;

use super::{Arriving, Link};
use crate::{
    proto::RawFrames,
    sync::{MutexGuard, lock},
};

/// What came on the lane and was not read yet.
#[derive(Default)]
pub(super) struct Inbox {
    frames: RawFrames,
    /// The relay is to read it.
    relayed: bool,
    /// Whoever tells what arrived is to read it too: somebody was here meanwhile who could not.
    left: bool,
}

/// With so many bytes in the inbox no more are taken from the connection.
const FULL: usize = 1024 * 1024;

impl Link {
    /// Frames of the lane came. True if somebody else reads them.
    pub(crate) fn lane_came(&self, frames: &mut RawFrames) -> bool {
        let worth = self.is_worth_a_relay(frames);
        let relay = || self.node.upgrade()?.links().relay().cloned();
        let mut inbox = lock(&self.inbox);
        inbox.frames.append(frames);
        if inbox.relayed {
            return true;
        }
        if worth && let (Some(relay), Some(link)) = (relay(), self.this()) {
            inbox.relayed = true;
            drop(inbox);
            if relay.send(link) {
                return true;
            }
        } else {
            drop(inbox);
        }
        self.read_all();
        false
    }

    /// A reply goes to a caller of its own; calls go to an actor that is woken once for many, but so many would keep the
    /// network from other connections.
    fn is_worth_a_relay(&self, frames: &RawFrames) -> bool {
        let enough = if frames.begin_with_a_reply() { 4 } else { 256 };
        frames.count() >= enough && !self.inline.load(Ordering::Relaxed)
    }

    /// Reads what is in the inbox. False if nothing was, and then whoever puts something in sees to it again.
    pub(super) fn read(&self) -> bool {
        self.read_by(lock(&self.arriving))
    }

    fn read_by(&self, mut arriving: MutexGuard<'_, Arriving>) -> bool {
        let mut raw = {
            let mut inbox = lock(&self.inbox);
            inbox.relayed &= inbox.frames.count() > 0;
            inbox.left = false;
            std::mem::take(&mut inbox.frames)
        };
        let any = raw.count() > 0;
        if any {
            self.take_in(&mut raw, &mut arriving.events);
            arriving.trim();
            self.lane_moved.notify_waiters();
        }
        any
    }

    /// Whether the relay is to read it.
    pub(crate) fn is_relayed(&self) -> bool {
        let mut inbox = lock(&self.inbox);
        inbox.relayed &= inbox.frames.count() > 0;
        inbox.relayed
    }

    /// Whether so much is in the inbox that what its callers send next had better leave together.
    pub(super) fn is_burst(&self) -> bool {
        lock(&self.inbox).frames.count() >= 48
    }

    /// Reads whatever is in the inbox.
    pub(crate) fn read_all(&self) {
        while self.read() {}
    }

    /// Reads whatever is in the inbox, or leaves it to whoever is telling what arrived: that may be the one who asks, by
    /// what is dropped with a call.
    pub(super) fn read_or_leave(&self) {
        lock(&self.inbox).left = true;
        loop {
            let arriving = match self.arriving.try_lock() {
                Ok(arriving) => arriving,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                // Who has it comes to `inbox` once it has let go of it.
                Err(TryLockError::WouldBlock) => return,
            };
            if !self.read_by(arriving) {
                return;
            }
        }
    }

    /// Reads what somebody has left.
    pub(super) fn read_left(&self) {
        if lock(&self.inbox).left {
            self.read_all();
        }
    }

    /// Ends when the lane was read again.
    pub(crate) fn lane_moved(&self) -> Notified<'_> {
        self.lane_moved.notified()
    }

    /// Waits until the inbox has room for more.
    pub(crate) async fn has_room(&self) {
        let full = || lock(&self.inbox).frames.bytes() >= FULL;
        while full() {
            let mut moved = pin!(self.lane_moved.notified());
            moved.as_mut().enable();
            if full() {
                moved.await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, mpsc},
        thread,
        time::Duration,
    };

    use bytes::{Bytes, BytesMut};
    use futures::FutureExt;

    use super::{super::relay::behind_others, *};
    use crate::{
        Node,
        proto::{Bind, Frame, FrameReader, Grants, Hello, VERSIONS},
    };

    /// A link to a peer that has introduced itself, on a node that has a relay.
    fn link(node: &Node) -> Arc<Link> {
        node.links().relay_replies(node);
        let link = Link::new(node, "the test".to_owned(), None);
        let grants = Grants { calls: 8, bytes: 1000, total_bytes: 1000, targets: 4096, message: 1000 };
        let hello = Hello { versions: VERSIONS, node: node.id(), address: None, grants };
        link.control(&mut vec![Frame::Hello(hello)]);
        link
    }

    /// As many frames, each with a number of its own from this one on.
    fn frames(from: u32, count: u32) -> RawFrames {
        cut(&bytes(from, count))
    }

    fn bytes(from: u32, count: u32) -> BytesMut {
        let mut bytes = BytesMut::new();
        for target in from..from + count {
            let name = "a".repeat(1000);
            let bind = Bind { target, namespace: "default".into(), name, actor: None };
            bind.encode(&mut bytes).unwrap();
        }
        bytes
    }

    fn cut(bytes: &[u8]) -> RawFrames {
        let mut raw = RawFrames::default();
        FrameReader::default().cut(Bytes::copy_from_slice(bytes), &mut raw).unwrap();
        raw
    }

    /// How many of these numbers the machine knows; one that is taken twice ends the connection.
    fn known(link: &Link) -> usize {
        assert!(link.closing().is_none(), "{:?}", link.closing());
        link.look(|machine| machine.bound())
    }

    #[tokio::test]
    async fn many_frames_are_left_to_the_relay_and_what_comes_behind_them_waits_for_it() {
        let node = Node::builder().build().unwrap();
        let link = link(&node);
        assert!(!link.lane_came(&mut frames(1, 2)), "a few are read at once");
        assert_eq!(known(&link), 2);
        assert!(link.lane_came(&mut frames(3, 300)));
        assert!(link.lane_came(&mut frames(303, 1)));
        assert_eq!(known(&link), 2);
        while known(&link) < 303 {
            tokio::task::yield_now().await;
        }
        assert!(!link.lane_came(&mut frames(304, 1)), "the relay is through");
        assert_eq!(known(&link), 304);
    }

    #[tokio::test]
    async fn what_came_before_a_frame_that_is_none_is_taken_and_what_is_behind_it_is_not() {
        let node = Node::builder().build().unwrap();
        let link = link(&node);
        // A header that is longer than its frame.
        let broken = [3, 0, 0, 0, 4, 1, 0];
        let lane = [&bytes(1, 2)[..], &broken, &bytes(3, 1)].concat();
        assert!(!link.lane_came(&mut cut(&lane)));
        assert_eq!(link.look(|machine| machine.bound()), 2);
        assert!(link.closing().is_some());
    }

    #[tokio::test]
    async fn no_more_is_taken_while_a_lot_was_not_read() {
        let node = Node::builder().build().unwrap();
        let link = link(&node);
        assert!(link.lane_came(&mut frames(1, 500)));
        assert!(link.has_room().now_or_never().is_some());
        assert!(link.lane_came(&mut frames(501, 600)));
        assert!(link.has_room().now_or_never().is_none(), "more than a mebibyte waits");
        link.has_room().await;
        assert_eq!(known(&link), 1100);
    }

    #[test]
    fn nothing_waits_for_a_relay_whose_runtime_has_ended() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (node, link) = runtime.block_on(async {
            let node = Node::builder().build().unwrap();
            let link = link(&node);
            assert!(link.lane_came(&mut frames(1, 300)));
            // The relay reads it, and is behind this task then.
            while known(&link) < 300 {
                behind_others().await;
            }
            (node, link)
        });
        link.lane_came(&mut frames(301, 1));
        drop(runtime);
        assert_eq!(known(&link), 301);
        assert!(!link.lane_came(&mut frames(302, 300)));
        assert_eq!(known(&link), 601);
        drop(node);
    }

    #[tokio::test]
    async fn what_came_before_the_end_is_read_though_the_relay_has_not_got_to_it() {
        let node = Node::builder().build().unwrap();
        let link = link(&node);
        assert!(link.lane_came(&mut frames(1, 300)));
        link.read_all();
        assert_eq!(known(&link), 300);
    }

    /// Runs it on a thread of its own; it does not wait for what this thread holds.
    fn goes_on(act: impl FnOnce() + Send + 'static) {
        let (done, waits) = mpsc::channel();
        thread::Builder::new()
            .spawn(move || {
                act();
                done.send(())
            })
            .unwrap();
        waits.recv_timeout(Duration::from_secs(10)).expect("it waits for who tells what arrived");
    }

    /// What is dropped with a call may be the last that held its node.
    #[tokio::test]
    async fn who_tells_what_arrived_may_end_the_node_though_more_has_come() {
        let node = Node::builder().build().unwrap();
        let link = link(&node);
        let telling = lock(&link.arriving);
        assert!(link.lane_came(&mut frames(1, 300)));
        goes_on(move || node.links().close("its node was dropped"));
        drop(telling);
    }

    #[test]
    fn what_nobody_else_will_read_is_read_by_who_was_telling_what_arrived() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (node, link) = runtime.block_on(async {
            let node = Node::builder().build().unwrap();
            let link = link(&node);
            assert!(link.lane_came(&mut frames(1, 300)));
            (node, link)
        });
        // Somebody tells of another frame, and is held up where it is told.
        let held = lock(&link.inbound);
        let telling = thread::Builder::new()
            .spawn({
                let link = link.clone();
                move || {
                    let bind =
                        Bind { target: 301, namespace: "default".into(), name: "b".into(), actor: None };
                    link.lane(&mut vec![Frame::Bind(bind)]);
                }
            })
            .unwrap();
        while link.arriving.try_lock().is_ok() {
            thread::yield_now();
        }
        goes_on(move || drop(runtime));
        drop(held);
        telling.join().unwrap();
        assert_eq!(known(&link), 301);
        drop(node);
    }
}
