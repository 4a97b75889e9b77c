//! Clients of actors of one's own node: whether there is such an actor is known at once.

use std::sync::Arc;

use super::{
    Client, ServiceClient,
    gate::{Finder, Gate, Target},
};
use crate::{
    ActorContext, ActorServer, Node,
    actor_id::ActorId,
    call::{CallOptions, Delivery, Failure, FailureKind},
    names::{LocalResolver, unknown},
    service::Service,
};

impl Node {
    /// A client of the actor that has this name on this node. It follows the name, as one that is made with a resolver.
    ///
    /// For an actor elsewhere, make a client with a resolver; its [`pinned`](ServiceClient::pinned) tells whether there is
    /// one.
    ///
    /// # Errors
    /// [`NotFound`](FailureKind::NotFound) if nothing has the name, saying which names there are;
    /// [`Unimplemented`](FailureKind::Unimplemented) if the actor does not serve the client's service, saying what it does
    /// serve.
    pub fn client<C: ServiceClient>(&self, name: &str) -> Result<C, Failure> {
        let directory = self.directory();
        let Some(target) = directory.find(name) else {
            let known: Vec<String> = directory.names().iter().map(|name| format!("{name:?}")).collect();
            let place =
                directory.address().map_or_else(|| "on this node".to_owned(), |at| format!("at {at}"));
            return Err(unknown(name, &place, &known));
        };
        let service = C::Service::NAME;
        let serves = |id| target.method(id).is_some_and(|method| method.service == service);
        if !C::Service::METHODS.iter().all(|method| serves(method.id)) {
            let detail = format!(
                "the actor {name:?} serves {}, not {service}; make a client of one of these, or add the service to its \
                 `type Services`",
                target.services()
            );
            return Err(Failure::new(FailureKind::Unimplemented, Delivery::NotDelivered, detail));
        }
        Ok(C::from_client(Client::of(self, name.into(), None)))
    }
}

impl ActorServer {
    /// A client of the actor that has this name here; see [`Node::client`].
    ///
    /// ```
    /// # use actor_runtime::prelude::*;
    /// # #[actor_service] trait Model { async fn predict(&self, x: f64) -> f64; }
    /// # struct Linear;
    /// # #[actor_service] impl Model for Linear { async fn predict(&self, x: f64) -> f64 { 2.0 * x } }
    /// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = ActorServer::bind("loopback:0").await?;
    /// server.register("model", Linear)?;
    /// let model: ModelClient = server.client("model")?;
    /// assert_eq!(model.predict(2.0).await?, 4.0);
    /// assert_eq!(server.client::<ModelClient>("modell").unwrap_err().kind(), FailureKind::NotFound);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Node::client`].
    pub fn client<C: ServiceClient>(&self, name: &str) -> Result<C, Failure> {
        self.node().client(name)
    }
}

impl ActorContext {
    /// A client of the actor itself, pinned to it, to be handed to others in messages. `C` is the client of a service that
    /// the actor serves; the calls of another one fail with [`Unimplemented`](FailureKind::Unimplemented).
    ///
    /// The actor cannot wait for calls of its own `&mut self` methods: these would wait for the turn that makes them
    /// ([`Cycle`](FailureKind::Cycle)).
    ///
    /// ```
    /// use actor_runtime::prelude::*;
    ///
    /// #[actor_service]
    /// trait Bell {
    ///     async fn ring(&mut self);
    ///     /// Has the tower ring this bell.
    ///     async fn hang_up(&self, tower: TowerClient) -> Result<(), String>;
    /// }
    ///
    /// #[actor_service]
    /// trait Tower {
    ///     async fn hang(&mut self, bell: BellClient);
    /// }
    ///
    /// # struct Brass;
    /// #[actor_service]
    /// impl Bell for Brass {
    ///     async fn ring(&mut self) {}
    ///
    ///     async fn hang_up(&self, tower: TowerClient) -> Result<(), String> {
    ///         let ctx = current_ctx().map_err(|error| error.to_string())?;
    ///         tower.hang(ctx.this()).await.map_err(|failure| failure.to_string())
    ///     }
    /// }
    /// ```
    pub fn this<C: ServiceClient>(&self) -> C {
        let (node, name, id) = (self.node(), self.actor_name().into(), self.actor_id());
        C::from_client(match node.roster().find(id.serial) {
            Some(actor) => Client::of_target(node, &name, actor),
            None => Client::of(node, name, Some(id)),
        })
    }
}

impl Client {
    /// Of an actor of this node.
    fn of(node: &Node, name: Arc<str>, pinned: Option<ActorId>) -> Self {
        let finder = Finder::Resolver(Arc::new(LocalResolver(Arc::downgrade(node.directory()))));
        let target = Target { node: Ok(node.clone()), finder, name, pinned };
        Self { gate: Gate::new(target, CallOptions::default(), None) }
    }
}
