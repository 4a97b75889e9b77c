use std::{collections::BTreeMap, fmt, sync::Arc};

use futures::stream;
use tokio::sync::watch;

use super::{
    Address, BoxFuture, BoxStream, Namespace, ResolveError, ResolveResult, ResolvedEndpoint, Resolver,
    default_namespace,
};

/// A resolver that is told its endpoints; they can be changed while it is in use. Clones share them.
///
/// It answers for one namespace, the process's default one unless [`in_namespace`](Self::in_namespace) says otherwise.
///
/// ```
/// use actor_runtime::FixedResolver;
///
/// let resolver = FixedResolver::new([("calc", "127.0.0.1:7000"), ("calc", "127.0.0.1:7001")]);
/// resolver.remove("calc");
/// resolver.insert("calc", "127.0.0.1:7002");
/// ```
#[derive(Clone)]
pub struct FixedResolver {
    namespace: Namespace,
    /// Name to the addresses as they were given; `watch` tells the watchers of each change.
    entries: Arc<watch::Sender<Entries>>,
}

/// Names, each with its addresses as texts.
type Entries = BTreeMap<String, Vec<String>>;

impl FixedResolver {
    /// Names and the addresses of the servers that serve them; several entries of one name make a set, in
    /// their order: a client calls the first that can be called.
    ///
    /// An address is what [`ActorServer::address`](crate::ActorServer::address) gives, or its text. A text that is not
    /// an address does not spoil the others: it is told in [`ResolveResult::rejected`].
    pub fn new<N, A>(entries: impl IntoIterator<Item = (N, A)>) -> Self
    where
        N: Into<String>,
        A: ToString,
    {
        let mut map = Entries::new();
        for (name, address) in entries {
            map.entry(name.into()).or_default().push(address.to_string());
        }
        Self { namespace: default_namespace(), entries: Arc::new(watch::Sender::new(map)) }
    }

    /// Answers for this namespace instead of the default one.
    #[must_use]
    pub fn in_namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// Adds an address to a name.
    pub fn insert(&self, name: impl Into<String>, address: impl ToString) {
        let (name, address) = (name.into(), address.to_string());
        self.entries.send_modify(|entries| entries.entry(name).or_default().push(address));
    }

    /// Forgets all addresses of a name.
    pub fn remove(&self, name: &str) {
        self.entries.send_modify(|entries| {
            entries.remove(name);
        });
    }

    /// Gives a name these addresses instead of those it had, in one step.
    pub fn set<A: ToString>(&self, name: impl Into<String>, addresses: impl IntoIterator<Item = A>) {
        let name = name.into();
        let addresses = addresses.into_iter().map(|address| address.to_string()).collect();
        self.entries.send_modify(|entries| {
            entries.insert(name, addresses);
        });
    }
}

/// What the entries of the namespace `own` say about a name.
fn answer(entries: &Entries, own: &Namespace, namespace: &Namespace, name: &str) -> ResolveResult {
    let mut result = ResolveResult::default();
    if namespace == own {
        for text in entries.get(name).into_iter().flatten() {
            match text.parse::<Address>() {
                Ok(address) => result.endpoints.push(ResolvedEndpoint::new(address, name)),
                Err(error) => result.rejected.push(error.to_string()),
            }
        }
    }
    if result.is_empty() {
        let known = entries.iter().filter(|(_, addresses)| !addresses.is_empty());
        result.known = known.map(|(name, _)| format!("{name:?} in {own}")).collect();
    }
    result
}

impl Resolver for FixedResolver {
    fn resolve<'a>(
        &'a self,
        namespace: &'a Namespace,
        name: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        Box::pin(async move { Ok(answer(&self.entries.borrow(), &self.namespace, namespace, name)) })
    }

    fn watch(
        &self,
        namespace: &Namespace,
        name: &str,
    ) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        let mut receiver = self.entries.subscribe();
        receiver.mark_changed();
        let (own, namespace, name) = (self.namespace.clone(), namespace.clone(), name.to_owned());
        let watching = Watching { receiver, own, namespace, name, last: None };
        Box::pin(stream::unfold(watching, |mut watching| async move {
            let result = watching.next().await?;
            Some((Ok(result), watching))
        }))
    }
}

/// One watcher. It ends when the last clone of the resolver is gone, since nothing can change then.
struct Watching {
    receiver: watch::Receiver<Entries>,
    own: Namespace,
    namespace: Namespace,
    name: String,
    last: Option<ResolveResult>,
}

impl Watching {
    async fn next(&mut self) -> Option<ResolveResult> {
        loop {
            self.receiver.changed().await.ok()?;
            let result = answer(&self.receiver.borrow_and_update(), &self.own, &self.namespace, &self.name);
            if self.last.as_ref() != Some(&result) {
                self.last = Some(result.clone());
                return Some(result);
            }
        }
    }
}

impl fmt::Debug for FixedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedResolver")
            .field("namespace", &self.namespace.as_str())
            .field("entries", &*self.entries.borrow())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn a_bad_entry_does_not_spoil_the_set() {
        let resolver = FixedResolver::new([("a", "127.0.0.1:1"), ("a", "nonsense"), ("a", "127.0.0.1:2")]);
        let result = resolver.resolve(&Namespace::local(), "a").await.unwrap();
        assert_eq!(result.endpoints.len(), 2);
        assert_eq!(result.first().unwrap().to_string(), "actor://127.0.0.1:1/a");
        assert_eq!(result.rejected.len(), 1);
    }

    #[tokio::test]
    async fn another_name_or_namespace_is_empty_and_says_what_exists() {
        let resolver = FixedResolver::new([("a", "127.0.0.1:1")]);
        for (namespace, name) in [(Namespace::local(), "b"), (Namespace::new("job").unwrap(), "a")] {
            let result = resolver.resolve(&namespace, name).await.unwrap();
            assert!(result.is_empty());
            assert_eq!(result.known, ["\"a\" in <local>"]);
        }
    }

    #[tokio::test]
    async fn watchers_see_the_present_result_and_each_change_of_their_name() {
        let resolver = FixedResolver::new([("a", "127.0.0.1:1")]);
        let mut watched = resolver.watch(&Namespace::local(), "a");
        let mut next = async || watched.next().await.unwrap().unwrap().endpoints.len();
        assert_eq!(next().await, 1);
        resolver.insert("b", "127.0.0.1:9");
        resolver.insert("a", "127.0.0.1:2");
        assert_eq!(next().await, 2);
        resolver.set("a", ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        assert_eq!(next().await, 3);
        resolver.remove("a");
        assert_eq!(next().await, 0);
    }
}
