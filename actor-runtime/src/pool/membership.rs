//! The task of a pool that follows its resolver and reaches its members.
//!
//! ```text
//!   Resolver::watch ──► adopt ──► due ──► one opening each ──► opened ──► Joined
//!                                  ▲                              └─ failed: again after a pause
//!                                  └── lost, by a call
//! ```

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak},
};

use futures::{
    StreamExt,
    stream::{self, FuturesUnordered},
};
use tokio::time::Instant;

use super::core::Core;
use crate::{
    Node,
    call::Failure,
    client::{Route, Whom},
    names::{BoxFuture, BoxStream, ResolveResult, ResolvedEndpoint, Resolver},
    panics::text_of,
    service::Method,
};

/// What a pool's members are called with.
pub(super) struct Wanted {
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) methods: &'static [&'static Method],
}

type Views = BoxStream<'static, Result<ResolveResult, String>>;
type Opened = (ResolvedEndpoint, Result<Route, Failure>);

/// Follows the resolver until the pool is gone.
pub(super) async fn follow(pool: Weak<Core>, node: Node, name: Arc<str>, wanted: Wanted) {
    let _cut_off = Following(pool.clone());
    let Wanted { resolver, methods } = wanted;
    let mut views: Option<Views> = Some(watch(&*resolver, &node, &name));
    let mut opening = FuturesUnordered::<BoxFuture<'static, Opened>>::new();
    let patience = node.after(node.config().default_timeout);
    let (mut answered, mut judge_at, mut watch_at) = (false, None::<Instant>, None::<Instant>);
    loop {
        // A resolver that always has something to say leaves the thread to others all the same.
        tokio::task::consume_budget().await;
        let Some(core) = pool.upgrade() else { return };
        let now = node.now();
        let judge = judge_at.is_some_and(|at| at <= now);
        core.tick(now, judge);
        if judge || judge_at.is_none() {
            judge_at = core.judges().map(|interval| now + interval);
        }
        if !answered && patience <= now {
            answered = true;
            let waited = node.config().default_timeout;
            core.not_resolved(format!("{resolver:?} gave no answer within {waited:?}"));
        }
        if watch_at.is_some_and(|at| at <= now) {
            (views, watch_at) = (Some(watch(&*resolver, &node, &name)), None);
        }
        for endpoint in core.due(now) {
            opening.push(Box::pin(open(node.clone(), name.clone(), endpoint, methods)));
        }
        let times = [core.next(), judge_at, watch_at, (!answered).then_some(patience)];
        let next = times.into_iter().flatten().min();
        // Not held while it waits: the last handle that goes ends the pool.
        let changed = core.changed_once();
        drop(core);
        let wake = async {
            match next {
                Some(at) => node.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let view = async {
            match &mut views {
                Some(views) => views.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // In this order, so that a simulated run repeats, and a resolver that talks without end holds up nobody.
            biased;
            Some((endpoint, opened)) = opening.next() => {
                let Some(core) = pool.upgrade() else { return };
                core.opened(&endpoint, opened);
            }
            view = view => {
                let Some(core) = pool.upgrade() else { return };
                match view {
                    Some(Ok(found)) => {
                        answered = true;
                        core.adopt(found);
                    }
                    Some(Err(error)) => {
                        answered = true;
                        core.not_resolved(error);
                    }
                    // Nothing more will change, or the backend went away: it is asked again now and then.
                    None => (views, watch_at) = (None, Some(node.now() + WATCH_AGAIN)),
                }
            }
            () = changed => {}
            () = wake => {}
        }
    }
}

/// What the resolver says from now on. That it panics is a failure, and the end.
fn watch(resolver: &dyn Resolver, node: &Node, name: &str) -> Views {
    let panicked = |panic: Box<dyn Any + Send>| format!("it panicked: {}", text_of(&*panic));
    let views = match catch_unwind(AssertUnwindSafe(|| resolver.watch(node.namespace(), name))) {
        Ok(views) => views,
        Err(panic) => return stream::iter([Err(panicked(panic))]).boxed(),
    };
    let views = AssertUnwindSafe(views).catch_unwind().map(move |view| match view {
        Ok(view) => view.map_err(|error| error.to_string()),
        Err(panic) => Err(panicked(panic)),
    });
    views.boxed()
}

/// However the task ends, nobody waits for it afterwards.
struct Following(Weak<Core>);

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(core) = self.0.upgrade() {
            core.not_followed();
        }
    }
}

/// When a watch that has ended is begun again.
const WATCH_AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

/// Reaches one endpoint.
async fn open(
    node: Node,
    name: Arc<str>,
    endpoint: ResolvedEndpoint,
    methods: &'static [&'static Method],
) -> Opened {
    let (namespace, pinned) = (node.namespace(), endpoint.actor);
    let whom = Whom { namespace, name: &name, pinned, follows: false, has_choice: false };
    let opened = Route::open(&node, &whom, &endpoint, methods).await;
    (endpoint, opened)
}
