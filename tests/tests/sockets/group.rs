//! Threads of their own for actors: bounded, named, bound to processors; an actor's calls keep their order on them.

#![expect(clippy::disallowed_methods, reason = "the bounds are bounds of time")]
#![allow(clippy::unwrap_used, reason = "an actor of a test may panic as the test may")]

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use actor_runtime::{Group, GroupError, prelude::*};

#[actor_service]
trait Place {
    /// The name of the thread that it runs on.
    async fn thread(&self) -> String;
    /// Notes a number.
    async fn note(&mut self, n: u32);
    async fn noted(&self) -> Vec<u32>;
    /// Blocks its thread until the test says otherwise.
    async fn block(&mut self);
    /// The processors that its thread may run on.
    async fn cpus(&self) -> Vec<usize>;
}

#[derive(Default)]
struct Desk {
    noted: Vec<u32>,
    begun: Option<mpsc::Sender<()>>,
    go_on: Option<Mutex<mpsc::Receiver<()>>>,
}

fn here() -> String {
    format!("{} {:?}", thread::current().name().unwrap_or_default(), thread::current().id())
}

#[actor_service]
impl Place for Desk {
    async fn thread(&self) -> String {
        tokio::task::yield_now().await;
        here()
    }

    async fn note(&mut self, n: u32) {
        self.noted.push(n);
        if n.is_multiple_of(7) {
            tokio::task::yield_now().await;
        }
    }

    async fn noted(&self) -> Vec<u32> {
        self.noted.clone()
    }

    async fn block(&mut self) {
        self.begun.as_ref().unwrap().send(()).unwrap();
        self.go_on.as_ref().unwrap().lock().unwrap().recv().unwrap();
    }

