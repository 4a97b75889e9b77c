//! Which member gets a call.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::Member;
use crate::service::{FNV_OFFSET, fnv1a};

/// How a pool chooses a member for a call.
///
/// Whatever it is, members that cannot be reached or are ejected are not among those it chooses from, and a member that
/// refuses a call is passed over for it.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Balance {
    /// One after the other, in the order of [`ActorPool::endpoints`](super::ActorPool::endpoints): three members get six
    /// calls as 1, 2, 3, 1, 2, 3.
    #[default]
    RoundRobin,
    /// The better one of two members chosen at random: the one with the smaller product of calls under way and time that
    /// its last calls took. It needs no more than a look at two, and spreads nearly as well as a look at all
    /// (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001).
    PowerOfTwo,
    /// The member with the fewest calls of this pool under way; among equals one after the other.
    LeastLoaded,
    /// A choice of your own.
    Custom(Arc<dyn Choose>),
}

impl Balance {
    /// A choice of your own: a closure, or anything else that implements [`Choose`].
    ///
    /// ```
    /// use actor_runtime::pool::{Balance, Member};
    ///
    /// let nearest = Balance::custom(|members: &[Member]| {
    ///     members.iter().position(|member| member.endpoint().metadata.get("zone").is_some_and(|zone| zone == "a")).unwrap_or(0)
    /// });
    /// ```
    pub fn custom(choose: impl Choose) -> Self {
        Self::Custom(Arc::new(choose))
    }
}

/// Chooses a member for a call. It is asked for each call, by whoever makes it: it is quick and does not wait.
pub trait Choose: Send + Sync + 'static {
    /// The place of the member that is to get the next call. `members` are those that can be called now, in the pool's
    /// order, and never empty. A place beyond the last one counts from the first one on.
    fn choose(&self, members: &[Member]) -> usize;
}

impl<F: Fn(&[Member]) -> usize + Send + Sync + 'static> Choose for F {
    fn choose(&self, members: &[Member]) -> usize {
        self(members)
    }
}

impl fmt::Debug for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RoundRobin => "RoundRobin",
            Self::PowerOfTwo => "PowerOfTwo",
            Self::LeastLoaded => "LeastLoaded",
            Self::Custom(_) => "Custom",
        })
    }
}

impl Balance {
    /// Whether it looks at no more than a few members, and runs no code of others: then it may do so under a lock.
    pub(super) fn is_quick(&self) -> bool {
        matches!(self, Self::RoundRobin | Self::PowerOfTwo)
    }

    /// The place of one of these members, of which there is at least one; `turn` counts the choices of the pool.
    pub(super) fn choose(&self, members: &[Member], turn: usize, seed: u64) -> usize {
        let many = members.len();
        match self {
            Self::RoundRobin => turn % many,
            Self::PowerOfTwo => {
                let random = mix(seed.wrapping_add(turn as u64));
                let first = (random >> 32) as usize % many;
                // Another one, if there is.
                let second = (first + 1 + random as u32 as usize % (many - 1).max(1)) % many;
                if members[second].cost() < members[first].cost() { second } else { first }
            }
            Self::LeastLoaded => {
                let places = (0..many).map(|step| (turn + step) % many);
                places.min_by_key(|&place| members[place].outstanding()).unwrap_or(0)
            }
            Self::Custom(choose) => choose.choose(members) % many,
        }
    }
}

/// A member for a key: the same one for all callers, as long as the members are the same; when one leaves, only its keys go to
/// others (rendezvous hashing: Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998). Who has
/// more than a quarter more than its share of the calls under way is passed over (Mirrokni, Thorup and Zadimoghaddam,
/// "Consistent Hashing with Bounded Loads", 2018).
pub(super) fn for_key(members: &[Member], key: u64) -> usize {
    let all: usize = members.iter().map(Member::outstanding).sum();
    let most = ((all + 1) as f64 * 1.25 / members.len() as f64).ceil() as usize;
    let weight = |member: &Member| mix(key ^ member.hash());
    let free = members.iter().enumerate().filter(|(_, member)| member.outstanding() < most);
    free.max_by_key(|(_, member)| weight(member)).map_or(0, |(place, _)| place)
}

/// Whether a key would be this one's, if it were a member beside those.
pub(super) fn is_of_key(one: &Member, members: &[Member], key: u64) -> bool {
    let weight = |member: &Member| mix(key ^ member.hash());
    members.iter().all(|member| weight(member) <= weight(one))
}

/// The number of a key, the same in each process.
pub(super) fn key_of(key: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = Fnv(FNV_OFFSET);
    key.hash(&mut hasher);
    mix(hasher.finish())
}

/// Fowler, Noll and Vo's hash, 64 bits, variant 1a.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = fnv1a(self.0, bytes);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Spreads a number over all 64 bits (the finish of `SplitMix64`: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
/// Generators", 2014).
pub(super) const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
