use quinn::ConnectionError;

use super::{
    ms,
    quic::{self, IDLE, Pair, Trust},
    simulate, since, sleep,
};
use crate::{node::clock, testing::SimNet};

#[test]
fn a_handshake_takes_one_round_trip_and_a_call_another() {
    let net = SimNet::new(1);
    net.latency(ms(50)..=ms(50));
    simulate(async {
        let pair = Pair::new(&net, &Trust::new());
        let start = clock::now();
        let connection = pair.connect().await;
        assert_eq!(since(start), ms(100));
        quic::call(&connection, 100).await.unwrap();
        assert_eq!(since(start), ms(200));
    });
}

#[test]
fn a_partition_ends_a_connection_after_the_idle_time_and_not_before() {
    let net = SimNet::new(1);
    simulate(async {
        let pair = Pair::new(&net, &Trust::new());
        let connection = pair.connect().await;
        quic::call(&connection, 100).await.unwrap();
        sleep(ms(500)).await;
        quic::call(&connection, 100).await.unwrap();

        let last_heard = clock::now();
        net.partition(&pair.client, &pair.server);
        assert_eq!(connection.closed().await, ConnectionError::TimedOut);
        // Up to a round trip later: what the client sends first after it has heard something counts too.
        let after = since(last_heard);
        assert!((IDLE..IDLE + ms(10)).contains(&after), "{after:?}");
        assert!(net.counts().cut > 0);
    });
}

#[test]
fn a_partition_that_is_healed_in_time_is_survived() {
    let net = SimNet::new(1);
    simulate(async {
        let pair = Pair::new(&net, &Trust::new());
        let connection = pair.connect().await;
        net.partition(&pair.client, &pair.server);
        let call = quic::call(&connection, 100);
        let heal = async {
            sleep(IDLE / 3).await;
            net.heal(&pair.client, &pair.server);
        };
        let (reply, ()) = futures::join!(call, heal);
        reply.unwrap();
    });
}

#[test]
fn a_pause_shorter_than_the_idle_time_is_survived() {
    let net = SimNet::new(1);
    simulate(async {
        let pair = Pair::new(&net, &Trust::new());
        let connection = pair.connect().await;
        quic::call(&connection, 100).await.unwrap();
        let start = clock::now();
        net.pause(&pair.server);
        let call = quic::call(&connection, 20_000);
        let resume = async {
            sleep(IDLE / 2).await;
            net.resume(&pair.server);
        };
        let (reply, ()) = futures::join!(call, resume);
        reply.unwrap();
        assert!(since(start) >= IDLE / 2);
        assert!(since(start) < IDLE / 2 + ms(1000), "{:?}", since(start));
    });
}

#[test]
fn a_pause_longer_than_the_idle_time_is_not() {
    let net = SimNet::new(1);
    simulate(async {
        let pair = Pair::new(&net, &Trust::new());
        let connection = pair.connect().await;
        net.pause(&pair.server);
        assert_eq!(quic::call(&connection, 100).await, Err(ConnectionError::TimedOut));
    });
}

#[test]
fn a_killed_server_is_silent_and_its_successor_can_be_reached() {
    let net = SimNet::new(1);
    let trust = Trust::new();
    simulate(async {
        let pair = Pair::new(&net, &trust);
        let connection = pair.connect().await;
        net.kill(&pair.server);
        let start = clock::now();
        assert_eq!(quic::call(&connection, 100).await, Err(ConnectionError::TimedOut));
        assert!(since(start) >= IDLE, "{:?}", since(start));
        assert!(net.counts().unreachable > 0);

        net.revive(&pair.server);
        let successor = Pair::new(&net, &trust);
        let connection = successor.connect().await;
        quic::call(&connection, 100).await.unwrap();
    });
}

#[test]
fn a_successor_at_once_resets_the_connections_of_the_killed() {
    let net = SimNet::new(1);
    let trust = Trust::new();
    simulate(async {
        let pair = Pair::new(&net, &trust);
        let connection = pair.connect().await;
        net.kill(&pair.server);
        net.revive(&pair.server);
        let successor = Pair::new(&net, &trust);
        // It has another reset key, so that the client does not believe it: the idle time decides.
        assert_eq!(quic::call(&connection, 100).await, Err(ConnectionError::TimedOut));
        quic::call(&successor.connect().await, 100).await.unwrap();
    });
}

#[test]
fn certificates_are_verified() {
    let net = SimNet::new(1);
    simulate(async {
        let pair = Pair::new(&net, &Trust::new());
        let connecting = pair.endpoint.connect(pair.address(), "another").unwrap();
        assert!(matches!(connecting.await, Err(ConnectionError::TransportError(_))));
        let stranger = quic::endpoint(&net, &net.host("stranger"), 0, 3, None);
        let connecting = stranger.connect_with(Trust::new().client(), pair.address(), "server").unwrap();
        assert!(matches!(connecting.await, Err(ConnectionError::TransportError(_))));
    });
}
