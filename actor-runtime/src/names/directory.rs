//! The actors of one node, by name.
//!
//! ```text
//!   "calc"      a user's actor
//!   ""          the only one of the users' actors (`Only`)
//!   "$inspect"  the node's own: reserved names, neither listed nor counted, and there until the node leaves
//! ```

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Weak},
};

use futures::{StreamExt, stream};
use tokio::sync::watch;

use super::{
    Address, BoxFuture, BoxStream, Namespace, ResolveError, ResolveResult, ResolvedEndpoint, Resolver,
    unknown,
};
use crate::{
    actor_id::ActorId,
    call::{AnyCall, Dedup, Metadata, Refused, ReplySink, StopReason, Target},
    service::Method,
    sync::{Mutex, lock},
};

/// What is registered on a node, and where the node can be reached.
pub(crate) struct Directory {
    namespace: Namespace,
    state: Mutex<State>,
    /// Counts what changes for those who announce the actors.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    address: Option<Address>,
    actors: Actors,
    own: Actors,
    /// Those that have ended and may still have their names, the first one first.
    ended: VecDeque<(Arc<str>, ActorId)>,
    draining: bool,
    /// Whether the program has dropped the node.
    closed: bool,
}

type Actors = BTreeMap<Arc<str>, Arc<dyn Target>>;

/// How many actors that have ended keep their names, so that callers are told how they did. Names that are used once must
/// not fill the memory.
const REMEMBERED: usize = 1024;

/// Whether only the node itself may use the name.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.starts_with('$')
}

impl Directory {
    pub(crate) fn new(namespace: Namespace) -> Self {
        Self { namespace, state: Mutex::default(), changes: watch::Sender::default() }
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Tells of each change of what others can call here.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// How many changes there were.
    pub(crate) fn version(&self) -> u64 {
        *self.changes.borrow()
    }

    /// Says that something has changed.
    pub(crate) fn touch(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// What others can call here, and whether that is nothing for ever.
    pub(crate) fn announceable(&self) -> (Vec<ResolvedEndpoint>, bool) {
        let state = lock(&self.state);
        let (address, closed) = (state.address.clone().filter(|_| !state.draining), state.closed);
        let actors: Vec<_> =
            state.actors.iter().map(|(name, target)| (name.clone(), target.clone())).collect();
        drop(state);
        let Some(address) = address else { return (Vec::new(), closed) };
        let running = actors.iter().filter(|(_, target)| !target.is_closed());
        let endpoints = running.map(|(name, target)| endpoint(address.clone(), name, &**target));
        (endpoints.collect(), closed)
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
            state.draining = false;
        }
        drop(state);
        self.touch();
        free
    }

    /// The node no longer listens here; its actors are given back. `None` if it had left before.
    pub(crate) fn leave(&self, address: &Address) -> Option<Vec<Arc<dyn Target>>> {
        let mut state = lock(&self.state);
        state.address.take_if(|present| present == address)?;
        let actors = std::mem::take(&mut state.actors).into_values();
        let left = actors.chain(std::mem::take(&mut state.own).into_values()).collect();
        drop(state);
        self.touch();
        Some(left)
    }

    /// An actor has ended. It keeps its name until another one has it, or until many have ended after it.
    pub(crate) fn ended(&self, name: &Arc<str>, id: ActorId) {
        let mut state = lock(&self.state);
        if state.actors.get(name).is_none_or(|named| named.id() != id) {
            return;
        }
        state.ended.push_back((name.clone(), id));
        let forgotten = if state.ended.len() > REMEMBERED { state.ended.pop_front() } else { None };
        let forgotten = forgotten.and_then(|(name, id)| {
            let same = state.actors.get(&name).is_some_and(|named| named.id() == id);
            if same { state.actors.remove(&name) } else { None }
        });
        drop(state);
        drop(forgotten);
        self.touch();
    }

    /// The node is gone: nobody has a name, nor gets one any more. Names know their actors, and these their node.
    pub(crate) fn close(&self) -> Vec<Arc<dyn Target>> {
        let mut state = lock(&self.state);
        state.closed = true;
        let actors = std::mem::take(&mut state.actors).into_values();
        let left = actors.chain(std::mem::take(&mut state.own).into_values()).collect();
        drop(state);
        self.touch();
        left
    }

    /// The node is about to leave; gives what is registered.
    pub(crate) fn drain(&self) -> Vec<Arc<dyn Target>> {
        let mut state = lock(&self.state);
        state.draining = true;
        let actors = state.actors.values().cloned().collect();
        drop(state);
        self.touch();
        actors
    }

    /// Whether the program has dropped the node.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// Whether nobody gets a name any more.
    pub(crate) fn is_draining(&self) -> bool {
        let state = lock(&self.state);
        state.draining || state.closed
    }

    /// Gives a reserved name to an actor of the node's own.
    pub(crate) fn reserve(&self, name: Arc<str>, target: Arc<dyn Target>) {
        let replaced = lock(&self.state).own.insert(name, target);
        drop(replaced);
    }

    /// What is registered, in the order of the names.
    pub(crate) fn targets(&self) -> Vec<Arc<dyn Target>> {
        lock(&self.state).actors.values().cloned().collect()
    }

    /// What is registered, and the node's own.
    pub(crate) fn all_targets(&self) -> Vec<Arc<dyn Target>> {
        let state = lock(&self.state);
        state.actors.values().chain(state.own.values()).cloned().collect()
    }

    /// Gives a name to an actor. If the name belongs to a running one, that one is the error.
    pub(crate) fn insert(&self, name: Arc<str>, target: Arc<dyn Target>) -> Result<(), Arc<dyn Target>> {
        let mut state = lock(&self.state);
        match state.actors.get(&name) {
            // Its actor is on the roster, and ends with the node.
            _ if state.closed => Ok(()),
            Some(present) if !present.is_closed() => Err(present.clone()),
            _ => {
                let replaced = state.actors.insert(name, target);
                drop(state);
                drop(replaced);
                self.touch();
                Ok(())
            }
        }
    }

    /// Gives a name to an actor, in place of the one that has it, if one does. That one is given back.
    pub(crate) fn replace(&self, name: Arc<str>, target: Arc<dyn Target>) -> Option<Arc<dyn Target>> {
        let mut state = lock(&self.state);
        let replaced = if state.closed { None } else { state.actors.insert(name, target) };
        drop(state);
        self.touch();
        replaced
    }

    pub(crate) fn remove(&self, name: &str) -> Option<Arc<dyn Target>> {
        let removed = lock(&self.state).actors.remove(name);
        self.touch();
        removed
    }

    /// What calls to this name go to.
    pub(crate) fn find(self: &Arc<Self>, name: &str) -> Option<Arc<dyn Target>> {
        let target = self.entry(name)?;
        if name.is_empty() {
            return Some(Arc::new(Only { directory: Arc::downgrade(self), target }));
        }
        Some(target)
    }

    /// The actor that this name means now.
    pub(crate) fn entry(&self, name: &str) -> Option<Arc<dyn Target>> {
        let state = lock(&self.state);
        let found = match name {
            "" if state.actors.len() == 1 => state.actors.values().next(),
            name if is_reserved(name) => state.own.get(name),
            name => state.actors.get(name),
        };
        found.cloned()
    }

    /// What is registered, for error texts.
    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.state).actors.keys().map(ToString::to_string).collect()
    }
}

