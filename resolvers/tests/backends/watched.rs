//! What tests do with the answers of a resolver.
#![expect(clippy::disallowed_methods, reason = "tests bound their waits")]

use std::{path::PathBuf, process::Stdio, time::Duration};

use actor_resolvers::ViewOptions;
use actor_runtime::{BoxStream, Namespace, ResolveError, ResolveResult, Resolver, prelude::*};
use futures::StreamExt;
use tokio::time::Instant;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Short pauses, so that tests do not wait long.
pub(crate) fn quick() -> ViewOptions {
    ViewOptions::default().retry(Duration::from_millis(20), Duration::from_millis(200))
}

/// The answers to one question, and how many of them were stale.
pub(crate) struct Watched {
    results: BoxStream<'static, Result<ResolveResult, ResolveError>>,
    pub(crate) stale: usize,
}

impl Watched {
    pub(crate) fn new(resolver: &impl Resolver, name: &str) -> Self {
        Self { results: resolver.watch(&Namespace::local(), name), stale: 0 }
    }

    pub(crate) async fn next(&mut self) -> Result<ResolveResult, String> {
        let next = tokio::time::timeout(PATIENCE, self.results.next()).await;
        let next = next.expect("an answer in time").expect("answers do not end");
        self.stale += usize::from(next.as_ref().is_ok_and(|result| result.stale.is_some()));
        next.map_err(|error| chain(&error))
    }

    /// The first answer of which this is true.
    pub(crate) async fn until(&mut self, fits: impl Fn(&ResolveResult) -> bool) -> ResolveResult {
        loop {
            if let Ok(result) = self.next().await
                && fits(&result)
            {
                return result;
            }
        }
    }

    /// The first failure that is not that it takes long.
    #[cfg(feature = "gce")]
    pub(crate) async fn until_failure(&mut self) -> String {
        loop {
            if let Err(error) = self.next().await
                && !error.contains("gave no answer within")
            {
                return error;
            }
        }
    }

    /// The next answer that is fresh and has these addresses.
    pub(crate) async fn has(&mut self, expected: &[&str]) -> ResolveResult {
        self.until(|result| result.stale.is_none() && addresses(result) == expected).await
    }

    /// Why the last answer serves on.
    pub(crate) async fn is_stale(&mut self) -> String {
        let result = self.until(|result| result.stale.is_some()).await;
        result.stale.expect("it is").reason
    }
}

pub(crate) fn addresses(result: &ResolveResult) -> Vec<String> {
    result.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect()
}

/// The text of an error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

pub(crate) async fn failure(resolver: &impl Resolver, name: &str) -> String {
    chain(&resolver.resolve(&Namespace::local(), name).await.expect_err("there is no answer"))
}

/// How long the server is gone: a minute with `ACTOR_LONG=1`, else two seconds.
pub(crate) fn a_minute() -> Duration {
    let is_long = std::env::var("ACTOR_LONG").is_ok_and(|value| value == "1");
    Duration::from_secs(if is_long { 60 } else { 2 })
}

/// The half and the most of some times.
pub(crate) fn half_and_most(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort();
    (times[times.len() / 2], *times.last().expect("there are some"))
}

pub(crate) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

pub(crate) fn now() -> Instant {
    Instant::now()
}

/// What an example prints, which is built beside the tests.
pub(crate) async fn example(name: &str, arguments: &[String]) -> String {
    let mut path: PathBuf = std::env::current_exe().expect("it has a path");
    path.pop();
    path.pop();
    path.push(format!("examples/{name}"));
    let mut command = tokio::process::Command::new(&path);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends by itself");
    let output = output
        .unwrap_or_else(|error| panic!("{}, which `cargo build --examples` makes: {error}", path.display()));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it is text")
}

/// Until a pool has no more members than this. It listens from now on.
pub(crate) fn shrunk(pool: &ActorPool<PlaceClient>, size: usize) -> impl Future<Output = ()> {
    let mut events = pool.events();
    async move {
        let shrunk = async {
            while pool.size() > size {
                events.next().await.expect("the pool is there");
            }
        };
        tokio::time::timeout(PATIENCE, shrunk).await.expect("it shrinks in time");
    }
}

/// An actor to be found.
#[actor_service]
pub(crate) trait Place {
    #[idempotent]
    async fn name(&self) -> String;
}

pub(crate) struct At(pub(crate) String);

#[actor_service]
impl Place for At {
    async fn name(&self) -> String {
        self.0.clone()
    }
}

/// A server of one actor, and its port.
pub(crate) async fn actor(name: &str, place: &str) -> (ActorServer, u16) {
    let server = ActorServer::bind("127.0.0.1:0").await.expect("a port is free");
    server.register(name, At(place.to_owned())).expect("the name is free");
    let port = server.address().to_string().rsplit_once(':').expect("it has a port").1.parse();
    (server, port.expect("a number"))
}
