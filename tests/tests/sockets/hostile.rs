//! Peers that are broken, or mean harm: each is refused with a reason and one line in the log, and everybody else is
//! served all the while.
#![expect(
    clippy::disallowed_methods,
    reason = "the peers are programs of their own, and the bounds are bounds of time"
)]
#![allow(clippy::unwrap_used, reason = "what a test needs may panic as the test may")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    panic::AssertUnwindSafe,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use actor_runtime::{
    ActorServer, Authority, Delivery, Failure, FailureKind, FixedResolver, Node, Trust, actor_service,
    service::Service,
};
use futures::{FutureExt, StreamExt, future::join_all, stream};
use serde::Serialize;
use tests::{
    PostClient, PostService, Window, Witness, cluster, logged, node,
    process::{self, Server},
    raw::{self, Incoming, Raw, ended},
    wire::{self, Frame, kind},
};
use tokio::{
    net::UdpSocket,
    sync::{RwLock, RwLockReadGuard},
    time::{sleep, timeout},
};

/// A server that is attacked, and a client that is to be served meanwhile.
struct Attacked {
    authority: Authority,
    server: ActorServer,
    at: SocketAddr,
    witness: Witness,
    _among_others: Option<RwLockReadGuard<'static, ()>>,
}

/// For what leaves the machine to nothing else.
static ALONE: RwLock<()> = RwLock::const_new(());

impl Attacked {
    async fn new() -> Self {
        Self::with(Some(ALONE.read().await)).await
    }

    async fn with(among_others: Option<RwLockReadGuard<'static, ()>>) -> Self {
        logged::start();
        let authority = cluster();
        let server = ActorServer::bind_on(&node(&authority, "server"), "127.0.0.1:0").await.unwrap();
        server.register("post", Window::default()).unwrap();
        let at = server.address().to_string().parse().unwrap();
        let witness = Witness::start(&authority, &server.address().to_string()).await;
        Self { authority, server, at, witness, _among_others: among_others }
    }

    /// Ends the test: the witness was served, nothing panicked, new clients are welcome.
    async fn unharmed(self) {
        self.unharmed_within(Duration::from_millis(1500)).await;
    }

    /// The same, with so much patience of the witness.
    async fn unharmed_within(self, longest: Duration) {
        self.witness.served(longest).await;
        let node = node(&self.authority, "late");
        let late = PostClient::on(&node, &FixedResolver::new([("post", self.server.address())]), "post");
        assert_eq!(late.echo(1).await.unwrap(), 1);
        assert_eq!(logged::panics(), [""; 0]);
        self.server.shutdown(Duration::from_secs(1)).await.unwrap();
    }

    /// An honest raw peer that has bound the actor `post`.
    async fn bound(&self) -> Raw {
        Raw::bound(&self.authority, self.at, "post").await
    }

    /// The raw peer is told this code and reason, within so much time, and one line of the log says so with its address.
    async fn breaks_off(&self, raw: &Raw, code: u64, reason: &str, within: Duration) {
        breaks_off(&raw.endpoint, &raw.connection, code, reason, within).await;
    }
}

const SOON: Duration = Duration::from_secs(2);

async fn breaks_off(
    endpoint: &quinn::Endpoint,
    connection: &quinn::Connection,
    code: u64,
    reason: &str,
    within: Duration,
) {
    let told = ended(connection, within).await.unwrap_or_else(|| panic!("not broken off within {within:?}"));
    assert_eq!(told.code, Some(code), "{told:?}");
    assert!(told.reason.contains(reason), "{told:?}");
    one_line(endpoint, reason).await;
}

/// One line of the log tells what was wrong with this peer.
async fn one_line(endpoint: &quinn::Endpoint, cause: &str) {
    let peer = endpoint.local_addr().unwrap().to_string();
    let lines = logged::awaited(&[&peer, cause]).await;
    assert_eq!(lines.len(), 1, "{lines:?}; {:?}", logged::lines(&[&peer]));
    assert!(lines[0].starts_with("WARN"), "{lines:?}");
    sleep(Duration::from_millis(100)).await;
    assert_eq!(logged::lines(&[&peer]).len(), 1, "{:?}", logged::lines(&[&peer]));
}

fn method(name: &str) -> u32 {
    PostService::METHODS.iter().find(|method| method.name == name).unwrap().id
}

fn arguments(arguments: impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(&arguments).unwrap()
}

fn echo(call: u64) -> Frame {
    wire::call(call, method("echo"), 1, &arguments((call,)))
}

