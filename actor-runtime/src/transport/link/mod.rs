//! A connection to another node, as the two nodes use it.
//!
//! Callers send through [`Binding`]s; replies land in their calls; calls of the other side go to the actors of this
//! node through [`Accept`]. What carries the bytes (`driver`, `loopback`) hands frames in and takes the outbox out.
//!
//! The machine is behind one lock, which is taken once for a call and once for all that arrived together. Nothing of a
//! user's runs under it, and no waker.

mod calls;
mod deliver;
mod ending;
mod inbox;
mod relay;
mod schemas;
mod sending;
mod served;
mod streams;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock, Weak, atomic::AtomicBool},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

pub(crate) use calls::{Binding, Outgoing, Reroute};
pub(crate) use relay::Relay;
pub(crate) use schemas::Differences;
pub(crate) use sending::Carry;
pub(crate) use served::Accept;

use super::signal::Signal;
use crate::{
    actor_id::{ActorId, NodeId},
    call::Failure,
    names::Address,
    node::{Node, WeakNode},
    proto::{Grants, Hello, Machine, Settings, VERSIONS},
    sync::{Mutex, lock},
    trust::Peer,
};
use calls::Sent;
use inbox::Inbox;
use served::Inbound;

/// One connection.
pub(crate) struct Link {
    node: WeakNode,
    machine: Mutex<Wire>,
    /// Held from the machine to the callers and actors: what arrives by several streams is told in the order in which
    /// the machine took it, also where these are read at the same time.
    arriving: Mutex<Arriving>,
    /// What came on the lane and was not read yet.
    inbox: Mutex<Inbox>,
    /// The lane was read: a body may have its header now, and there may be room for more.
    lane_moved: Notify,
    /// What the other side's calls lead to. Only what carries the bytes uses it, one at a time.
    inbound: Mutex<Inbound>,
    /// `inbound` is to let go of the actors that it has found.
    forgetting: AtomicBool,
    /// The numbers that were given to actors of the other side.
    bindings: Mutex<Bindings>,
    tables: Mutex<schemas::Tables>,
    /// The ends of streams that are on this side.
    streams: Mutex<streams::Ends>,
    progress: Signal<Progress>,
    /// Whether callers that got their replies together run now: what they send next leaves together.
    burst: AtomicBool,
    /// Whether an actor that the other side calls runs on the network thread.
    inline: AtomicBool,
    /// Whether it is settled if calls to where the other side listens may go over it; of connections that it made.
    settled: Signal<bool>,
    /// Closed when nothing carries the link's bytes any more.
    carried: Signal<bool>,
    /// Who is at the other end, for error texts: an address.
    far: String,
    peer: OnceLock<Introduced>,
    identity: Option<Peer>,
    this: Weak<Self>,
    /// What writes the lane on any thread, where there is such.
    carrier: OnceLock<Box<dyn Carry>>,
}

/// Memory for what arrives, to be used again.
#[derive(Default)]
struct Arriving {
    events: deliver::Events,
}

impl Arriving {
    /// What a batch of unusual size took is not kept.
    fn trim(&mut self) {
        const KEPT: usize = 512;
        self.events.shrink_to(KEPT);
    }
}

/// By the namespace, the name and, where it is known, the registration.
type Bindings = HashMap<(Arc<str>, Option<ActorId>), Weak<Binding>>;

type Wire = Machine<Sent, served::Begun>;

