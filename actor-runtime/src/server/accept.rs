//! What calls from elsewhere find here.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    call::{Delivery, Failure, FailureKind, Target},
    names::{Address, elsewhere, stale, unknown},
    node::{Node, WeakNode},
    proto::{Bind, ServiceDigest, ServiceTable},
    service::{Method, fingerprints},
    transport::Accept,
};

/// The actors of a node.
pub(super) struct Acceptor {
    pub(super) node: WeakNode,
}

impl Acceptor {
    fn node(&self) -> Result<Node, Failure> {
        self.node.upgrade().ok_or_else(|| {
            Failure::new(FailureKind::Stopped, Delivery::NotDelivered, "the server's node is gone")
        })
    }

    /// The services of all actors, by name.
    fn by_name(&self) -> BTreeMap<&'static str, &'static [&'static Method]> {
        let Ok(node) = self.node() else { return BTreeMap::new() };
        let targets = node.directory().all_targets();
        let services = targets.iter().flat_map(|target| target.service_methods());
        services.filter_map(|methods| Some((methods.first()?.service, *methods))).collect()
    }
}

impl Accept for Acceptor {
    fn find(&self, bind: &Bind) -> Result<Arc<dyn Target>, Failure> {
        let node = self.node()?;
        let own = node.namespace();
        if bind.namespace != own.as_str() {
            return Err(elsewhere(&bind.name, &bind.namespace, own));
        }
        let target = find_name(&node, &bind.name)?;
        match bind.actor {
            Some(wanted) if wanted != target.id() => Err(stale(wanted, target.id())),
            _ => Ok(target),
        }
    }

    fn services(&self) -> Vec<ServiceDigest> {
        let services: Vec<&[&'static Method]> = self.by_name().into_values().collect();
        fingerprints::digests(&services)
    }

    fn table(&self, service: &str) -> ServiceTable {
        let methods = self
            .by_name()
            .get(service)
            .map(|methods| methods.iter().map(|method| (method.id, fingerprints::of(method))).collect());
        ServiceTable { name: service.to_owned(), methods }
    }
}

fn find_name(node: &Node, name: &str) -> Result<Arc<dyn Target>, Failure> {
    let directory = node.directory();
    directory.find(name).ok_or_else(|| {
        let place = directory.address().map_or_else(String::new, |address: Address| format!("at {address}"));
        let known: Vec<String> = directory.names().iter().map(|name| format!("{name:?}")).collect();
        unknown(name, &place, &known)
    })
}
