//! A lease and the keys under it: what etcd has of one node.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::{
    gateway::{Gateway, GatewayError, SMALL, code},
    messages::{
        Base64, Compare, Done, Int, LeaseGrantRequest, LeaseRequest, LeaseResponse, Operation, StreamError,
        Streamed, TxnRequest,
    },
};
use crate::clock;

/// How many keys one request puts, and how many bytes of them; etcd takes 128 operations and 1.5 MiB.
const PUT_AT_ONCE: usize = 128;
const PUT_BYTES: usize = 512 << 10;

/// How many keys one request deletes: each has a comparison of its own within it.
const DELETED_AT_ONCE: usize = 64;

/// The longest list of the keys of a lease, in bytes.
const LONGEST_LIST: usize = 64 << 20;

/// Every so many times that the lease is renewed it is seen whether all keys are there.
const LOOK_EVERY: u32 = 4;

/// The longest lease that etcd grants.
pub(super) const LONGEST: Duration = Duration::from_secs(9_000_000_000);

/// Keys and their values.
pub(super) type Entries = BTreeMap<String, Vec<u8>>;

pub(super) struct Lease<'a> {
    gateway: &'a Gateway,
    id: Int,
    ttl: Duration,
    /// When etcd was asked to renew it, and did.
    renewed: Instant,
    renewals: u32,
    /// What is under it, or may be where there is no value.
    there: BTreeMap<String, Option<Vec<u8>>>,
}

/// Why something could not be done.
#[derive(Debug)]
pub(super) enum LeaseError {
    /// The lease has ended, and its keys with it.
    Lost,
    Failed(GatewayError),
}

impl<'a> Lease<'a> {
    /// A new lease, in whole seconds, and not over the longest. If the answer is lost, it ends by itself.
    pub(super) async fn grant(gateway: &'a Gateway, ttl: Duration) -> Result<Self, GatewayError> {
        let ttl = ttl.min(LONGEST);
        let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        let asks = LeaseGrantRequest { ttl: Int(i64::try_from(seconds).unwrap_or(i64::MAX)) };
        let renewed = clock::now();
        let granted: LeaseResponse = gateway.call("/v3/lease/grant", &asks, SMALL).await?;
        let ttl = seconds_of(granted.ttl).max(Duration::from_secs(1));
        Ok(Self { gateway, id: granted.id, ttl, renewed, renewals: 0, there: BTreeMap::new() })
    }

    /// When it has to be renewed.
    pub(super) fn due(&self) -> Instant {
        self.renewed + self.ttl / 3
    }

    /// How long it may be before it is tried again to renew it, or to get another one if it may have ended.
    pub(super) fn longest_pause(&self) -> Duration {
        if self.is_over() { self.ttl / 3 } else { self.left() / 4 }
    }

    /// What is left of it for certain; nothing if it may have ended.
    fn left(&self) -> Duration {
        self.ttl.saturating_sub(self.renewed.elapsed())
    }

    /// Whether it may have ended.
    pub(super) fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// How long a member may take for something that shall be known within this part of what is left, whoever does not answer.
    fn time(&self, part: u32) -> Duration {
        let left = self.left();
        if left.is_zero() { self.gateway.silence() } else { self.gateway.share_of(left / part) }
    }

    /// Renews it. Members that do not answer cost at most half of what is left of it.
    pub(super) async fn renew(&mut self) -> Result<(), LeaseError> {
        let asks = LeaseRequest { id: self.id, keys: false };
        let asked = clock::now();
        const PATH: &str = "/v3/lease/keepalive";
        let answer: Streamed<LeaseResponse> =
            self.gateway.call_within(self.time(2), PATH, &asks, SMALL).await?;
        if let Some(StreamError { code, message }) = answer.error {
            return Err(GatewayError::Refused { at: "a member".to_owned(), path: PATH, code, message }.into());
        }
        let ttl = answer.result.map_or(Int(0), |result| result.ttl);
        if ttl.0 <= 0 {
            return Err(LeaseError::Lost);
        }
        self.ttl = seconds_of(ttl);
        self.renewed = asked;
        self.renewals = self.renewals.wrapping_add(1);
        if self.renewals.is_multiple_of(LOOK_EVERY) {
            self.look().await?;
        }
        Ok(())
    }

