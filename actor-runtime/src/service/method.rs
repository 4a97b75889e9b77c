use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::schema::Schema;

/// One method of a service, as the trait declares it. Written by the macro, one `static` a method.
#[derive(Debug)]
#[non_exhaustive]
pub struct Method {
    /// The name of the service.
    pub service: &'static str,
    /// The method's name, without `r#`.
    pub name: &'static str,
    /// What names the method on the wire: [`method_id`], or what `#[id = n]` says.
    pub id: u32,
    /// Whether calls may overlap.
    pub access: Access,
    /// The arguments in order.
    pub arguments: &'static [Argument],
    /// What it returns.
    pub reply: Reply,
    /// The signature as written.
    pub signature: &'static str,
    /// The documentation comment.
    pub docs: &'static str,
    /// Whether it is marked `#[deprecated]`.
    pub deprecated: bool,
    /// What `#[timeout = "…"]` says.
    pub timeout: MethodTimeout,
    /// Whether it is marked `#[idempotent]`: running it twice does what running it once does, so a call of it may be
    /// repeated although nobody knows whether it was run.
    pub idempotent: bool,
    /// Whether it is marked `#[dedup]`: its actor remembers the replies for a while, so a call of it may be repeated
    /// and is run once all the same.
    pub dedup: bool,
    /// Whether it is marked `#[oneway]`: the call ends when it is accepted, and there is no reply.
    pub oneway: bool,
    /// Whether it takes a [`ReplyTo`](crate::ReplyTo): its turn may end before its call does.
    pub later: bool,
    /// Whether it is marked `#[cancel_safe]`: a `&mut self` turn that may be dropped at an await when its caller leaves.
    pub cancel_safe: bool,
}

impl Method {
    /// A method as it stands in its trait; for the macro.
    pub const fn new(
        service: &'static str,
        name: &'static str,
        id: u32,
        access: Access,
        arguments: &'static [Argument],
        reply: Reply,
    ) -> Self {
        Self {
            service,
            name,
            id,
            access,
            arguments,
            reply,
            signature: "",
            docs: "",
            deprecated: false,
            timeout: MethodTimeout::Default,
            idempotent: false,
            dedup: false,
            oneway: false,
            later: false,
            cancel_safe: false,
        }
    }

    /// Adds the signature as written.
    #[must_use]
    pub const fn with_signature(mut self, signature: &'static str) -> Self {
        self.signature = signature;
        self
    }

    /// Adds the documentation comment.
    #[must_use]
    pub const fn with_docs(mut self, docs: &'static str) -> Self {
        self.docs = docs;
        self
    }

    /// Marks the method as deprecated.
    #[must_use]
    pub const fn with_deprecated(mut self) -> Self {
        self.deprecated = true;
        self
    }

    /// Adds the method's own default deadline.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: MethodTimeout) -> Self {
        self.timeout = timeout;
        self
    }

    /// Marks the method as `#[idempotent]`.
    #[must_use]
    pub const fn with_idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Marks the method as `#[dedup]`.
    #[must_use]
    pub const fn with_dedup(mut self) -> Self {
        self.dedup = true;
        self
    }

    /// Marks the method as `#[oneway]`.
    #[must_use]
    pub const fn with_oneway(mut self) -> Self {
        self.oneway = true;
        self
    }

    /// Says that the method takes a `ReplyTo`.
    #[must_use]
    pub const fn with_later(mut self) -> Self {
        self.later = true;
        self
    }

    /// Marks the method as `#[cancel_safe]`.
    #[must_use]
    pub const fn with_cancel_safe(mut self) -> Self {
        self.cancel_safe = true;
        self
    }
}

/// `Service/method`.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.name)
    }
}

/// How a method uses its actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Access {
    /// `&self`: turns may overlap each other.
    Shared,
    /// `&mut self`: a turn runs alone.
    Exclusive,
}

/// One argument of a method.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// Its type as written in the trait.
    pub ty: &'static str,
    /// Learns the schema of the owned form of the type.
    pub schema: fn() -> Schema,
}

impl Argument {
    /// An argument as it stands in its trait; for the macro.
    pub const fn new(name: &'static str, ty: &'static str, schema: fn() -> Schema) -> Self {
        Self { name, ty, schema }
    }
}

