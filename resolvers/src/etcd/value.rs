//! Values: JSON that people can read and write.

use std::{borrow::Cow, collections::BTreeMap};

use actor_runtime::{ActorId, Address, ResolvedEndpoint};
use serde::{Deserialize, Serialize};

/// The longest value that is read and written, in bytes.
pub(super) const LONGEST: usize = 64 << 10;

/// Fields that are not here are for others.
#[derive(Debug, Serialize, Deserialize)]
struct Value<'a> {
    address: Cow<'a, Address>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<ActorId>,
    #[serde(default, skip_serializing_if = "is_empty")]
    metadata: Cow<'a, BTreeMap<String, String>>,
}

fn is_empty(metadata: &BTreeMap<String, String>) -> bool {
    metadata.is_empty()
}

/// The endpoint of this name that a value tells of, or why it tells of none.
pub(super) fn read(name: &str, value: &[u8]) -> Result<ResolvedEndpoint, String> {
    if value.len() > LONGEST {
        return Err(format!("its value has {} bytes, and {LONGEST} are read at most", value.len()));
    }
    let value: Value<'_> = serde_json::from_slice(value)
        .map_err(|error| format!(r#"its value is not like {{"address":"10.0.0.7:7000"}}: {error}"#))?;
    let address = value.address.into_owned();
    if matches!(address, Address::Loopback(_)) {
        return Err(format!("{address} is reached within its own process only"));
    }
    let mut endpoint = ResolvedEndpoint::new(address, name);
    endpoint.actor = value.actor;
    endpoint.metadata = value.metadata.into_owned();
    Ok(endpoint)
}

/// What others shall read of an endpoint, or why they cannot.
pub(super) fn write(endpoint: &ResolvedEndpoint) -> Result<Vec<u8>, String> {
    if matches!(endpoint.address, Address::Loopback(_)) {
        return Err(format!(
            "{:?} listens at {}, which is reached within its own process only; bind its server to an address of the network",
            endpoint.name, endpoint.address
        ));
    }
    let value = Value {
        address: Cow::Borrowed(&endpoint.address),
        actor: endpoint.actor,
        metadata: Cow::Borrowed(&endpoint.metadata),
    };
    let bytes = serde_json::to_vec(&value).map_err(|error| format!("{:?}: {error}", endpoint.name))?;
    if bytes.len() > LONGEST {
        return Err(format!(
            "{:?} and its metadata have {} bytes, and {LONGEST} are the most",
            endpoint.name,
            bytes.len()
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut endpoint = ResolvedEndpoint::new("10.0.0.7:7000".parse().unwrap(), "calc");
        endpoint.actor = Some("00f3a91c44d0be72-7".parse().unwrap());
        let plain = write(&endpoint).unwrap();
        assert_eq!(plain, br#"{"address":"10.0.0.7:7000","actor":"00f3a91c44d0be72-7"}"#);
        endpoint.metadata.insert("zone".to_owned(), "a".to_owned());
        assert_eq!(read("calc", &write(&endpoint).unwrap()).unwrap(), endpoint);
    }

    #[test]
    fn what_others_cannot_use_is_not_written() {
        let mut endpoint = ResolvedEndpoint::new("loopback:1".parse().unwrap(), "calc");
        assert!(write(&endpoint).unwrap_err().contains("loopback:1"));
        endpoint.address = "10.0.0.7:7000".parse().unwrap();
        endpoint.metadata.insert("x".to_owned(), "y".repeat(LONGEST));
        assert!(write(&endpoint).unwrap_err().contains("65536 are the most"));
    }
}
