//! Calls between the nodes of one process, encoded as between processes.
//!
//! ```text
//!   client: Link::send ──call frame──► Inbound::accept :server
//!                ▲                          │
//!                └──────reply frame─────────┘
//! ```
//!
//! A link keeps the calls that it sent until their replies come; so their deadlines are kept on the caller's side,
//! whatever becomes of the server.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, PoisonError, RwLock, Weak},
};

use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    actor_id::ActorId,
    call::{AnyCall, Delivery, Failure, FailureKind, Far, Leave, Refused, Stage, WireReply},
    codec,
    names::Address,
    node::{Node, deadlines::Sweep},
    proto::{CallHeader, ReplyHeader},
    sync::{AtomicU64, Mutex, Ordering, lock},
};

/// A server as frames reach it.
pub(crate) trait Inbound: Send + Sync {
    /// Takes the frame of a call; its reply goes to `replies`. Gives the call if it is under way.
    fn accept(&self, frame: Bytes, replies: Replies) -> Option<Arc<dyn AnyCall>>;

    /// The actor that has the name now.
    fn identify(&self, name: &str) -> Result<ActorId, Failure>;
}

/// The servers of this process.
static PORTS: RwLock<Ports> = RwLock::new(Ports { servers: BTreeMap::new(), last: 0 });

struct Ports {
    servers: BTreeMap<u32, Weak<dyn Inbound>>,
    /// The number that was given out last.
    last: u32,
}

impl Ports {
    /// A number that nobody has. One that somebody had comes again only once all others were used: a client that
    /// follows a name to a server that is gone would find a stranger there.
    fn free(&self) -> Option<u32> {
        let behind = self.last.saturating_add(1)..=u32::MAX;
        behind.chain(1..=self.last).find(|number| !self.servers.contains_key(number))
    }
}

/// A number that a server has until this is dropped.
pub(crate) struct Port {
    number: u32,
    /// The process knows the server weakly, so that a link never keeps it alive.
    _server: Arc<dyn Inbound>,
}

impl Port {
    /// Takes the number, or a free one for 0. `None` if it is taken.
    pub(crate) fn bind(number: u32, server: Arc<dyn Inbound>) -> Option<Self> {
        let mut ports = PORTS.write().unwrap_or_else(PoisonError::into_inner);
        let number = match number {
            0 => {
                ports.last = ports.free()?;
                ports.last
            }
            number if ports.servers.contains_key(&number) => return None,
            number => number,
        };
        ports.servers.insert(number, Arc::downgrade(&server));
        Some(Self { number, _server: server })
    }

    pub(crate) fn address(&self) -> Address {
        Address::Loopback(self.number)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        PORTS.write().unwrap_or_else(PoisonError::into_inner).servers.remove(&self.number);
    }
}

/// What becomes of a call that its server did not take, and that may be taken elsewhere.
pub(crate) trait Reroute: Send + Sync {
    /// The call comes back; `before` is why it came back already once.
    fn reroute(&self, refused: Refused, before: Option<Failure>);
}

/// A way from a node to a server.
pub(crate) struct Link {
    number: u32,
    server: Weak<dyn Inbound>,
    node: Node,
    next: AtomicU64,
    calls: Mutex<Calls>,
    this: Weak<Self>,
}

#[derive(Default)]
struct Calls {
    pending: HashMap<u64, Pending>,
    watched: bool,
}

struct Pending {
    call: Arc<dyn AnyCall>,
    before: Option<Failure>,
    client: Weak<dyn Reroute>,
    /// The server's side of it.
    far: Option<Weak<dyn AnyCall>>,
}

impl Pending {
    /// When the link ends it. The server keeps the same deadline and knows more about it: it gets the first word.
    fn limit(&self) -> Option<Instant> {
        let deadline = self.call.head().deadline?;
        Some(deadline.checked_add(GRACE).unwrap_or(deadline))
    }
}

/// A call to be sent.
pub(crate) struct Outgoing<'a> {
    pub(crate) call: Arc<dyn AnyCall>,
    /// Why it was refused elsewhere.
    pub(crate) before: Option<Failure>,
    /// The name at the server.
    pub(crate) name: &'a str,
    /// Which registration is meant, if the caller knows.
    pub(crate) actor: Option<ActorId>,
    pub(crate) client: Weak<dyn Reroute>,
}

impl Link {
    /// A link to the server that listens at this number.
    pub(crate) fn connect(node: &Node, number: u32) -> Result<Arc<Self>, Failure> {
        let server = PORTS.read().unwrap_or_else(PoisonError::into_inner).servers.get(&number).cloned();
        let Some(server) = server else { return Err(unreachable(number)) };
        let node = node.clone();
        Ok(Arc::new_cyclic(|this| Self {
            number,
            server,
            node,
            next: AtomicU64::new(0),
            calls: Mutex::default(),
            this: this.clone(),
        }))
    }

    /// The actor that has the name at the server now.
    pub(crate) fn identify(&self, name: &str) -> Result<ActorId, Failure> {
        self.server.upgrade().ok_or_else(|| unreachable(self.number))?.identify(name)
    }

    /// Sends a call. A refusal by the server comes through [`Reroute`].
    pub(crate) fn send(&self, outgoing: Outgoing<'_>) -> Result<(), Refused> {
        let Some(server) = self.server.upgrade() else {
            return Err(Refused { call: outgoing.call, failure: unreachable(self.number) });
        };
        let call = outgoing.call.clone();
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        // Before the link knows the call: the arguments' own code runs here, and it may panic.
        let frame = match self.encode(id, &outgoing) {
            Ok(frame) => frame,
            Err(failure) => {
                call.fail(&mut |_| failure.clone());
                return Ok(());
            }
        };
        let watch = self.enter(id, outgoing);
        let sent = call.sent(Far { link: self.this(), call: id });
        self.node.expect_deadline(call.head().deadline, watch, || self.this.clone());
        if !sent {
            // The caller left meanwhile, and nothing else would take the call out again.
            self.take(id);
            return Ok(());
        }
        let far = server.accept(frame, Replies { link: self.this.clone(), call: id });
        self.under_way(id, far);
        Ok(())
    }