/// What a method returns.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Reply {
    /// The type as written in the trait; `()` where nothing is written.
    pub ty: &'static str,
    /// Learns the schema of the reply, or of the `Ok` of a `Result`.
    pub schema: fn() -> Schema,
    /// Learns the schema of the `Err` of a `Result`.
    pub error: Option<fn() -> Schema>,
}

impl Reply {
    /// A reply that is a plain value; for the macro.
    pub const fn value(ty: &'static str, schema: fn() -> Schema) -> Self {
        Self { ty, schema, error: None }
    }

    /// A reply that is a `Result`; for the macro.
    pub const fn result(ty: &'static str, schema: fn() -> Schema, error: fn() -> Schema) -> Self {
        Self { ty, schema, error: Some(error) }
    }
}

/// The deadline of a method's calls that say nothing of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MethodTimeout {
    /// The node's default.
    Default,
    /// `#[timeout = "2s"]`.
    After(Duration),
    /// `#[timeout = "none"]`: such a call waits for ever.
    Never,
}

/// The id of a method on the wire: the 64-bit FNV-1a hash of `Service/method`, folded to 32 bits.
///
/// Source: G. Fowler, L. C. Noll, K.-P. Vo, D. Eastlake, "The FNV Non-Cryptographic Hash Algorithm" (offset basis and
/// prime for 64 bits; folding by exclusive or, section "xor-folding").
pub const fn method_id(service: &str, method: &str) -> u32 {
    let hash = fnv1a(fnv1a(fnv1a(FNV_OFFSET, service.as_bytes()), b"/"), method.as_bytes());
    match (hash >> 32) as u32 ^ hash as u32 {
        IDENTIFY => 1,
        id => id,
    }
}

/// The id of the question which registration has a name. No method has it.
pub(crate) const IDENTIFY: u32 = 0;

pub(crate) const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

pub(crate) const fn fnv1a(mut hash: u64, bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(PRIME);
        at += 1;
    }
    hash
}

/// Whether no two methods have the same id; the macro and [`Services`](super::Services) check it while compiling.
pub const fn unique_ids(groups: &[&[&Method]]) -> bool {
    let mut g = 0;
    while g < groups.len() {
        let mut i = 0;
        while i < groups[g].len() {
            if count(groups, groups[g][i].id) != 1 {
                return false;
            }
            i += 1;
        }
        g += 1;
    }
    true
}

/// Whether one of `others` has the id of one of `methods`.
pub(super) const fn shares_id(methods: &[&Method], others: &[&Method]) -> bool {
    let mut i = 0;
    while i < methods.len() {
        if count(&[others], methods[i].id) != 0 {
            return true;
        }
        i += 1;
    }
    false
}

const fn count(groups: &[&[&Method]], id: u32) -> usize {
    let (mut found, mut g) = (0, 0);
    while g < groups.len() {
        let mut i = 0;
        while i < groups[g].len() {
            if groups[g][i].id == id {
                found += 1;
            }
            i += 1;
        }
        g += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_the_published_hash_gives() {
        // Test vectors of the FNV reference: 64-bit FNV-1a of "" and of "foobar".
        assert_eq!(fnv1a(FNV_OFFSET, b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(FNV_OFFSET, b"foobar"), 0x8594_4171_f739_67e8);
        // A change of these is a break of the wire.
        assert_eq!(method_id("Calculator", "divide"), method_id("Calculator", "divide"));
        assert_ne!(method_id("A", "bc"), method_id("Ab", "c"));
    }

    #[test]
    fn the_same_id_twice_is_seen_within_a_service_and_across() {
        fn unit() -> Schema {
            crate::schema::of::<()>()
        }
        static A: Method = Method::new("S", "a", 1, Access::Shared, &[], Reply::value("()", unit));
        static B: Method = Method::new("S", "b", 2, Access::Shared, &[], Reply::value("()", unit));
        assert!(unique_ids(&[&[&A, &B]]));
        assert!(!unique_ids(&[&[&A, &A]]));
        assert!(!unique_ids(&[&[&A], &[&B, &A]]));
        assert!(unique_ids(&[&[&A], &[&B]]));
    }
}
