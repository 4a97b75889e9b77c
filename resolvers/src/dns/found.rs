//! The endpoints that records name.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use actor_runtime::Address;
use futures::{StreamExt, future::try_join_all, stream};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::{answer::Answer, servers::Servers};
use crate::{clock, view::BoxError};

/// Endpoints after these are left out.
const MOST: usize = 10_000;

/// Targets after these are not looked up.
const MOST_LOOKUPS: usize = 256;

/// Addresses of one target after these are left out.
const MOST_OF_TARGET: usize = 64;

/// After how many seconds a target is looked up again, if that failed.
const AGAIN: u32 = 5;

/// How many targets are looked up at a time.
const AT_ONCE: usize = 8;

pub(super) const IPV4: &[RecordType] = &[RecordType::A];
pub(super) const IPV6: &[RecordType] = &[RecordType::AAAA];
const BOTH: &[RecordType] = &[RecordType::A, RecordType::AAAA];

/// What is looked for under a name.
#[derive(Clone)]
pub(super) struct Wanted {
    /// Addresses with this port in place of SRV records.
    pub(super) port: Option<u16>,
    /// Addresses of targets in place of their names.
    pub(super) target_addresses: bool,
    pub(super) families: &'static [RecordType],
}

impl Default for Wanted {
    fn default() -> Self {
        Self { port: None, target_addresses: false, families: BOTH }
    }
}

/// What was found under a name.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    pub(super) endpoints: Vec<(Address, BTreeMap<String, String>)>,
    pub(super) rejected: Vec<String>,
    /// Why some of it is of before.
    pub(super) outdated: Option<String>,
    /// The addresses of targets, for when they cannot be asked for.
    targets: BTreeMap<Name, Vec<IpAddr>>,
    seen: BTreeSet<Address>,
    left_out: usize,
}

/// An SRV record; the first in order is the one to be asked first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    priority: u16,
    weight: Reverse<u16>,
    host: Name,
    port: u16,
}

impl Wanted {
    /// What is there now, and for how long that is right.
    pub(super) async fn find(
        &self,
        servers: &Servers,
        name: &Name,
        last: Option<&Found>,
    ) -> Result<(Found, Duration), BoxError> {
        let mut found = Found::default();
        let ttl = match self.port {
            Some(port) => self.hosts(servers, name, port, &mut found).await?,
            None => self.targets(servers, name, last, &mut found).await?,
        };
        if found.left_out > 0 {
            found.rejected.push(format!("{} endpoints after the first {MOST} are left out", found.left_out));
        }
        Ok((found, Duration::from_secs(ttl.into())))
    }

    async fn hosts(
        &self,
        servers: &Servers,
        name: &Name,
        port: u16,
        found: &mut Found,
    ) -> Result<u32, BoxError> {
        let (addresses, ttl) = self.addresses(servers, name).await?;
        for ip in addresses {
            found.push(&name.to_ascii(), SocketAddr::new(ip, port), BTreeMap::new());
        }
        Ok(ttl)
    }

    /// The addresses of a host in order.
    async fn addresses(&self, servers: &Servers, host: &Name) -> Result<(Vec<IpAddr>, u32), BoxError> {
        let answers = try_join_all(self.families.iter().map(|&family| servers.ask(host, family))).await?;
        let ttl = answers.iter().map(|answer| answer.ttl).fold(u32::MAX, u32::min);
        let addresses: BTreeSet<_> = answers
            .iter()
            .flat_map(|answer| &answer.records)
            .filter_map(|record| self.address(record))
            .collect();
        Ok((addresses.into_iter().collect(), ttl))
    }

    fn address(&self, record: &Record) -> Option<IpAddr> {
        match &record.data {
            _ if !self.families.contains(&record.record_type()) => None,
            RData::A(address) => Some(address.0.into()),
            RData::AAAA(address) => Some(address.0.into()),
            _ => None,
        }
    }

    async fn targets(
        &self,
        servers: &Servers,
        name: &Name,
        last: Option<&Found>,
        found: &mut Found,
    ) -> Result<u32, BoxError> {
        let answer = servers.ask(name, RecordType::SRV).await?;
        let targets: BTreeSet<_> = answer.records.iter().filter_map(target).collect();
        let mut ttl = answer.ttl;
        if self.target_addresses {
            ttl = ttl.min(self.look_up(servers, &targets, &answer, last, found).await?);
        }
        for Target { priority, weight: Reverse(weight), host, port } in targets {
            let text = host.to_ascii();
            if host.is_root() {
                found.rejected.push(format!("{name} says that nothing is served there (its target is `.`)"));
                continue;
            }
            let metadata = BTreeMap::from([
                ("priority".to_owned(), priority.to_string()),
                ("weight".to_owned(), weight.to_string()),
            ]);
            if !self.target_addresses {
                let host = text.trim_end_matches('.');
                match format!("{host}:{port}").parse() {
                    Ok(address @ Address::Host(_, 1..)) => found.add(address, metadata),
                    _ => found
                        .rejected
                        .push(format!("the target {host:?}, port {port}, is no host to be dialled")),
                }
                continue;
            }
            for ip in found.targets.get(&host).cloned().unwrap_or_default() {
                found.push(&text, SocketAddr::new(ip, port), metadata.clone());
            }
        }
        Ok(ttl)
    }