    fn enter(&self, id: u64, outgoing: Outgoing<'_>) -> bool {
        let Outgoing { call, before, client, .. } = outgoing;
        let mut calls = lock(&self.calls);
        calls.pending.insert(id, Pending { call, before, client, far: None });
        !std::mem::replace(&mut calls.watched, true)
    }

    fn under_way(&self, id: u64, far: Option<Arc<dyn AnyCall>>) {
        let Some(far) = far else { return };
        match lock(&self.calls).pending.get_mut(&id) {
            Some(pending) => {
                pending.far = Some(Arc::downgrade(&far));
                return;
            }
            None if far.stage() == Stage::Over => return,
            None => {}
        }
        // The caller left while the server took the call.
        far.abandon();
    }

    fn encode(&self, id: u64, outgoing: &Outgoing<'_>) -> Result<Bytes, Failure> {
        let head = outgoing.call.head();
        let header = CallHeader {
            call: id,
            method: head.method.id,
            namespace: self.node.namespace().as_str(),
            name: outgoing.name,
            actor: outgoing.actor,
            remaining: head.deadline.map(|deadline| deadline.saturating_duration_since(self.node.now())),
            chain: head.chain.clone(),
            caller: head.caller,
            metadata: head.metadata.clone(),
        };
        let out = header.encode(codec::buffer()).map_err(|length| {
            let detail = format!("the call's envelope of {length} bytes is longer than a server reads");
            Failure::new(FailureKind::TooLarge, Delivery::NotDelivered, detail)
        })?;
        let frame = outgoing.call.encode_request(self.node.config().max_message_bytes, out);
        let failed = |error| Failure::of_codec(&error, Delivery::NotDelivered, "the arguments");
        Ok(frame.map_err(failed)?.freeze())
    }

    fn receive(&self, frame: &Bytes) {
        let ReplyHeader { call, reply } = match ReplyHeader::decode(frame) {
            Ok(header) => header,
            // Both sides are this process: the reply was written a moment ago by the function next door.
            Err(error) => return tracing::error!(%error, "a loopback reply could not be read"),
        };
        let Some(Pending { call, before, client, .. }) = self.take(call) else { return };
        match (reply, client.upgrade()) {
            (WireReply::Failed(failure), Some(client)) if failure.delivery() == Delivery::NotDelivered => {
                client.reroute(Refused { call, failure }, before);
            }
            (reply, _) => call.receive(reply),
        }
    }

    fn take(&self, call: u64) -> Option<Pending> {
        lock(&self.calls).pending.remove(&call)
    }

    /// The link as others hold it. It is alive: this is one of its methods.
    fn this(&self) -> Arc<dyn Leave> {
        match self.this.upgrade() {
            Some(this) => this,
            None => Arc::new(Gone),
        }
    }
}

/// Stands for a link that is being dropped.
struct Gone;

impl Leave for Gone {
    fn left(&self, _: u64) {}
}

impl Leave for Link {
    fn left(&self, call: u64) {
        let far = self.take(call).and_then(|pending| pending.far?.upgrade());
        if let Some(far) = far {
            far.abandon();
        }
    }
}

impl Sweep for Link {
    fn sweep(&self, now: Instant) -> Option<Instant> {
        let mut calls = lock(&self.calls);
        let (mut expired, mut next) = (Vec::new(), None::<Instant>);
        for pending in calls.pending.values() {
            match pending.limit() {
                Some(limit) if limit <= now => expired.push(pending.call.clone()),
                Some(limit) => next = Some(next.map_or(limit, |next| next.min(limit))),
                None => {}
            }
        }
        calls.watched = next.is_some();
        drop(calls);
        for call in expired {
            call.fail(&mut |_| {
                let detail = "no reply came in time";
                Failure::new(FailureKind::DeadlineExceeded, Delivery::Unknown, detail)
            });
        }
        next
    }

    fn next(&self) -> Option<Instant> {
        lock(&self.calls).pending.values().filter_map(Pending::limit).min()
    }
}

/// How long a server's own word on a deadline is waited for.
const GRACE: std::time::Duration = std::time::Duration::from_millis(20);

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link(loopback:{})", self.number)
    }
}

/// The way back of one call's reply.
pub(crate) struct Replies {
    link: Weak<Link>,
    call: u64,
}

impl Replies {
    /// Sends the reply.
    pub(crate) fn send(&self, reply: WireReply) {
        let Some(link) = self.link.upgrade() else { return };
        let header = ReplyHeader { call: self.call, reply };
        let frame = header.encode(codec::buffer()).or_else(|length| {
            let detail = format!("the reply's envelope of {length} bytes is longer than a client reads");
            let failure = Failure::new(FailureKind::TooLarge, Delivery::Executed, detail);
            ReplyHeader { call: self.call, reply: WireReply::Failed(failure) }.encode(codec::buffer())
        });
        if let Ok(frame) = frame {
            link.receive(&frame.freeze());
        }
    }
}

fn unreachable(number: u32) -> Failure {
    Failure::new(
        FailureKind::Unreachable,
        Delivery::NotDelivered,
        format!("no server of this process listens at loopback:{number}; it was shut down, or never bound"),
    )
}
