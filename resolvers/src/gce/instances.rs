//! The actors in the metadata of instances.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use actor_runtime::{Address, Namespace, ResolveResult, ResolvedEndpoint};

use super::GceInstance;

/// How many endpoints one answer has at most.
const MOST_ENDPOINTS: usize = 10_000;

/// How many reasons, and names that exist, one answer gives at most.
const MOST_TEXTS: usize = 100;

/// The metadata that tell of actors.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) prefix: String,
    pub(super) namespace: String,
}

impl Keys {
    /// Whether a key says anything about actors.
    pub(super) fn matters(&self, key: &str) -> bool {
        key == self.namespace || key.starts_with(&*self.prefix)
    }
}

/// The instances of some zones, as they were listed last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instances {
    pub(super) zones: Vec<(String, Vec<GceInstance>)>,
}

impl Instances {
    fn all(&self) -> impl Iterator<Item = (&str, &GceInstance)> {
        self.zones.iter().flat_map(|(zone, instances)| instances.iter().map(|instance| (&**zone, instance)))
    }

    pub(super) fn answer(&self, keys: &Keys, namespace: &Namespace, name: &str) -> ResolveResult {
        let mut result = ResolveResult::default();
        let (key, mut rejected, mut left_out) = (format!("{}{name}", keys.prefix), Vec::new(), 0);
        for (zone, instance) in self.all() {
            let Some(port) = instance.metadata.get(&key) else { continue };
            let found = found(instance, keys, namespace, port);
            match found {
                Ok(Some(_)) if result.endpoints.len() == MOST_ENDPOINTS => left_out += 1,
                Ok(Some(address)) => {
                    let mut endpoint = ResolvedEndpoint::new(address, name);
                    let known = [("instance", &*instance.name), ("zone", zone)];
                    endpoint.metadata = known.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
                    result.endpoints.push(endpoint);
                }
                Ok(None) => {}
                Err(reason) => rejected.push(format!("instance {:?} in {zone}: {reason}", instance.name)),
            }
        }
        let untold = rejected.len().saturating_sub(MOST_TEXTS);
        rejected.truncate(MOST_TEXTS);
        if untold > 0 {
            rejected.push(format!("and {untold} more"));
        }
        if left_out > 0 {
            rejected.push(format!("{left_out} endpoints over {MOST_ENDPOINTS} are left out"));
        }
        result.rejected = rejected;
        if result.is_empty() {
            result.known = self.known(keys);
        }
        result
    }

    /// The actors that there are.
    fn known(&self, keys: &Keys) -> Vec<String> {
        let running = self.all().filter(|(_, instance)| instance.status == RUNNING);
        let names = running.flat_map(|(_, instance)| {
            let namespace = namespace_of(&instance.metadata, keys);
            let actors = instance.metadata.keys().filter(|key| **key != keys.namespace);
            let names = actors.filter_map(|key| key.strip_prefix(&*keys.prefix));
            names.filter(|name| !name.is_empty()).map(move |name| format!("{name:?} in {namespace}"))
        });
        names.collect::<BTreeSet<_>>().into_iter().take(MOST_TEXTS).collect()
    }
}

const RUNNING: &str = "RUNNING";

fn namespace_of<'a>(metadata: &'a BTreeMap<String, String>, keys: &Keys) -> &'a str {
    metadata.get(&keys.namespace).map_or("<local>", |namespace| namespace.trim())
}

/// Where an instance serves the actor; `None` if it is as it should be that it does not.
fn found(
    instance: &GceInstance,
    keys: &Keys,
    namespace: &Namespace,
    port: &str,
) -> Result<Option<Address>, String> {
    let there = namespace_of(&instance.metadata, keys);
    if instance.status.is_empty() {
        return Err("its status is not told".to_owned());
    }
    if instance.status != RUNNING {
        return Ok(None);
    }
    if there != namespace.as_str() {
        let bad = |error| format!("{}: {error}", keys.namespace);
        return Namespace::new(there).map(|_| None).map_err(bad);
    }
    let port: u16 = port.trim().parse().ok().filter(|port| *port > 0).ok_or_else(|| {
        let begin: String = port.chars().take(40).collect();
        format!("{begin:?} is not a port")
    })?;
    let ip = instance.internal_ip.as_deref().ok_or("it has no internal address")?;
    let ip: IpAddr = ip.parse().map_err(|_| format!("{ip:?} is not an IP address"))?;
    Ok(Some(Address::Socket((ip, port).into())))
}
