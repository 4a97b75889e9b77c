//! Raw quinn with one long stream a direction for all small calls, and a stream for each large body.
//!
//! ```text
//!   caller ── frame ──► outgoing ──► lane writer ~~ QUIC ~~► lane reader ── batch ──► actor (or at once)
//!     ▲                                                                                 │
//!     └─ slot ◄── lane reader ◄~~ QUIC ~~ lane writer ◄── outgoing ◄── frames of a batch ┘
//!
//!   (a) NETWORK          quinn, readers and writers on a network thread; callers and actor on two workers
//!   (c) NETWORK, INLINE  the same, and the server answers in the reader
//!   (e) neither          one thread for everything
//! ```

use std::{io, net::SocketAddr, sync::Arc};

use bytes::{Bytes, BytesMut};
use quinn::{Connection as Quic, Endpoint, RecvStream, SendStream};
use tokio::runtime::Handle;

use super::{
    Connection, Peer,
    echo::{Item, Receiver, actor, call_small},
};
use crate::net::{
    handoff::Handoff,
    places::{Handles, Places},
    quic::{self, Streams},
    slots::Slots,
    trust::Identity,
    wire::{Small, take_whole},
};

const STREAMS: Streams = Streams { uni: 64, bidi: 0 };

/// The first byte of a stream says what it is for.
const LANE: u8 = 1;
const BODY: u8 = 2;

/// What follows on a stream with a body: the call's id and the body's length.
const BODY_HEAD: usize = 16;
const LONGEST_BODY: usize = 16 << 20;

/// Pieces that one read takes from quinn, at most: many packets.
const CHUNKS: usize = 32;

#[derive(Clone)]
pub(crate) struct QuinnMux<const NETWORK: bool, const INLINE: bool> {
    on: Handles,
    endpoint: Endpoint,
}

impl<const NETWORK: bool, const INLINE: bool> Peer for QuinnMux<NETWORK, INLINE> {
    type Connection = Arc<Lane>;

    fn places() -> io::Result<Places> {
        if NETWORK { Places::network_thread() } else { Places::one_thread() }
    }

    async fn serve(on: Handles, identity: Identity) -> io::Result<SocketAddr> {
        let callers = on.callers.clone();
        on.on_network(async move {
            let endpoint = quic::endpoint(&identity, STREAMS)?;
            let address = endpoint.local_addr()?;
            tokio::spawn(async move {
                while let Some(incoming) = endpoint.accept().await {
                    let callers = callers.clone();
                    tokio::spawn(async move {
                        if let Ok(quic) = incoming.await {
                            accepted::<INLINE>(quic, &callers).await;
                        }
                    });
                }
            });
            Ok(address)
        })
        .await
    }

    async fn client(on: Handles, identity: Identity) -> io::Result<Self> {
        let endpoint = on.on_network(async move { quic::endpoint(&identity, STREAMS) }).await?;
        Ok(Self { on, endpoint })
    }

    async fn connect(&self, server: SocketAddr) -> io::Result<Arc<Lane>> {
        let Self { on, endpoint } = self.clone();
        let network = on.network.clone();
        on.on_network(async move {
            let quic = quic::connect(&endpoint, server).await?;
            let (slots, outgoing) = (Arc::new(Slots::new()), Arc::new(Handoff::new()));
            tokio::spawn(write_lane(quic.clone(), Arc::clone(&outgoing)));
            tokio::spawn(read_streams(quic.clone(), Receiver::Callers(Arc::clone(&slots))));
            Ok(Arc::new(Lane { slots, outgoing, quic, network }))
        })
        .await
    }
}

/// The client's end of a connection.
pub(crate) struct Lane {
    slots: Arc<Slots>,
    outgoing: Arc<Handoff<u8>>,
    quic: Quic,
    network: Handle,
}

impl Connection for Arc<Lane> {
    async fn small(&self, value: &Small) -> io::Result<Small> {
        call_small(&self.slots, &self.outgoing, value).await
    }

    async fn body(&self, body: Bytes) -> io::Result<Bytes> {
        let reply = self.slots.wait()?;
        self.network.spawn(send_body(self.quic.clone(), reply.id(), body));
        reply.await
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.outgoing.close();
        self.quic.close(0_u32.into(), b"");
    }
}