/// The only actor of a node, as long as it is the only one: whoever calls the empty name keeps this, and must not go on
/// with an actor that a second one has made ambiguous.
struct Only {
    directory: Weak<Directory>,
    target: Arc<dyn Target>,
}

impl Target for Only {
    fn id(&self) -> ActorId {
        self.target.id()
    }

    fn method(&self, id: u32) -> Option<&'static Method> {
        self.target.method(id)
    }

    fn services(&self) -> String {
        self.target.services()
    }

    fn service_methods(&self) -> &'static [&'static [&'static Method]] {
        self.target.service_methods()
    }

    fn metadata(&self) -> Option<&Metadata> {
        self.target.metadata()
    }

    fn remembers(&self) -> Arc<Dedup<Box<dyn ReplySink>>> {
        self.target.remembers()
    }

    fn admit(&self, call: Arc<dyn AnyCall>) -> Result<(), Refused> {
        if let Some(directory) = self.directory.upgrade()
            && directory.entry("").is_none_or(|only| only.id() != self.target.id())
        {
            let known = directory.names().into_iter().map(|name| format!("{name:?}")).collect::<Vec<_>>();
            let place = directory.address().map_or_else(String::new, |address| format!("at {address}"));
            return Err(Refused { call, failure: unknown("", &place, &known) });
        }
        self.target.admit(call)
    }

    fn stop(&self, reason: StopReason) {
        self.target.stop(reason);
    }

    fn kill(&self, reason: StopReason) {
        self.target.kill(reason);
    }

    fn is_closed(&self) -> bool {
        self.target.is_closed()
    }
}

/// An actor as others are to see it.
fn endpoint(address: Address, name: &str, target: &dyn Target) -> ResolvedEndpoint {
    let mut endpoint = ResolvedEndpoint::new(address, name);
    endpoint.actor = Some(target.id());
    let metadata = target.metadata().into_iter().flat_map(Metadata::iter);
    endpoint.metadata = metadata.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    endpoint
}

/// Resolves to the actors of one node: what a node resolves with unless it is told otherwise.
#[derive(Clone)]
pub(crate) struct LocalResolver(pub(crate) Weak<Directory>);

impl LocalResolver {
    fn answer(&self, namespace: &Namespace, name: &str) -> ResolveResult {
        let Some(directory) = self.0.upgrade() else { return ResolveResult::default() };
        let found = directory.find(name).filter(|_| *namespace == directory.namespace);
        let mut result = ResolveResult::default();
        match found {
            Some(target) => {
                // A node that does not listen has no address that others could use either.
                let address = directory.address().unwrap_or(Address::Loopback(0));
                result.endpoints.push(endpoint(address, name, &*target));
            }
            None => {
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

    fn watch(
        &self,
        namespace: &Namespace,
        name: &str,
    ) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        let Some(directory) = self.0.upgrade() else {
            return stream::once(async { Ok(ResolveResult::default()) }).boxed();
        };
        let mut changes = directory.changes();
        changes.mark_changed();
        let watching = (self.clone(), changes, namespace.clone(), name.to_owned(), None::<ResolveResult>);
        let results = stream::unfold(watching, |(resolver, mut changes, namespace, name, last)| async move {
            loop {
                // The node is gone if this fails, and nothing will change any more.
                changes.changed().await.ok()?;
                changes.mark_unchanged();
                let result = resolver.answer(&namespace, &name);
                if last.as_ref() != Some(&result) {
                    let told = Some(result.clone());
                    return Some((Ok(result), (resolver, changes, namespace, name, told)));
                }
            }
        });
        results.boxed()
    }
}

impl fmt::Debug for LocalResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the actors of this node")
    }
}
