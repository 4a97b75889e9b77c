//! The endpoints in the slices of one service.
//!
//! A service has many slices: by a hundred endpoints, by family of addresses, and by who wrote them. An endpoint that moves
//! from one to another may stand in both for a moment.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use actor_runtime::{ResolveResult, ResolvedEndpoint};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::slice::{Slice, read};

/// How many endpoints one answer has at most.
const MOST_ENDPOINTS: usize = 10_000;

/// How many slices are kept of one service.
const MOST_SLICES: usize = 1_000;

/// How many reasons one answer gives at most.
const MOST_REASONS: usize = 100;

/// The slices of a service, as they are at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slices {
    by_name: BTreeMap<String, Arc<Slice>>,
    is_cut: bool,
    /// Whether the watch that came after the list of these has served.
    watched: Arc<AtomicBool>,
}

impl Slices {
    pub(super) fn is_watched(&self) -> bool {
        self.watched.load(Relaxed)
    }

    /// The watch serves.
    pub(super) fn mark_watched(&self) {
        self.watched.store(true, Relaxed);
    }

    pub(super) fn is_full(&self) -> bool {
        self.by_name.len() >= MOST_SLICES
    }

    /// There are more slices than are kept.
    pub(super) fn cut(&mut self) {
        self.is_cut = true;
    }

