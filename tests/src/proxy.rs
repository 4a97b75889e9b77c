//! Stands between a client and a server on this machine, and loses what they say to each other when it is told to.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test's helper may panic as the test may"
)]

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{net::UdpSocket, task::JoinSet};

/// A proxy for datagrams. Ends with this.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    lost: Arc<Lost>,
    _tasks: JoinSet<()>,
}

/// Which directions lose all datagrams now.
#[derive(Debug, Default)]
struct Lost {
    requests: AtomicBool,
    replies: AtomicBool,
}

/// More than any datagram has.
const LONGEST: usize = 65_536;

impl Proxy {
    /// A proxy in front of this server; must be called in a tokio runtime.
    pub async fn start(server: SocketAddr) -> Self {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a free port"));
        let address = front.local_addr().expect("it is bound");
        let lost = Arc::new(Lost::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(forward(front, server, lost.clone()));
        Self { address, lost, _tasks: tasks }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it loses from now on: requests, replies, or both.
    pub fn lose(&self, requests: bool, replies: bool) {
        self.lost.requests.store(requests, Ordering::Relaxed);
        self.lost.replies.store(replies, Ordering::Relaxed);
    }
}

/// From clients to the server; each client gets a socket and a task for the way back.
async fn forward(front: Arc<UdpSocket>, server: SocketAddr, lost: Arc<Lost>) {
    let mut ways: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut back = JoinSet::new();
    let mut datagram = vec![0; LONGEST];
    loop {
        // An error tells of one datagram that did not arrive.
        let Ok((length, client)) = front.recv_from(&mut datagram).await else { continue };
        let way = match ways.get(&client) {
            Some(way) => way.clone(),
            None => {
                let way = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a free port"));
                way.connect(server).await.expect("an address of this machine");
                back.spawn(backward(way.clone(), front.clone(), client, lost.clone()));
                ways.insert(client, way.clone());
                way
            }
        };
        if !lost.requests.load(Ordering::Relaxed) {
            // Where nobody listens, it is lost.
            let _ = way.send(&datagram[..length]).await;
        }
    }
}

async fn backward(way: Arc<UdpSocket>, front: Arc<UdpSocket>, client: SocketAddr, lost: Arc<Lost>) {
    let mut datagram = vec![0; LONGEST];
    loop {
        let Ok(length) = way.recv(&mut datagram).await else { continue };
        if !lost.replies.load(Ordering::Relaxed) {
            let _ = front.send_to(&datagram[..length], client).await;
        }
    }
}
