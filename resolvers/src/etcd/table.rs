//! What one namespace has in etcd: its entries by name, within bounds.

use std::collections::BTreeMap;

use actor_runtime::{ResolveResult, ResolvedEndpoint};

use super::{
    keys::{name, other_spelling},
    value::{self, LONGEST},
};

/// How many entries are kept, and how many bytes of them.
const MOST: usize = 65_536;
const MOST_BYTES: usize = 64 << 20;

/// How many endpoints and how many reasons are in one answer, and how many other names.
const ANSWERED: usize = 10_000;
const REASONS: usize = 100;
const NAMES: usize = 100;

/// The entries under one beginning.
#[derive(Debug)]
pub(super) struct Table {
    beginning: String,
    /// By name, and then by what comes after the beginning.
    names: BTreeMap<String, BTreeMap<Vec<u8>, Entry>>,
    /// Keys that belong to no name, and why.
    odd: BTreeMap<Vec<u8>, &'static str>,
    size: Size,
    is_cut: bool,
}

#[derive(Debug, Default)]
struct Size {
    entries: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    endpoint: Result<ResolvedEndpoint, String>,
    bytes: usize,
}

impl Table {
    pub(super) fn new(beginning: &str) -> Self {
        let beginning = beginning.to_owned();
        Self { beginning, names: BTreeMap::new(), odd: BTreeMap::new(), size: Size::default(), is_cut: false }
    }

    /// How many keys there are, or `None` if not all of them are here.
    pub(super) fn keys(&self) -> Option<usize> {
        (!self.is_cut).then_some(self.size.entries)
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.delete(key);
        let mut bytes = key.len() + value.len().min(LONGEST);
        if self.size.entries >= MOST || self.size.bytes + bytes > MOST_BYTES {
            self.is_cut = true;
            return;
        }
        let rest = self.rest(key);
        match name(rest) {
            Ok(name) => {
                let endpoint = match other_spelling(&name, rest) {
                    Some(spelled) => Err(format!("its name is to be written {spelled}")),
                    None => value::read(&name, value),
                };
                let endpoint =
                    endpoint.map_err(|reason| format!("{}: {reason}", String::from_utf8_lossy(key)));
                self.names.entry(name).or_default().insert(rest.to_vec(), Entry { endpoint, bytes });
            }
            Err(reason) => {
                bytes = key.len();
                self.odd.insert(key.to_vec(), reason);
            }
        }
        self.size.entries += 1;
        self.size.bytes += bytes;
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        let rest = self.rest(key);
        let bytes = match name(rest) {
            Ok(name) => {
                let Some(entries) = self.names.get_mut(&name) else { return };
                let Some(entry) = entries.remove(rest) else { return };
                if entries.is_empty() {
                    self.names.remove(&name);
                }
                entry.bytes
            }
            Err(_) if self.odd.remove(key).is_some() => key.len(),
            Err(_) => return,
        };
        self.size.entries -= 1;
        self.size.bytes -= bytes;
    }

    pub(super) fn answer(&self, name: &str) -> ResolveResult {
        let mut result = ResolveResult::default();
        let mut left_out = 0;
        for entry in self.names.get(name).into_iter().flat_map(BTreeMap::values) {
            match &entry.endpoint {
                Ok(endpoint) if result.endpoints.len() < ANSWERED => result.endpoints.push(endpoint.clone()),
                Err(reason) if result.rejected.len() < REASONS => result.rejected.push(reason.clone()),
                _ => left_out += 1,
            }
        }
        if left_out > 0 {
            result.rejected.push(format!("{left_out} more entries: an answer has at most {ANSWERED}"));
        }
        if self.is_cut {
            let bounds = format!("{MOST} keys and {MOST_BYTES} bytes");
            result.rejected.push(format!("what is under {:?} beyond {bounds} is left out", self.beginning));
        }
        if result.is_empty() {
            let odd = self.odd.iter().take(REASONS.saturating_sub(result.rejected.len()));
            let odd = odd.map(|(key, reason)| format!("{}: {reason}", String::from_utf8_lossy(key)));
            result.rejected.extend(odd);
            result.known = self.names.keys().take(NAMES).map(|name| format!("{name:?}")).collect();
        }
        result
    }

    fn rest<'a>(&self, key: &'a [u8]) -> &'a [u8] {
        key.strip_prefix(self.beginning.as_bytes()).unwrap_or(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_and_go_and_bad_ones_say_why() {
        let mut table = Table::new("/actors/<local>/");
        table.put(
            b"/actors/<local>/calc/1",
            br#"{"address":"127.0.0.1:7000","metadata":{"zone":"a"},"x":[1]}"#,
        );
        table.put(b"/actors/<local>/calc/2", b"nonsense");
        table.put(b"/actors/<local>/calc/3", br#"{"address":"loopback:1"}"#);
        table.put(b"/actors/<local>/calc/4", &[b'x'; LONGEST + 1]);
        table.put(b"/actors/<local>/calc", b"{}");
        assert_eq!(table.keys(), Some(5));
        let found = table.answer("calc");
        assert_eq!(found.endpoints.len(), 1);
        assert_eq!(found.endpoints[0].metadata["zone"], "a");
        assert_eq!(found.rejected.len(), 3);
        assert!(found.rejected[0].starts_with("/actors/<local>/calc/2: its value is not like"), "{found:?}");

        let none = table.answer("model");
        assert_eq!((none.known, none.rejected.len()), (vec![r#""calc""#.to_owned()], 1));
        for id in ["/1", "/2", "/3", "/4", ""] {
            table.delete(format!("/actors/<local>/calc{id}").as_bytes());
            table.delete(b"/actors/<local>/calc/9");
        }
        assert_eq!((table.keys(), table.size.bytes, table.names.len()), (Some(0), 0, 0));
    }

    #[test]
    fn keys_that_spell_one_name_otherwise_are_keys_of_their_own() {
        let mut table = Table::new("/a/");
        for (one, other, name) in [("a%2Fb/1", "a%2fb/1", "a/b"), ("A/1", "%41/1", "A")] {
            for rest in [one, other] {
                table.put(format!("/a/{rest}").as_bytes(), br#"{"address":"127.0.0.1:7000"}"#);
            }
            assert_eq!(table.keys(), Some(2));
            let found = table.answer(name);
            let (spelled, _) = one.split_once('/').unwrap();
            assert_eq!(found.rejected, [format!("/a/{other}: its name is to be written {spelled}")]);
            assert_eq!(found.endpoints.len(), 1);
            table.delete(format!("/a/{other}").as_bytes());
            assert_eq!((table.keys(), table.answer(name).endpoints.len()), (Some(1), 1));
            table.delete(format!("/a/{one}").as_bytes());
            assert_eq!((table.keys(), table.size.bytes), (Some(0), 0));
        }
    }

    #[test]
    fn answers_and_tables_have_bounds() {
        let mut table = Table::new("/a/");
        for id in 0..=MOST {
            table.put(format!("/a/n/{id:06}").as_bytes(), br#"{"address":"127.0.0.1:7000"}"#);
        }
        assert_eq!((table.keys(), table.size.entries), (None, MOST));
        let found = table.answer("n");
        assert_eq!(found.endpoints.len(), ANSWERED);
        assert!(found.rejected[0].starts_with("55536 more entries"), "{:?}", found.rejected);
        assert!(found.rejected[1].contains("65536 keys"), "{:?}", found.rejected);
    }
}
