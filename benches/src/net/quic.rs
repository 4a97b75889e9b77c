//! Raw quinn as all its peers use it: one socket with large buffers, and settings for a network close by.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use quinn::{
    ClientConfig, Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use socket2::SockRef;

use super::trust::Identity;

const MIB: u32 = 1 << 20;

/// What is asked of the system for each direction of a socket.
const SOCKET_BUFFER: usize = 4 << 20;

/// Streams that the other side may open at once.
#[derive(Clone, Copy)]
pub(crate) struct Streams {
    pub(crate) uni: u32,
    pub(crate) bidi: u32,
}

/// An endpoint that accepts and connects. To be called where the network runs: quinn spawns its drivers there.
pub(crate) fn endpoint(identity: &Identity, streams: Streams) -> io::Result<Endpoint> {
    let tls = QuicServerConfig::try_from(identity.tls_server()?).map_err(io::Error::other)?;
    let mut server = ServerConfig::with_crypto(Arc::new(tls));
    server.transport_config(Arc::new(transport(streams, None)));

    let tls = QuicClientConfig::try_from(identity.tls_client()?).map_err(io::Error::other)?;
    let mut client = ClientConfig::new(Arc::new(tls));
    client.transport_config(Arc::new(transport(streams, Some(Duration::from_millis(750)))));

    let (socket, _) = socket()?;
    let mut endpoint =
        Endpoint::new(EndpointConfig::default(), Some(server), socket, Arc::new(TokioRuntime))?;
    endpoint.set_default_client_config(client);
    Ok(endpoint)
}

/// Connects, and authenticates both sides.
pub(crate) async fn connect(endpoint: &Endpoint, server: SocketAddr) -> io::Result<quinn::Connection> {
    Ok(endpoint.connect(server, super::trust::NAME).map_err(io::Error::other)?.await?)
}

/// What the system gives of the buffers that are asked for: bytes to receive and to send. Linux counts double.
pub(crate) fn granted() -> io::Result<(usize, usize)> {
    socket().map(|(_, granted)| granted)
}

fn socket() -> io::Result<(UdpSocket, (usize, usize))> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let options = SockRef::from(&socket);
    options.set_recv_buffer_size(SOCKET_BUFFER)?;
    options.set_send_buffer_size(SOCKET_BUFFER)?;
    let granted = (options.recv_buffer_size()?, options.send_buffer_size()?);
    Ok((socket, granted))
}

/// The client keeps the connection alive; if both did, each would pay for the other's.
fn transport(streams: Streams, keep_alive: Option<Duration>) -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .send_fairness(false)
        .initial_rtt(Duration::from_millis(20))
        .max_idle_timeout(Some(VarInt::from_u32(2_000).into()))
        .keep_alive_interval(keep_alive)
        .stream_receive_window(VarInt::from_u32(8 * MIB))
        .receive_window(VarInt::from_u32(32 * MIB))
        .send_window(u64::from(16 * MIB))
        .datagram_receive_buffer_size(None)
        .max_concurrent_uni_streams(VarInt::from_u32(streams.uni))
        .max_concurrent_bidi_streams(VarInt::from_u32(streams.bidi));
    config
}
