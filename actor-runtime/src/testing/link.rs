use std::{net::Ipv4Addr, ops::RangeInclusive, time::Duration};

use super::net::SimNet;

/// One direction between two hosts, to give it faults of its own: [`SimNet::link`].
///
/// What is set here holds in place of what is set for the whole network, from now on.
///
/// ```
/// use std::time::Duration;
/// use actor_runtime::testing::SimNet;
///
/// let net = SimNet::new(1);
/// let (phone, server) = (net.host("phone"), net.host("server"));
/// net.link(&phone, &server).loss(0.2).latency(Duration::from_millis(40)..=Duration::from_millis(90));
/// net.link(&server, &phone).cut(); // the phone is heard, and hears nothing
/// ```
#[derive(Debug)]
pub struct SimLink<'a> {
    pub(super) net: &'a SimNet,
    pub(super) ends: (Ipv4Addr, Ipv4Addr),
}

impl SimLink<'_> {
    /// How long a datagram takes; drawn for each, so that datagrams overtake each other.
    ///
    /// # Panics
    /// If the range is empty.
    ///
    /// ```
    /// # use std::time::Duration; use actor_runtime::testing::SimNet;
    /// # let net = SimNet::new(1); let (a, b) = (net.host("a"), net.host("b"));
    /// net.link(&a, &b).latency(Duration::from_millis(5)..=Duration::from_millis(5)); // none overtakes another
    /// ```
    pub fn latency(self, range: RangeInclusive<Duration>) -> Self {
        let range = checked_range(range);
        self.change(|faults| faults.latency = Some(range))
    }

    /// How likely a datagram is lost, from 0 to 1.
    ///
    /// # Panics
    /// If it is not from 0 to 1.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// # let net = SimNet::new(1); let (a, b) = (net.host("a"), net.host("b"));
    /// net.link(&a, &b).loss(0.05);
    /// ```
    pub fn loss(self, probability: f64) -> Self {
        let probability = checked_probability(probability);
        self.change(|faults| faults.loss = Some(probability))
    }

    /// How likely a datagram that is not lost arrives twice, from 0 to 1.
    ///
    /// # Panics
    /// If it is not from 0 to 1.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// # let net = SimNet::new(1); let (a, b) = (net.host("a"), net.host("b"));
    /// net.link(&a, &b).duplicate(0.01);
    /// ```
    pub fn duplicate(self, probability: f64) -> Self {
        let probability = checked_probability(probability);
        self.change(|faults| faults.duplicate = Some(probability))
    }

    /// Drops everything in this direction until it is healed, also what is on the way now.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// # let net = SimNet::new(1); let (a, b) = (net.host("a"), net.host("b"));
    /// net.link(&a, &b).cut();
    /// ```
    pub fn cut(self) -> Self {
        self.change(|faults| faults.cut = true)
    }

    /// Ends a [cut](Self::cut). Latency, loss and duplication stay as they were set.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// # let net = SimNet::new(1); let (a, b) = (net.host("a"), net.host("b"));
    /// net.link(&a, &b).cut().heal();
    /// ```
    pub fn heal(self) -> Self {
        self.change(|faults| faults.cut = false)
    }

    fn change(self, change: impl FnOnce(&mut LinkFaults)) -> Self {
        self.net.shared.with(|world| change(world.link(self.ends)));
        self
    }
}

/// The faults of the whole network.
#[derive(Debug)]
pub(super) struct Faults {
    pub(super) latency: RangeInclusive<Duration>,
    pub(super) loss: f64,
    pub(super) duplicate: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Self { latency: Duration::from_micros(500)..=Duration::from_millis(1), loss: 0.0, duplicate: 0.0 }
    }
}

/// The faults of one direction: what is `None` is as in the whole network.
#[derive(Debug, Default)]
pub(super) struct LinkFaults {
    pub(super) latency: Option<RangeInclusive<Duration>>,
    pub(super) loss: Option<f64>,
    pub(super) duplicate: Option<f64>,
    pub(super) cut: bool,
}

pub(super) fn checked_range(range: RangeInclusive<Duration>) -> RangeInclusive<Duration> {
    assert!(!range.is_empty(), "a latency of {range:?} is impossible: the first bound is the smaller one");
    range
}

pub(super) fn checked_probability(probability: f64) -> f64 {
    assert!((0.0..=1.0).contains(&probability), "a probability is from 0 to 1, not {probability}");
    probability
}
