//! A client of any actor in one line.

use crate::{
    Actor, Node, Registration, ServiceClient,
    node::current,
    service::{Service, Services},
};

/// Starts an actor and gives a client of it: without a server, a name, an address or a resolver.
///
/// The actor is a real one, with a mailbox and turns: what the program's own actors promise holds for it too. Give it any impl
/// of the trait, be it the program's or a stand-in of a few lines, or [`fake`](super::fake()).
///
/// It runs on the node that the code belongs to, by [`Node::scope`] or by its turn; under `#[actor_runtime::test]` that is the
/// test's own. Elsewhere, as under `#[tokio::test]`, it gets a node of its own, since others in the process are those of other
/// tests; there it runs until the runtime ends. To stop it before, or to kill it, start it with [`Node::unnamed_actor`] and keep the handle, which gives
/// clients too.
///
/// ```
/// use actor_runtime::{prelude::*, testing};
///
/// #[actor_service]
/// trait Counter {
///     async fn add(&mut self, by: u64) -> u64;
/// }
///
/// #[derive(Default)]
/// struct Tally(u64);
///
/// #[actor_service]
/// impl Counter for Tally {
///     async fn add(&mut self, by: u64) -> u64 {
///         self.0 += by;
///         self.0
///     }
/// }
///
/// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let counter: CounterClient = testing::client(Tally::default());
/// assert_eq!(counter.add(2).await?, 2);
/// # Ok(()) }
/// ```
///
/// # Panics
/// Outside a tokio runtime, and if the actor does not serve the client's service.
#[track_caller]
pub fn client<C: ServiceClient>(actor: impl Actor) -> C {
    start(actor, |registration| registration)
}

#[track_caller]
pub(super) fn start<C: ServiceClient, A: Actor>(
    actor: A,
    settings: impl for<'a> FnOnce(Registration<'a, A>) -> Registration<'a, A>,
) -> C {
    let wanted = <C::Service as Service>::NAME;
    assert!(
        A::Services::NAMES.contains(&wanted),
        "{} does not serve {wanted}; it serves {}",
        std::any::type_name::<A>(),
        A::Services::NAMES.join(", "),
    );
    let (node, own) = match current::said() {
        Some(node) => (node, false),
        None => match Node::builder().build() {
            Ok(node) => (node, true),
            Err(error) => panic!("{error}"),
        },
    };
    let handle = match settings(node.unnamed_actor(actor)).start() {
        Ok(handle) => handle,
        Err(error) => panic!("the actor did not start: {error}"),
    };
    let client = handle.client();
    if own {
        // Nobody else holds the node, and it ends its actors when it is let go.
        let ended = handle.ended();
        drop(node.clone().spawn_bare(async move {
            ended.await;
            drop(node);
        }));
    }
    client
}
