use actor_runtime::{FixedResolver, prelude::*};

use crate::Script;

/// Turns that do what the test says.
#[actor_service]
pub trait Probe {
    /// A shared turn of this name.
    async fn shared(&self, name: &str) -> String;
    /// An exclusive turn of this name.
    async fn exclusive(&mut self, name: &str) -> String;
    /// Adds to the actor's state; ends at its first poll.
    async fn add(&mut self, n: u64) -> u64;
    /// The actor's state; ends at its first poll.
    async fn total(&self) -> u64;
    /// Panics.
    async fn panic(&self, message: &str);
    /// Panics while the state is borrowed mutably.
    async fn panic_exclusive(&mut self, message: &str);
    /// Calls a method of the probes in `route`, one inside the other: `shared:name` or `exclusive:name`. The last one
    /// may be `end:name`, for a turn of that name, or `remaining:name`, for how many milliseconds that call has. Where
    /// it says `held:name`, the turn waits at the door of that name before it goes on.
    async fn relay(&self, route: &[String]) -> Result<String, String>;
    /// The same, with the actor for itself.
    async fn relay_exclusive(&mut self, route: &[String]) -> Result<String, String>;
    /// How much time the call has left, in milliseconds.
    async fn remaining(&self) -> Option<u64>;
    /// Blocks its thread until the test opens the door `name`, without an await.
    async fn block(&self, name: &str);
}

/// An actor that does what its test says.
pub struct Puppet {
    /// What it does.
    pub script: Script,
    /// Where it finds others.
    pub resolver: FixedResolver,
    /// Its state.
    pub total: u64,
}

impl Puppet {
    async fn relay_to(&self, route: &[String]) -> Result<String, String> {
        let Some((next, rest)) = route.split_first() else {
            return Ok("the end".to_owned());
        };
        let (access, name) = next.split_once(':').ok_or("a route is made of access:name")?;
        if access == "held" {
            self.script.act(name).await;
            return Box::pin(self.relay_to(rest)).await;
        }
        let client = ProbeClient::new(&self.resolver, name);
        let call = match (access, rest) {
            ("end", _) => return client.shared(name).await.map_err(|failure| failure.to_string()),
            ("remaining", _) => {
                let left = client.remaining().await.map_err(|failure| failure.to_string())?;
                return left.map(|left| left.to_string()).ok_or_else(|| "as long as it takes".to_owned());
            }
            ("shared", rest) => client.relay(rest),
            (_, rest) => client.relay_exclusive(rest),
        };
        call.await.map_err(|error| match error {
            CallError::Application(error) => error,
            CallError::Failed(failure) => format!("{:?}: {failure}", failure.kind()),
        })
    }
}

#[actor_service]
impl Probe for Puppet {
    async fn shared(&self, name: &str) -> String {
        self.script.act(name).await;
        name.to_owned()
    }

    async fn exclusive(&mut self, name: &str) -> String {
        self.script.act(name).await;
        name.to_owned()
    }

    async fn add(&mut self, n: u64) -> u64 {
        self.total += n;
        self.total
    }

    async fn total(&self) -> u64 {
        self.total
    }

    async fn panic(&self, message: &str) {
        panic!("{message}");
    }

    async fn panic_exclusive(&mut self, message: &str) {
        panic!("{message}");
    }

    async fn relay(&self, route: &[String]) -> Result<String, String> {
        self.relay_to(route).await
    }

    async fn relay_exclusive(&mut self, route: &[String]) -> Result<String, String> {
        self.relay_to(route).await
    }

    async fn remaining(&self) -> Option<u64> {
        let remaining = current_ctx().ok()?.remaining()?;
        u64::try_from(remaining.as_millis()).ok()
    }

    async fn block(&self, name: &str) {
        futures::executor::block_on(self.script.act(name));
    }
}
