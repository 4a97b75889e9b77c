use std::future::Future;

use super::Client;
#[cfg(doc)]
use crate::{ActorContext, Node};
use crate::{Failure, actor_id::ActorId, service::Service};

/// What every generated client can do beside calling: a trait, so that these names stay free for the methods of
/// services.
///
/// ```
/// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use actor_runtime::prelude::*;
///
/// #[actor_service]
/// trait Echo {
///     async fn echo(&self, text: String) -> String;
/// }
///
/// struct Mirror;
///
/// #[actor_service]
/// impl Echo for Mirror {
///     async fn echo(&self, text: String) -> String {
///         text
///     }
/// }
///
/// let server = ActorServer::bind("loopback:0").await?;
/// let id = server.register("mirror", Mirror)?;
/// let follows = EchoClient::new(&FixedResolver::new([("mirror", server.address())]), "mirror");
/// let pinned = follows.pinned().await?;
///
/// // Another registration under the same name is another actor.
/// server.unregister("mirror").await;
/// server.register("mirror", Mirror)?;
/// assert_eq!(follows.echo("hello".into()).await?, "hello");
/// assert_eq!(pinned.echo("hello".into()).await.unwrap_err().kind(), FailureKind::Stale);
/// # assert_eq!(pinned.pinned_actor(), Some(id));
/// # Ok(()) }
/// ```
///
/// A client is a value that can be sent: an argument, a reply, an item of a stream, or a part of one. It arrives pinned, and
/// belongs to the node that receives it. An actor sends a client of itself with [`ActorContext::this`]; which addresses that
/// came with clients are dialled, [`DialPolicy`](crate::DialPolicy) says. In another format than that of calls, such as JSON,
/// it is the same data, and belongs to the node of the turn or [scope](Node::scope) in which it is read.
pub trait ServiceClient: Clone + Send + Sync + 'static {
    /// The service that is called.
    type Service: Service;

    /// What calls all members of a pool: the methods of the client, each of which gives a
    /// [`BroadcastFuture`](crate::pool::BroadcastFuture).
    type Broadcast: Clone + Send + Sync + 'static;

    /// The same for the pool that this client calls through.
    #[doc(hidden)]
    fn broadcast(client: &Client) -> Self::Broadcast;

    #[doc(hidden)]
    fn from_client(client: Client) -> Self;

    #[doc(hidden)]
    fn as_client(&self) -> &Client;

    /// The name that is called.
    fn actor_name(&self) -> &str {
        self.as_client().gate.name()
    }

    /// The registration that is called, if the client is pinned to one.
    fn pinned_actor(&self) -> Option<ActorId> {
        self.as_client().gate.pinned()
    }

    /// A client of the registration that has the name now, and of no other: its calls fail with
    /// [`Stale`](crate::FailureKind::Stale) once the name belongs to another one (S12).
    ///
    /// # Errors
    /// As a call: nothing has the name, or it cannot be reached.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    fn pinned(&self) -> impl Future<Output = Result<Self, Failure>> + Send {
        async move {
            let client = self.as_client();
            let actor = client.gate.identify().await?;
            Ok(Self::from_client(client.pinned_to(actor)))
        }
    }
}
