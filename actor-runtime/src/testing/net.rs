use std::{
    fmt, io,
    ops::RangeInclusive,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{runtime::Handle, sync::Notify};

use super::{
    counts::Counts,
    driver::Driver,
    host::SimHost,
    link::{SimLink, checked_probability, checked_range},
    log::Log,
    socket::SimSocket,
    trust::Authorities,
    world::World,
};
use crate::{
    node::clock,
    sync::{Mutex, lock},
};

/// A network in memory, and its faults. Clones are the same network.
///
/// Faults hold from the moment they are set and may be set while the network is in use; then in the runtime that its
/// sockets are in, because that is where the time is.
///
/// ```
/// use std::time::Duration;
/// use actor_runtime::testing::SimNet;
///
/// let net = SimNet::new(7);
/// let (client, server) = (net.host("client"), net.host("server"));
/// net.latency(Duration::from_millis(20)..=Duration::from_millis(60)).loss(0.05).duplicate(0.01);
///
/// net.partition(&client, &server);
/// net.heal(&client, &server);
/// net.pause(&server); // as by SIGSTOP
/// net.resume(&server);
/// net.kill(&server); // as by SIGKILL
/// net.revive(&server);
/// ```
#[derive(Clone)]
pub struct SimNet {
    pub(super) shared: Arc<Shared>,
}

impl SimNet {
    /// A network without hosts, whose datagrams take 0.5 to 1 ms and are neither lost nor duplicated.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// let net = SimNet::new(7);
    /// ```
    pub fn new(seed: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                world: Mutex::new(World::new(seed)),
                earlier: Arc::default(),
                driver: Mutex::default(),
                authorities: Authorities::default(),
            }),
        }
    }

    /// The host of this name, made if there is none yet. The first one has the address 10.0.0.1, the next one 10.0.0.2.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// let net = SimNet::new(7);
    /// assert_eq!(net.host("client").ip().to_string(), "10.0.0.1");
    /// assert_eq!(net.host("server").ip().to_string(), "10.0.0.2");
    /// assert_eq!(net.host("client").ip().to_string(), "10.0.0.1");
    /// ```
    pub fn host(&self, name: &str) -> SimHost {
        let (name, ip) = self.shared.still(|world| world.host(name));
        SimHost { net: Arc::downgrade(&self.shared), name, ip }
    }

    /// How long a datagram takes; drawn for each, so that datagrams overtake each other. 0.5 to 1 ms unless this is
    /// called. Between sockets of one host it takes no time.
    ///
    /// # Panics
    /// If the range is empty.
    ///
    /// ```
    /// # use std::time::Duration; use actor_runtime::testing::SimNet;
    /// SimNet::new(7).latency(Duration::from_millis(20)..=Duration::from_millis(60));
    /// ```
    pub fn latency(&self, range: RangeInclusive<Duration>) -> &Self {
        let range = checked_range(range);
        self.shared.with(|world| world.faults.latency = range);
        self
    }

    /// How likely a datagram between two hosts is lost, from 0, which is the default, to 1.
    ///
    /// # Panics
    /// If it is not from 0 to 1.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// SimNet::new(7).loss(0.05);
    /// ```
    pub fn loss(&self, probability: f64) -> &Self {
        let probability = checked_probability(probability);
        self.shared.with(|world| world.faults.loss = probability);
        self
    }

    /// How likely a datagram between two hosts that is not lost arrives twice, from 0, which is the default, to 1.
    ///
    /// # Panics
    /// If it is not from 0 to 1.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// SimNet::new(7).duplicate(0.01);
    /// ```
    pub fn duplicate(&self, probability: f64) -> &Self {
        let probability = checked_probability(probability);
        self.shared.with(|world| world.faults.duplicate = probability);
        self
    }

    /// How many bytes a socket keeps for its reader; what arrives beyond is dropped. 4 MiB unless this is called.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// SimNet::new(7).receive_buffer(64 * 1024);
    /// ```
    pub fn receive_buffer(&self, bytes: usize) -> &Self {
        self.shared.with(|world| world.receive_buffer = bytes);
        self
    }

    /// One direction between two hosts, to give it faults of its own. A host has no link to itself: what is set for
    /// one does nothing.
    ///
    /// # Panics
    /// If a host is of another network, as in every method here that takes one.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// let net = SimNet::new(7);
    /// net.link(&net.host("phone"), &net.host("server")).loss(0.2);
    /// ```
    pub fn link(&self, from: &SimHost, to: &SimHost) -> SimLink<'_> {
        self.check(from);
        self.check(to);
        SimLink { net: self, ends: (from.ip, to.ip) }
    }

    /// Drops everything between two hosts, in both directions, until they are healed; also what is on the way now.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// let net = SimNet::new(7);
    /// net.partition(&net.host("a"), &net.host("b"));
    /// ```
    pub fn partition(&self, a: &SimHost, b: &SimHost) {
        self.link(a, b).cut();
        self.link(b, a).cut();
    }

    /// Ends a [partition](Self::partition), and [cuts](SimLink::cut) between the two.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// let net = SimNet::new(7);
    /// net.heal(&net.host("a"), &net.host("b"));
    /// ```
    pub fn heal(&self, a: &SimHost, b: &SimHost) {
        self.link(a, b).heal();
        self.link(b, a).heal();
    }

    /// Ends every partition and cut.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// SimNet::new(7).heal_all();
    /// ```
    pub fn heal_all(&self) {
        self.shared.with(World::heal_all);
    }

    /// Freezes the network of a host, as SIGSTOP does: until it is resumed it neither sends nor receives. What arrives
    /// meanwhile waits in the buffers of its sockets, which then have room for 256 KiB each.
    ///
    /// Code that runs "on" the host is not frozen: its timers go on, as they are seen to have when a process wakes up.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// let net = SimNet::new(7);
    /// net.pause(&net.host("a"));
    /// ```
    pub fn pause(&self, host: &SimHost) {
        self.check(host);
        self.shared.with(|world| world.pause(host.ip));
    }

    /// Ends a [pause](Self::pause).
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// let net = SimNet::new(7);
    /// net.resume(&net.host("a"));
    /// ```
    pub fn resume(&self, host: &SimHost) {
        self.check(host);
        self.shared.with(|world| world.resume(host.ip));
    }

    /// Ends the network of a host, as SIGKILL does: its sockets are dead, what they send vanishes, they receive nothing,
    /// and their ports are free. What is on the way from it still arrives. No socket can be bound until it is revived.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// let net = SimNet::new(7);
    /// net.kill(&net.host("a"));
    /// ```
    pub fn kill(&self, host: &SimHost) {
        self.check(host);
        self.shared.with(|world| world.kill(host.ip));
    }

    /// Lets a killed host bind sockets again. Those that it had stay dead.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// let net = SimNet::new(7);
    /// net.revive(&net.host("a"));
    /// ```
    pub fn revive(&self, host: &SimHost) {
        self.check(host);
        self.shared.with(|world| world.revive(host.ip));
    }

    /// What became of the datagrams so far.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// assert_eq!(SimNet::new(7).counts().delivered, 0);
    /// ```
    pub fn counts(&self) -> Counts {
        self.shared.still(|world| world.counts())
    }

    /// What happened so far, as a digest, and event by event if [`keep_events`](Self::keep_events) was called.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// assert_eq!(SimNet::new(7).log().digest(), SimNet::new(7).log().digest());
    /// ```
    pub fn log(&self) -> Log {
        self.shared.still(|world| world.log.clone())
    }

    /// Whether the log keeps every event from now on. It does not unless this is called, and forgets what it kept when
    /// this ends.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// let net = SimNet::new(7);
    /// net.keep_events(true);
    /// println!("{}", net.log());
    /// ```
    pub fn keep_events(&self, keep: bool) -> &Self {
        self.shared.still(|world| world.log.keep(keep));
        self
    }

    /// A socket of a host, in the runtime that this is called in. Port 0 stands for any free one.
    ///
    /// # Errors
    /// `AddrInUse` if the port has a socket, `NetworkDown` if the host was killed and not revived, `Other` outside a
    /// tokio runtime.
    pub(crate) fn bind(&self, host: &SimHost, port: u16) -> io::Result<Arc<SimSocket>> {
        self.check(host);
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let (address, id) = self.shared.with(|world| {
            world.start(clock::now());
            world.bind(host.ip, port)
        })?;
        let mut driver = lock(&self.shared.driver);
        if driver.as_ref().is_none_or(Driver::is_finished) {
            *driver = Some(Driver::start(&runtime, &self.shared));
        }
        Ok(Arc::new(SimSocket::new(self.shared.clone(), address, id)))
    }

    pub(super) fn check(&self, host: &SimHost) {
        let own = Weak::ptr_eq(&host.net, &Arc::downgrade(&self.shared));
        assert!(own, "the host {host} is of another network");
    }
}

impl fmt::Debug for SimNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimNet").field("counts", &self.counts()).field("log", &self.log()).finish()
    }
}

/// What a network, its sockets and its driver have in common.
pub(super) struct Shared {
    world: Mutex<World>,
    /// Tells the driver that something is due before what it waits for.
    pub(super) earlier: Arc<Notify>,
    driver: Mutex<Option<Driver>>,
    pub(super) authorities: Authorities,
}

impl Shared {
    /// Does something to the world at the present time: what was due before has arrived.
    ///
    /// Wakers are called, and dropped, only when the lock is free: either may drop a task and with it a socket.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let now = clock::now();
        let mut world = lock(&self.world);
        world.arrive(now);
        let before = world.next_arrival();
        let result = change(&mut world);
        let earlier = world.next_arrival().is_some_and(|next| before.is_none_or(|before| next < before));
        let wakers = world.take_wakers();
        drop(world);
        if earlier {
            self.earlier.notify_one();
        }
        for waker in wakers {
            waker.wake();
        }
        result
    }

    /// Looks at the world without moving it on: also outside a runtime, and while one ends.
    pub(super) fn still<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut lock(&self.world))
    }
}
