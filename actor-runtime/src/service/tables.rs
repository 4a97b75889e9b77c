//! Which methods an actor type serves, by id.

use std::{
    any::TypeId,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Method, ServiceDescription, Services};

/// The methods of one actor type.
pub(crate) struct MethodTable {
    /// In the order of the ids: a search among so few is quicker than a hash.
    by_id: Box<[&'static Method]>,
    services: &'static [&'static str],
    /// For each of `services`, its documentation and its methods in the order of the trait.
    docs: &'static [&'static str],
    methods: &'static [&'static [&'static Method]],
}

impl MethodTable {
    fn of<A, S: Services<A>>() -> Self {
        let () = S::CHECKED;
        let mut by_id: Box<[_]> = S::METHODS.iter().copied().flatten().copied().collect();
        by_id.sort_unstable_by_key(|method| method.id);
        Self { by_id, services: S::NAMES, docs: S::DOCS, methods: S::METHODS }
    }

    pub(crate) fn method(&self, id: u32) -> Option<&'static Method> {
        let at = self.by_id.binary_search_by_key(&id, |method| method.id).ok()?;
        Some(self.by_id[at])
    }

    pub(crate) fn by_service(&self) -> &'static [&'static [&'static Method]] {
        self.methods
    }

    pub(crate) fn services(&self) -> String {
        self.services.join(", ")
    }

    pub(crate) fn names(&self) -> &'static [&'static str] {
        self.services
    }

    /// The services as data.
    pub(crate) fn describe(&self) -> Vec<ServiceDescription> {
        let parts = self.services.iter().zip(self.docs).zip(self.methods);
        parts.map(|((name, docs), methods)| ServiceDescription::new(name, docs, methods)).collect()
    }
}

/// The tables of all actor types of a node: actors of one type share one.
#[derive(Default)]
pub(crate) struct MethodTables(Mutex<HashMap<TypeId, Arc<MethodTable>>>);

impl MethodTables {
    pub(crate) fn of<A: 'static, S: Services<A>>(&self) -> Arc<MethodTable> {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.entry(TypeId::of::<A>()).or_insert_with(|| Arc::new(MethodTable::of::<A, S>())).clone()
    }
}
