//! What the text of a file says.

use std::collections::{BTreeMap, BTreeSet};

use actor_runtime::{Address, AddressError, Namespace, ResolveResult, ResolvedEndpoint};
use toml::{Table as Toml, Value};

/// Endpoints of one actor after these are left out.
const MOST: usize = 10_000;

/// How many other names are told, and how many entries that are none.
const MOST_TOLD: usize = 64;

/// The longest name of an actor, in bytes.
const MAX_NAME: usize = 255;

const NAMESPACES: &str = "namespaces";

/// The actors of a file.
#[derive(Debug, Default)]
pub(super) struct Table {
    actors: BTreeMap<(Namespace, String), Actor>,
    /// What belongs to no actor.
    rejected: Vec<String>,
}

#[derive(Debug, Default)]
struct Actor {
    endpoints: Vec<ResolvedEndpoint>,
    seen: BTreeSet<(Address, String)>,
    rejected: Vec<String>,
}

/// Reads the text of a file.
///
/// # Errors
/// If it is no TOML; says at which line and column.
pub(super) fn read(text: &[u8]) -> Result<Table, String> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let (line, column) = place(text, error.valid_up_to());
        format!("is no UTF-8 at line {line}, column {column}")
    })?;
    let toml: Toml = toml::from_str(text).map_err(|error| {
        let message = error.message().replace('\n', ", ");
        match error.span() {
            Some(span) => {
                let (line, column) = place(text.as_bytes(), span.start);
                format!("is no TOML at line {line}, column {column}: {message}")
            }
            None => format!("is no TOML: {message}"),
        }
    })?;
    let mut table = Table::default();
    for (key, value) in toml {
        match value {
            Value::Table(namespaces) if key == NAMESPACES => table.add_namespaces(namespaces),
            _ if key == NAMESPACES => {
                table.reject(format!("`{NAMESPACES}` has the type {}, not a table", value.type_str()));
            }
            value => table.add(&Namespace::local(), key, "", value),
        }
    }
    Ok(table)
}

/// Line and column of a byte, counted from one; columns are characters.
fn place(text: &[u8], at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    (line, String::from_utf8_lossy(&before[start..]).chars().count() + 1)
}

impl Table {
    fn add_namespaces(&mut self, namespaces: Toml) {
        for (key, value) in namespaces {
            match (Namespace::new(&key), value) {
                (Ok(namespace), Value::Table(actors)) => {
                    for (name, value) in actors {
                        self.add(&namespace, name, &format!("{NAMESPACES}.{key}."), value);
                    }
                }
                (Ok(_), other) => {
                    self.reject(format!(
                        "`{NAMESPACES}.{key}` has the type {}, not a table",
                        other.type_str()
                    ));
                }
                (Err(error), _) => self.reject(format!("`{NAMESPACES}`: {error}")),
            }
        }
    }

    fn add(&mut self, namespace: &Namespace, name: String, place: &str, value: Value) {
        if name.is_empty() || name.len() > MAX_NAME {
            self.reject(format!("`{place}{name}`: an actor's name has 1 to {MAX_NAME} bytes"));
            return;
        }
        let place = format!("{place}{name}");
        let Value::Table(entry) = value else {
            let text = format!(
                "`{place}` has the type {}; write `[{place}]` and `endpoints = [...]`",
                value.type_str()
            );
            self.reject(text);
            return;
        };
        let actor = self.actors.entry((namespace.clone(), name.clone())).or_default();
        for (key, value) in entry {
            match value {
                Value::Array(endpoints) if key == "endpoints" => actor.add(&name, &place, endpoints),
                other if key == "endpoints" => {
                    actor
                        .reject(format!("`{place}.endpoints` has the type {}, not a list", other.type_str()));
                }
                _ => actor.reject(format!("`{place}.{key}` is not known; an actor has `endpoints`")),
            }
        }
    }

    fn reject(&mut self, text: String) {
        told(&mut self.rejected, text);
    }

    /// What the file says about a name.
    pub(super) fn answer(&self, namespace: &Namespace, name: &str) -> ResolveResult {
        let mut result = ResolveResult::default();
        if let Some(actor) = self.actors.get(&(namespace.clone(), name.to_owned())) {
            result.endpoints.clone_from(&actor.endpoints);
            result.rejected.clone_from(&actor.rejected);
        }
        result.rejected.extend(self.rejected.iter().cloned());
        if result.is_empty() {
            let known = self.actors.iter().filter(|(_, actor)| !actor.endpoints.is_empty()).take(MOST_TOLD);
            result.known = known.map(|((namespace, name), _)| format!("{name:?} in {namespace}")).collect();
        }
        result
    }
}

