//! The same echo over everything that is compared.
//!
//! To add one: implement [`Peer`] and [`Connection`] in a file of its own, give it a name in
//! [`PeerName`](super::arguments::PeerName), and a line in [`with_peer`].

mod echo;
mod ours;
mod quinn_mux;
mod quinn_stream;
mod tls;

use std::{future::Future, io, net::SocketAddr};

use bytes::Bytes;

pub(crate) use ours::{A, C, E, Ours};
pub(crate) use quinn_mux::QuinnMux;
pub(crate) use quinn_stream::QuinnStream;
pub(crate) use tls::Tls;

use super::{
    places::{Handles, Places},
    trust::Identity,
    wire::Small,
};

/// An echo in another process, and the way to it.
///
/// Each side is a process of its own. Both begin with `places`; the server then calls `serve` and lives until it is
/// told to end, the client calls `client` and, often, `connect`.
pub(crate) trait Peer: Clone + Send + Sync + Sized + 'static {
    type Connection: Connection;

    /// The threads of either process.
    fn places() -> io::Result<Places>;

    /// Starts the server on a free port of 127.0.0.1. Runs where callers run; what is started goes on by itself.
    fn serve(on: Handles, identity: Identity) -> impl Future<Output = io::Result<SocketAddr>> + Send;

    /// Starts what all connections of the client share. Runs where callers run.
    fn client(on: Handles, identity: Identity) -> impl Future<Output = io::Result<Self>> + Send;

    /// A new connection, with everything that a first call needs and an identity shown on both sides.
    fn connect(&self, server: SocketAddr) -> impl Future<Output = io::Result<Self::Connection>> + Send;
}

/// One connection. A clone is for another caller; when the last one is gone, the connection closes.
pub(crate) trait Connection: Clone + Send + Sync + 'static {
    /// Echoes a small struct: encoded and decoded on both sides.
    fn small(&self, value: &Small) -> impl Future<Output = io::Result<Small>> + Send;

    /// Echoes bytes.
    fn body(&self, body: Bytes) -> impl Future<Output = io::Result<Bytes>> + Send;
}

/// Calls `$run::<P>($args)` for the peer of that name.
macro_rules! with_peer {
    ($name:expr, $run:ident($($argument:expr),*)) => {{
        use $crate::net::{arguments::PeerName, peers::{A, C, E, Ours, QuinnMux, QuinnStream, Tls}};
        match $name {
            PeerName::OursA => $run::<Ours<A>>($($argument),*),
            PeerName::OursC => $run::<Ours<C>>($($argument),*),
            PeerName::OursE => $run::<Ours<E>>($($argument),*),
            PeerName::QuinnA => $run::<QuinnMux<true, false>>($($argument),*),
            PeerName::QuinnC => $run::<QuinnMux<true, true>>($($argument),*),
            PeerName::QuinnE => $run::<QuinnMux<false, false>>($($argument),*),
            PeerName::QuinnStream => $run::<QuinnStream>($($argument),*),
            PeerName::Tls => $run::<Tls>($($argument),*),
        }
    }};
}

pub(crate) use with_peer;