    #[cfg(target_os = "linux")]
    async fn cpus(&self) -> Vec<usize> {
        let set = rustix::thread::sched_getaffinity(None).unwrap();
        (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
    }

    #[cfg(not(target_os = "linux"))]
    async fn cpus(&self) -> Vec<usize> {
        Vec::new()
    }
}

async fn server() -> ActorServer {
    ActorServer::builder("loopback:0").node(&Node::builder().build().unwrap()).bind().await.unwrap()
}

fn client(server: &ActorServer, name: &str) -> PlaceClient {
    PlaceClient::on(server.node(), &server.resolver(), name)
}

#[tokio::test]
async fn many_actors_share_the_threads_of_their_group_and_each_keeps_its_order() {
    let server = server().await;
    let group = Group::builder().name("few").threads(2).build().unwrap();
    assert_eq!((group.name(), group.threads()), ("few", 2));
    let names: Vec<String> = (0..100).map(|number| format!("desk-{number}")).collect();
    for name in &names {
        server.registration(name, Desk::default()).group(&group).register().unwrap();
    }
    let mut threads = BTreeSet::new();
    let desks: Vec<PlaceClient> = names.iter().map(|name| client(&server, name)).collect();
    let each = desks.iter().map(async |desk| {
        futures::future::join_all((0..50).map(|n| desk.note(n))).await;
        (desk.noted().await.unwrap(), desk.thread().await.unwrap())
    });
    for (noted, thread) in futures::future::join_all(each).await {
        assert_eq!(noted, (0..50).collect::<Vec<_>>());
        threads.insert(thread);
    }
    assert!((1..=2).contains(&threads.len()), "{threads:?}");
    assert!(threads.iter().all(|thread| thread.starts_with("few ")), "{threads:?}");
    server.shutdown(Duration::from_secs(5)).await.unwrap();
}

/// The one thread of this test's runtime goes on, and so do the actors on it.
#[tokio::test]
async fn an_actor_that_blocks_its_thread_holds_up_those_of_its_group_only() {
    let server = server().await;
    let group = Group::builder().name("blocked").build().unwrap();
    let ((begun, begins), (go, go_on)) = (mpsc::channel(), mpsc::channel());
    let blocks = Desk { begun: Some(begun), go_on: Some(Mutex::new(go_on)), ..Desk::default() };
    server.registration("blocks", blocks).group(&group).register().unwrap();
    server.registration("behind", Desk::default()).group(&group).register().unwrap();
    server.register("elsewhere", Desk::default()).unwrap();
    let (blocks, behind, elsewhere) =
        (client(&server, "blocks"), client(&server, "behind"), client(&server, "elsewhere"));
    let blocked = tokio::spawn(async move { blocks.block().await });
    tokio::task::spawn_blocking(move || begins.recv().unwrap()).await.unwrap();
    elsewhere.noted().await.unwrap();
    let held_up = behind.noted().timeout(Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(held_up.kind(), FailureKind::DeadlineExceeded);
    elsewhere.noted().await.unwrap();
    go.send(()).unwrap();
    blocked.await.unwrap().unwrap();
    behind.noted().await.unwrap();
    server.shutdown(Duration::from_secs(5)).await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn threads_run_on_the_processors_that_were_named() {
    let server = server().await;
    let may: Vec<usize> = {
        let set = rustix::thread::sched_getaffinity(None).unwrap();
        (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
    };
    let cpu = *may.last().unwrap();
    let group = Group::builder().cpus([cpu]).build().unwrap();
    server.registration("desk", Desk::default()).group(&group).register().unwrap();
    assert_eq!(client(&server, "desk").cpus().await.unwrap(), [cpu]);
    // This thread still runs where it ran.
    server.register("here", Desk::default()).unwrap();
    assert_eq!(client(&server, "here").cpus().await.unwrap(), may);

    let error = Group::builder().name("far").cpus([1000]).build().unwrap_err();
    let GroupError::Affinity { cpu: 1000, allowed, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*allowed, may);
    assert!(error.to_string().contains("processor 1000"), "{error}");
    server.shutdown(Duration::from_secs(5)).await.unwrap();
}

#[test]
fn a_group_that_cannot_be_is_refused_with_what_to_ask_for() {
    let error = Group::builder().name("none").threads(0).build().unwrap_err();
    assert_eq!(error.to_string(), "the group \"none\" cannot have 0 threads: ask for 1 to 1024");
    assert!(matches!(Group::builder().threads(1025).build(), Err(GroupError::Count { threads: 1025, .. })));
    assert!(matches!(Group::builder().name("a\0b").build(), Err(GroupError::Name { .. })));
}

#[tokio::test]
async fn the_threads_of_a_group_live_as_long_as_its_actors_and_no_longer() {
    let server = server().await;
    let group = Group::builder().name("fleeting").build().unwrap();
    let alive = Arc::new(());
    struct Holds(#[expect(dead_code, reason = "it is held")] Arc<()>);
    #[actor_service]
    trait Idle {
        async fn thread(&self) -> String;
    }
    #[actor_service]
    impl Idle for Holds {
        async fn thread(&self) -> String {
            here()
        }
    }
    server.registration("holds", Holds(alive.clone())).group(&group).register().unwrap();
    drop(group);
    let holds = IdleClient::on(server.node(), &server.resolver(), "holds");
    assert!(holds.thread().await.unwrap().starts_with("fleeting "));
    assert!(server.unregister("holds").await);
    assert_eq!(Arc::strong_count(&alive), 1);
    let until = Instant::now() + Duration::from_secs(5);
    while threads_called("fleeting") > 0 {
        assert!(Instant::now() < until, "the group's thread has not ended");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.shutdown(Duration::from_secs(5)).await.unwrap();
}

/// Set for what runs in a process of its own, which has little memory for threads.
#[cfg(target_os = "linux")]
const CHILD: &str = "ACTOR_TEST_CHILD";

#[cfg(target_os = "linux")]
#[test]
fn a_group_for_which_the_system_has_too_few_threads_is_refused() {
    let out = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 10485760 && exec \"$0\" --exact group::too_few_threads"])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, "1")
        .env("RUST_MIN_STACK", (1 << 30).to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.contains("1 passed"), "{said}{out:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn too_few_threads() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let begun = Instant::now();
    let error = Group::builder().name("many").threads(64).build().unwrap_err();
    assert!(matches!(&error, GroupError::Start { threads: 64, .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// How many threads of this process have this name.
#[cfg(target_os = "linux")]
fn threads_called(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let called = |task: PathBuf| std::fs::read_to_string(task.join("comm")).unwrap_or_default();
    tasks.filter_map(Result::ok).filter(|task| called(task.path()).trim_end() == name).count()
}

#[cfg(not(target_os = "linux"))]
fn threads_called(_: &str) -> usize {
    0
}

#[tokio::test]
async fn no_group_is_the_node_itself() {
    let server = server().await;
    server.registration("desk", Desk::default()).group(&Group::none()).register().unwrap();
    assert_eq!(client(&server, "desk").thread().await.unwrap(), here());
    server.shutdown(Duration::from_secs(5)).await.unwrap();
}
