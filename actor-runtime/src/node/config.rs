//! The settings of a node, in one place.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    call::Retry,
    names::{Namespace, default_namespace},
};

/// The settings of a [`Node`](crate::Node).
///
/// A time of calls or of actors that no clock can tell, such as `Duration::MAX`, is no bound.
///
/// ```
/// use actor_runtime::Config;
///
/// let config = Config { mailbox_capacity: 16, ..Config::from_env() };
/// assert_eq!(config.default_timeout.as_secs(), 30);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the node's names live. From `ACTOR_NAMESPACE`, else from `ACTOR_JOB_ID`, else `<local>`.
    pub namespace: Namespace,
    /// The job this process belongs to. From `ACTOR_JOB_ID`.
    pub job_id: Option<String>,
    /// Where the cluster's controller listens. From `ACTOR_CONTROLLER`.
    pub controller_address: Option<String>,
    /// How long a call may take that says nothing of its own: 30 s.
    pub default_timeout: Duration,
    /// The longest that a call from elsewhere may take here, whatever its caller gave it, also if that is no deadline at
    /// all: no bound. Calls made within the node, directly, are not meant.
    pub max_deadline: Option<Duration>,
    /// How many calls a mailbox holds if the registration says nothing of its own: 64.
    pub mailbox_capacity: usize,
    /// How many shared turns of an actor may overlap if the registration says nothing of its own: 1024.
    pub max_overlap: usize,
    /// How many timers an actor may have set: 100,000. Each takes some 200 bytes.
    pub max_timers: usize,
    /// How long [`on_start`](crate::Actor::on_start) may take: 30 s. An actor that needs longer does not start.
    pub start_timeout: Duration,
    /// How long an actor may take to end that is not given a grace of its own: 5 s. It is the bound of
    /// [`on_stop`](crate::Actor::on_stop), of [`ActorHandle::stop_now`](crate::ActorHandle::stop_now), of actors whose
    /// parent ends, and of turns that run when a supervisor restarts their actor.
    pub stop_timeout: Duration,
    /// How long a turn may make no progress before it is named in the log and by [`Node::stuck`](crate::Node::stuck), which
    /// says what counts: 10 s; `None` to not look. A process that looks has one thread for that.
    pub stuck_after: Option<Duration>,
    /// The largest encoded arguments or reply, in bytes: 64 MiB. Values that are not encoded are not limited.
    pub max_message_bytes: usize,
    /// A connection that nothing is heard on for so long is lost: 2 s. The lesser one of both sides counts.
    pub idle_timeout: Duration,
    /// How often a connection that is not used is kept alive: 750 ms. What waits for a process that died ends after
    /// the sum of both at the latest, and a quarter of a second for timers (S6).
    pub keep_alive: Duration,
    /// How long the network thread looks for more calls and replies since some came last, before it sleeps: 200 µs; at most
    /// 10 ms. Where calls follow each other that closely it does not sleep at all, and shows as a thread that takes a processor, of
    /// which it gives way to any other thread; in return calls are faster, and took no more of the processor where it was measured.
    /// Where looking is in vain it is mostly left out. Zero: it sleeps at once. It has no effect with
    /// [`NetworkMode::Shared`](crate::NetworkMode::Shared).
    pub linger: Duration,
    /// Whether the network thread, while it looks for more and others keep it from its processor, goes to the one of the threads that
    /// have it send, at most every 10 ms: yes, on Linux; elsewhere it has no effect. It is not bound there, goes only where it may run, and
    /// not to [threads that you have bound](crate::GroupBuilder::cpus). Say `false` where threads of the program have real-time
    /// priorities: it would wait for them there.
    ///
    /// It makes the system calls `sched_getaffinity` and `sched_setaffinity`: where they are refused it stays where the system puts
    /// it, but where a filter kills the program for them (systemd's `SystemCallFilter=~@resources` without
    /// `SystemCallErrorNumber=EPERM`) say `false` too. They are made once when the thread starts, so that this shows then.
    pub follow_workers: bool,
    /// How many connections others may have made to this node: 10,000. Further ones are refused.
    pub max_connections: usize,
    /// How many calls to one actor another node may have here before they have begun: 1024. Further ones wait at
    /// their callers.
    pub call_credit: u32,
    /// How many bytes of arguments of such calls a connection may hold in all: 64 MiB.
    pub connection_bytes: u64,
    /// Arguments and replies that are longer get a stream of their own, so that short ones need not wait for them:
    /// 32 KiB; at most 128 KiB.
    pub own_stream_bytes: usize,
    /// How many replies of `#[dedup]` methods an actor remembers: 10,000.
    pub dedup_entries: usize,
    /// How many bytes these replies may have in all: 16 MiB.
    pub dedup_bytes: usize,
    /// How long a reply is remembered: 2 min.
    pub dedup_age: Duration,
    /// How often calls are tried whose options say nothing: six times, with pauses from 50 ms to 2 s. See [`Retry`].
    pub retry: Retry,
}

impl Config {
    /// The documented defaults, with what the environment says: `ACTOR_NAMESPACE`, `ACTOR_JOB_ID` and
    /// `ACTOR_CONTROLLER`. An empty variable counts as not set.
    pub fn from_env() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            namespace: default_namespace(),
            job_id: variable("ACTOR_JOB_ID"),
            controller_address: variable("ACTOR_CONTROLLER"),
            ..Self::default()
        }
    }
}

/// The documented defaults; the environment is not asked.
impl Default for Config {
    fn default() -> Self {
        Self {
            namespace: Namespace::local(),
            job_id: None,
            controller_address: None,
            default_timeout: Duration::from_secs(30),
            max_deadline: None,
            mailbox_capacity: 64,
            max_overlap: 1024,
            max_timers: 100_000,
            start_timeout: Duration::from_secs(30),
            stop_timeout: Duration::from_secs(5),
            stuck_after: Some(Duration::from_secs(10)),
            max_message_bytes: 64 * 1024 * 1024,
            idle_timeout: Duration::from_secs(2),
            keep_alive: Duration::from_millis(750),
            linger: Duration::from_micros(200),
            follow_workers: true,
            max_connections: 10_000,
            call_credit: 1024,
            connection_bytes: 64 * 1024 * 1024,
            own_stream_bytes: 32 * 1024,
            dedup_entries: 10_000,
            dedup_bytes: 16 * 1024 * 1024,
            dedup_age: Duration::from_secs(120),
            retry: Retry::default(),
        }
    }
}
