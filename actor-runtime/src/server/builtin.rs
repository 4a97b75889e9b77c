//! The actor that every server has.

use super::ActorServer;
use crate::{
    Actor,
    actor::{ActorCell, Care, Limits, Mailbox, Overflow, Registered, run},
    context::Identity,
    inspect::{self, Inspector},
    sync::lock,
};

/// Questions are few and answered quickly; one that comes on top of so many is refused.
const LIMITS: Limits = Limits { overlap: 16, inline: false, care: Care::Nobody };
const MAILBOX: usize = 64;

impl ActorServer {
    /// Has the server answer questions about itself, under [`inspect::NAME`].
    pub(super) fn with_builtin(self) -> Self {
        type Services = <Inspector as Actor>::Services;
        let node = &self.node;
        let identity = Identity::new(node.next_actor_id(), inspect::NAME.into(), node.quiet());
        let registered = Registered { at: node.unix_millis(), parent: 0, metadata: None };
        let methods = node.methods().of::<Inspector, Services>();
        let layers = node.server_layers().clone();
        let cell = ActorCell::new(
            identity,
            Mailbox::new(MAILBOX, Overflow::Fail),
            LIMITS,
            registered,
            methods,
            layers,
        );
        node.directory().reserve(inspect::NAME.into(), cell.clone());
        let inspector = Inspector::new(node.quiet());
        lock(&self.hosted).set_builtin(node.spawn(run(inspector, cell)));
        self
    }
}
