//! The endpoints in one slice.

use std::{collections::BTreeMap, net::IpAddr};

use actor_runtime::Address;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};

/// What one slice gives.
#[derive(Debug, Default)]
pub(super) struct Slice {
    pub(super) found: Vec<Found>,
    pub(super) rejected: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Found {
    pub(super) address: Address,
    /// The pod or other object, if it is told.
    pub(super) target: Option<String>,
    pub(super) is_ipv6: bool,
    pub(super) metadata: BTreeMap<String, String>,
}

/// What a slice gives: the endpoints that are ready, at the port of this name.
pub(super) fn read(name: &str, slice: &EndpointSlice, port_name: &str) -> Slice {
    let mut read = Slice::default();
    // Those that are not ready are as they should be: they are no entries that went wrong.
    let mut endpoints = slice.endpoints.iter().flatten().filter(|endpoint| is_ready(endpoint)).peekable();
    if endpoints.peek().is_none() {
        return read;
    }
    let port = match port(slice.ports.as_deref().unwrap_or_default(), port_name) {
        Ok(port) => port,
        Err(error) => {
            read.rejected.push(format!("slice {name:?}: {error}"));
            return read;
        }
    };
    for endpoint in endpoints {
        match address(&slice.address_type, endpoint, port) {
            Ok(address) => read.found.push(Found {
                is_ipv6: matches!(address, Address::Socket(socket) if socket.is_ipv6()),
                target: target(endpoint),
                metadata: metadata(endpoint),
                address,
            }),
            Err(error) => read.rejected.push(format!("slice {name:?}: {error}")),
        }
    }
    read
}

/// An endpoint that does not say is ready, which is how Kubernetes wants it read.
fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint
        .conditions
        .as_ref()
        .is_none_or(|conditions| conditions.ready.unwrap_or(true) && !conditions.terminating.unwrap_or(false))
}

fn port(ports: &[EndpointPort], wanted: &str) -> Result<u16, String> {
    let name = |port: &EndpointPort| port.name.clone().unwrap_or_default();
    let port = match ports {
        [only] if name(only).is_empty() => only,
        ports => ports.iter().find(|port| name(port) == wanted).ok_or_else(|| {
            let present = ports.iter().map(|port| format!("{:?}", name(port))).collect::<Vec<_>>();
            let present = if present.is_empty() { "none".to_owned() } else { present.join(", ") };
            format!("no port is named {wanted:?}; there is {present}")
        })?,
    };
    let number = port.port.ok_or_else(|| format!("the port {:?} has no number", name(port)))?;
    let usable = u16::try_from(number).ok().filter(|number| *number > 0);
    usable.ok_or_else(|| format!("{number} is not a port"))
}

fn address(kind: &str, endpoint: &Endpoint, port: u16) -> Result<Address, String> {
    // Kubernetes gives no meaning to further ones.
    let text = endpoint.addresses.first().ok_or("an endpoint has no address")?;
    let refused = || format!("{text:?} is not an address of the type {kind:?}");
    match kind {
        "IPv4" | "IPv6" => {
            let ip: IpAddr = text.parse().map_err(|_| refused())?;
            let fits = ip.is_ipv6() == (kind == "IPv6");
            if fits { Ok(Address::Socket((ip, port).into())) } else { Err(refused()) }
        }
        "FQDN" => {
            let address = format!("{}:{port}", text.trim_end_matches('.')).parse().map_err(|_| refused())?;
            if matches!(address, Address::Host(..)) { Ok(address) } else { Err(refused()) }
        }
        other => Err(format!("addresses of the type {other:?} are not understood")),
    }
}

fn target(endpoint: &Endpoint) -> Option<String> {
    let target = endpoint.target_ref.as_ref()?;
    target.uid.clone().or_else(|| target.name.clone())
}

fn metadata(endpoint: &Endpoint) -> BTreeMap<String, String> {
    let target = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
    let pod = target.and_then(|target| target.name.clone());
    let all = [("node", endpoint.node_name.clone()), ("pod", pod), ("zone", endpoint.zone.clone())];
    all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}