/// The server's end of a connection, until it is lost.
async fn accepted<const INLINE: bool>(quic: Quic, callers: &Handle) {
    let outgoing = Arc::new(Handoff::new());
    tokio::spawn(write_lane(quic.clone(), Arc::clone(&outgoing)));
    let receiver = if INLINE {
        Receiver::Inline(outgoing)
    } else {
        let mailbox = Arc::new(Handoff::<Item>::new());
        let (network, answers) = (Handle::current(), quic.clone());
        callers.spawn(actor(Arc::clone(&mailbox), outgoing, move |id, body| {
            network.spawn(send_body(answers.clone(), id, body));
        }));
        Receiver::Actor(mailbox)
    };
    read_streams(quic, receiver).await;
}

/// Writes what is put into the buffer, all of it at once.
async fn write_lane(quic: Quic, outgoing: Arc<Handoff<u8>>) {
    let result: io::Result<()> = async {
        let mut stream = quic.open_uni().await?;
        stream.write_all(&[LANE]).await?;
        let mut batch = Vec::new();
        while outgoing.take(&mut batch).await {
            stream.write_all(&batch).await?;
        }
        Ok(())
    }
    .await;
    if result.is_err() {
        quic.close(1_u32.into(), b"the lane broke");
    }
}

/// Reads every stream that the other side opens, until the connection is lost.
async fn read_streams(quic: Quic, receiver: Receiver) {
    while let Ok(mut stream) = quic.accept_uni().await {
        let (quic, receiver) = (quic.clone(), receiver.clone());
        tokio::spawn(async move {
            let mut kind = [0];
            let read = stream.read_exact(&mut kind).await.map_err(io::Error::other);
            let result = match (read, kind) {
                (Ok(()), [LANE]) => read_lane(&mut stream, &receiver).await,
                (Ok(()), [BODY]) => read_body(&mut stream, &quic, &receiver).await,
                (result, _) => result.and(Err(io::Error::other("a stream of another kind"))),
            };
            if result.is_err() {
                quic.close(1_u32.into(), b"a stream broke");
            }
        });
    }
    receiver.close();
}

async fn read_lane(stream: &mut RecvStream, receiver: &Receiver) -> io::Result<()> {
    let mut chunks = [const { Bytes::new() }; CHUNKS];
    let mut buffer = BytesMut::new();
    while let Some(count) = stream.read_chunks(&mut chunks).await? {
        for chunk in &mut chunks[..count] {
            buffer.extend_from_slice(chunk);
            *chunk = Bytes::new();
        }
        receiver.batch(take_whole(&mut buffer)?)?;
    }
    Ok(())
}

async fn send_body(quic: Quic, id: u64, body: Bytes) {
    let result: io::Result<()> = async {
        let mut stream: SendStream = quic.open_uni().await?;
        let mut head = [0; 1 + BODY_HEAD];
        head[0] = BODY;
        head[1..9].copy_from_slice(&id.to_le_bytes());
        head[9..].copy_from_slice(&(body.len() as u64).to_le_bytes());
        stream.write_all_chunks(&mut [Bytes::copy_from_slice(&head), body]).await?;
        stream.finish()?;
        Ok(())
    }
    .await;
    if result.is_err() {
        quic.close(1_u32.into(), b"a body broke");
    }
}

/// A body in one piece: the only copy beside quinn's own.
async fn read_body(stream: &mut RecvStream, quic: &Quic, receiver: &Receiver) -> io::Result<()> {
    let mut head = [0; BODY_HEAD];
    stream.read_exact(&mut head).await.map_err(io::Error::other)?;
    let (id, length) = head.split_at(8);
    let id = u64::from_le_bytes(id.try_into().expect("eight bytes"));
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes")) as usize;
    if length > LONGEST_BODY {
        return Err(io::Error::other("a body that is too long"));
    }
    let mut body = Vec::with_capacity(length);
    let mut chunks = [const { Bytes::new() }; CHUNKS];
    while let Some(count) = stream.read_chunks(&mut chunks).await? {
        for chunk in &mut chunks[..count] {
            body.extend_from_slice(chunk);
            *chunk = Bytes::new();
        }
    }
    let body = Bytes::from(body);
    match receiver {
        Receiver::Callers(slots) => slots.reply(id, body),
        Receiver::Inline(_) => send_body(quic.clone(), id, body).await,
        Receiver::Actor(mailbox) => mailbox.put(|items| items.push(Item::Body(id, body))),
    }
    Ok(())
}
