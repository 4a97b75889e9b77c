//! The network as a state machine of (time, datagram): it knows no runtime and wakes nobody by itself.
//!
//! 1. Every datagram that is sent draws the same number of random numbers, whatever the faults are: a fault that is
//!    changed changes the datagrams that it meets, not the luck of those that follow.
//! 2. Datagrams arrive in the order of (due time, sequence of sending).
//! 3. What is done to the world at a time finds everything arrived that was due by then ([`World::arrive`]).

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
    ops::RangeInclusive,
    sync::Arc,
    task::Waker,
    time::Duration,
};

use bytes::Bytes;
use quinn::udp::EcnCodepoint;
use tokio::time::Instant;

use super::{
    counts::Counts,
    datagram::{Arrival, Datagram, Luck, Path},
    link::{Faults, LinkFaults},
    log::{Event, Fate, Log},
};

/// What a socket of a paused host keeps.
const PAUSED_BUFFER: usize = 256 * 1024;
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
const FIRST_FREE_PORT: u16 = 49152;

pub(super) struct World {
    pub(super) faults: Faults,
    pub(super) receive_buffer: usize,
    pub(super) log: Log,
    random: fastrand::Rng,
    /// When the first socket was bound: the log counts from there.
    started: Option<Instant>,
    links: BTreeMap<(Ipv4Addr, Ipv4Addr), LinkFaults>,
    hosts: BTreeMap<Ipv4Addr, Host>,
    sockets: BTreeMap<SocketAddrV4, Socket>,
    on_the_way: BinaryHeap<Reverse<Arrival>>,
    /// Of datagrams and of sockets: a number that was not used before.
    sequence: u64,
    counts: Counts,
    wakers: Vec<Waker>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            faults: Faults::default(),
            receive_buffer: RECEIVE_BUFFER,
            log: Log::default(),
            random: fastrand::Rng::with_seed(seed),
            started: None,
            links: BTreeMap::new(),
            hosts: BTreeMap::new(),
            sockets: BTreeMap::new(),
            on_the_way: BinaryHeap::new(),
            sequence: 0,
            counts: Counts::default(),
            wakers: Vec::new(),
        }
    }

    pub(super) fn start(&mut self, now: Instant) {
        self.started.get_or_insert(now);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { on_the_way: self.on_the_way.len() as u64, ..self.counts }
    }

    /// Those to wake since the last time.
    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers)
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}

/// Hosts and links.
impl World {
    pub(super) fn host(&mut self, name: &str) -> (Arc<str>, Ipv4Addr) {
        if let Some((ip, host)) = self.hosts.iter().find(|(_, host)| &*host.name == name) {
            return (host.name.clone(), *ip);
        }
        let number = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let ip = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)).saturating_add(number));
        let name: Arc<str> = name.into();
        self.hosts.insert(ip, Host::new(name.clone()));
        (name, ip)
    }

    pub(super) fn link(&mut self, ends: (Ipv4Addr, Ipv4Addr)) -> &mut LinkFaults {
        self.links.entry(ends).or_default()
    }

    pub(super) fn heal_all(&mut self) {
        for link in self.links.values_mut() {
            link.cut = false;
        }
    }

    pub(super) fn pause(&mut self, ip: Ipv4Addr) {
        if let Some(host) = self.hosts.get_mut(&ip) {
            host.paused = true;
        }
    }

    pub(super) fn resume(&mut self, ip: Ipv4Addr) {
        let Some(host) = self.hosts.get_mut(&ip) else { return };
        host.paused = false;
        self.wakers.append(&mut host.blocked);
        for (_, socket) in self.sockets.range_mut(addresses(ip)) {
            if !socket.received.is_empty() {
                self.wakers.extend(socket.reader.take());
            }
        }
    }

    pub(super) fn kill(&mut self, ip: Ipv4Addr) {
        let Some(host) = self.hosts.get_mut(&ip) else { return };
        host.paused = false;
        host.killed = true;
        self.wakers.append(&mut host.blocked);
        let dead: Vec<_> = self.sockets.range(addresses(ip)).map(|(address, _)| *address).collect();
        for address in dead {
            // Woken so that the waker is not dropped here, under the lock; the reader finds nothing.
            self.wakers.extend(self.sockets.remove(&address).and_then(|socket| socket.reader));
        }
    }

    pub(super) fn revive(&mut self, ip: Ipv4Addr) {
        if let Some(host) = self.hosts.get_mut(&ip) {
            host.killed = false;
        }
    }

    fn is_paused(&self, ip: Ipv4Addr) -> bool {
        self.hosts.get(&ip).is_some_and(|host| host.paused)
    }

    /// The faults between two addresses; `None` within one host, where there are none.
    fn path(&self, from: SocketAddrV4, to: SocketAddr) -> Option<Path> {
        let IpAddr::V4(to) = to.ip() else { return None };
        if to == *from.ip() {
            return None;
        }
        let link = self.links.get(&(*from.ip(), to));
        Some(Path {
            latency: link
                .and_then(|link| link.latency.clone())
                .unwrap_or_else(|| self.faults.latency.clone()),
            loss: link.and_then(|link| link.loss).unwrap_or(self.faults.loss),
            duplicate: link.and_then(|link| link.duplicate).unwrap_or(self.faults.duplicate),
            cut: link.is_some_and(|link| link.cut),
        })
    }
}

