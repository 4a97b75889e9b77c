//! The actor that looks at the others.

use std::{
    any::Any,
    pin::pin,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use futures::{Stream, stream};
use tokio::time::Instant;

use super::{
    ActorHealth, ActorInfo, ActorState, ArgumentInfo, End, HookAnswer, Inspect, InspectError, MAX_WAIT,
    MethodInfo, ServerHealth, ServiceInfo,
};
use crate::{
    ActorId, Node,
    actor::{ActorCell, Answer, Look},
    actor_service,
    call::{Metadata, StopReason, Target},
    current_ctx,
    service::{MethodDescription, ServiceDescription},
};

/// Answers for one server.
pub(crate) struct Inspector {
    node: Node,
    started: Instant,
}

#[actor_service(crate = crate)]
impl Inspect for Inspector {
    async fn health(&self) -> ServerHealth {
        let directory = self.node.directory();
        let actors = directory.targets().into_iter().filter_map(cell);
        let asked: Vec<_> = actors.map(|actor| (actor.mailbox.ask(), actor)).collect();
        let left = current_ctx().ok().and_then(|context| context.remaining());
        let wait = left.map_or(MAX_WAIT, |left| MAX_WAIT.min(left / 2));
        let mut until = pin!(self.node.sleep_until(self.node.now() + wait));
        let mut said = Vec::with_capacity(asked.len());
        for (answer, actor) in asked {
            let answer = tokio::select! {
                biased;
                answer = wait_for(answer) => answer,
                () = &mut until => HookAnswer::Busy,
            };
            said.push((actor, answer));
        }
        let now = self.node.now();
        ServerHealth {
            draining: directory.is_draining(),
            uptime: now.saturating_duration_since(self.started),
            actors: said.into_iter().map(|(actor, answer)| seen(&actor, answer, now)).collect(),
        }
    }

    async fn actors(&self) -> Vec<ActorInfo> {
        let actors = self.node.directory().targets().into_iter().filter_map(cell);
        actors.map(|actor| registered(&actor)).collect()
    }

    async fn methods(&self, actor: String) -> Result<Vec<ServiceInfo>, InspectError> {
        let directory = self.node.directory();
        let Some(found) = directory.entry(&actor).and_then(cell) else {
            return Err(InspectError::NoSuchActor { name: actor, known: directory.names() });
        };
        Ok(found.methods().describe().iter().map(service).collect())
    }

    fn end_of(&self, actor: ActorId) -> impl Stream<Item = Option<End>> {
        // Here, before the reply: from then on it is watched.
        let running = self.node.roster().find(actor.serial).filter(|running| running.identity.id == actor);
        stream::once(async move { Some(End::of(&*running?.mailbox.ended().await)) })
    }
}

impl Inspector {
    pub(crate) fn new(node: Node) -> Self {
        let started = node.now();
        Self { node, started }
    }
}

/// What stands behind a name.
fn cell(target: Arc<dyn Target>) -> Option<Arc<ActorCell>> {
    let target: Arc<dyn Any + Send + Sync> = target;
    target.downcast().ok()
}

async fn wait_for(answer: Option<Answer>) -> HookAnswer {
    let Some(mut answer) = answer else { return HookAnswer::Ended };
    let said = answer.wait_for(Option::is_some).await.ok().and_then(|said| said.clone());
    said.map_or(HookAnswer::Ended, HookAnswer::Said)
}

fn seen(actor: &ActorCell, health: HookAnswer, now: Instant) -> ActorHealth {
    let look = actor.mailbox.look(now);
    ActorHealth {
        name: actor.identity.name.to_string(),
        id: actor.identity.id,
        state: state(&look),
        queued: look.queued as u64,
        waiting: look.waiting as u64,
        running: look.running as u64,
        since_progress: look.since_progress,
        health,
        counts: actor.counts(&look),
    }
}

pub(super) fn state(look: &Look) -> ActorState {
    match look.closing.as_deref() {
        None if look.resting => ActorState::Restarting,
        None if !look.started => ActorState::Starting,
        None if look.queued + look.waiting + look.running == 0 => ActorState::Idle,
        None => ActorState::Running,
        Some(_) if !look.ended => ActorState::Stopping,
        Some(StopReason::Panicked { method, message }) => {
            ActorState::Panicked { method: method.clone(), message: message.clone() }
        }
        Some(reason) => ActorState::Stopped { reason: reason.to_string() },
    }
}

fn registered(actor: &ActorCell) -> ActorInfo {
    let metadata = actor.metadata().into_iter().flat_map(Metadata::iter);
    let since_1970 = Duration::from_millis(actor.registered.at);
    ActorInfo {
        name: actor.identity.name.to_string(),
        id: actor.identity.id,
        generation: generation(actor).0,
        registered: UNIX_EPOCH.checked_add(since_1970).unwrap_or(UNIX_EPOCH),
        metadata: metadata.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        services: actor.methods().names().iter().map(ToString::to_string).collect(),
    }
}

/// How often an actor was started again, and why the last time.
pub(super) fn generation(actor: &ActorCell) -> (u64, Option<StopReason>) {
    let (restarts, last) = actor.mailbox.restarts();
    (restarts, last.as_deref().cloned())
}

fn service(service: &ServiceDescription) -> ServiceInfo {
    ServiceInfo {
        name: service.name.to_owned(),
        docs: service.docs.to_owned(),
        methods: service.methods.iter().map(method).collect(),
    }
}

fn method(method: &MethodDescription) -> MethodInfo {
    let arguments = method.arguments.iter().map(|argument| ArgumentInfo {
        name: argument.name.to_owned(),
        ty: argument.ty.to_owned(),
        schema: argument.schema.to_string(),
    });
    MethodInfo {
        name: method.name.to_owned(),
        id: method.id,
        signature: method.signature.to_owned(),
        docs: method.docs.to_owned(),
        access: method.access,
        deprecated: method.deprecated,
        timeout: method.timeout,
        arguments: arguments.collect(),
        reply_type: method.reply_type.to_owned(),
        reply: method.reply.to_string(),
        error: method.error.as_ref().map(ToString::to_string),
        fingerprint: method.fingerprint,
        checked: method.is_checked(),
    }
}
