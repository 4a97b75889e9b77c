//! A datagram, and what decides how it travels.

use std::{cmp::Ordering, net::SocketAddr, ops::RangeInclusive, time::Duration};

use bytes::Bytes;
use quinn::udp::EcnCodepoint;
use tokio::time::Instant;

#[derive(Clone)]
pub(super) struct Datagram {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) ecn: Option<EcnCodepoint>,
    pub(super) contents: Bytes,
}

/// The faults that a datagram meets.
pub(super) struct Path {
    pub(super) latency: RangeInclusive<Duration>,
    pub(super) loss: f64,
    pub(super) duplicate: f64,
    pub(super) cut: bool,
}

/// The random numbers of one datagram.
pub(super) struct Luck {
    pub(super) loss: f64,
    pub(super) duplicate: f64,
    pub(super) latency: Share,
    pub(super) copy_latency: Share,
}

impl Luck {
    pub(super) fn draw(random: &mut fastrand::Rng) -> Self {
        Self {
            loss: random.f64(),
            duplicate: random.f64(),
            latency: Share(random.f64()),
            copy_latency: Share(random.f64()),
        }
    }
}

/// From 0 to 1: how far into a range.
pub(super) struct Share(f64);

impl Share {
    pub(super) fn within(&self, range: &RangeInclusive<Duration>) -> Duration {
        let span = *range.end() - *range.start();
        (*range.start() + span.mul_f64(self.0)).min(*range.end())
    }
}

/// A datagram on the way, ordered by when it arrives.
pub(super) struct Arrival {
    pub(super) due: Instant,
    pub(super) sequence: u64,
    pub(super) datagram: Datagram,
}

impl Ord for Arrival {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.sequence).cmp(&(other.due, other.sequence))
    }
}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Arrival {}
