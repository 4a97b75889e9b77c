use std::{
    fmt,
    net::Ipv4Addr,
    sync::{Arc, Weak},
};

use super::net::Shared;

/// A machine of a [`SimNet`](super::SimNet), which made it: [`SimNet::host`](super::SimNet::host). Clones are the same
/// host.
///
/// ```
/// use actor_runtime::testing::SimNet;
///
/// let server = SimNet::new(1).host("server");
/// assert_eq!(server.to_string(), "server (10.0.0.1)");
/// ```
#[derive(Clone)]
pub struct SimHost {
    pub(super) net: Weak<Shared>,
    pub(super) name: Arc<str>,
    pub(super) ip: Ipv4Addr,
}

impl SimHost {
    /// Its address in the network.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// assert!(SimNet::new(1).host("server").ip().is_private());
    /// ```
    pub fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// What it was called when it was made.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// assert_eq!(SimNet::new(1).host("server").name(), "server");
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for SimHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.ip)
    }
}

impl fmt::Debug for SimHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimHost({self})")
    }
}
