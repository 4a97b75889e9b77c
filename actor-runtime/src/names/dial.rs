//! Which addresses a node dials that nobody told it but a message.

use std::{fmt, sync::Arc};

use super::Address;

/// Which addresses a node dials that came to it with a client in a message. Addresses that the node's own resolver gives,
/// or its program, are always dialled.
///
/// Whoever may call an actor can have it dial, by sending a client: to find out which ports of an inner network answer,
/// or to have it send datagrams to somebody else. The certificates of both sides still decide whether the connection comes
/// about; that it is tried at all is what this decides. The default is [`known`](Self::known).
///
/// ```
/// use actor_runtime::{Address, DialPolicy, Node};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let inside = |address: &Address| matches!(address, Address::Host(host, 7000) if host.ends_with(".cluster.example"));
/// let node = Node::builder().dial_policy(DialPolicy::only(inside)).build()?;
/// # drop(node);
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct DialPolicy(Rule);

#[derive(Clone, Default)]
enum Rule {
    #[default]
    Known,
    Any,
    Only(Arc<dyn Fn(&Address) -> bool + Send + Sync>),
}

impl DialPolicy {
    /// Addresses to which the node has a connection, whoever made it, and those that its resolver gives for the name.
    ///
    /// Enough for whoever calls back the node that sent the message, if that one listens; and in a cluster whose members
    /// find each other by a resolver.
    pub fn known() -> Self {
        Self(Rule::Known)
    }

    /// All addresses. For networks in which every caller may have every node connect to every address.
    pub fn any() -> Self {
        Self(Rule::Any)
    }

    /// Addresses that are known, and those of which this says true. It sees them as they came; the names of hosts are not
    /// looked up.
    pub fn only(allows: impl Fn(&Address) -> bool + Send + Sync + 'static) -> Self {
        Self(Rule::Only(Arc::new(allows)))
    }

    /// Whether an address may be dialled that the node has not come to know by another way.
    pub(crate) fn allows(&self, address: &Address) -> bool {
        match &self.0 {
            Rule::Known => false,
            Rule::Any => true,
            Rule::Only(allows) => allows(address),
        }
    }
}

impl fmt::Debug for DialPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Rule::Known => "known addresses",
            Rule::Any => "any address",
            Rule::Only(_) => "known addresses, and those that a function allows",
        })
    }
}
