use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// What happened to a datagram.
///
/// ```
/// use actor_runtime::testing::Fate;
///
/// assert_ne!(Fate::Lost, Fate::Delivered);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// Its sender gave it to the network.
    Sent,
    /// The network made a copy of it.
    Duplicated,
    /// It was put into the buffer of its receiver.
    Delivered,
    /// It was dropped by chance.
    Lost,
    /// It was dropped because its link was cut.
    Cut,
    /// It was dropped because its receiver's buffer had no room.
    Full,
    /// It was dropped because no socket had its address.
    Unreachable,
}

/// One line of a [`Log`]. Displays as `12.000500 10.0.0.1:49152 > 10.0.0.2:443 1200 Delivered`, the time in
/// milliseconds.
///
/// ```
/// use actor_runtime::testing::SimNet;
///
/// let net = SimNet::new(1);
/// net.keep_events(true);
/// for event in net.log().events() {
///     println!("{event}: {} bytes from {}", event.length, event.from);
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// When, since the first socket was bound: the exact due time of an arrival, which may be up to a millisecond
    /// before the receiver was woken.
    pub at: Duration,
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
    /// Bytes in the datagram.
    pub length: usize,
    /// What happened.
    pub fate: Fate,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ms, ns) = (self.at.as_millis(), self.at.subsec_nanos() % 1_000_000);
        write!(f, "{ms}.{ns:06} {} > {} {} {:?}", self.from, self.to, self.length, self.fate)
    }
}

/// What a [`SimNet`](super::SimNet) did, in order: to tell whether two runs were the same, and where they parted.
///
/// Two runs are the same if their [digests](Self::digest) are. To see where they part, run both with
/// [`SimNet::keep_events`](super::SimNet::keep_events).
///
/// ```
/// use actor_runtime::testing::SimNet;
///
/// let (once, again) = (SimNet::new(1), SimNet::new(1));
/// // … the same in both …
/// assert_eq!(once.log(), again.log());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Log {
    digest: u64,
    length: u64,
    kept: Option<Vec<Event>>,
}

impl Log {
    /// A running hash over the time, addresses, length and fate of every event.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// assert_eq!(SimNet::new(1).log().digest(), SimNet::new(2).log().digest()); // nothing happened in either
    /// ```
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many events there were, kept or not.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// assert_eq!(SimNet::new(1).log().len(), 0);
    /// ```
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether nothing has happened.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// assert!(SimNet::new(1).log().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The events themselves; none unless [`SimNet::keep_events`](super::SimNet::keep_events) was called.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// assert!(SimNet::new(1).log().events().is_empty());
    /// ```
    pub fn events(&self) -> &[Event] {
        self.kept.as_deref().unwrap_or_default()
    }

    pub(super) fn keep(&mut self, keep: bool) {
        self.kept = keep.then(|| self.kept.take().unwrap_or_default());
    }

    pub(super) fn add(&mut self, event: Event) {
        self.length += 1;
        self.hash(&(event.at.as_nanos() as u64).to_le_bytes());
        self.hash_address(event.from);
        self.hash_address(event.to);
        self.hash(&(event.length as u64).to_le_bytes());
        self.hash(&[event.fate as u8]);
        if let Some(kept) = &mut self.kept {
            kept.push(event);
        }
    }

    fn hash_address(&mut self, address: SocketAddr) {
        match address.ip() {
            IpAddr::V4(ip) => self.hash(&ip.octets()),
            IpAddr::V6(ip) => self.hash(&ip.octets()),
        }
        self.hash(&address.port().to_le_bytes());
    }

    /// FNV-1a: the same on every machine and in every release, which the standard library's hashers do not promise.
    fn hash(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { digest: 0xcbf2_9ce4_8422_2325, length: 0, kept: None }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({} events, digest {:016x})", self.length, self.digest)
    }
}

/// The kept events, a line each.
impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.events().iter().try_for_each(|event| writeln!(f, "{event}"))
    }
}
