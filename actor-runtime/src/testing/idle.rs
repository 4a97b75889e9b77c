//! Waiting until nothing is left to do.

use std::{fmt, future::IntoFuture, time::Duration};

use crate::{
    ActorId, Node,
    actor::ActorCell,
    names::{BoxFuture, is_reserved},
};

/// Waits until the actors of a node have nothing to do: no call is queued or waits for a place in a mailbox, no turn runs, no
/// actor is about to start or to end, and none of this was so in between. For tests of what is not awaited: oneway calls,
/// watches, timers that are due.
///
/// What is not work: timers that are due later; streams, which are no turns; calls that are still at their callers outside of
/// turns, which the test has and can await; tasks of [`ActorContext::spawn`](crate::ActorContext::spawn); what goes on at
/// other nodes; a supervised actor that is to be started again later. A call between two actors of the node is seen by the turn
/// that makes it.
///
/// It looks, lets other tasks go on, and looks again. If there is still something to do, it looks every millisecond of the
/// runtime's clock: on a paused one, as long as something is left to do and no longer, time passes by a millisecond a look.
///
/// ```
/// # use actor_runtime::{prelude::*, testing};
/// # #[actor_service] trait Mail { #[oneway] async fn send(&mut self, text: String); async fn sent(&self) -> u64; }
/// # #[derive(Default)] struct Desk(u64);
/// # #[actor_service]
/// # impl Mail for Desk {
/// #     async fn send(&mut self, _: String) { self.0 += 1; }
/// #     async fn sent(&self) -> u64 { self.0 }
/// # }
/// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mail: MailClient = testing::client(Desk::default());
/// mail.send("this is a oneway call".into()).await?;
/// testing::idle(&Node::current()?).await?;
/// testing::idle(&Node::current()?).within(Duration::from_millis(50)).await?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Busy`] says who is, if that is so after [`Config::default_timeout`](crate::Config::default_timeout) (30 s), or after what
/// [`Idle::within`] says.
///
/// # Cancel safety
/// It can be dropped at any time.
pub fn idle(node: &Node) -> Idle {
    Idle { node: node.clone(), limit: node.config().default_timeout }
}

/// What [`idle`] gives, to be awaited.
#[derive(Debug)]
#[must_use = "it waits when it is awaited"]
pub struct Idle {
    node: Node,
    limit: Duration,
}

impl Idle {
    /// How long it waits at most, on the runtime's clock.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    async fn wait(self) -> Result<(), Busy> {
        let Self { node, limit } = self;
        let until = node.now() + limit;
        loop {
            let before = Seen::of(&node);
            if before.busy.is_empty() {
                for _ in 0..ROUNDS {
                    tokio::task::yield_now().await;
                }
                let after = Seen::of(&node);
                if after.busy.is_empty() && after.polls == before.polls {
                    return Ok(());
                }
                continue;
            }
            if node.now() >= until {
                return Err(Busy { actors: before.busy, limit });
            }
            for _ in 0..ROUNDS {
                tokio::task::yield_now().await;
            }
            if !Seen::of(&node).busy.is_empty() {
                node.sleep_until(node.now() + Duration::from_millis(1)).await;
            }
        }
    }
}

impl IntoFuture for Idle {
    type Output = Result<(), Busy>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.wait())
    }
}

/// How often other tasks go first between two looks.
const ROUNDS: usize = 32;

/// Actors have something to do after all the time that they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Busy {
    /// Those that do.
    pub actors: Vec<BusyActor>,
    /// How long they were waited for.
    pub limit: Duration,
}

/// An actor that has something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusyActor {
    /// Which it is.
    pub id: ActorId,
    /// Its name, or what stands for it.
    pub name: String,
    /// The methods whose turns run.
    pub running: Vec<String>,
    /// How many calls are queued, or wait for a place in its mailbox.
    pub queued: usize,
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not idle after {:?}:", self.limit)?;
        for (n, BusyActor { name, running, queued, .. }) in self.actors.iter().enumerate() {
            let doing = if running.is_empty() {
                "runs nothing".to_owned()
            } else {
                format!("runs {}", running.join(", "))
            };
            write!(f, "{} {name:?} {doing}, {queued} queued", if n == 0 { "" } else { ";" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Busy {}

/// The actors of a node at one moment.
struct Seen {
    busy: Vec<BusyActor>,
    /// Changes whenever a turn begins.
    polls: Vec<(u64, u32, u32)>,
}

impl Seen {
    fn of(node: &Node) -> Self {
        let (mut busy, mut polls) = (Vec::new(), Vec::new());
        for actor in node.roster().all() {
            if is_reserved(&actor.identity.name) {
                continue;
            }
            polls.push((actor.identity.id.serial, actor.polling.look().0, actor.polls_of_tasks()));
            busy.extend(has_work(&actor, node));
        }
        Self { busy, polls }
    }
}

fn has_work(actor: &ActorCell, node: &Node) -> Option<BusyActor> {
    let look = actor.mailbox.look(node.now());
    let queued = look.queued + look.waiting;
    let is_moving = !look.ended && !look.resting && (!look.started || look.closing.is_some());
    (look.running + queued > 0 || is_moving).then(|| BusyActor {
        id: actor.identity.id,
        name: actor.identity.name.to_string(),
        running: actor
            .mailbox
            .turns()
            .into_iter()
            .flat_map(|turns| turns.all)
            .map(|turn| turn.method.to_string())
            .collect(),
        queued,
    })
}
