//! What travels with a call beside its arguments: tenant, tokens, trace ids.

use std::collections::BTreeMap;

/// Named texts that travel with a call, for layers and handlers on the other side.
///
/// They are bounded, since every hop carries them: [`MAX_ENTRIES`](Self::MAX_ENTRIES) and
/// [`MAX_BYTES`](Self::MAX_BYTES). A call made inside a turn does not inherit them; to hand them on, set
/// [`ActorContext::metadata`](crate::ActorContext::metadata) on the call.
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
    fn replacing_gives_the_bytes_of_the_old_value_back() {
        let mut metadata = Metadata::new();
        for _ in 0..100 {
            metadata.insert("k", "x".repeat(Metadata::MAX_BYTES - 1)).unwrap();
        }
    }
}