    /// Sees which keys are there: somebody may have deleted some.
    async fn look(&mut self) -> Result<(), LeaseError> {
        let asks = LeaseRequest { id: self.id, keys: true };
        const PATH: &str = "/v3/lease/timetolive";
        let has: LeaseResponse = self.gateway.call_within(self.time(1), PATH, &asks, LONGEST_LIST).await?;
        if has.ttl.0 <= 0 {
            return Err(LeaseError::Lost);
        }
        let has: std::collections::HashSet<_> = has.keys.into_iter().map(|key| key.0).collect();
        self.there.retain(|key, _| has.contains(key.as_bytes()));
        Ok(())
    }

    /// Whether this, and nothing else, is under it.
    pub(super) fn has(&self, wanted: &Entries) -> bool {
        let same = |(key, value): (&String, &Option<Vec<u8>>)| wanted.get(key) == value.as_ref();
        self.there.len() == wanted.len() && self.there.iter().all(same)
    }

    /// Puts what is wanted and is not there, and deletes what is there and is not wanted. It is renewed meanwhile.
    pub(super) async fn bring(&mut self, wanted: &Entries) -> Result<(), LeaseError> {
        let is_new = |(key, value): &(&String, &Vec<u8>)| {
            self.there.get(*key).is_none_or(|there| there.as_ref() != Some(*value))
        };
        let mut new: Vec<(String, Vec<u8>)> =
            wanted.iter().filter(is_new).map(|(key, value)| (key.clone(), value.clone())).collect();
        while !new.is_empty() {
            self.renew_if_due().await?;
            let (mut count, mut bytes) = (0, 0);
            while count < new.len().min(PUT_AT_ONCE) && (count == 0 || bytes < PUT_BYTES) {
                bytes += new[count].0.len() + new[count].1.len();
                count += 1;
            }
            self.put(new.drain(..count).collect()).await?;
        }
        let mut old: Vec<String> =
            self.there.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
        while !old.is_empty() {
            self.renew_if_due().await?;
            self.delete(old.drain(..old.len().min(DELETED_AT_ONCE)).collect()).await?;
        }
        Ok(())
    }

    async fn renew_if_due(&mut self) -> Result<(), LeaseError> {
        if self.due() <= clock::now() { self.renew().await } else { Ok(()) }
    }

    async fn put(&mut self, entries: Vec<(String, Vec<u8>)>) -> Result<(), LeaseError> {
        let put = entries.iter().map(|(key, value)| Operation::Put {
            key: bytes(key),
            value: Base64(value.clone()),
            lease: self.id,
        });
        let asks = TxnRequest { compare: Vec::new(), success: put.collect() };
        // If the answer is lost they may be there.
        self.there.extend(entries.iter().map(|(key, _)| (key.clone(), None)));
        let Done {} = self.gateway.call_within(self.time(1), "/v3/kv/txn", &asks, SMALL).await?;
        self.there.extend(entries.into_iter().map(|(key, value)| (key, Some(value))));
        Ok(())
    }

    /// Deletes those that belong to this lease still.
    async fn delete(&mut self, keys: Vec<String>) -> Result<(), LeaseError> {
        let delete = keys.iter().map(|key| {
            let lease = self.id;
            let ours = Compare { key: bytes(key), target: "LEASE", result: "EQUAL", lease };
            let delete = Operation::Delete { key: bytes(key) };
            Operation::Txn(TxnRequest { compare: vec![ours], success: vec![delete] })
        });
        let asks = TxnRequest { compare: Vec::new(), success: delete.collect() };
        let Done {} = self.gateway.call_within(self.time(1), "/v3/kv/txn", &asks, SMALL).await?;
        for key in &keys {
            self.there.remove(key);
        }
        Ok(())
    }

    /// Ends it, and with it all of its keys. All members are asked within this time.
    pub(super) async fn revoke(&self, time: Duration) -> Result<(), GatewayError> {
        let asks = LeaseRequest { id: self.id, keys: false };
        let time = self.gateway.share_of(time);
        match self.gateway.call_within::<Done>(time, "/v3/lease/revoke", &asks, SMALL).await {
            Err(error) if error.code() == Some(code::NOT_FOUND) => Ok(()),
            done => done.map(|Done {}| ()),
        }
    }
}

impl From<GatewayError> for LeaseError {
    fn from(error: GatewayError) -> Self {
        if error.code() == Some(code::NOT_FOUND) { Self::Lost } else { Self::Failed(error) }
    }
}

fn bytes(key: &str) -> Base64 {
    Base64(key.as_bytes().to_vec())
}

fn seconds_of(ttl: Int) -> Duration {
    Duration::from_secs(u64::try_from(ttl.0).unwrap_or(0)).min(LONGEST)
}
