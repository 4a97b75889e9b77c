//! Bounds of real time, on a machine that has other things to do: a clock that stands still while a client that nobody
//! harms is not served.
//!
//! ```text
//!   a server of its own ◄── echo ── client       a round: a call, and a pause of 5 ms
//!                                     │
//!                                     ▼
//!                        the clock goes on by what the round took, and by no more than 10 ms
//! ```
//!
//! Where nothing else runs it goes as the real one does. It shares its process, runtime and processors with what is
//! measured, so that what keeps these busy from outside, or the build, slows down both. What the process itself does
//! meanwhile is looked at apart: [`process::work`](crate::process::work).

#![allow(clippy::disallowed_methods, reason = "what is measured here belongs to no node")]
#![allow(clippy::expect_used, reason = "a test's helper may panic as the test may")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actor_runtime::{ActorServer, Authority, FixedResolver};
use tokio::time::sleep;

use crate::{PostClient, Window, node};

const PAUSE: Duration = Duration::from_millis(5);

/// A round takes longer only where something holds it up.
const ROUND: Duration = Duration::from_millis(10);

/// The clock. It goes as long as somebody has it.
#[derive(Clone, Debug)]
pub struct Calm(Arc<AtomicU64>);

impl Calm {
    /// Begins to go. Its client and its server are of this authority, and of no test.
    ///
    /// # Panics
    /// If they cannot be made.
    pub async fn start(authority: &Authority) -> Self {
        let server =
            ActorServer::bind_on(&node(authority, "calm"), "127.0.0.1:0").await.expect("a free port");
        server.register("post", Window::default()).expect("a free name");
        let client_node = node(authority, "calm-client");
        let client = PostClient::on(&client_node, &FixedResolver::new([("post", server.address())]), "post");
        let passed = Arc::new(AtomicU64::new(0));
        let clock = Arc::downgrade(&passed);
        tokio::spawn(async move {
            let _kept = (server, client_node);
            loop {
                let begun = Instant::now();
                client.echo(0).await.expect("nobody does it any harm");
                sleep(PAUSE).await;
                let round = begun.elapsed().min(ROUND).as_micros();
                let Some(passed) = clock.upgrade() else { return };
                passed.fetch_add(u64::try_from(round).unwrap_or_default(), Ordering::Relaxed);
            }
        });
        Self(passed)
    }

    /// What has passed by it.
    #[must_use]
    pub fn passed(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    /// What comes of this within so much time by this clock; none if that is over.
    ///
    /// # Panics
    /// If the clock does not go.
    pub async fn within<T>(&self, limit: Duration, what: impl Future<Output = T>) -> Option<T> {
        let over = async {
            let mut seen = (self.passed(), Instant::now());
            let until = seen.0 + limit;
            while seen.0 < until {
                sleep(PAUSE).await;
                if self.passed() > seen.0 {
                    seen = (self.passed(), Instant::now());
                }
                assert!(seen.1.elapsed() < Duration::from_secs(60), "the clock has stopped");
            }
        };
        tokio::select! {
            biased;
            done = what => Some(done),
            () = over => None,
        }
    }
}
