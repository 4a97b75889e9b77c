use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de};

use super::text::Text;

/// Keeps the names of one job tree apart from those of another. Names in different namespaces never meet by accident.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct Namespace(Cow<'static, str>);

impl Namespace {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// `<local>`: the namespace of a process that belongs to no job.
    pub const fn local() -> Self {
        Self(Cow::Borrowed("<local>"))
    }

    /// A namespace of this name.
    ///
    /// # Errors
    /// [`NamespaceError`] if the name is empty, longer than [`MAX_BYTES`](Self::MAX_BYTES), or has a `/`, white space
    /// or a control character in it.
    pub fn new(name: impl Into<String>) -> Result<Self, NamespaceError> {
        let name = name.into();
        let bad = |c: char| c == '/' || c.is_whitespace() || c.is_control();
        if name.is_empty() || name.len() > Self::MAX_BYTES || name.contains(bad) {
            return Err(NamespaceError { name });
        }
        Ok(Self(Cow::Owned(name)))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The namespace of this process: `ACTOR_NAMESPACE`, else the one of its job `ACTOR_JOB_ID`, else `<local>`.
///
/// A variable that is empty or not a [`Namespace`] counts as not set; the latter is logged.
pub fn default_namespace() -> Namespace {
    ["ACTOR_NAMESPACE", "ACTOR_JOB_ID"]
        .into_iter()
        .find_map(|variable| {
            let value = std::env::var(variable).ok().filter(|value| !value.is_empty())?;
            Namespace::new(value).inspect_err(|error| tracing::warn!(variable, %error, "ignored")).ok()
        })
        .unwrap_or_else(Namespace::local)
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Namespace {
    type Err = NamespaceError;

    fn from_str(name: &str) -> Result<Self, NamespaceError> {
        Self::new(name)
    }
}

impl<'de> Deserialize<'de> for Namespace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(name) = Text::<{ Self::MAX_BYTES }>::deserialize(deserializer)?;
        Self::new(name).map_err(de::Error::custom)
    }
}

impl TryFrom<String> for Namespace {
    type Error = NamespaceError;

    fn try_from(name: String) -> Result<Self, NamespaceError> {
        Self::new(name)
    }
}

impl From<Namespace> for String {
    fn from(namespace: Namespace) -> Self {
        namespace.0.into_owned()
    }
}

/// A text that cannot be a [`Namespace`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} cannot be a namespace: write 1 to {} bytes without `/`, white space and control characters",
    Namespace::MAX_BYTES
)]
pub struct NamespaceError {
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_can_stand_in_an_address_are_namespaces() {
        assert_eq!(Namespace::new("job-7").unwrap().as_str(), "job-7");
        for bad in ["", "a/b", "a b", "a\n", &"x".repeat(129)] {
            assert!(Namespace::new(bad).is_err(), "{bad:?}");
        }
    }
}
