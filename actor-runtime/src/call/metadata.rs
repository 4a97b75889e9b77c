//! What travels with a call beside its arguments: tenant, tokens, trace ids.
//!
//! On the wire these are texts with names, which every release and every language can carry; [`MetadataValue`] gives one
//! of them a type.

use std::collections::BTreeMap;

use super::{Delivery, Failure, FailureKind};

/// Named texts that travel with a call, for layers and handlers on the other side.
///
/// They are bounded, since every hop carries them: [`MAX_ENTRIES`](Self::MAX_ENTRIES) and
/// [`MAX_BYTES`](Self::MAX_BYTES). A call made inside a turn does not inherit them; to hand one on, read it from
/// [`ActorContext::metadata`](crate::ActorContext::metadata) and set it on the call, or have a client layer do so.
///
/// The names `traceparent` and `tracestate` belong to W3C Trace Context, and
/// [`TraceLayer`](crate::layers::TraceLayer) writes them. Other names are free; those of a company or a library are best begun with its name, such as `acme-tenant`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    entries: BTreeMap<String, String>,
    bytes: usize,
}

impl Metadata {
    /// The most entries there can be.
    pub const MAX_ENTRIES: usize = 32;

    /// The most bytes that all names and values together can have.
    pub const MAX_BYTES: usize = 8 * 1024;

    pub(crate) const NONE: Self = Self { entries: BTreeMap::new(), bytes: 0 };

    /// No entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `name` to `value`, in place of what it was.
    ///
    /// # Errors
    /// [`MetadataError`] if a bound would be passed; nothing is changed then.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) -> Result<(), MetadataError> {
        let (name, value) = (name.into(), value.into());
        let replaced = self.entries.get(&name).map(|old| name.len() + old.len());
        let entries = self.entries.len() + usize::from(replaced.is_none());
        let bytes = self.bytes - replaced.unwrap_or(0) + name.len() + value.len();
        if entries > Self::MAX_ENTRIES || bytes > Self::MAX_BYTES {
            return Err(MetadataError { name, entries, bytes });
        }
        self.bytes = bytes;
        self.entries.insert(name, value);
        Ok(())
    }

    /// Sets the entry of a type, in place of what it was.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn set<T: MetadataValue>(&mut self, value: &T) -> Result<(), MetadataError> {
        self.insert(T::NAME, value.encode())
    }

    /// The entry of a type; `None` if there is none.
    ///
    /// # Errors
    /// [`MalformedMetadata`] if the type does not take the text that is there: it comes from the caller, who may be
    /// anybody that may call.
    pub fn read<T: MetadataValue>(&self) -> Result<Option<T>, MalformedMetadata> {
        let Some(text) = self.value(T::NAME) else { return Ok(None) };
        T::decode(text).map(Some).ok_or(MalformedMetadata { name: T::NAME })
    }

    /// Takes an entry away.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        let (name, value) = self.entries.remove_entry(name)?;
        self.bytes -= name.len() + value.len();
        Some(value)
    }

    /// The value of `name`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(String::as_str)
    }

    /// All names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// A type that travels as one entry of the [`Metadata`]: set with [`Call::with`](crate::Call::with), read with
/// [`Metadata::read`].
///
/// ```
/// use actor_runtime::{Metadata, MetadataValue};
///
/// #[derive(Debug, PartialEq)]
/// struct Tenant(String);
///
/// impl MetadataValue for Tenant {
///     const NAME: &'static str = "tenant";
///
///     fn encode(&self) -> String {
///         self.0.clone()
///     }
///
///     fn decode(text: &str) -> Option<Self> {
///         (!text.is_empty()).then(|| Self(text.to_owned()))
///     }
/// }
///
/// let mut metadata = Metadata::new();
/// assert_eq!(metadata.read::<Tenant>(), Ok(None));
/// metadata.set(&Tenant("a".into()))?;
/// assert_eq!(metadata.read(), Ok(Some(Tenant("a".into()))));
/// metadata.insert("tenant", "")?;
/// assert!(metadata.read::<Tenant>().is_err());
/// # Ok::<(), actor_runtime::MetadataError>(())
/// ```
pub trait MetadataValue: Sized {
    /// The name of the entry. Two types of one name read each other's entries.
    const NAME: &'static str;

    /// The value as text.
    fn encode(&self) -> String;

    /// The value of a text; `None` if it is not one. The text comes from the caller: this must not panic.
    fn decode(text: &str) -> Option<Self>;
}

/// An entry of the metadata whose text its type does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the metadata `{name}` is not what its type takes; the caller has to write it with the same type")]
pub struct MalformedMetadata {
    name: &'static str,
}

/// An entry that would pass the bounds of [`Metadata`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "metadata `{name}` makes {entries} entries of {bytes} bytes; at most {} entries of {} bytes together are carried",
    Metadata::MAX_ENTRIES,
    Metadata::MAX_BYTES
)]
pub struct MetadataError {
    name: String,
    entries: usize,
    bytes: usize,
}

impl From<MetadataError> for Failure {
    fn from(error: MetadataError) -> Self {
        Self::new(FailureKind::TooLarge, Delivery::NotDelivered, error.to_string())
    }
}

impl From<MalformedMetadata> for Failure {
    fn from(error: MalformedMetadata) -> Self {
        Self::new(FailureKind::Malformed, Delivery::NotDelivered, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_and_a_refused_entry_changes_nothing() {
        let mut metadata = Metadata::new();
        for n in 0..Metadata::MAX_ENTRIES {
            metadata.insert(format!("k{n}"), "v").unwrap();
        }
        let before = metadata.clone();
        assert!(metadata.insert("one more", "v").is_err());
        assert!(metadata.insert("k0", "x".repeat(Metadata::MAX_BYTES)).is_err());
        assert_eq!(metadata, before);
        metadata.insert("k0", "another").unwrap();
        assert_eq!(metadata.value("k0"), Some("another"));
        assert_eq!(metadata.len(), Metadata::MAX_ENTRIES);
    }

    #[test]
    fn what_is_taken_away_leaves_its_room() {
        let mut metadata = Metadata::new();
        metadata.insert("k", "x".repeat(Metadata::MAX_BYTES - 1)).unwrap();
        assert!(metadata.insert("l", "").is_err());
        assert_eq!(metadata.remove("k").map(|value| value.len()), Some(Metadata::MAX_BYTES - 1));
        assert_eq!(metadata.remove("k"), None);
        assert_eq!(metadata, Metadata::NONE);
    }

    #[test]
    fn replacing_gives_the_bytes_of_the_old_value_back() {
        let mut metadata = Metadata::new();
        for _ in 0..100 {
            metadata.insert("k", "x".repeat(Metadata::MAX_BYTES - 1)).unwrap();
        }
    }
}
