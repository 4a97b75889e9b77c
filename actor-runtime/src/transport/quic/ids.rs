//! The ids of connections.
//!
//! quinn's own generator recognises its ids by a key of its own and passes over all others in silence. A server that was
//! started again would pass over those of its predecessor, whose callers would wait for the idle time. These ids are
//! recognised by nobody, so that each unknown one is answered by a stateless reset.

use std::{io, time::Duration};

use quinn::{ConnectionId, ConnectionIdGenerator};
use ring::{
    hmac::{HMAC_SHA256, Key, sign},
    rand::SystemRandom,
};

/// Ids that nobody can tell from random ones: a counter under a key that is drawn once.
#[derive(Clone)]
pub(super) struct Ids {
    key: Key,
    last: u64,
}

const LENGTH: usize = 8;

impl Ids {
    pub(super) fn new() -> io::Result<Self> {
        let key = Key::generate(HMAC_SHA256, &SystemRandom::new());
        Ok(Self { key: key.map_err(|_| io::Error::other("the system has no randomness"))?, last: 0 })
    }
}

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        self.last += 1;
        ConnectionId::new(&sign(&self.key, &self.last.to_le_bytes()).as_ref()[..LENGTH])
    }

    fn cid_len(&self) -> usize {
        LENGTH
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