/// Sockets.
impl World {
    pub(super) fn bind(&mut self, ip: Ipv4Addr, port: u16) -> io::Result<(SocketAddrV4, SocketId)> {
        let Some(host) = self.hosts.get_mut(&ip) else { return Err(io::ErrorKind::AddrNotAvailable.into()) };
        if host.killed {
            let why = format!("the host {} was killed: revive it first", host.name);
            return Err(io::Error::new(io::ErrorKind::NetworkDown, why));
        }
        let port = if port == 0 { host.free_port(ip, &self.sockets) } else { Some(port) };
        let address = port.map(|port| SocketAddrV4::new(ip, port));
        let Some(address) = address.filter(|address| !self.sockets.contains_key(address)) else {
            return Err(io::ErrorKind::AddrInUse.into());
        };
        let id = SocketId(self.next_sequence());
        self.sockets.insert(address, Socket::new(id));
        Ok((address, id))
    }

    /// Frees the port, unless the socket was killed; then another may have it by now.
    pub(super) fn close(&mut self, address: SocketAddrV4, id: SocketId) -> Option<Socket> {
        self.socket(address, id)?;
        self.sockets.remove(&address)
    }

    /// Whether the sender has to wait; its waker is kept if so.
    pub(super) fn wait_to_send(&mut self, address: SocketAddrV4, id: SocketId, waker: &Waker) -> bool {
        if self.socket(address, id).is_none() || !self.is_paused(*address.ip()) {
            return false;
        }
        if let Some(host) = self.hosts.get_mut(address.ip())
            && !host.blocked.iter().any(|blocked| blocked.will_wake(waker))
        {
            host.blocked.push(waker.clone());
        }
        true
    }

    /// Keeps the waker until something is there to receive, and gives back the one before: to be dropped out of the
    /// lock.
    #[must_use]
    pub(super) fn wait_to_receive(
        &mut self,
        address: SocketAddrV4,
        id: SocketId,
        waker: &Waker,
    ) -> Option<Waker> {
        let socket = self.socket(address, id)?;
        if socket.reader.as_ref().is_some_and(|reader| reader.will_wake(waker)) {
            return None;
        }
        socket.reader.replace(waker.clone())
    }

    pub(super) fn receive(&mut self, address: SocketAddrV4, id: SocketId) -> Option<Datagram> {
        if self.is_paused(*address.ip()) {
            return None;
        }
        let socket = self.socket(address, id)?;
        let datagram = socket.received.pop_front()?;
        socket.received_bytes -= datagram.contents.len();
        Some(datagram)
    }

    /// The socket, unless it was killed.
    fn socket(&mut self, address: SocketAddrV4, id: SocketId) -> Option<&mut Socket> {
        self.sockets.get_mut(&address).filter(|socket| socket.id == id)
    }
}

