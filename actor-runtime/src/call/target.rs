use std::{any::Any, sync::Arc};

use super::{AnyCall, Dedup, Failure, Metadata, ReplySink, StopReason};
use crate::{actor_id::ActorId, service::Method};

/// An actor as callers see it: something with an id that takes calls.
pub(crate) trait Target: Any + Send + Sync {
    /// Which registration it is.
    fn id(&self) -> ActorId;

    /// The method that it serves under this id.
    fn method(&self, id: u32) -> Option<&'static Method>;

    /// The services that it serves, for error texts.
    fn services(&self) -> String;

    /// The methods that it serves, service by service.
    fn service_methods(&self) -> &'static [&'static [&'static Method]];

    /// What was registered with it.
    fn metadata(&self) -> Option<&Metadata>;

    /// Takes the call: from now on it will be over some time, without anybody's further help.
    fn admit(&self, call: Arc<dyn AnyCall>) -> Result<(), Refused>;

    /// Takes calls that arrived together, in their order; gives those that it did not take.
    fn admit_all(&self, calls: &mut dyn Iterator<Item = Arc<dyn AnyCall>>) -> Vec<Refused> {
        calls.filter_map(|call| self.admit(call).err()).collect()
    }

    /// What it remembers of the `#[dedup]` calls that came from elsewhere.
    fn remembers(&self) -> Arc<Dedup<Box<dyn ReplySink>>>;

    /// Whether it runs on the network thread.
    fn is_inline(&self) -> bool {
        false
    }

    /// Refuses new calls and ends when what is queued is done.
    fn stop(&self, reason: StopReason);

    /// Ends now.
    fn kill(&self, reason: StopReason);

    /// Whether it takes no more calls.
    fn is_closed(&self) -> bool;
}

/// A call that was not taken: no handler has seen it, and nobody but the caller holds it.
pub(crate) struct Refused {
    /// The call.
    pub(crate) call: Arc<dyn AnyCall>,
    /// Why, as its caller will see it if there is no other place to go.
    pub(crate) failure: Failure,
}
