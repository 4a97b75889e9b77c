//! The actors of one node, by name.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Weak},
};

use futures::{StreamExt, stream};

use super::{
    Address, BoxFuture, BoxStream, Namespace, ResolveError, ResolveResult, ResolvedEndpoint, Resolver,
};
use crate::{
    call::Target,
    sync::{Mutex, lock},
};

/// What is registered on a node, and where the node can be reached.
pub(crate) struct Directory {
    namespace: Namespace,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    address: Option<Address>,
    actors: BTreeMap<Arc<str>, Arc<dyn Target>>,
}

impl Directory {
    pub(crate) fn new(namespace: Namespace) -> Self {
        Self { namespace, state: Mutex::default() }
    }

    /// Where the node listens.
    pub(crate) fn address(&self) -> Option<Address> {
        lock(&self.state).address.clone()
    }

    /// The node listens here from now on; false if it listens already.
    pub(crate) fn listen(&self, address: Address) -> bool {
        let mut state = lock(&self.state);
        let free = state.address.is_none();
        if free {
            state.address = Some(address);
        }
        free
    }

    /// The node no longer listens here; its actors are given back. `None` if it had left before.
    pub(crate) fn leave(&self, address: &Address) -> Option<Vec<Arc<dyn Target>>> {
        let mut state = lock(&self.state);
        state.address.take_if(|present| present == address)?;
        Some(std::mem::take(&mut state.actors).into_values().collect())
    }

    /// What is registered.
    pub(crate) fn targets(&self) -> Vec<Arc<dyn Target>> {
        lock(&self.state).actors.values().cloned().collect()
    }

    /// Gives a name to an actor. If the name belongs to a running one, that one is the error.
    pub(crate) fn insert(&self, name: Arc<str>, target: Arc<dyn Target>) -> Result<(), Arc<dyn Target>> {
        let mut state = lock(&self.state);
        match state.actors.get(&name) {
            Some(present) if !present.is_closed() => Err(present.clone()),
            _ => {
                let replaced = state.actors.insert(name, target);
                drop(state);
                drop(replaced);
                Ok(())
            }
        }
    }

    pub(crate) fn remove(&self, name: &str) -> Option<Arc<dyn Target>> {
        lock(&self.state).actors.remove(name)
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<dyn Target>> {
        lock(&self.state).actors.get(name).cloned()
    }

    /// What is registered, for error texts.
    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.state).actors.keys().map(ToString::to_string).collect()
    }
}

/// Resolves to the actors of one node: what a node resolves with unless it is told otherwise.
#[derive(Clone)]
pub(crate) struct LocalResolver(pub(crate) Weak<Directory>);

impl LocalResolver {
    fn answer(&self, namespace: &Namespace, name: &str) -> ResolveResult {
        let Some(directory) = self.0.upgrade() else { return ResolveResult::default() };
        let found = directory.find(name).filter(|_| *namespace == directory.namespace);
        let mut result = ResolveResult::default();
        match (found, directory.address()) {
            (Some(target), Some(address)) => {
                let mut endpoint = ResolvedEndpoint::new(address, name);
                endpoint.actor = Some(target.id());
                result.endpoints.push(endpoint);
            }
            _ => {
                let known = directory.names().into_iter();
                result.known = known.map(|name| format!("{name:?} in {}", directory.namespace)).collect();
            }
        }
        result
    }
}

impl Resolver for LocalResolver {
    fn resolve<'a>(
        &'a self,
        namespace: &'a Namespace,
        name: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        Box::pin(async move { Ok(self.answer(namespace, name)) })
    }

    /// The present result, once: the actors of a node are few and rarely change, and pools are made of several nodes.
    fn watch(
        &self,
        namespace: &Namespace,
        name: &str,
    ) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        let present = self.answer(namespace, name);
        stream::once(async move { Ok(present) }).chain(stream::pending()).boxed()
    }
}

impl fmt::Debug for LocalResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the actors of this node")
    }
}
