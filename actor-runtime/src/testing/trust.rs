use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Mutex, OnceLock, PoisonError},
};

use super::{SimHost, SimNet};
use crate::trust::{Authority, Identity, Trust};

/// Who is who in a network.
#[derive(Default)]
pub(super) struct Authorities {
    authority: OnceLock<Authority>,
    identities: Mutex<BTreeMap<Ipv4Addr, Identity>>,
}

impl SimNet {
    /// What a node on this host proves itself with, and that it believes the other hosts of the network: made for the
    /// network alone, with keys and certificates whose sizes are the same in each run. A host keeps its identity
    /// when it is killed and revived.
    ///
    /// A [simulated](crate::NodeBuilder::simulated) node that is given no other has it.
    ///
    /// # Panics
    /// If the system has no randomness, or the host is of another network.
    ///
    /// ```
    /// # use actor_runtime::testing::SimNet;
    /// let net = SimNet::new(7);
    /// let trust = net.trust(&net.host("server"));
    /// assert_eq!(trust.identity().names(), ["actor://simulated/server", "10.0.0.1"]);
    /// ```
    pub fn trust(&self, host: &SimHost) -> Trust {
        self.check(host);
        let Authorities { authority, identities } = &self.shared.authorities;
        let authority =
            authority.get_or_init(|| Authority::repeatable("simulated").expect("the system has randomness"));
        let mut identities = identities.lock().unwrap_or_else(PoisonError::into_inner);
        let identity = identities.entry(host.ip).or_insert_with(|| {
            let uri = format!("actor://simulated/{}", host.ip);
            let names = [format!("actor://simulated/{}", host.name), host.ip.to_string()];
            let issued = authority.issue(&names).or_else(|_| authority.issue([&uri, &names[1]]));
            issued.expect("the system has randomness")
        });
        let trust = Trust::builder().identity(identity.clone()).authority(authority).build();
        trust.expect("an identity of the authority")
    }
}
