//! Ways for frames between nodes. So far there is one, within a process: [`loopback`].

pub(crate) mod loopback;
