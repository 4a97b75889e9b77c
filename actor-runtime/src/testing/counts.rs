use super::log::Fate;

/// What became of the datagrams of a [`SimNet`](super::SimNet).
///
/// Every datagram ends in exactly one way, so that at any time
/// `sent + duplicated == delivered + lost + cut + dropped_full + unreachable + on_the_way`.
///
/// ```
/// use actor_runtime::testing::{Counts, SimNet};
///
/// assert_eq!(SimNet::new(1).counts(), Counts::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Given to the network by its sender.
    pub sent: u64,
    /// Copies that the network made by itself.
    pub duplicated: u64,
    /// Put into the buffer of a socket, whether read since or not.
    pub delivered: u64,
    /// Dropped by chance: [`SimNet::loss`](super::SimNet::loss).
    pub lost: u64,
    /// Dropped because their link was cut: [`SimNet::partition`](super::SimNet::partition).
    pub cut: u64,
    /// Dropped because the buffer of the receiver had no room.
    pub dropped_full: u64,
    /// Dropped because no socket had the address that they were for.
    pub unreachable: u64,
    /// Not yet arrived.
    pub on_the_way: u64,
    /// Bytes in the datagrams that were `sent`.
    pub bytes: u64,
}

impl Counts {
    pub(super) fn add(&mut self, fate: Fate, length: usize) {
        let count = match fate {
            Fate::Sent => {
                self.bytes += length as u64;
                &mut self.sent
            }
            Fate::Duplicated => &mut self.duplicated,
            Fate::Delivered => &mut self.delivered,
            Fate::Lost => &mut self.lost,
            Fate::Cut => &mut self.cut,
            Fate::Full => &mut self.dropped_full,
            Fate::Unreachable => &mut self.unreachable,
        };
        *count += 1;
    }
}