/// How far the connection has come.
#[derive(Clone, Debug)]
pub(crate) enum Progress {
    Opening,
    Open,
    /// The other side takes no more calls.
    Leaving,
    Ended(Failure),
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(crate) struct Introduced {
    pub(crate) node: NodeId,
    pub(crate) address: Option<Address>,
}

/// How long a peer has for the handshake.
const HELLO_WITHIN: Duration = Duration::from_secs(5);

impl Link {
    /// A connection that was just made. `far` is where its other end is.
    pub(crate) fn new(node: &Node, far: String, identity: Option<Peer>) -> Arc<Self> {
        let config = node.config();
        let local = Hello {
            versions: VERSIONS,
            node: node.id(),
            address: node.directory().address().map(|address| address.to_string()),
            grants: Grants {
                calls: config.call_credit.max(1),
                bytes: 4 * 1024 * 1024,
                total_bytes: config.connection_bytes.max(1),
                targets: 4096,
                message: config.max_message_bytes as u64,
            },
        };
        let settings = Settings {
            own_stream: config.own_stream_bytes.min(128 * 1024),
            backlog: 8 * 1024 * 1024,
            max_backlog: 256 * 1024 * 1024,
        };
        let hello_by = (node.now() + HELLO_WITHIN).into_std();
        Arc::new_cyclic(|this| Self {
            node: node.downgrade(),
            machine: Mutex::new(Machine::new(local, settings, hello_by)),
            arriving: Mutex::default(),
            inbox: Mutex::default(),
            lane_moved: Notify::new(),
            inbound: Mutex::default(),
            forgetting: AtomicBool::new(false),
            bindings: Mutex::default(),
            tables: Mutex::default(),
            streams: Mutex::default(),
            progress: Signal::new(Progress::Opening),
            settled: Signal::new(false),
            carried: Signal::new(true),
            burst: AtomicBool::new(false),
            inline: AtomicBool::new(false),
            far,
            peer: OnceLock::new(),
            identity,
            this: this.clone(),
            carrier: OnceLock::new(),
        })
    }

    /// Where the other end is.
    pub(crate) fn far(&self) -> &str {
        &self.far
    }

    /// Who is at the other end; none before the handshake is through.
    pub(crate) fn introduced(&self) -> Option<&Introduced> {
        self.peer.get()
    }

    /// Whether calls can be sent.
    pub(crate) fn is_usable(&self) -> bool {
        matches!(self.progress.get(), Progress::Open)
    }

    /// Waits until the handshake is through.
    pub(crate) async fn opened(&self) -> Result<(), Failure> {
        match self.progress.wait_for(|progress| !matches!(progress, Progress::Opening)).await {
            Progress::Ended(failure) => Err(failure),
            _ => Ok(()),
        }
    }

    /// Whether the connection has ended, or is about to.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.progress.get(), Progress::Ended(_)) || self.look(|machine| machine.is_ending())
    }

    /// Who the other side has proved to be.
    pub(super) fn identity(&self) -> Option<Peer> {
        self.identity.clone()
    }

    /// Whether both ends are in this process, which nobody has to prove.
    pub(crate) fn is_within_process(&self) -> bool {
        self.identity.is_none()
    }

    /// It is settled whether calls to where the other side listens may go over this connection.
    pub(crate) fn settle(&self) {
        self.settled.set(true);
    }

    /// Waits for that, or until the connection has ended.
    pub(crate) async fn settled(&self) {
        tokio::select! {
            biased;
            _ = self.settled.wait_for(|settled| *settled) => {}
            () = self.ended() => {}
        }
    }

    /// Waits until the connection has ended.
    pub(crate) async fn ended(&self) {
        self.progress.wait_for(|progress| matches!(progress, Progress::Ended(_))).await;
    }

    /// Waits until nothing carries its bytes any more: the other side has been told the end.
    pub(crate) async fn gone(&self) {
        self.carried.wait_for(|carried| !carried).await;
    }

    /// What carried the bytes has ended.
    pub(crate) fn dropped(&self) {
        self.carried.set(false);
    }

    /// Looks at the machine without putting anything into the outbox.
    pub(super) fn look<T>(&self, look: impl FnOnce(&mut Wire) -> T) -> T {
        look(&mut lock(&self.machine))
    }

    /// The link as others hold it. It is alive: this is one of its methods.
    fn this(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }

    fn now(&self) -> std::time::Instant {
        crate::node::clock::now().into_std()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.far)
    }
}

/// A deadline on the machine's clock.
fn std_deadline(deadline: Option<Instant>) -> Option<std::time::Instant> {
    deadline.map(Instant::into_std)
}