/// Waits until the call has its reply.
async fn replied(lane: &mut Incoming, call: u64) {
    loop {
        let reply = timeout(Duration::from_secs(5), lane.next(kind::REPLY)).await.unwrap().unwrap();
        if reply.number(1) == Some(call) {
            return assert_eq!(reply.body, arguments(call));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_instead_of_a_hello() {
    let attacked = Attacked::new().await;
    let not_magic = Frame::new(kind::HELLO).bytes(0, b"GET / HT").number(1, 1).number(2, 1).encode();
    let garbage: [(&[u8], &str); 5] = [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "longer than"),
        (&[0, 0, 0, 0, 0, 0, 0, 0], "ends too early"),
        (&not_magic, "tag 0 is malformed"),
        (&echo(1).encode(), "no hello"),
        (&Frame::new(kind::HELLO).encode(), "tag 0"),
    ];
    for (bytes, reason) in garbage {
        let (endpoint, connection) = Raw::connect(&attacked.authority, attacked.at).await;
        let mut control = connection.open_uni().await.unwrap();
        control.write_all(&[&wire::varint(wire::stream::CONTROL), bytes].concat()).await.unwrap();
        breaks_off(&endpoint, &connection, 1, reason, SOON).await;
    }
    attacked.unharmed().await;
}

async fn calls_before_the_hello() {
    let attacked = Attacked::new().await;
    let (endpoint, connection) = Raw::connect(&attacked.authority, attacked.at).await;
    let mut lane = connection.open_uni().await.unwrap();
    lane.write_all(&wire::varint(wire::stream::LANE)).await.unwrap();
    for number in 1..10_000 {
        if lane.write_all(&echo(number).encode()).await.is_err() {
            break;
        }
    }
    breaks_off(&endpoint, &connection, 3, "did not introduce itself", Duration::from_secs(7)).await;
    attacked.unharmed().await;
}

async fn connects_and_says_nothing() {
    let attacked = Attacked::new().await;
    let begun = Instant::now();
    let (endpoint, connection) = Raw::connect(&attacked.authority, attacked.at).await;
    breaks_off(&endpoint, &connection, 3, "did not introduce itself", Duration::from_secs(7)).await;
    assert!(begun.elapsed() >= Duration::from_secs(5), "{:?}", begun.elapsed());
    attacked.unharmed().await;
}

async fn stops_in_the_middle_of_a_hello() {
    let attacked = Attacked::new().await;
    let (endpoint, connection) = Raw::connect(&attacked.authority, attacked.at).await;
    let mut control = connection.open_uni().await.unwrap();
    let hello = wire::hello(1, 1).encode();
    control.write_all(&[&wire::varint(wire::stream::CONTROL), &hello[..20]].concat()).await.unwrap();
    breaks_off(&endpoint, &connection, 3, "did not introduce itself", Duration::from_secs(7)).await;
    attacked.unharmed().await;
}

async fn stops_in_the_middle_of_a_frame() {
    let attacked = Attacked::new().await;
    let mut raw = attacked.bound().await;
    let frame = echo(1).encode();
    raw.lane.write_all(&frame[..frame.len() - 1]).await.unwrap();
    attacked.breaks_off(&raw, 3, "a frame was begun and not ended", Duration::from_secs(12)).await;
    attacked.unharmed().await;
}

/// At the same time, since each waits for a time that somebody has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_keep_others_waiting() {
    tokio::join!(
        calls_before_the_hello(),
        connects_and_says_nothing(),
        stops_in_the_middle_of_a_hello(),
        stops_in_the_middle_of_a_frame(),
        a_body_without_its_call_or_that_is_never_finished(),
        calls_with_large_bodies_whose_callers_leave_cost_nobody_a_connection(),
        a_flood_of_streams(),
        a_server_that_says_garbage_or_nothing(),
        a_client_that_never_reads_its_replies_does_not_fill_the_server(),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_authority_an_expired_one_or_none() {
    let attacked = Attacked::new().await;
    let day = Duration::from_secs(24 * 60 * 60);
    let now = SystemTime::now();
    let other = Authority::new("test").unwrap().issue(["actor://test/other"]).unwrap();
    let expired = attacked.authority.issue_during(now - 2 * day..now - day, ["actor://test/late"]).unwrap();
    for (shows, cause) in
        [(Some(&other), "BadSignature"), (Some(&expired), "xpired"), (None, "no certificate")]
    {
        let endpoint = raw::dialler(&attacked.authority, shows, raw::transport().into());
        // In TLS 1.3 the client is through before the server has looked at its certificate.
        if let Ok(connection) = endpoint.connect(attacked.at, "127.0.0.1").unwrap().await {
            assert!(ended(&connection, SOON).await.is_some());
        }
        one_line(&endpoint, "refused a connection").await;
        let lines = logged::lines(&[&endpoint.local_addr().unwrap().to_string()]);
        assert!(lines[0].contains(cause), "{lines:?}");
    }
    // What a caller with the framework is told.
    let expired_there = node_with(&attacked.authority, &expired);
    let other_there = node_with(&attacked.authority, &other);
    let stranger = node(&Authority::new("stranger").unwrap(), "stranger");
    let (late, other) = ("issue a new certificate", "another authority");
    for (node, hint) in [(expired_there, late), (other_there, other), (stranger, other)] {
        let begun = Instant::now();
        let failure = call(&node, attacked.at).await.unwrap_err();
        let what = (failure.kind(), failure.delivery());
        assert_eq!(what, (FailureKind::Unauthenticated, Delivery::NotDelivered), "{failure}");
        assert!(failure.detail().contains(hint), "{failure}");
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    }
    attacked.unharmed().await;
}

fn node_with(believes: &Authority, shows: &actor_runtime::Identity) -> Node {
    let trust = Trust::builder().authority(believes).identity(shows.clone()).build().unwrap();
    Node::builder().trust(trust).build().unwrap()
}

async fn call(node: &Node, at: SocketAddr) -> Result<u64, Failure> {
    PostClient::on(node, &FixedResolver::new([("post", at)]), "post").echo(1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_datagrams_that_are_nothing() {
    let attacked = Attacked::new().await;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut noise = vec![0_u8; 1400];
    let mut state = 1_u32;
    for round in 0..20_000_usize {
        for byte in &mut noise[..64] {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        // Some that look like the first packet of a connection, some like one that is known.
        match round % 3 {
            0 => noise[..5].copy_from_slice(&[0xc3, 0, 0, 0, 1]),
            1 => noise[0] = 0x40,
            _ => {}
        }
        // The kernel may have no room for more.
        let _ = socket.send_to(&noise[..1 + round % 1400], attacked.at).await;
        if round % 200 == 0 {
            sleep(Duration::from_millis(2)).await;
        }
    }
    attacked.unharmed().await;
}

/// First packets of connections that nobody goes on with, as with forged addresses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_handshakes_that_nobody_goes_on_with() {
    let attacked = Attacked::new().await;
    // What quinn sends first is passed on, what comes back is not.
    let from = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let nowhere = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let identity = attacked.authority.issue(["actor://test/raw"]).unwrap();
    let endpoint = raw::dialler(&attacked.authority, Some(&identity), raw::transport().into());
    let mut first = Vec::new();
    let mut datagram = [0; 2048];
    let mut dialling = Vec::new();
    for _ in 0..600 {
        dialling.push(endpoint.connect(nowhere.local_addr().unwrap(), "127.0.0.1").unwrap());
        if let Ok(Ok((length, _))) = timeout(SOON, nowhere.recv_from(&mut datagram)).await {
            first.push(datagram[..length].to_vec());
        }
    }
    drop(dialling);
    for datagram in &first {
        from.send_to(datagram, attacked.at).await.unwrap();
    }
    // Newcomers are welcome all the same.
    for _ in 0..3 {
        let newcomer = node(&attacked.authority, "newcomer");
        let begun = Instant::now();
        call(&newcomer, attacked.at).await.unwrap();
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    }
    attacked.unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_is_not_known() {
    let attacked = Attacked::new().await;
    let raw = Raw::hello(&attacked.authority, attacked.at, wire::hello(5, 9)).await;
    let text = "this side speaks 1 to 1, the other one 5 to 9";
    attacked.breaks_off(&raw, 2, text, SOON).await;
    attacked.unharmed().await;

    // And when a client meets such a server.
    let hostile = Hostile::new();
    let (raw, failure) = tokio::join!(hostile.accept(wire::hello(5, 9)), hostile.call());
    let failure = failure.unwrap_err();
    assert_eq!(failure.delivery(), Delivery::NotDelivered, "{failure}");
    assert_eq!(failure.kind(), FailureKind::Unreachable, "{failure}");
    assert!(failure.detail().contains(text), "{failure}");
    assert!(failure.detail().contains(&hostile.at.to_string()), "{failure}");
    assert!(raw.ended(SOON).await.unwrap().reason.contains(text));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_a_version_ahead_and_says_what_is_not_known_is_served() {
    let attacked = Attacked::new().await;
    let news = |frame: Frame| frame.bytes(77, b"from a later release").number(1_000_000, 7);
    let mut raw = Raw::hello(&attacked.authority, attacked.at, news(wire::hello(1, 2))).await;
    raw.control.write_all(&news(Frame::new(200)).body(b"?").encode()).await.unwrap();
    for stream in [9, 300] {
        let mut unknown = raw.connection.open_uni().await.unwrap();
        unknown.write_all(&wire::varint(stream)).await.unwrap();
        // It is stopped, and nothing else is.
        let stopped = timeout(SOON, unknown.stopped()).await.unwrap().unwrap();
        assert!(stopped.is_some());
    }
    raw.send(&[
        news(Frame::new(201)).body(b"?"),
        news(wire::bind(1, "post")),
        news(wire::call(5, method("echo"), 1, &arguments((5_u64,)))),
    ])
    .await;
    replied(&mut raw.their_lane().await, 5).await;
    attacked.unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_over_its_limit() {
    let attacked = Attacked::new().await;
    let mut raw = attacked.bound().await;
    raw.lane.write_all(&(256 * 1024 + 1_u32).to_le_bytes()).await.unwrap();
    attacked.breaks_off(&raw, 1, "longer than", SOON).await;
    attacked.unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_do_not_fit() {
    let attacked = Attacked::new().await;
    let nonsense: [(Frame, u64, &str); 7] = [
        (wire::call(1, method("echo"), 9, &[]), 1, "target 9 was not bound"),
        (wire::bind(1, "post"), 1, "bound already"),
        (Frame::new(2).number(8, 7), 1, "target 7 was not bound"),
        (wire::large_call(1, method("take"), 1, 1 << 40), 4, "are granted"),
        (wire::cancel(3), 1, "more cancellations than calls"),
        (wire::reply(8, &[]), 1, "a reply to call 8, which was not made"),
        (wire::hello(1, 1), 1, "does not belong to the lane"),
    ];
    for (frame, code, reason) in nonsense {
        let mut raw = attacked.bound().await;
        raw.send(&[frame]).await;
        attacked.breaks_off(&raw, code, reason, SOON).await;
    }
    // Arguments that are none fail their call only.
    let mut raw = attacked.bound().await;
    raw.send(&[wire::call(1, method("echo"), 1, &[0xff; 30]), wire::call(2, 77, 1, &[]), echo(3)]).await;
    replied(&mut raw.their_lane().await, 3).await;
    attacked.unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_lane_or_control_stream() {
    let attacked = Attacked::new().await;
    for kind in [wire::stream::LANE, wire::stream::CONTROL] {
        let raw = attacked.bound().await;
        let mut second = raw.connection.open_uni().await.unwrap();
        second.write_all(&wire::varint(kind)).await.unwrap();
        attacked.breaks_off(&raw, 1, "a second", SOON).await;
    }
    attacked.unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_beyond_its_credit() {
    let attacked = Attacked::new().await;
    attacked.server.register("slow", Window::default()).unwrap();
    let mut raw = Raw::bound(&attacked.authority, attacked.at, "slow").await;
    raw.send(&[wire::call(1, method("hold_alone"), 1, &arguments((1200_u64,)))]).await;
    let add = |number| wire::call(number, method("add"), 1, &arguments((1_u64,)));
    let calls: Vec<Frame> = (2..2 + 1023).map(add).collect();
    raw.send(&calls).await;
    assert!(raw.ended(Duration::from_millis(300)).await.is_none());
    raw.send(&[add(5000), add(5001)]).await;
    attacked.breaks_off(&raw, 4, "beyond its credit", SOON).await;
    attacked.unharmed().await;
}

async fn body(raw: &Raw, call: u64, bytes: usize) -> quinn::SendStream {
    let mut stream = raw.connection.open_uni().await.unwrap();
    let head = [wire::varint(wire::stream::CALL_BODY), wire::varint(call)].concat();
    stream.write_all(&head).await.unwrap();
    // It may be refused in the middle.
    let _ = stream.write_all(&vec![0; bytes]).await;
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_longer_or_shorter_than_was_said() {
    let attacked = Attacked::new().await;
    let mut raw = attacked.bound().await;
    raw.send(&[wire::large_call(1, method("take"), 1, 1000)]).await;
    let _stream = body(&raw, 1, 5000).await;
    attacked.breaks_off(&raw, 1, "longer than was said", SOON).await;
    let mut raw = attacked.bound().await;
    raw.send(&[wire::large_call(1, method("take"), 1, 1000)]).await;
    body(&raw, 1, 500).await.finish().unwrap();
    attacked.breaks_off(&raw, 1, "shorter than was said", SOON).await;
    attacked.unharmed().await;
}

async fn a_body_without_its_call_or_that_is_never_finished() {
    let attacked = Attacked::new().await;
    let without = attacked.bound().await;
    let mut unfinished = attacked.bound().await;
    unfinished.send(&[wire::large_call(1, method("take"), 1, 100_000)]).await;
    let _streams = (body(&without, 1, 50_000).await, body(&unfinished, 1, 50_000).await);
    let patience = Duration::from_secs(12);
    tokio::join!(
        attacked.breaks_off(&without, 3, "a body came without its call", patience),
        attacked.breaks_off(&unfinished, 3, "a body was begun and not ended", patience),
    );
    attacked.unharmed().await;
}

/// A caller that leaves is honest: whatever of its body has arrived by then, its connection stays.
async fn calls_with_large_bodies_whose_callers_leave_cost_nobody_a_connection() {
    let attacked = Attacked::new().await;
    let mut raw = attacked.bound().await;
    // The lane may be faster than the body: the call is gone when its body comes.
    raw.send(&[wire::large_call(1, method("take"), 1, 100_000), wire::cancel(1)]).await;
    sleep(Duration::from_millis(50)).await;
    let mut reset = body(&raw, 1, 50_000).await;
    raw.send(&[wire::large_call(2, method("take"), 1, 100_000), wire::cancel(2)]).await;
    sleep(Duration::from_millis(50)).await;
    body(&raw, 2, 100_000).await.finish().unwrap();
    reset.reset(1_u32.into()).unwrap();

    let node = node(&attacked.authority, "leaves");
    let client = PostClient::on(&node, &FixedResolver::new([("post", attacked.at)]), "post");
    client.echo(0).await.unwrap();
    for n in 0..100 {
        let call = client.take(vec![1; 300_000]).timeout(Duration::from_micros(100 * n));
        let _ = call.await;
    }
    let pending = node.spawn({
        let client = client.clone();
        async move { client.hold(1, 11_000).await }
    });
    assert_eq!(pending.await.unwrap().unwrap(), 1);
    raw.send(&[echo(3)]).await;
    replied(&mut raw.their_lane().await, 3).await;
    attacked.unharmed().await;
}

/// Its credit is given back then, so that any number of them would be kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_has_begun_is_read_no_further_when_its_caller_leaves() {
    let attacked = Attacked::new().await;
    let mut raw = attacked.bound().await;
    raw.send(&[wire::large_call(1, method("take"), 1, 100_000)]).await;
    let stream = body(&raw, 1, 50_000).await;
    // Long enough for it to have begun there; one that has not is refused anyway.
    sleep(Duration::from_millis(50)).await;
    raw.send(&[wire::cancel(1)]).await;
    let stopped = timeout(SOON, stream.stopped()).await.expect("it is stopped");
    assert!(stopped.unwrap().is_some());
    raw.send(&[echo(2)]).await;
    replied(&mut raw.their_lane().await, 2).await;
    attacked.unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_flooded_with_cancels() {
    let attacked = Attacked::new().await;
    let mut raw = attacked.bound().await;
    let hold = |number| wire::call(number, method("hold"), 1, &arguments((1_u64, 60_000_u64)));
    raw.send(&[echo(50_000)]).await;
    let mut lane = raw.their_lane().await;
    replied(&mut lane, 50_000).await;
    let mut credit = 1000;
    for batch in 0..400 {
        let numbers = (1 + batch * 50)..(1 + batch * 50 + 50);
        let frames: Vec<Frame> = numbers.flat_map(|number| [hold(number), wire::cancel(number)]).collect();
        while credit < 50 {
            let told = timeout(SOON, lane.next(kind::CREDIT)).await.unwrap().unwrap();
            credit += told.number(5).unwrap();
        }
        credit -= 50;
        raw.send(&frames).await;
    }
    raw.send(&[echo(50_001)]).await;
    replied(&mut lane, 50_001).await;
    raw.send(&vec![wire::cancel(7); 60_000]).await;
    attacked.breaks_off(&raw, 1, "more cancellations than calls", SOON).await;
    attacked.unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_binds() {
    let attacked = Attacked::new().await;
    let mut raw = Raw::hello(&attacked.authority, attacked.at, wire::hello(1, 1)).await;
    let binds: Vec<Frame> = (1..4096).map(|target| wire::bind(target + 1, &format!("no-{target}"))).collect();
    raw.send(&binds).await;
    raw.send(&[wire::bind(1, "post"), echo(1)]).await;
    replied(&mut raw.their_lane().await, 1).await;
    raw.send(&[wire::bind(5000, "post")]).await;
    attacked.breaks_off(&raw, 4, "more targets than", SOON).await;
    // Names that no actor can have.
    let mut raw = Raw::hello(&attacked.authority, attacked.at, wire::hello(1, 1)).await;
    raw.send(&[wire::bind(1, &"x".repeat(60_000))]).await;
    attacked.breaks_off(&raw, 1, "tag 4 is malformed", SOON).await;
    let mut raw = attacked.bound().await;
    let service = Frame::new(kind::SERVICE).bytes(1, &vec![b'x'; 60_000]).bytes(2, &[0; 8]);
    raw.control.write_all(&service.encode()).await.unwrap();
    attacked.breaks_off(&raw, 1, "tag 1 is malformed", SOON).await;
    attacked.unharmed().await;
}

async fn a_flood_of_streams() {
    let attacked = Attacked::new().await;
    let mut raw = attacked.bound().await;
    // Of kinds that are not known, or of none.
    for number in 0..20_000_u32 {
        let mut stream = raw.connection.open_uni().await.unwrap();
        if number % 2 == 0 {
            stream.write_all(&[99, 1, 2, 3]).await.unwrap();
        }
        stream.finish().unwrap();
    }
    raw.send(&[echo(1)]).await;
    replied(&mut raw.their_lane().await, 1).await;
    // As many as there may be, and none says what it is for.
    let mut silent = Vec::new();
    while let Ok(Ok(mut stream)) = timeout(Duration::from_millis(200), raw.connection.open_uni()).await {
        if stream.write_all(&[0x80]).await.is_err() {
            break;
        }
        silent.push(stream);
    }
    println!("{} streams", silent.len());
    assert!(silent.len() <= 1024);
    attacked.breaks_off(&raw, 3, "did not say what it is for", Duration::from_secs(12)).await;
    attacked.unharmed().await;
}

/// Counts its turns that are under way.
#[actor_service]
trait Held {
    async fn hold(&self);
}

struct Holding(Arc<AtomicUsize>);

struct Count(Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[actor_service]
impl Held for Holding {
    async fn hold(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        let _count = Count(self.0.clone());
        std::future::pending::<()>().await;
    }
}

#[test]
fn a_peer_that_vanishes_in_the_middle_of_its_calls() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let attacked = Attacked::new().await;
        let under_way = Arc::new(AtomicUsize::new(0));
        attacked.server.register("held", Holding(under_way.clone())).unwrap();
        let theirs =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (authority, at) = (Authority::from_pem(attacked.authority.to_pem()).unwrap(), attacked.at);
        let raw = theirs.spawn(async move {
            let mut raw = Raw::bound(&authority, at, "held").await;
            let calls: Vec<Frame> =
                (1..=32).map(|number| wire::call(number, HeldService::METHODS[0].id, 1, &[])).collect();
            raw.send(&calls).await;
            raw
        });
        let raw = raw.await.unwrap();
        while under_way.load(Ordering::Relaxed) < 32 {
            sleep(Duration::from_millis(5)).await;
        }
        let peer = raw.endpoint.local_addr().unwrap().to_string();
        // Nothing of it runs any more, and it has said nothing.
        let vanished = Instant::now();
        theirs.shutdown_background();
        while under_way.load(Ordering::Relaxed) > 0 {
            assert!(vanished.elapsed() < Duration::from_secs(3), "its calls go on");
            sleep(Duration::from_millis(5)).await;
        }
        let lines = logged::awaited(&[&peer]).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("WARN") && lines[0].contains("nothing was heard"), "{lines:?}");
        std::mem::forget(raw);
        attacked.unharmed().await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_at_once() {
    let count = std::env::var("CONNECTIONS").ok().and_then(|count| count.parse().ok());
    connections_at_once(count.unwrap_or(300)).await;
}

async fn connections_at_once(connections: u64) {
    let _alone = ALONE.write().await;
    let attacked = Attacked::with(None).await;
    let identity = attacked.authority.issue(["actor://test/raw"]).unwrap();
    let mut transport = raw::transport();
    transport.max_idle_timeout(Some(Duration::from_secs(10).try_into().unwrap()));
    let transport = Arc::new(transport);
    // Each of ten connections, so that it is not their own sockets that overflow.
    let dialler = |_| raw::dialler(&attacked.authority, Some(&identity), transport.clone());
    let endpoints: Vec<_> = (0..100).map(dialler).collect();
    let begun = Instant::now();
    let connect = async |number: u64| {
        let endpoint = &endpoints[number as usize % endpoints.len()];
        let connection = endpoint.connect(attacked.at, "127.0.0.1").unwrap().await.ok()?;
        let call = async {
            let mut raw = Raw::streams(endpoint.clone(), connection, wire::hello(1, 1)).await;
            raw.send(&[wire::bind(1, "post"), echo(number)]).await;
            replied(&mut raw.their_lane().await, number).await;
            raw
        };
        // A raw peer panics if its connection is gone.
        AssertUnwindSafe(call).catch_unwind().await.ok()
    };
    // Who was not served tries again, as a client of the framework does.
    let connect = async |number: u64| {
        for attempt in 1..=5 {
            if let Some(raw) = connect(number).await {
                return Some((attempt, raw));
            }
            sleep(Duration::from_millis(number % 500)).await;
        }
        None
    };
    let ends = join_all((1..=connections).map(connect)).await;
    let at_once = ends.iter().flatten().filter(|(attempt, _)| *attempt == 1).count();
    println!("{connections} connections and calls in {:?}, {at_once} at the first attempt", begun.elapsed());
    assert!(ends.iter().all(Option::is_some));
    assert!(at_once as u64 >= connections / 2);
    drop(ends);
    // Handshakes are dear in a build without optimisation.
    attacked.unharmed_within(Duration::from_secs(5)).await;
}

async fn a_client_that_never_reads_its_replies_does_not_fill_the_server() {
    // Short replies share the lane with the credit, so the peer that reads none gets none. Long ones have streams of
    // their own, and it reads the lane.
    tokio::join!(never_reads("short", 20_000, 100), never_reads("long", 500_000, 700));
}

/// A server in a process of its own, so that its memory can be seen: it may not grow by so many MiB.
async fn never_reads(what: &str, bytes: u64, bound: u64) {
    let authority = cluster();
    let program = Path::new(env!("CARGO_BIN_EXE_faults"));
    let mut server = Server::start(program, &authority, &process::identity(&authority), "127.0.0.1:0");
    let at: SocketAddr = server.address().parse().unwrap();
    let witness = Witness::start(&authority, &at.to_string()).await;
    let before = server.resident();
    let identity = authority.issue(["actor://test/raw"]).unwrap();
    let mut narrow = raw::transport();
    narrow.stream_receive_window(65_536_u32.into()).receive_window(1_000_000_u32.into());
    let endpoint = raw::dialler(&authority, Some(&identity), narrow.into());
    let connection = endpoint.connect(at, "127.0.0.1").unwrap().await.unwrap();
    let mut raw = Raw::streams(endpoint, connection, wire::hello(1, 1)).await;
    raw.send(&[wire::bind(1, "post"), echo(1)]).await;
    let mut lane = raw.their_lane().await;
    replied(&mut lane, 1).await;
    let (mut credit, mut most, mut calls) = (1023, 0, 0);
    while calls < 5000 {
        if credit == 0 {
            let told = timeout(SOON, async {
                if what == "long" { lane.next(kind::CREDIT).await } else { std::future::pending().await }
            });
            let Ok(Some(told)) = told.await else { break };
            credit += told.number(5).unwrap();
        }
        credit -= 1;
        calls += 1;
        raw.send(&[wire::call(1 + calls, method("give"), 1, &arguments((bytes,)))]).await;
        most = most.max(server.resident());
    }
    sleep(Duration::from_millis(500)).await;
    let grown = most.max(server.resident()).saturating_sub(before) / (1024 * 1024);
    println!("{what} replies that nobody reads: {calls} calls, {grown} MiB");
    assert!(grown < bound, "{grown} MiB");
    witness.served(Duration::from_millis(1500)).await;
    // It does not wait for ever either.
    let told = raw.ended(Duration::from_secs(15)).await.unwrap();
    assert!(told.reason.contains("does not read"), "{told:?}");
    assert!(server.ended().is_none());
}

/// A raw server, for a client of the framework.
struct Hostile {
    authority: Authority,
    endpoint: quinn::Endpoint,
    at: SocketAddr,
    node: Node,
}

impl Hostile {
    fn new() -> Self {
        logged::start();
        let authority = cluster();
        let identity = authority.issue(["actor://test/hostile", "127.0.0.1"]).unwrap();
        let endpoint = raw::listener(&authority, &identity);
        let node = node(&authority, "victim");
        Self { at: endpoint.local_addr().unwrap(), endpoint, node, authority }
    }

    async fn connection(&self) -> quinn::Connection {
        self.endpoint.accept().await.unwrap().await.unwrap()
    }

    async fn accept(&self, hello: Frame) -> Raw {
        let connection = self.connection().await;
        Raw::streams(self.endpoint.clone(), connection, hello).await
    }

    fn client(&self) -> PostClient {
        PostClient::on(&self.node, &FixedResolver::new([("post", self.at)]), "post")
    }

    async fn call(&self) -> Result<u64, Failure> {
        self.client().echo(1).await
    }

    /// The node is as good as before.
    async fn unharmed(&self) {
        let server = ActorServer::bind_on(&node(&self.authority, "honest"), "127.0.0.1:0").await.unwrap();
        server.register("post", Window::default()).unwrap();
        assert_eq!(call(&self.node, server.address().to_string().parse().unwrap()).await.unwrap(), 1);
        assert_eq!(logged::panics(), [""; 0]);
    }
}

async fn a_server_that_says_garbage_or_nothing() {
    let hostile = Hostile::new();
    let garbage = async {
        let connection = hostile.connection().await;
        let mut control = connection.open_uni().await.unwrap();
        control.write_all(b"\x01HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        ended(&connection, SOON).await.unwrap()
    };
    let (told, failure) = tokio::join!(garbage, hostile.call());
    assert_eq!(told.code, Some(1), "{told:?}");
    let failure = failure.unwrap_err();
    assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Unreachable, Delivery::NotDelivered));
    assert!(failure.detail().contains("longer than"), "{failure}");
    assert!(failure.detail().contains(&hostile.at.to_string()), "{failure}");

    let begun = Instant::now();
    let (_silent, failure) = tokio::join!(hostile.connection(), hostile.call());
    let failure = failure.unwrap_err();
    assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Unreachable, Delivery::NotDelivered));
    assert!(failure.detail().contains("did not introduce itself"), "{failure}");
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
    hostile.unharmed().await;
}

/// A hostile server to which calls are under way.
async fn called(hostile: &Hostile, calls: u64) -> (Raw, Vec<actor_runtime::Task<Result<u64, Failure>>>) {
    let client = hostile.client();
    let calls = (0..calls).map(|n| {
        let client = client.clone();
        hostile.node.spawn(async move { client.hold(n, 1).await })
    });
    let calls: Vec<_> = calls.collect();
    let mut raw = hostile.accept(wire::hello(1, 1)).await;
    // It has the service as its caller knows it, so far as anybody asks.
    let mut control = loop {
        let incoming = Incoming::accept(&raw.connection).await.unwrap();
        if incoming.kind == wire::stream::CONTROL {
            break incoming;
        }
        std::mem::forget(incoming);
    };
    let asked = control.next(18).await.unwrap();
    let table = Frame::new(19).bytes(1, asked.text(1).as_bytes());
    raw.control.write_all(&table.encode()).await.unwrap();
    std::mem::forget(control);
    sleep(Duration::from_millis(100)).await;
    raw.send(&[]).await;
    (raw, calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_replies_to_what_was_not_asked() {
    let wrong = [
        (wire::reply(1000, &[]), "a reply to call 1000, which was not made"),
        (Frame::new(kind::REPLY).number(1, 1), "tag 2 is missing"),
        (Frame::new(kind::CANCEL).number(1, 1), "more cancellations than calls"),
    ];
    for (frame, cause) in wrong {
        let hostile = Hostile::new();
        let (mut raw, calls) = called(&hostile, 8).await;
        raw.send(&[frame]).await;
        for call in calls {
            let failure = timeout(SOON, call).await.unwrap().unwrap().unwrap_err();
            assert_eq!(
                (failure.kind(), failure.delivery()),
                (FailureKind::ConnectionLost, Delivery::Unknown)
            );
            assert!(failure.detail().contains(cause), "{failure}");
            assert!(failure.detail().contains(&hostile.at.to_string()), "{failure}");
        }
        assert_eq!(raw.ended(SOON).await.unwrap().code, Some(1));
        let lines = logged::awaited(&[&hostile.at.to_string(), cause]).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        hostile.unharmed().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_replies_with_what_cannot_be_read_fails_that_call() {
    let hostile = Hostile::new();
    let (mut raw, calls) = called(&hostile, 1).await;
    raw.send(&[wire::reply(1, &[0xff; 40])]).await;
    for call in calls {
        let failure = timeout(SOON, call).await.unwrap().unwrap().unwrap_err();
        assert_eq!(
            (failure.kind(), failure.delivery()),
            (FailureKind::Malformed, Delivery::Executed),
            "{failure}"
        );
    }
    hostile.unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_never_replies() {
    let hostile = Hostile::new();
    let client =
        hostile.client().with_options(actor_runtime::CallOptions::new().timeout(Duration::from_millis(700)));
    let begun = Instant::now();
    let calls = stream::iter(0..64).map(|n| client.echo(n)).buffer_unordered(64).collect::<Vec<_>>();
    let serving = async {
        let raw = hostile.accept(wire::hello(1, 1)).await;
        sleep(Duration::from_secs(1)).await;
        raw
    };
    let (_raw, ends) = tokio::join!(serving, calls);
    for end in ends {
        assert_eq!(end.unwrap_err().kind(), FailureKind::DeadlineExceeded);
    }
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let (_raw, calls) = called(&Hostile::new(), 1).await;
    assert!(!calls[0].is_finished());
    calls[0].abort();
    hostile.unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_whose_body_does_not_come_or_is_another() {
    let hostile = Hostile::new();
    let (mut raw, calls) = called(&hostile, 1).await;
    raw.send(&[wire::reply(1, &[]).number(11, 100_000)]).await;
    let mut stream = raw.connection.open_uni().await.unwrap();
    stream.write_all(&[&[4, 1][..], &[0; 50_000]].concat()).await.unwrap();
    sleep(Duration::from_millis(200)).await;
    stream.reset(1_u32.into()).unwrap();
    for call in calls {
        let failure = timeout(SOON, call).await.unwrap().unwrap().unwrap_err();
        assert_eq!(failure.delivery(), Delivery::Executed, "{failure}");
    }
    hostile.unharmed().await;
}
