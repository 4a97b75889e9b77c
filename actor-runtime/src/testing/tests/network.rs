use std::{
    future::poll_fn,
    io::{self, IoSliceMut},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use quinn::{
    AsyncUdpSocket,
    udp::{RecvMeta, Transmit},
};
use tokio::time::Instant;

use super::{ms, simulate, since, sleep};
use crate::{
    node::clock,
    testing::{Fate, SimNet, socket::SimSocket},
};

/// Sends a datagram with a number in it, and more bytes.
fn send(from: &SimSocket, to: SocketAddr, number: u32, length: usize) -> io::Result<()> {
    let mut contents = number.to_le_bytes().to_vec();
    contents.resize(length.max(4), 0);
    from.try_send(&Transmit {
        destination: to,
        ecn: None,
        contents: &contents,
        segment_size: None,
        src_ip: None,
    })
}

/// The number in the next datagram.
async fn receive(socket: &SimSocket) -> u32 {
    let (mut bytes, mut meta) = ([0; 65_536], [RecvMeta::default()]);
    let count =
        poll_fn(|cx| socket.poll_recv(cx, &mut [IoSliceMut::new(&mut bytes)], &mut meta)).await.unwrap();
    assert_eq!(count, 1);
    u32::from_le_bytes(bytes[..4].try_into().unwrap())
}

/// The numbers in everything that is there now.
fn received(socket: &SimSocket) -> Vec<u32> {
    std::iter::from_fn(|| receive(socket).now_or_never()).collect()
}

struct Wire {
    net: SimNet,
    from: Arc<SimSocket>,
    to: Arc<SimSocket>,
    address: SocketAddr,
}

impl Wire {
    fn new(seed: u64) -> Self {
        let net = SimNet::new(seed);
        net.keep_events(true);
        let from = net.bind(&net.host("a"), 0).unwrap();
        let to = net.bind(&net.host("b"), 7).unwrap();
        let address = to.local_addr().unwrap();
        Self { net, from, to, address }
    }

    fn send(&self, number: u32) {
        send(&self.from, self.address, number, 4).unwrap();
    }

    fn pause(&self) {
        self.net.pause(&self.net.host("b"));
    }

    fn resume(&self) {
        self.net.resume(&self.net.host("b"));
    }
}

/// How long the datagrams of a log took that were all sent at the start, in order of arrival.
fn latencies(net: &SimNet) -> Vec<Duration> {
    net.log().events().iter().filter(|event| event.fate == Fate::Delivered).map(|event| event.at).collect()
}

#[test]
fn latency_stays_within_its_bounds_and_fills_them() {
    simulate(async {
        let wire = Wire::new(1);
        wire.net.latency(ms(3)..=ms(9));
        let start = clock::now();
        (0..500).for_each(|n| wire.send(n));
        let mut seen = Vec::<(u32, Duration)>::new();
        while seen.len() < 500 {
            seen.push((receive(&wire.to).await, since(start)));
        }
        assert!(seen.iter().all(|(_, after)| (ms(3)..=ms(9)).contains(after)), "as the receiver sees it");
        assert!(!seen.is_sorted(), "some were overtaken");
        let due = latencies(&wire.net);
        assert!(due.is_sorted());
        assert!(due[0] >= ms(3) && due[0] < ms(3) + ms(1) / 4, "{:?}", due[0]);
        assert!(due[499] <= ms(9) && due[499] > ms(9) - ms(1) / 4, "{:?}", due[499]);
    });
}

#[test]
fn a_fixed_latency_keeps_the_order() {
    simulate(async {
        let wire = Wire::new(1);
        wire.net.latency(ms(5)..=ms(5));
        let start = clock::now();
        (0..100).for_each(|n| wire.send(n));
        for n in 0..100 {
            assert_eq!(receive(&wire.to).await, n);
        }
        assert_eq!(since(start), ms(5));
    });
}

#[test]
fn a_link_has_its_own_faults_in_one_direction() {
    simulate(async {
        let wire = Wire::new(1);
        let (a, b) = (wire.net.host("a"), wire.net.host("b"));
        wire.net
            .loss(1.0)
            .latency(ms(1)..=ms(1))
            .link(&a, &b)
            .loss(0.0)
            .latency(ms(70)..=ms(70))
            .duplicate(1.0);
        let start = clock::now();
        wire.send(1);
        send(&wire.to, wire.from.local_addr().unwrap(), 2, 4).unwrap();
        assert_eq!(receive(&wire.to).await, 1);
        assert_eq!(since(start), ms(70));
        sleep(ms(10)).await;
        assert_eq!(received(&wire.to), [1]);
        assert_eq!(received(&wire.from), []);
        let counts = wire.net.counts();
        assert_eq!((counts.sent, counts.lost, counts.duplicated, counts.delivered), (2, 1, 1, 2));
        assert_eq!(counts.bytes, 8);
    });
}

#[test]
fn what_is_due_before_a_cut_arrives_and_what_is_due_after_it_does_not() {
    simulate(async {
        let wire = Wire::new(1);
        wire.net.latency(ms(5)..=ms(5));
        wire.send(1);
        sleep(ms(5)).await;
        wire.net.partition(&wire.net.host("a"), &wire.net.host("b"));
        wire.send(2);
        wire.net.heal_all();
        wire.send(3);
        sleep(ms(1)).await;
        wire.net.link(&wire.net.host("a"), &wire.net.host("b")).cut();
        sleep(ms(9)).await;
        assert_eq!(received(&wire.to), [1]);
        assert_eq!(wire.net.counts().cut, 2);
    });
}

#[test]
fn changing_a_fault_changes_no_latency_of_the_others() {
    let run = |loss| {
        simulate(async {
            let wire = Wire::new(1);
            wire.net.latency(ms(1)..=ms(90));
            for n in 0..100 {
                wire.net.loss(if n == 50 { loss } else { 0.0 });
                wire.send(n);
            }
            sleep(ms(100)).await;
            received(&wire.to)
        })
    };
    let mut without = run(0.0);
    without.retain(|n| *n != 50);
    assert_eq!(run(1.0), without);
}

#[test]
fn a_full_buffer_drops_and_counts() {
    simulate(async {
        let wire = Wire::new(1);
        wire.net.receive_buffer(10_000);
        (0..12).for_each(|n| send(&wire.from, wire.address, n, 1000).unwrap());
        sleep(ms(5)).await;
        assert_eq!(wire.net.counts().dropped_full, 2);
        assert_eq!(received(&wire.to).len(), 10);
        wire.send(12);
        sleep(ms(5)).await;
        assert_eq!(received(&wire.to), [12], "there is room again");
    });
}

#[test]
fn a_paused_host_keeps_256_kib_for_later() {
    simulate(async {
        let wire = Wire::new(1);
        wire.pause();
        (0..300).for_each(|n| send(&wire.from, wire.address, n, 1024).unwrap());
        let waits = async {
            receive(&wire.to).await;
            clock::now()
        };
        let resumes = async {
            sleep(ms(1000)).await;
            assert_eq!(send(&wire.to, wire.address, 0, 4).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            let mut poller = wire.to.clone().create_io_poller();
            let writable = async {
                poll_fn(|cx| poller.as_mut().poll_writable(cx)).await.unwrap();
                clock::now()
            };
            let resume = async {
                sleep(ms(1000)).await;
                wire.resume();
                clock::now()
            };
            futures::join!(writable, resume)
        };
        let (first, (writable, resumed)): (Instant, (Instant, Instant)) = futures::join!(waits, resumes);
        assert_eq!((first, writable), (resumed, resumed));
        assert_eq!(received(&wire.to).len(), 255);
        assert_eq!(wire.net.counts().dropped_full, 44);
    });
}

#[test]
fn a_killed_socket_neither_sends_nor_receives() {
    simulate(async {
        let wire = Wire::new(1);
        let (a, b) = (wire.net.host("a"), wire.net.host("b"));
        wire.net.latency(ms(5)..=ms(5));
        wire.send(1);
        wire.net.kill(&a);
        wire.send(2);
        assert_eq!(receive(&wire.to).await, 1, "it was on the way");
        assert_eq!(wire.net.counts().sent, 1);

        wire.net.kill(&b);
        assert_eq!(wire.net.bind(&b, 7).unwrap_err().kind(), io::ErrorKind::NetworkDown);
        wire.net.revive(&b);
        let successor = wire.net.bind(&b, 7).unwrap();
        wire.net.revive(&a);
        let from = wire.net.bind(&a, 0).unwrap();
        send(&from, wire.address, 3, 4).unwrap();
        drop(wire.to);
        assert_eq!(receive(&successor).await, 3);
        assert_eq!(wire.net.bind(&b, 7).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    });
}

#[test]
fn a_port_belongs_to_one_socket_until_it_is_dropped() {
    simulate(async {
        let net = SimNet::new(1);
        let host = net.host("a");
        let socket = net.bind(&host, 443).unwrap();
        assert_eq!(net.bind(&host, 443).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        net.bind(&net.host("b"), 443).unwrap();
        let free: Vec<_> = (0..3).map(|_| net.bind(&host, 0).unwrap()).collect();
        let ports: Vec<_> = free.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        assert_eq!(ports, [49152, 49153, 49154]);
        drop(socket);
        net.bind(&host, 443).unwrap();
    });
}

#[test]
fn within_a_host_there_are_no_faults_and_no_latency() {
    simulate(async {
        let net = SimNet::new(1);
        let host = net.host("a");
        let (from, to) = (net.bind(&host, 1).unwrap(), net.bind(&host, 2).unwrap());
        net.loss(1.0).partition(&host, &host);
        let start = clock::now();
        send(&from, to.local_addr().unwrap(), 1, 4).unwrap();
        assert_eq!(receive(&to).await, 1);
        assert_eq!(since(start), Duration::ZERO);
    });
}

#[test]
fn the_network_outlives_a_runtime_and_serves_the_next() {
    let net = SimNet::new(1);
    for n in 0..2 {
        simulate(async {
            let from = net.bind(&net.host("a"), 0).unwrap();
            let to = net.bind(&net.host("b"), 7).unwrap();
            send(&from, to.local_addr().unwrap(), n, 4).unwrap();
            assert_eq!(receive(&to).await, n);
        });
    }
}

#[test]
fn outside_a_runtime_a_socket_cannot_be_bound() {
    let net = SimNet::new(1);
    assert_eq!(net.bind(&net.host("a"), 0).unwrap_err().kind(), io::ErrorKind::Other);
}

#[test]
#[should_panic(expected = "of another network")]
fn a_host_of_another_network_is_refused() {
    SimNet::new(1).kill(&SimNet::new(1).host("a"));
}

#[test]
fn a_datagram_that_nobody_has_the_address_of_is_counted() {
    simulate(async {
        let wire = Wire::new(1);
        send(&wire.from, "[::1]:9".parse().unwrap(), 1, 4).unwrap();
        send(&wire.from, "10.9.9.9:9".parse().unwrap(), 1, 4).unwrap();
        sleep(ms(2)).await;
        assert_eq!(wire.net.counts().unreachable, 2);
        assert_eq!(received(&wire.to), []);
    });
}