    pub(super) fn insert(&mut self, name: String, object: serde_json::Value, port: &str) {
        if self.is_full() && !self.by_name.contains_key(&name) {
            return self.cut();
        }
        let slice = match serde_json::from_value::<EndpointSlice>(object) {
            Ok(slice) => read(&name, &slice, port),
            Err(error) => {
                Slice { rejected: vec![format!("slice {name:?} is not one: {error}")], ..Slice::default() }
            }
        };
        self.by_name.insert(name, Arc::new(slice));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// All slices as one set, for the actor of this name.
    pub(super) fn answer(&self, name: &str) -> ResolveResult {
        let mut result = ResolveResult::default();
        let found = || self.by_name.values().flat_map(|slice| &slice.found);
        let over_ipv4: HashSet<_> =
            found().filter(|found| !found.is_ipv6).filter_map(|found| found.target.as_deref()).collect();
        let mut seen = HashSet::new();
        let mut left_out = 0;
        for found in found() {
            // A pod of both families is one actor, and one member of a pool.
            let is_second = found.is_ipv6 && found.target.as_deref().is_some_and(|it| over_ipv4.contains(it));
            if is_second || !seen.insert(&found.address) {
                continue;
            }
            if result.endpoints.len() == MOST_ENDPOINTS {
                left_out += 1;
                continue;
            }
            let mut endpoint = ResolvedEndpoint::new(found.address.clone(), name);
            endpoint.metadata.clone_from(&found.metadata);
            result.endpoints.push(endpoint);
        }
        let reasons = self.by_name.values().flat_map(|slice| &slice.rejected);
        result.rejected.extend(reasons.clone().take(MOST_REASONS).cloned());
        let untold = reasons.count() - result.rejected.len();
        if untold > 0 {
            result.rejected.push(format!("and {untold} more"));
        }
        if left_out > 0 {
            result.rejected.push(format!("{left_out} endpoints over {MOST_ENDPOINTS} are left out"));
        }
        if self.is_cut {
            result.rejected.push(format!("the slices over {MOST_SLICES} are left out"));
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn slices(all: impl IntoIterator<Item = Value>) -> ResolveResult {
        let mut slices = Slices::default();
        for (number, slice) in all.into_iter().enumerate() {
            slices.insert(format!("s{number}"), slice, "actor");
        }
        slices.answer("calc")
    }

    fn slice(kind: &str, ports: Value, endpoints: Value) -> Value {
        json!({"addressType": kind, "metadata": {}, "ports": ports, "endpoints": endpoints})
    }

    fn actor_port() -> Value {
        json!([{"name": "metrics", "port": 9000}, {"name": "actor", "port": 7000, "protocol": "UDP"}])
    }

    fn addresses(result: &ResolveResult) -> Vec<String> {
        result.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect()
    }

    #[test]
    fn every_slice_is_merged_and_an_endpoint_in_two_is_one() {
        let result = slices([
            slice("IPv4", actor_port(), json!([{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}])),
            slice("IPv4", actor_port(), json!([{"addresses": ["10.0.0.2"]}])),
            slice("IPv6", actor_port(), json!([{"addresses": ["fd00::1"]}])),
            slice("FQDN", actor_port(), json!([{"addresses": ["a.example."]}])),
        ]);
        assert_eq!(
            addresses(&result),
            ["10.0.0.1:7000", "10.0.0.2:7000", "[fd00::1]:7000", "a.example:7000"]
        );
        assert!(result.rejected.is_empty(), "{:?}", result.rejected);
    }

    #[test]
    fn a_pod_of_both_families_is_one_endpoint() {
        let target = json!({"kind": "Pod", "name": "calc-0", "uid": "u-0"});
        let of = |address: &str| json!([{"addresses": [address], "targetRef": target}]);
        let result =
            slices([slice("IPv6", actor_port(), of("fd00::1")), slice("IPv4", actor_port(), of("10.0.0.1"))]);
        assert_eq!(addresses(&result), ["10.0.0.1:7000"]);
    }

    #[test]
    fn only_ready_endpoints_count_and_those_that_end_do_not() {
        let result = slices([slice(
            "IPv4",
            actor_port(),
            json!([
                {"addresses": ["10.0.0.1"], "conditions": {"ready": true}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
                {"addresses": ["10.0.0.3"], "conditions": {"ready": true, "terminating": true}},
                {"addresses": ["10.0.0.4"], "conditions": {}},
                {"addresses": ["10.0.0.5"]},
            ]),
        )]);
        assert_eq!(addresses(&result), ["10.0.0.1:7000", "10.0.0.4:7000", "10.0.0.5:7000"]);
        assert!(result.rejected.is_empty());
    }

    #[test]
    fn the_port_has_the_name_or_is_the_only_one_without() {
        let one = || json!([{"addresses": ["10.0.0.1"]}]);
        for (ports, port) in [
            (json!([{"port": 5}]), "10.0.0.1:5"),
            (json!([{"name": "", "port": 6}]), "10.0.0.1:6"),
            (json!([{"name": "x", "port": 5}, {"name": "actor", "port": 8}]), "10.0.0.1:8"),
        ] {
            assert_eq!(addresses(&slices([slice("IPv4", ports, one())])), [port]);
        }
        for (ports, reason) in [
            (json!([{"name": "http", "port": 5}]), "no port is named \"actor\"; there is \"http\""),
            (json!([]), "there is none"),
            (Value::Null, "there is none"),
            (json!([{"name": "actor"}]), "the port \"actor\" has no number"),
            (json!([{"name": "actor", "port": 70000}]), "70000 is not a port"),
            (json!([{"name": "actor", "port": 0}]), "0 is not a port"),
        ] {
            let result = slices([slice("IPv4", ports, one())]);
            assert!(result.is_empty());
            assert!(result.rejected[0].contains(reason), "{:?}", result.rejected);
        }
    }

    #[test]
    fn one_bad_entry_does_not_spoil_the_set() {
        let result = slices([
            slice(
                "IPv4",
                actor_port(),
                json!([{"addresses": ["10.0.0.1"]}, {"addresses": ["fd00::2"]}, {"addresses": []}]),
            ),
            slice("FQDN", actor_port(), json!([{"addresses": ["loopback"]}, {"addresses": ["a b"]}])),
            slice("Carrier", actor_port(), json!([{"addresses": ["pigeon"]}])),
            json!({"addressType": 7}),
            json!("nonsense"),
        ]);
        assert_eq!(addresses(&result), ["10.0.0.1:7000"]);
        assert_eq!(result.rejected.len(), 7, "{:?}", result.rejected);
    }

    #[test]
    fn node_zone_and_pod_are_told() {
        let result = slices([slice(
            "IPv4",
            actor_port(),
            json!([{"addresses": ["10.0.0.1"], "nodeName": "n1", "zone": "z1",
                    "targetRef": {"kind": "Pod", "name": "calc-0", "namespace": "prod", "uid": "u"}}]),
        )]);
        let metadata = &result.first().unwrap().metadata;
        let expected = [("node", "n1"), ("pod", "calc-0"), ("zone", "z1")];
        assert!(metadata.iter().map(|(key, value)| (&**key, &**value)).eq(expected), "{metadata:?}");
    }

    #[test]
    fn a_set_that_is_too_large_is_cut_and_says_so() {
        let many = |number: usize| {
            let endpoints =
                (0..1000).map(|i| json!({"addresses": [format!("10.{number}.{}.{}", i / 250, i % 250)]}));
            slice("IPv4", actor_port(), endpoints.collect())
        };
        let result = slices((0..11).map(many));
        assert_eq!(result.endpoints.len(), 10_000);
        assert_eq!(result.rejected, ["1000 endpoints over 10000 are left out"]);
        let result = slices((0..1_002).map(|_| json!("nonsense")));
        assert_eq!(result.rejected.len(), 102);
        assert_eq!(result.rejected[100], "and 900 more");
        assert_eq!(result.rejected[101], "the slices over 1000 are left out");
    }
}
