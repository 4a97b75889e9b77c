use std::sync::Arc;

use super::{
    ActorPool, Balance, Ejection, PoolPart,
    core::Core,
    membership::{Wanted, follow},
};
use crate::{CallOptions, Node, Resolver, ServiceClient, service::Service};

/// Settings of a pool that is about to be made: [`ActorPool::builder`].
#[derive(Debug)]
#[must_use = "a pool is made by `build`"]
pub struct PoolBuilder<C> {
    name: String,
    resolver: Arc<dyn Resolver>,
    node: Option<Node>,
    balance: Balance,
    ejection: Ejection,
    options: CallOptions,
    client: std::marker::PhantomData<fn() -> C>,
}

impl<C: ServiceClient> PoolBuilder<C> {
    pub(super) fn new(resolver: Arc<dyn Resolver>, name: String) -> Self {
        Self {
            name,
            resolver,
            node: None,
            balance: Balance::default(),
            ejection: Ejection::default(),
            options: CallOptions::default(),
            client: std::marker::PhantomData,
        }
    }

    /// The node that calls; else the current one.
    pub fn node(mut self, node: &Node) -> Self {
        self.node = Some(node.clone());
        self
    }

    /// How a member is chosen for a call; else one after the other.
    pub fn balance(mut self, balance: Balance) -> Self {
        self.balance = balance;
        self
    }

    /// When members are left out that misbehave.
    pub fn ejection(mut self, ejection: Ejection) -> Self {
        self.ejection = ejection;
        self
    }

    /// How calls are made, unless they say otherwise themselves.
    pub fn options(mut self, options: CallOptions) -> Self {
        self.options = options;
        self
    }

    /// Makes the pool, which begins to look for its members.
    pub fn build(self) -> ActorPool<C> {
        let Self { name, resolver, node, balance, ejection, options, client: _ } = self;
        let name: Arc<str> = name.into();
        let node = node.map_or_else(Node::current, Ok).map(|node| node.quiet());
        let part = node.map(|node| {
            let core = Core::new(node.clone(), name.clone(), balance, ejection);
            let wanted = Wanted { resolver, methods: C::Service::METHODS };
            let task = node.spawn_bare(follow(Arc::downgrade(&core), node.clone(), name.clone(), wanted));
            let _ = core.task.set(task.abort_on_drop());
            PoolPart { node, core }
        });
        ActorPool::of(part, name, options)
    }
}
