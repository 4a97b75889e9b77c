//! Keys: `{prefix}{namespace}/{name}/{id}`. Names stand in them as they are, so that `etcdctl` shows them; only `/`, `%` and
//! control characters are written `%2F`.

use std::borrow::Cow;

use actor_runtime::Namespace;

/// How keys are made and read.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

/// All keys that begin alike.
#[derive(Clone, Debug)]
pub(super) struct Range {
    pub(super) from: Vec<u8>,
    pub(super) to: Vec<u8>,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        let end = if prefix.ends_with('/') { "" } else { "/" };
        Self { prefix: format!("{prefix}{end}") }
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What the keys of a namespace begin with.
    pub(super) fn namespace(&self, namespace: &Namespace) -> String {
        format!("{}{}/", self.prefix, segment(namespace.as_str()))
    }

    pub(super) fn key(&self, namespace: &Namespace, name: &str, id: &str) -> String {
        format!("{}{}/{}", self.namespace(namespace), segment(name), segment(id))
    }
}

impl Range {
    /// All keys that begin with a text, which ends with a `/`.
    pub(super) fn of(beginning: &str) -> Self {
        let from = beginning.as_bytes().to_vec();
        let mut to = from.clone();
        if let Some(last) = to.last_mut() {
            *last += 1;
        }
        Self { from, to }
    }
}

/// The name of a key, from what comes after its namespace, whose id may be any text.
pub(super) fn name(rest: &[u8]) -> Result<String, &'static str> {
    let rest = std::str::from_utf8(rest).map_err(|_| "it is not UTF-8")?;
    let (name, _) = rest.split_once('/').ok_or("it has no id after its name: write `name/id`")?;
    let name = unescape(name).ok_or("after a % there are no two hexadecimal digits")?;
    if name.is_empty() {
        return Err("its name is empty");
    }
    Ok(name)
}

/// How the name is to be written in its key, where this is another way to write it.
pub(super) fn other_spelling<'a>(name: &'a str, rest: &[u8]) -> Option<Cow<'a, str>> {
    let segment = segment(name);
    let is_this = rest.strip_prefix(segment.as_bytes()).is_some_and(|id| id.starts_with(b"/"));
    (!is_this).then_some(segment)
}

fn segment(text: &str) -> Cow<'_, str> {
    let escapes = |c: char| matches!(c, '/' | '%') || c.is_control();
    if !text.contains(escapes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if escapes(c) {
            let mut bytes = [0; 4];
            out.extend(c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high << 4 | low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_can_stand_in_a_key_and_is_read_from_it() {
        let keys = Keys::new("/actors");
        assert_eq!(keys.key(&Namespace::local(), "calc", "1"), "/actors/<local>/calc/1");
        assert_eq!(keys.key(&Namespace::local(), "a/b%\u{7f}", "1"), "/actors/<local>/a%2Fb%25%7F/1");
        for name in ["calc", "a/b", "%", "%2F", "ä €", "\u{85}", "..", "*", &"n".repeat(255)] {
            let key = keys.key(&Namespace::local(), name, "7");
            let rest = key.strip_prefix(&keys.namespace(&Namespace::local())).unwrap();
            assert_eq!(super::name(rest.as_bytes()).unwrap(), name);
            assert_eq!(other_spelling(name, rest.as_bytes()), None);
        }
    }

    #[test]
    fn a_key_that_is_none_says_why() {
        for bad in [&b"calc"[..], b"/1", b"%/1", b"%4/1", b"%zz/1", b"%ff/1", b"\xff/1", b""] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
        assert_eq!(name(b"a/b/c").unwrap(), "a");
    }

    #[test]
    fn a_name_that_is_spelled_otherwise_is_told_how() {
        for (other, spelled) in
            [("a%2fb/1", "a%2Fb"), ("%41/1", "A"), ("%C3%A4/1", "\u{e4}"), ("a\n/", "a%0A")]
        {
            let name = name(other.as_bytes()).unwrap();
            assert_eq!(other_spelling(&name, other.as_bytes()).unwrap(), spelled);
        }
    }

    #[test]
    fn namespaces_whose_names_begin_alike_are_apart() {
        let keys = Keys::new("/actors/");
        let job = Range::of(&keys.namespace(&Namespace::new("job").unwrap()));
        let other = keys.key(&Namespace::new("job-2").unwrap(), "a", "1").into_bytes();
        assert!(!(job.from..job.to).contains(&other));
    }
}
