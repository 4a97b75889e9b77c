//! All that a first program needs: `use actor_runtime::prelude::*;`.

pub use std::time::Duration;

pub use futures::{Stream, StreamExt, TryStreamExt, stream};

pub use crate::{
    Actor, ActorContext, ActorPool, ActorServer, CallError, CallOptions, Delivery, Failure, FailureKind,
    FixedResolver, Health, Namespace, Node, Overflow, ReplyTo, Resolver, ServiceClient, Streaming, Timeout,
    actor_service, current_ctx, message, pool::Lookup,
};