    /// Has the addresses of the targets found; gives for how many seconds they are right.
    async fn look_up(
        &self,
        servers: &Servers,
        targets: &BTreeSet<Target>,
        answer: &Answer,
        last: Option<&Found>,
        found: &mut Found,
    ) -> Result<u32, BoxError> {
        let mut ttl = u32::MAX;
        let hosts: BTreeSet<_> =
            targets.iter().map(|target| &target.host).filter(|host| !host.is_root()).collect();
        let mut unknown = Vec::new();
        for host in hosts {
            let mut addresses = BTreeSet::new();
            for record in answer.additional.iter().filter(|record| record.name == *host) {
                if let Some(address) = self.address(record) {
                    ttl = ttl.min(record.ttl);
                    addresses.insert(address);
                }
            }
            if addresses.is_empty() {
                unknown.push(host.clone());
            } else {
                found.note(host.clone(), addresses.into_iter().collect());
            }
        }
        for host in unknown.drain(unknown.len().min(MOST_LOOKUPS)..) {
            found
                .rejected
                .push(format!("the target {host} is not looked up, being one of more than {MOST_LOOKUPS}"));
        }
        let asked = unknown.len();
        let until = clock::now() + 4 * servers.patience();
        let mut answers = stream::iter(unknown)
            .map(|host| async move {
                let left = until.saturating_duration_since(clock::now());
                let addresses = clock::within(left, self.addresses(servers, &host)).await;
                (host, addresses.unwrap_or_else(|| Err("there was no time left to ask for it".into())))
            })
            .buffered(AT_ONCE);
        let mut failed = Vec::new();
        while let Some((host, addresses)) = answers.next().await {
            match addresses {
                Ok((addresses, seconds)) => {
                    ttl = ttl.min(seconds);
                    if addresses.is_empty() {
                        found.rejected.push(format!("the target {host} has no address"));
                    }
                    found.note(host, addresses);
                }
                Err(error) => failed.push((host, error.to_string())),
            }
        }
        // Then it is the servers.
        if asked > 0 && failed.len() == asked && found.targets.is_empty() {
            return Err(failed.swap_remove(0).1.into());
        }
        for (host, reason) in failed {
            ttl = ttl.min(AGAIN);
            let before =
                last.and_then(|last| last.targets.get(&host)).filter(|addresses| !addresses.is_empty());
            match before {
                Some(addresses) => {
                    let text = format!("the target {host} has the addresses of before: {reason}");
                    found.outdated.get_or_insert_with(|| text.clone());
                    found.rejected.push(text);
                    found.targets.insert(host, addresses.clone());
                }
                None => found.rejected.push(format!("the target {host}: {reason}")),
            }
        }
        Ok(ttl)
    }
}

fn target(record: &Record) -> Option<Target> {
    let RData::SRV(srv) = &record.data else { return None };
    let host = srv.target.to_lowercase();
    Some(Target { priority: srv.priority, weight: Reverse(srv.weight), host, port: srv.port })
}

impl Found {
    /// Adds an address that can be dialled and is not there yet.
    fn push(&mut self, host: &str, at: SocketAddr, metadata: BTreeMap<String, String>) {
        let ip = at.ip();
        let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        if ip.is_unspecified() || ip.is_multicast() || broadcast || at.port() == 0 {
            self.rejected.push(format!("{at} of {host} is no address to be dialled"));
            return;
        }
        self.add(Address::Socket(at), metadata);
    }

    fn add(&mut self, address: Address, metadata: BTreeMap<String, String>) {
        if self.endpoints.len() >= MOST {
            self.left_out += 1;
        } else if self.seen.insert(address.clone()) {
            self.endpoints.push((address, metadata));
        }
    }

    /// Notes the addresses of a target.
    fn note(&mut self, host: Name, mut addresses: Vec<IpAddr>) {
        if addresses.len() > MOST_OF_TARGET {
            let all = addresses.len();
            self.rejected
                .push(format!("the target {host} has {all} addresses, all but {MOST_OF_TARGET} left out"));
            addresses.truncate(MOST_OF_TARGET);
        }
        self.targets.insert(host, addresses);
    }
}
