//! The socket of an endpoint, watched for what comes.
//!
//! tokio watches its own sockets for two things: that something has come, and that there is room to send. The kernel tells
//! the second whenever a datagram has left. Where datagrams leave by other threads than the one that watches
//! ([`pump`](super::pump)), each send would wake that one for nothing, often on another processor. So the socket is watched for the
//! first, and for the second only while it is full.

use std::{
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit, UdpSocketState},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    runtime::Handle,
};

/// A socket that a network thread reads and any thread sends from.
#[derive(Debug)]
pub(super) struct Socket {
    watched: AsyncFd<UdpSocket>,
    state: UdpSocketState,
    /// Whether it had no room when something was last sent.
    full: AtomicBool,
    /// Of the thread that watches.
    handle: Handle,
}

impl Socket {
    /// Has the runtime that this is called in watch the socket from now on.
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        let watched = watch(socket, Interest::READABLE)?;
        Ok(Self { watched, state, full: AtomicBool::new(false), handle: Handle::current() })
    }
}

/// Has the runtime of this context watch the socket for this.
fn watch(socket: UdpSocket, interest: Interest) -> io::Result<AsyncFd<UdpSocket>> {
    // SAFETY: a `UdpSocket` owns its descriptor, has the same one for as long as it lives, and does not close it before it is
    // dropped; it is owned by the `AsyncFd` until that is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(socket, interest) }?)
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Room { socket: self, waits: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let sent = self.state.send(self.watched.get_ref().into(), transmit);
        if let Err(error) = &sent
            && error.kind() == io::ErrorKind::WouldBlock
        {
            self.full.store(true, Ordering::Release);
        }
        sent
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut readable = ready!(self.watched.poll_read_ready(cx))?;
            let received = readable.try_io(|socket| self.state.recv(socket.get_ref().into(), buffers, meta));
            if let Ok(received) = received {
                return Poll::Ready(received);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.watched.get_ref().local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

/// Who waits for room in a socket.
#[derive(Debug)]
struct Room {
    socket: Arc<Socket>,
    /// The same socket, watched for room for so long as there is none.
    waits: Option<AsyncFd<UdpSocket>>,
}

impl UdpPoller for Room {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.socket.full.load(Ordering::Acquire) {
            self.waits = None;
            return Poll::Ready(Ok(()));
        }
        if self.waits.is_none() {
            let _entered = self.socket.handle.enter();
            let again = self.socket.watched.get_ref().try_clone()?;
            self.waits = Some(watch(again, Interest::WRITABLE)?);
        }
        if let Some(waits) = &self.waits {
            let _room = ready!(waits.poll_write_ready(cx))?;
        }
        self.waits = None;
        self.socket.full.store(false, Ordering::Release);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        net::Ipv4Addr,
        sync::{atomic::AtomicUsize, mpsc},
        task::Waker,
        thread,
    };

    use super::*;

    fn socket() -> Arc<Socket> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Arc::new(Socket::new(socket).unwrap())
    }

    fn send(from: &Socket, destination: SocketAddr, contents: &[u8]) {
        let transmit = Transmit { destination, ecn: None, contents, segment_size: None, src_ip: None };
        from.try_send(&transmit).unwrap();
    }

    fn poll_recv(socket: &Socket, cx: &mut Context<'_>) -> Poll<Vec<u8>> {
        let mut buffer = vec![0; 64 * 1024];
        let mut meta = [RecvMeta::default()];
        let received = socket.poll_recv(cx, &mut [IoSliceMut::new(&mut buffer)], &mut meta);
        received.map(|received| {
            assert_eq!(received.unwrap(), 1);
            buffer.truncate(meta[0].len);
            buffer
        })
    }

    /// Whoever else sends from it: with a socket of tokio's own it wakes for each datagram.
    #[test]
    fn the_thread_that_watches_sleeps_on_while_datagrams_leave() {
        let woken = Arc::new(AtomicUsize::new(0));
        let counted = woken.clone();
        let (sleeps, asleep) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .on_thread_park(move || {
                let _ = sleeps.send(());
            })
            .on_thread_unpark(move || {
                counted.fetch_add(1, Ordering::SeqCst);
            })
            .build()
            .unwrap();
        let (made, socket_made) = mpsc::channel();
        let watches = thread::Builder::new().spawn(move || {
            runtime.block_on(async {
                let socket = socket();
                made.send(socket.clone()).unwrap();
                poll_fn(|cx| poll_recv(&socket, cx)).await
            })
        });
        let here = socket_made.recv().unwrap();
        let there = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        asleep.recv().unwrap();
        let mut buffer = [0; 16];
        for _ in 0..100 {
            send(&here, there.local_addr().unwrap(), b"leaves");
            there.recv(&mut buffer).unwrap();
        }
        there.send_to(b"comes", here.local_addr().unwrap()).unwrap();
        assert_eq!(watches.unwrap().join().unwrap(), b"comes");
        assert_eq!(woken.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn who_waits_for_room_is_woken_when_there_is_some() {
        let socket = socket();
        let mut room = socket.clone().create_io_poller();
        assert!(matches!(
            room.as_mut().poll_writable(&mut Context::from_waker(Waker::noop())),
            Poll::Ready(Ok(()))
        ));
        socket.full.store(true, Ordering::SeqCst);
        assert!(room.as_mut().poll_writable(&mut Context::from_waker(Waker::noop())).is_pending());
        poll_fn(|cx| room.as_mut().poll_writable(cx)).await.unwrap();
        assert!(!socket.full.load(Ordering::SeqCst));
    }
}
