use std::{
    fmt,
    io::{self, IoSliceMut},
    net::{SocketAddr, SocketAddrV4},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};

use super::{datagram::Datagram, net::Shared, world::SocketId};
use crate::node::clock;

/// A UDP socket of a host, for a QUIC endpoint. Its port is free when it is dropped.
pub(crate) struct SimSocket {
    shared: Arc<Shared>,
    address: SocketAddrV4,
    id: SocketId,
}

impl SimSocket {
    pub(super) fn new(shared: Arc<Shared>, address: SocketAddrV4, id: SocketId) -> Self {
        Self { shared, address, id }
    }
}

impl AsyncUdpSocket for SimSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        // One segment: `max_transmit_segments` allows no more.
        self.shared.with(|world| {
            world.send(
                clock::now(),
                (self.address, self.id),
                transmit.destination,
                transmit.ecn,
                transmit.contents,
            )
        })
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (received, waker) = self.shared.with(|world| {
            let mut count = 0;
            for (buffer, meta) in buffers.iter_mut().zip(meta) {
                let Some(datagram) = world.receive(self.address, self.id) else { break };
                *meta = read(&datagram, buffer);
                count += 1;
            }
            if count > 0 {
                return (Poll::Ready(Ok(count)), None);
            }
            (Poll::Pending, world.wait_to_receive(self.address, self.id, cx.waker()))
        });
        drop(waker);
        received
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address.into())
    }

    fn max_transmit_segments(&self) -> usize {
        1
    }

    fn max_receive_segments(&self) -> usize {
        1
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

/// As UDP does, cuts off what does not fit.
fn read(datagram: &Datagram, buffer: &mut [u8]) -> RecvMeta {
    let length = datagram.contents.len().min(buffer.len());
    buffer[..length].copy_from_slice(&datagram.contents[..length]);
    RecvMeta {
        addr: datagram.from,
        len: length,
        stride: length,
        ecn: datagram.ecn,
        dst_ip: Some(datagram.to.ip()),
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        // Out of the lock first: a waker may drop what it wakes.
        let state = self.shared.still(|world| world.close(self.address, self.id));
        drop(state);
    }
}

impl fmt::Debug for SimSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimSocket({})", self.address)
    }
}

/// Waits until the host of a socket may send: while it is paused it may not.
#[derive(Debug)]
struct Writable(Arc<SimSocket>);

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = &self.0;
        if socket.shared.with(|world| world.wait_to_send(socket.address, socket.id, cx.waker())) {
            Poll::Pending
        } else {
            Poll::Ready(Ok(()))
        }
    }
}
