//! Texts that come from elsewhere: no longer than they may be, which is seen before they are copied.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// A text of at most `MAX` bytes.
pub(crate) struct Text<const MAX: usize>(pub(crate) String);

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_string(Reader::<MAX>).map(Self)
    }
}

/// For fields: `#[serde(deserialize_with = "text::<255, _>")]`.
pub(crate) fn text<'de, const MAX: usize, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Text::<MAX>::deserialize(deserializer).map(|text| text.0)
}

struct Reader<const MAX: usize>;

impl<const MAX: usize> Reader<MAX> {
    fn check<E: de::Error>(length: usize) -> Result<(), E> {
        if length > MAX {
            return Err(E::custom(format_args!("a text of {length} bytes, where {MAX} are the most")));
        }
        Ok(())
    }
}

impl<const MAX: usize> de::Visitor<'_> for Reader<MAX> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text of at most {MAX} bytes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Self::check(text.len())?;
        Ok(text.to_owned())
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<String, E> {
        Self::check(text.len())?;
        Ok(text)
    }
}
