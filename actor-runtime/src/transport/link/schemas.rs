//! Whether both sides mean the same by a service.
//!
//! Each side announces the services of its actors with a digest. A caller whose own digest differs asks for the table
//! of the service and compares method by method; a call of a method that differs is not sent.

use std::{collections::HashMap, sync::Arc};

use super::Link;
use crate::{
    call::{Delivery, Failure, FailureKind},
    node::Node,
    proto::{ServiceDigest, ServiceTable},
    service::{Method, fingerprints},
    sync::lock,
};

/// What the other side said, and who waits for it.
#[derive(Default)]
pub(super) struct Tables {
    told: HashMap<String, Option<HashMap<u32, u64>>>,
    waiting: Vec<(String, tokio::sync::oneshot::Sender<()>)>,
}

/// The methods of one service that the two sides understand differently. Mostly none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Differences(Option<Arc<HashMap<u32, (u64, u64)>>>);

impl Differences {
    /// Why a method cannot be called, if it cannot.
    pub(crate) fn refusal(&self, method: &'static Method) -> Option<Failure> {
        let (ours, theirs) = self.0.as_ref()?.get(&method.id)?;
        let detail = format!(
            "the two sides have different ideas of {method}'s arguments or reply (fingerprints {ours:016x} here, \
             {theirs:016x} there); build both from the same version of the service"
        );
        Some(Failure::new(FailureKind::SchemaMismatch, Delivery::NotDelivered, detail))
    }
}

impl Link {
    /// Compares what this side knows of a service with what the other side says. Asks it only if the digests differ.
    pub(crate) async fn compare(
        &self,
        node: &Node,
        methods: &'static [&'static Method],
    ) -> Result<Differences, Failure> {
        let Some(service) = methods.first().map(|method| method.service) else {
            return Ok(Differences::default());
        };
        if self.look(|machine| machine.digest(service)) == Some(fingerprints::digest(methods)) {
            return Ok(Differences::default());
        }
        if let Some(told) = self.differences(service, methods) {
            return Ok(told);
        }
        let (sender, told) = tokio::sync::oneshot::channel();
        lock(&self.tables).waiting.push((service.to_owned(), sender));
        self.with(|machine| machine.ask(service));
        let patience = node.config().default_timeout;
        tokio::select! {
            _ = told => {}
            () = self.ended() => {}
            () = node.sleep_until(node.after(patience)) => {}
        }
        self.differences(service, methods).ok_or_else(|| {
            let detail = format!("{} did not say which methods its {service} has", self.far());
            Failure::new(FailureKind::ConnectionLost, Delivery::NotDelivered, detail)
        })
    }

    fn differences(&self, service: &str, methods: &'static [&'static Method]) -> Option<Differences> {
        let tables = lock(&self.tables);
        // A service that the other side does not have: it will say so to each call.
        let Some(theirs) = tables.told.get(service)? else { return Some(Differences::default()) };
        let different: HashMap<u32, (u64, u64)> = methods
            .iter()
            .filter_map(|method| {
                let (ours, theirs) = (fingerprints::of(method), *theirs.get(&method.id)?);
                (ours != theirs).then_some((method.id, (ours, theirs)))
            })
            .collect();
        Some(Differences((!different.is_empty()).then(|| Arc::new(different))))
    }

    /// The other side told the methods of a service.
    pub(super) fn told(&self, table: ServiceTable) {
        let mut tables = lock(&self.tables);
        let Tables { told, waiting } = &mut *tables;
        // Only what was asked for: nobody fills this memory by talking.
        let asked = waiting.iter().any(|(service, _)| *service == table.name);
        waiting.retain(|(service, _)| *service != table.name);
        if asked {
            told.insert(table.name, table.methods.map(|methods| methods.into_iter().collect()));
        }
    }

    /// The other side asks for the methods of a service.
    pub(super) fn answer(&self, node: &Node, service: &str) {
        let none = || ServiceTable { name: service.to_owned(), methods: None };
        let table = node.links().acceptor().map_or_else(none, |accept| accept.table(service));
        self.with(|machine| machine.tell(&table));
    }

    /// Tells the other side which services there are.
    pub(super) fn announce_all(&self, node: &Node) {
        let services = node.links().acceptor().map(|accept| accept.services()).unwrap_or_default();
        self.announce(&services);
    }

    /// Tells the other side of services.
    pub(crate) fn announce(&self, services: &[ServiceDigest]) {
        self.with(|machine| {
            for service in services {
                machine.announce(service);
            }
        });
    }
}
