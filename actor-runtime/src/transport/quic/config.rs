//! The settings of quinn, and why each is what it is.

use std::{io, sync::Arc, time::Duration};

use quinn::{
    AckFrequencyConfig, ClientConfig, EndpointConfig, ServerConfig, TransportConfig, VarInt,
    congestion::CubicConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};

use super::ids::Ids;
use crate::{
    node::Config,
    trust::{Trust, TrustError},
};

/// Streams that a peer may have open at first: control, lane and bodies. quinn keeps memory for each permitted one, so
/// there are few, and more where bodies need them.
pub(super) const FIRST_STREAMS: u32 = 64;
/// The most that it grows to.
pub(super) const MOST_STREAMS: u32 = 1024;

/// How long a peer may be in the middle of something and send nothing of it. Bodies stand behind each other, and behind
/// what was lost: one may stand still as long as others arrive.
pub(super) const STREAM_PATIENCE: Duration = Duration::from_secs(10);

fn transport(config: &Config, keep_alive: bool) -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    let idle = VarInt::from_u64(u64::try_from(config.idle_timeout.as_millis()).unwrap_or(u64::MAX))
        .unwrap_or(VarInt::MAX);
    transport
        .max_idle_timeout(Some(idle.into()))
        // Who dialled keeps the connection alive; the answers serve the other side too.
        .keep_alive_interval(keep_alive.then_some(config.keep_alive))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(FIRST_STREAMS))
        .datagram_receive_buffer_size(None)
        // Without it a stream that was begun is written to its end, whatever the priority of others: the lane would
        // wait for whole bodies. Bodies do not share all the same, for each has a priority of its own.
        .send_fairness(true)
        // A lost first packet is sent again after three of these; quinn's default of 333 ms is for the open Internet.
        .initial_rtt(Duration::from_millis(20))
        .stream_receive_window(VarInt::from_u32(8 * 1024 * 1024))
        .receive_window(VarInt::from_u32(32 * 1024 * 1024))
        .send_window(16 * 1024 * 1024)
        .ack_frequency_config(Some(acknowledgements()))
        .congestion_controller_factory(Arc::new(congestion()));
    Arc::new(transport)
}

/// A peer is asked to acknowledge with what it sends anyway. quinn's default is a packet of its own after every second one:
/// between callers and actors that was every second packet of all, and each wakes a thread of the other side.
///
/// Packets that are missing are still told at once. A sender whose congestion window is smaller than the threshold, as after
/// losses, waits for the delay each time: so it is no larger than what small calls gain from.
fn acknowledgements() -> AckFrequencyConfig {
    let mut acknowledgements = AckFrequencyConfig::default();
    acknowledgements
        .ack_eliciting_threshold(VarInt::from_u32(40))
        // Shorter ones have timers rung for every few calls: with 1 ms a call alone takes a quarter longer.
        .max_ack_delay(Some(Duration::from_millis(5)));
    acknowledgements
}

/// As many packets may be on their way at first as the network of a cluster takes, some 45. With QUIC's ten a sender would
/// wait several times for an acknowledgement that is due after the delay above: the first body of 1 MiB of a connection
/// took 20 ms in place of 3.
fn congestion() -> CubicConfig {
    let mut congestion = CubicConfig::default();
    congestion.initial_window(64 * 1024);
    congestion
}

/// For connections that are made from here.
pub(super) fn client(trust: &Trust, config: &Config) -> Result<ClientConfig, TrustError> {
    let tls = QuicClientConfig::try_from(trust.client_config()).map_err(no_initial_suite)?;
    let mut client = ClientConfig::new(Arc::new(tls));
    client.transport_config(transport(config, true));
    Ok(client)
}

/// For connections that others make.
pub(super) fn server(trust: &Trust, config: &Config) -> Result<ServerConfig, TrustError> {
    let tls = QuicServerConfig::try_from(trust.server_config()).map_err(no_initial_suite)?;
    let mut server = ServerConfig::with_crypto(Arc::new(tls));
    server
        .transport_config(transport(config, false))
        .max_incoming(1024)
        // What strangers may have buffered here before they have proved who they are.
        .incoming_buffer_size(64 * 1024)
        .incoming_buffer_size_total(16 * 1024 * 1024);
    Ok(server)
}

/// For sockets. The key of stateless resets is the identity's: so a server that was killed and started again tells its
/// old callers at once that their connections are gone.
pub(super) fn endpoint(trust: &Trust, seed: Option<[u8; 32]>) -> io::Result<EndpointConfig> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, trust.identity().secret());
    let reset = ring::hmac::sign(&key, b"actor stateless reset");
    let mut endpoint =
        EndpointConfig::new(Arc::new(ring::hmac::Key::new(ring::hmac::HMAC_SHA256, reset.as_ref())));
    let ids = Ids::new()?;
    endpoint.cid_generator(move || Box::new(ids.clone()));
    endpoint.rng_seed(seed);
    Ok(endpoint)
}

fn no_initial_suite(error: quinn::crypto::rustls::NoInitialCipherSuite) -> TrustError {
    TrustError::crypto(error)
}