/// Datagrams.
impl World {
    pub(super) fn send(
        &mut self,
        now: Instant,
        (from, id): (SocketAddrV4, SocketId),
        to: SocketAddr,
        ecn: Option<EcnCodepoint>,
        contents: &[u8],
    ) -> io::Result<()> {
        if self.socket(from, id).is_none() {
            return Ok(());
        }
        if self.is_paused(*from.ip()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let datagram = Datagram { from: from.into(), to, ecn, contents: Bytes::copy_from_slice(contents) };
        self.note(now, &datagram, Fate::Sent);
        let luck = Luck::draw(&mut self.random);
        let Some(path) = self.path(from, to) else {
            self.depart(now, datagram);
            return Ok(());
        };
        if path.cut {
            self.note(now, &datagram, Fate::Cut);
        } else if luck.loss < path.loss {
            self.note(now, &datagram, Fate::Lost);
        } else {
            if luck.duplicate < path.duplicate {
                self.note(now, &datagram, Fate::Duplicated);
                self.depart(now + luck.copy_latency.within(&path.latency), datagram.clone());
            }
            self.depart(now + luck.latency.within(&path.latency), datagram);
        }
        Ok(())
    }

    /// Puts everything that is due into the buffer of its receiver.
    pub(super) fn arrive(&mut self, now: Instant) {
        while self.next_arrival().is_some_and(|due| due <= now) {
            if let Some(Reverse(arrival)) = self.on_the_way.pop() {
                let fate = self.deliver(&arrival.datagram);
                self.note(arrival.due, &arrival.datagram, fate);
            }
        }
    }

    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.on_the_way.peek().map(|Reverse(arrival)| arrival.due)
    }

    fn depart(&mut self, due: Instant, datagram: Datagram) {
        let sequence = self.next_sequence();
        self.on_the_way.push(Reverse(Arrival { due, sequence, datagram }));
    }

    fn deliver(&mut self, datagram: &Datagram) -> Fate {
        let (SocketAddr::V4(from), SocketAddr::V4(to)) = (datagram.from, datagram.to) else {
            return Fate::Unreachable;
        };
        if self.links.get(&(*from.ip(), *to.ip())).is_some_and(|link| link.cut) && from.ip() != to.ip() {
            return Fate::Cut;
        }
        let paused = self.is_paused(*to.ip());
        let room = if paused { self.receive_buffer.min(PAUSED_BUFFER) } else { self.receive_buffer };
        let Some(socket) = self.sockets.get_mut(&to) else { return Fate::Unreachable };
        if socket.received_bytes + datagram.contents.len() > room {
            return Fate::Full;
        }
        socket.received_bytes += datagram.contents.len();
        socket.received.push_back(datagram.clone());
        if !paused {
            self.wakers.extend(socket.reader.take());
        }
        Fate::Delivered
    }

    fn note(&mut self, at: Instant, datagram: &Datagram, fate: Fate) {
        let at = self.started.map_or(Duration::ZERO, |started| at.saturating_duration_since(started));
        let length = datagram.contents.len();
        self.counts.add(fate, length);
        self.log.add(Event { at, from: datagram.from, to: datagram.to, length, fate });
    }
}

struct Host {
    name: Arc<str>,
    paused: bool,
    killed: bool,
    /// Senders that wait for the host to be resumed.
    blocked: Vec<Waker>,
    next_port: u16,
}

impl Host {
    fn new(name: Arc<str>) -> Self {
        Self { name, paused: false, killed: false, blocked: Vec::new(), next_port: FIRST_FREE_PORT }
    }

    /// The next one, not the lowest: a port that was just freed is not used again at once.
    fn free_port(&mut self, ip: Ipv4Addr, sockets: &BTreeMap<SocketAddrV4, Socket>) -> Option<u16> {
        for _ in FIRST_FREE_PORT..=u16::MAX {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(FIRST_FREE_PORT);
            if !sockets.contains_key(&SocketAddrV4::new(ip, port)) {
                return Some(port);
            }
        }
        None
    }
}

/// Tells the sockets of an address apart that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SocketId(u64);

pub(super) struct Socket {
    id: SocketId,
    received: VecDeque<Datagram>,
    received_bytes: usize,
    reader: Option<Waker>,
}

impl Socket {
    fn new(id: SocketId) -> Self {
        Self { id, received: VecDeque::new(), received_bytes: 0, reader: None }
    }
}

fn addresses(ip: Ipv4Addr) -> RangeInclusive<SocketAddrV4> {
    SocketAddrV4::new(ip, 0)..=SocketAddrV4::new(ip, u16::MAX)
}
