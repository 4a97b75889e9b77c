//! Which calls came.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::client::start;
use crate::{Actor, Failure, Interest, Layer, LayerCall, ServiceClient, names::is_reserved};

/// Notes which methods were called, as a layer: of one actor ([`Registration::layer`](crate::Registration::layer)) or of all of a
/// node ([`NodeBuilder::server_layer`](crate::NodeBuilder::server_layer)). A call is noted when its turn begins. Clones note
/// into one list.
///
/// ```
/// # use actor_runtime::{prelude::*, testing};
/// # #[actor_service] trait Mail { async fn send(&mut self, text: String); async fn sent(&self) -> u64; }
/// # #[derive(Default)] struct Desk(u64);
/// # #[actor_service]
/// # impl Mail for Desk {
/// #     async fn send(&mut self, _: String) { self.0 += 1; }
/// #     async fn sent(&self) -> u64 { self.0 }
/// # }
/// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let calls = testing::Recorder::new();
/// let mail: MailClient = calls.client(Desk::default());
/// mail.send("hello".into()).await?;
/// mail.sent().await?;
/// assert_eq!(calls.count("send"), 1);
/// calls.expect(&["Mail/send", "Mail/sent"]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    noted: Arc<Mutex<Noted>>,
}

#[derive(Debug, Default)]
struct Noted {
    order: Vec<String>,
    counts: BTreeMap<String, u64>,
}

impl Recorder {
    /// How many calls are kept in their order; further ones are counted only.
    pub const KEPT: usize = 65_536;

    /// One that has noted nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client of an actor that is recorded: as [`client`](super::client()).
    ///
    /// # Panics
    /// As that does.
    #[track_caller]
    pub fn client<C: ServiceClient>(&self, actor: impl Actor) -> C {
        start(actor, |registration| registration.layer(self.clone()))
    }

    /// How often a method was called since the notes were last taken: `add`, of whatever service, or `Counter/add`.
    pub fn count(&self, method: &str) -> u64 {
        let noted = self.noted();
        let is_meant = |name: &str| name == method || name.rsplit('/').next() == Some(method);
        noted.counts.iter().filter(|(name, _)| is_meant(name)).map(|(_, count)| count).sum()
    }

    /// What was called, as `Service/method`, in the order in which the turns began.
    pub fn calls(&self) -> Vec<String> {
        self.noted().order.clone()
    }

    /// The same, and forgets all notes.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.noted()).order
    }

    /// Checks that these and no others came, in this order, and forgets all notes.
    ///
    /// # Panics
    /// With both lists, if they differ.
    #[track_caller]
    pub fn expect(&self, calls: &[&str]) {
        let came = self.take();
        assert!(
            came == calls,
            "the calls are not those that were expected\n expected: {calls:?}\n     came: {came:?}"
        );
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Layer for Recorder {
    fn incoming(&self, call: &LayerCall<'_>) -> Result<Interest, Failure> {
        if !is_reserved(call.actor_name()) {
            let method = call.method().to_string();
            let mut noted = self.noted();
            if noted.order.len() < Self::KEPT {
                noted.order.push(method.clone());
            }
            *noted.counts.entry(method).or_default() += 1;
        }
        Ok(Interest::Pass)
    }

    fn outgoing(&self, _: &mut crate::OutgoingCall<'_>) -> Result<Interest, Failure> {
        Ok(Interest::Pass)
    }
}
