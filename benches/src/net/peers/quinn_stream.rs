//! Raw quinn with a stream for each call, on two workers.

use std::{io, net::SocketAddr, sync::Arc};

use bytes::{Bytes, BytesMut};
use quinn::{Connection as Quic, Endpoint, RecvStream, SendStream};

use super::{Connection, Peer};
use crate::net::{
    places::{Handles, Places},
    quic::{self, Streams},
    trust::Identity,
    wire::{BODY, SMALL, SMALL_BYTES, Small},
};

const STREAMS: Streams = Streams { uni: 0, bidi: 1024 };

const LONGEST: usize = 16 << 20;

#[derive(Clone)]
pub(crate) struct QuinnStream {
    endpoint: Endpoint,
}

impl Peer for QuinnStream {
    type Connection = Arc<Streamed>;

    fn places() -> io::Result<Places> {
        Places::two_workers()
    }

    async fn serve(_: Handles, identity: Identity) -> io::Result<SocketAddr> {
        let endpoint = quic::endpoint(&identity, STREAMS)?;
        let address = endpoint.local_addr()?;
        tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                tokio::spawn(async move {
                    let Ok(quic) = incoming.await else { return };
                    while let Ok((send, receive)) = quic.accept_bi().await {
                        tokio::spawn(answer(send, receive));
                    }
                });
            }
        });
        Ok(address)
    }

    async fn client(_: Handles, identity: Identity) -> io::Result<Self> {
        Ok(Self { endpoint: quic::endpoint(&identity, STREAMS)? })
    }

    async fn connect(&self, server: SocketAddr) -> io::Result<Arc<Streamed>> {
        Ok(Arc::new(Streamed(quic::connect(&self.endpoint, server).await?)))
    }
}

/// Closes with the last caller.
pub(crate) struct Streamed(Quic);

impl Drop for Streamed {
    fn drop(&mut self) {
        self.0.close(0_u32.into(), b"");
    }
}

impl Connection for Arc<Streamed> {
    async fn small(&self, value: &Small) -> io::Result<Small> {
        let (mut send, mut receive) = self.0.open_bi().await?;
        {
            // The kind and the argument leave in one write.
            let (mut place, mut frame) = ([0; SMALL_BYTES], [SMALL; SMALL_BYTES + 1]);
            let body = value.encode(&mut place)?;
            frame[1..=body.len()].copy_from_slice(body);
            send.write_all(&frame[..=body.len()]).await?;
        }
        send.finish()?;
        Small::decode(&receive.read_to_end(LONGEST).await.map_err(io::Error::other)?)
    }

    async fn body(&self, body: Bytes) -> io::Result<Bytes> {
        let (mut send, mut receive) = self.0.open_bi().await?;
        let length = body.len();
        send.write_all_chunks(&mut [Bytes::from_static(&[BODY]), body]).await?;
        send.finish()?;
        read(&mut receive, length).await
    }
}

/// One call: nobody is told if the caller is gone.
async fn answer(mut send: SendStream, mut receive: RecvStream) -> io::Result<()> {
    let mut kind = [0];
    receive.read_exact(&mut kind).await.map_err(io::Error::other)?;
    if kind == [SMALL] {
        let argument = receive.read_to_end(LONGEST).await.map_err(io::Error::other)?;
        let mut place = [0; SMALL_BYTES];
        send.write_all(Small::decode(&argument)?.encode(&mut place)?).await?;
    } else {
        let body = read(&mut receive, 1 << 20).await?;
        send.write_chunk(body).await?;
    }
    send.finish()?;
    Ok(())
}

/// The rest of a stream in one piece.
async fn read(receive: &mut RecvStream, expected: usize) -> io::Result<Bytes> {
    let mut body = BytesMut::with_capacity(expected);
    let mut chunks = [const { Bytes::new() }; 32];
    while let Some(count) = receive.read_chunks(&mut chunks).await? {
        for chunk in &mut chunks[..count] {
            body.extend_from_slice(chunk);
            *chunk = Bytes::new();
        }
        if body.len() > LONGEST {
            return Err(io::Error::other("a body that is too long"));
        }
    }
    Ok(body.freeze())
}