impl Actor {
    fn add(&mut self, name: &str, place: &str, endpoints: Vec<Value>) {
        if endpoints.len() > MOST {
            let more = endpoints.len() - MOST;
            self.reject(format!("`{place}.endpoints`: {more} endpoints after the first {MOST} are left out"));
        }
        for (number, value) in endpoints.into_iter().take(MOST).enumerate() {
            let place = format!("`{place}.endpoints[{number}]`");
            if let Err(reason) = self.add_one(name, &place, value) {
                self.reject(format!("{place}: {reason}"));
            }
        }
    }

    fn add_one(&mut self, name: &str, place: &str, value: Value) -> Result<(), String> {
        let endpoint = match value {
            Value::String(address) => ResolvedEndpoint::new(parse(&address)?, name),
            Value::Table(entry) => self.read(name, place, entry)?,
            other => {
                return Err(format!(
                    "it has the type {}, and is not an address or a table with one",
                    other.type_str()
                ));
            }
        };
        if !self.seen.insert((endpoint.address.clone(), endpoint.name.clone())) {
            return Err(format!("{endpoint} is there twice"));
        }
        self.endpoints.push(endpoint);
        Ok(())
    }

    /// A table with an address. What else in it is not known is told, and the endpoint is one all the same.
    fn read(&mut self, name: &str, place: &str, entry: Toml) -> Result<ResolvedEndpoint, String> {
        let address = match entry.get("address") {
            Some(Value::String(address)) => parse(address)?,
            Some(other) => return Err(format!("`address` has the type {}, not a string", other.type_str())),
            None => return Err("it has no `address`".to_owned()),
        };
        let mut endpoint = ResolvedEndpoint::new(address, name);
        for (key, value) in entry {
            match (key.as_str(), value) {
                ("address", _) => {}
                ("name", Value::String(name)) if (1..=MAX_NAME).contains(&name.len()) => endpoint.name = name,
                ("name", _) => return Err(format!("`name` is no string of 1 to {MAX_NAME} bytes")),
                ("metadata", Value::Table(metadata)) => {
                    for (key, value) in metadata {
                        match value {
                            Value::String(text) => drop(endpoint.metadata.insert(key, text)),
                            other => {
                                let kind = other.type_str();
                                self.reject(format!(
                                    "{place}: `metadata.{key}` has the type {kind}, not a string"
                                ));
                            }
                        }
                    }
                }
                ("metadata", other) => {
                    self.reject(format!(
                        "{place}: `metadata` has the type {}, not a table",
                        other.type_str()
                    ));
                }
                (key, _) => self.reject(format!(
                    "{place}: `{key}` is not known; an endpoint has `address`, `name` and `metadata`"
                )),
            }
        }
        Ok(endpoint)
    }

    fn reject(&mut self, text: String) {
        told(&mut self.rejected, text);
    }
}

fn parse(address: &str) -> Result<Address, String> {
    address.parse().map_err(|error: AddressError| error.to_string())
}

