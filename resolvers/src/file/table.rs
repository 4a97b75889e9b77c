//! What the text of a file says.

#[cfg(test)]
mod tests;

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
