//! What needs real sockets, processes or threads.

mod blocking;
mod carried;
mod group;
mod hostile;
mod inspect;
mod quic;
mod s6_processes;