/// Tells of one more, and of how many there are no more.
fn told(texts: &mut Vec<String>, text: String) {
    if texts.len() < MOST_TOLD {
        texts.push(text);
    } else if texts.len() == MOST_TOLD {
        texts.push("and more".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str, namespace: &str, name: &str) -> ResolveResult {
        let table = read(text.as_bytes()).expect("TOML");
        table.answer(&Namespace::new(namespace).expect("a namespace"), name)
    }

    fn endpoints(result: &ResolveResult) -> Vec<String> {
        result.endpoints.iter().map(ToString::to_string).collect()
    }

    const FILE: &str = r#"
        [calc]
        endpoints = ["10.0.0.1:7000", { address = "calc-2.example:7000", name = "calc-b", metadata = { zone = "a" } }]

        [namespaces.training.calc]
        endpoints = ["10.0.1.1:7000"]

        [namespaces."<local>".namespaces]
        endpoints = ["10.0.2.1:7000"]
    "#;

    #[test]
    fn a_name_has_its_endpoints_in_its_namespace() {
        let calc = answer(FILE, "<local>", "calc");
        assert_eq!(endpoints(&calc), ["actor://10.0.0.1:7000/calc", "actor://calc-2.example:7000/calc-b"]);
        assert_eq!(calc.endpoints[1].metadata["zone"], "a");
        assert!(calc.rejected.is_empty() && calc.known.is_empty());
        assert_eq!(endpoints(&answer(FILE, "training", "calc")), ["actor://10.0.1.1:7000/calc"]);
        assert_eq!(endpoints(&answer(FILE, "<local>", "namespaces")), ["actor://10.0.2.1:7000/namespaces"]);
    }

    #[test]
    fn a_name_that_is_not_there_is_empty_and_says_what_is() {
        let none = answer(FILE, "training", "other");
        assert!(none.is_empty());
        assert_eq!(
            none.known,
            [r#""calc" in <local>"#, r#""namespaces" in <local>"#, r#""calc" in training"#]
        );
    }

    #[test]
    fn bad_entries_are_told_with_their_place_and_spoil_nothing() {
        let file = r#"
            title = "actors"
            [calc]
            colour = "red"
            endpoints = ["nonsense", 7, "10.0.0.1:7000", "10.0.0.1:7000", { name = "x" }, { address = 7 },
                { address = "10.0.0.2:7000", weight = 3, metadata = { a = 1, b = "2" } },
                { address = "10.0.0.3:7000", name = "" }]
            [other]
            endpoints = "10.0.0.1:7000"
            [namespaces."a b".calc]
            [namespaces]
            flat = 1
        "#;
        let calc = answer(file, "<local>", "calc");
        assert_eq!(endpoints(&calc), ["actor://10.0.0.1:7000/calc", "actor://10.0.0.2:7000/calc"]);
        assert_eq!(calc.endpoints[1].metadata, BTreeMap::from([("b".to_owned(), "2".to_owned())]));
        for part in [
            "`calc.colour` is not known",
            "`calc.endpoints[0]`: \"nonsense\" is not an address",
            "`calc.endpoints[1]`: it has the type integer",
            "`calc.endpoints[3]`: actor://10.0.0.1:7000/calc is there twice",
            "`calc.endpoints[4]`: it has no `address`",
            "`calc.endpoints[5]`: `address` has the type integer",
            "`calc.endpoints[6]`: `weight` is not known",
            "`calc.endpoints[6]`: `metadata.a` has the type integer",
            "`calc.endpoints[7]`: `name` is no string",
            "`title` has the type string; write `[title]`",
            "`namespaces.flat` has the type integer, not a table",
            "`namespaces`: \"a b\" cannot be a namespace",
        ] {
            assert!(calc.rejected.iter().any(|text| text.contains(part)), "{part}: {:#?}", calc.rejected);
        }
        assert_eq!(calc.rejected.len(), 12);
        let other = answer(file, "<local>", "other");
        assert!(
            other.is_empty()
                && other.rejected[0].contains("`other.endpoints` has the type string, not a list")
        );
    }

    #[test]
    fn what_is_no_toml_says_where() {
        let error = read(b"[calc]\nendpoints = [1,\n, 2]\n").unwrap_err();
        assert!(error.starts_with("is no TOML at line 3, column 1: "), "{error}");
        assert_eq!(read(b"a = 1\nb = \"\xff\"").unwrap_err(), "is no UTF-8 at line 2, column 6");
        let twice = read(b"[calc]\n[calc]\n").unwrap_err();
        assert!(twice.contains("line 2"), "{twice}");
        let deep = format!("a = {}", "[".repeat(100_000));
        assert!(read(deep.as_bytes()).is_err());
    }

    #[test]
    fn too_many_endpoints_are_cut_and_what_is_told_is_bounded() {
        let addresses: Vec<_> =
            (0..MOST + 2).map(|n| format!("\"10.0.{}.{}:7000\"", n / 256, n % 256)).collect();
        let calc = answer(&format!("[calc]\nendpoints = [{}]", addresses.join(",")), "<local>", "calc");
        assert_eq!(calc.endpoints.len(), MOST);
        assert_eq!(calc.rejected, ["`calc.endpoints`: 2 endpoints after the first 10000 are left out"]);
        let bad = answer(&format!("[calc]\nendpoints = [{}]", "0,".repeat(1000)), "<local>", "calc");
        assert_eq!(bad.rejected.len(), MOST_TOLD + 1);
    }
}
