//! Which methods an actor type serves, by id.

use std::{
    any::TypeId,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::Actor;
use crate::service::{Method, Services};

/// The methods of one actor type.
pub(crate) struct MethodTable {
    by_id: HashMap<u32, &'static Method>,
    services: &'static [&'static str],
}

impl MethodTable {
    fn of<A: Actor>() -> Self {
        let () = A::Services::CHECKED;
        let methods = A::Services::METHODS.iter().copied().flatten();
        Self { by_id: methods.map(|method| (method.id, *method)).collect(), services: A::Services::NAMES }
    }

    pub(crate) fn method(&self, id: u32) -> Option<&'static Method> {
        self.by_id.get(&id).copied()
    }

    pub(crate) fn services(&self) -> String {
        self.services.join(", ")
    }
}

/// The tables of all actor types of a node: actors of one type share one.
#[derive(Default)]
pub(crate) struct MethodTables(Mutex<HashMap<TypeId, Arc<MethodTable>>>);

impl MethodTables {
    pub(crate) fn of<A: Actor>(&self) -> Arc<MethodTable> {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.entry(TypeId::of::<A>()).or_insert_with(|| Arc::new(MethodTable::of::<A>())).clone()
    }
}
