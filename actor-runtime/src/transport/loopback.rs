//! Connections between the nodes of one process: the same machines and the same bytes as between processes.
//!
//! ```text
//!   near: Link ── Outbox ──► Pump ──► frames ──► Link :far
//!         Link ◄── frames ◄── Pump ◄── Outbox ──
//! ```
//!
//! Nothing runs for a connection: whoever puts something into an outbox pumps, unless somebody is at it already, who
//! then goes round once more. So a call and its way back cost no task and no wake-up but the caller's own.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use super::Link;
use crate::{
    call::{Delivery, Failure, FailureKind},
    names::Address,
    node::{Node, WeakNode},
    proto::{Body, Closing, Expected, Frame, FrameReader, StreamWork},
    sync::{Mutex, lock},
};

/// The servers of this process.
static PORTS: RwLock<Ports> = RwLock::new(Ports { servers: BTreeMap::new(), last: 0 });

struct Ports {
    servers: BTreeMap<u32, WeakNode>,
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
pub(crate) struct Port(u32);

impl Port {
    /// Takes the number, or a free one for 0. `None` if it is taken.
    pub(crate) fn bind(number: u32, server: &Node) -> Option<Self> {
        let mut ports = PORTS.write().unwrap_or_else(PoisonError::into_inner);
        let number = match number {
            0 => {
                ports.last = ports.free()?;
                ports.last
            }
            number if ports.servers.contains_key(&number) => return None,
            number => number,
        };
        ports.servers.insert(number, server.downgrade());
        Some(Self(number))
    }

    pub(crate) fn address(&self) -> Address {
        Address::Loopback(self.0)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        PORTS.write().unwrap_or_else(PoisonError::into_inner).servers.remove(&self.0);
    }
}

/// The server of this process that listens at this number.
pub(crate) fn server(number: u32) -> Option<Node> {
    let server = PORTS.read().unwrap_or_else(PoisonError::into_inner).servers.get(&number).cloned();
    server.and_then(|server| server.upgrade())
}

/// A connection to the server that listens at this number.
pub(crate) fn connect(node: &Node, number: u32) -> Result<Arc<Link>, Failure> {
    let Some(server) = server(number) else {
        return Err(Failure::new(
            FailureKind::Unreachable,
            Delivery::NotDelivered,
            format!(
                "no server of this process listens at loopback:{number}; it was shut down, or never bound"
            ),
        ));
    };
    let near = Link::new(node, format!("loopback:{number}"), None);
    let far = Link::new(&server, format!("node {} of this process", node.id()), None);
    server.links().accepted(far.clone());
    let ways = [(&near, &far), (&far, &near)].map(|(from, to)| Way {
        from: Arc::downgrade(from),
        to: Arc::downgrade(to),
        control: FrameReader::default(),
        lane: FrameReader::default(),
        frames: Vec::new(),
        bodies: Vec::new(),
    });
    let pump = Arc::new(Pump { state: AtomicU8::new(IDLE), ways: Mutex::new(ways) });
    pump.run();
    Ok(near)
}

/// Carries what is in the outboxes of two links.
struct Pump {
    state: AtomicU8,
    /// Used by the one who pumps.
    ways: Mutex<[Way; 2]>,
}

/// Nobody pumps.
const IDLE: u8 = 0;
const PUMPING: u8 = 1;
/// Somebody pumps, and there may be something that he has not seen.
const AGAIN: u8 = 2;
/// The connection has ended.
const OVER: u8 = 3;

struct Way {
    from: Weak<Link>,
    to: Weak<Link>,
    control: FrameReader,
    lane: FrameReader,
    /// Memory that is used again.
    frames: Vec<Frame>,
    bodies: Vec<Body>,
}

impl Wake for Pump {
    fn wake(self: Arc<Self>) {
        self.run();
    }
}

impl Pump {
    fn run(self: &Arc<Self>) {
        let claim = |state| match state {
            IDLE => Some(PUMPING),
            PUMPING => Some(AGAIN),
            _ => None,
        };
        if self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, claim) != Ok(IDLE) {
            return;
        }
        let unwinding = Unwinding(self);
        let waker = Waker::from(self.clone());
        let cx = Context::from_waker(&waker);
        loop {
            let over = lock(&self.ways).iter_mut().any(|way| way.carry(&cx));
            if over {
                break;
            }
            let idle = self.state.compare_exchange(PUMPING, IDLE, Ordering::AcqRel, Ordering::Acquire);
            match idle {
                Ok(_) => {
                    std::mem::forget(unwinding);
                    return;
                }
                Err(_) => self.state.store(PUMPING, Ordering::Release),
            }
        }
    }
}

/// However the pumping ends, by the end of the connection or by a panic: no link waits for it afterwards.
struct Unwinding<'a>(&'a Pump);

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        self.0.state.store(OVER, Ordering::Release);
        let links = {
            let ways = lock(&self.0.ways);
            [ways[0].from.upgrade(), ways[1].from.upgrade()]
        };
        for link in links.into_iter().flatten() {
            link.lost(FailureKind::ConnectionLost, "the other node of this process went away");
            link.dropped();
        }
    }
}

impl Way {
    /// Carries everything there is. True if the connection is over.
    fn carry(&mut self, cx: &Context<'_>) -> bool {
        let (Some(from), Some(to)) = (self.from.upgrade(), self.to.upgrade()) else { return true };
        let Self { frames, bodies, .. } = self;
        let mut closing = None;
        while let Some(ready) = from.ready(cx) {
            // Before the lane: the header of a body is put in no later than the body.
            while ready.streams
                && let Poll::Ready(work) = from.poll_streams(cx)
            {
                match work {
                    StreamWork::Send(body) => bodies.push(body),
                    // Bodies arrive whole: there is nothing to break off.
                    StreamWork::Abort(_) => {}
                    StreamWork::Close(close) => {
                        closing = Some(close);
                        break;
                    }
                }
            }
            if ready.control
                && let Poll::Ready(bytes) = from.poll_control(cx)
            {
                match self.control.read(bytes, frames) {
                    Ok(()) => to.control(frames),
                    Err(error) => to.broken(error),
                }
            }
            if ready.lane
                && let Poll::Ready(bytes) = from.poll_lane(cx)
            {
                match self.lane.read(bytes, frames) {
                    Ok(()) => to.lane(frames),
                    Err(error) => to.broken(error),
                }
            }
            for body in bodies.drain(..) {
                if let Some(Expected::Bytes(_)) = to.body_expected(body.kind) {
                    to.body_arrived(body.kind, body.bytes);
                }
            }
            if closing.is_some() {
                break;
            }
        }
        if let Some(Closing { code, reason }) = &closing {
            to.closed_by_peer(code.code(), reason);
            from.lost(FailureKind::ConnectionLost, &format!("the connection was closed: {reason}"));
        }
        closing.is_some()
    }
}
