//! TLS 1.3 over TCP: all calls in one connection, answered in the reader, on two workers.

use std::{io, net::Ipv4Addr, net::SocketAddr, sync::Arc};

use bytes::{Bytes, BytesMut};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{
    Connection, Peer,
    echo::{Receiver, call_small},
};
use crate::net::{
    handoff::Handoff,
    places::{Handles, Places},
    slots::Slots,
    trust::{Identity, NAME},
    wire::{BODY, Small, put, take_whole},
};

/// Room for reads: some TLS records. What was never written of it takes no memory.
const ROOM: usize = 64 << 10;

/// With less than this, new room is made.
const LEAST: usize = 8 << 10;

#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
}

impl Peer for Tls {
    type Connection = Arc<Mux>;

    fn places() -> io::Result<Places> {
        Places::two_workers()
    }

    async fn serve(_: Handles, identity: Identity) -> io::Result<SocketAddr> {
        let acceptor = TlsAcceptor::from(Arc::new(identity.tls_server()?));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    socket.set_nodelay(true)?;
                    let (receive, send) = tokio::io::split(acceptor.accept(socket).await?);
                    let outgoing = Arc::new(Handoff::new());
                    tokio::spawn(write(send, Arc::clone(&outgoing)));
                    read(receive, Receiver::Inline(outgoing)).await
                });
            }
        });
        Ok(address)
    }

    async fn client(_: Handles, identity: Identity) -> io::Result<Self> {
        Ok(Self { config: Arc::new(identity.tls_client()?) })
    }

    async fn connect(&self, server: SocketAddr) -> io::Result<Arc<Mux>> {
        let socket = TcpStream::connect(server).await?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(&self.config)).connect(name, socket).await?;
        let (receive, send) = tokio::io::split(stream);
        let (slots, outgoing) = (Arc::new(Slots::new()), Arc::new(Handoff::new()));
        tokio::spawn(write(send, Arc::clone(&outgoing)));
        let reader = tokio::spawn(read(receive, Receiver::Callers(Arc::clone(&slots))));
        Ok(Arc::new(Mux { slots, outgoing, reader }))
    }
}

/// The client's end of a connection.
pub(crate) struct Mux {
    slots: Arc<Slots>,
    outgoing: Arc<Handoff<u8>>,
    reader: JoinHandle<io::Result<()>>,
}

impl Drop for Mux {
    fn drop(&mut self) {
        self.outgoing.close();
        self.reader.abort();
    }
}

impl Connection for Arc<Mux> {
    async fn small(&self, value: &Small) -> io::Result<Small> {
        call_small(&self.slots, &self.outgoing, value).await
    }

    async fn body(&self, body: Bytes) -> io::Result<Bytes> {
        let reply = self.slots.wait()?;
        self.outgoing.put(|out| put(out, reply.id(), BODY, &body));
        reply.await
    }
}

async fn write(mut stream: impl AsyncWrite + Unpin, outgoing: Arc<Handoff<u8>>) -> io::Result<()> {
    let mut batch = Vec::new();
    while outgoing.take(&mut batch).await {
        stream.write_all(&batch).await?;
        stream.flush().await?;
    }
    stream.shutdown().await
}

async fn read(mut stream: impl AsyncRead + Unpin, receiver: Receiver) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    let result = async {
        loop {
            if buffer.capacity() - buffer.len() < LEAST {
                buffer.reserve(ROOM);
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            receiver.batch(take_whole(&mut buffer)?)?;
        }
    }
    .await;
    receiver.close();
    result
}
