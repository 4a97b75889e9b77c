//! The whole of it: processes that find each other in etcd.

use std::{
    env::{current_exe, var},
    process::Command,
    time::Duration,
};

use actor_resolvers::EtcdRegistrar;
use actor_runtime::prelude::*;
use tokio::time::Instant;

use super::{
    Etcd,
    registrar::{CalcClient, registrar, serving},
    resolver,
};
use crate::server::{Server, example, until_within};

/// Where [`a_process_of_its_own`] announces itself.
const SERVES: &str = "ACTOR_TEST_ETCD";

/// A process that serves `calc` and announces it with the shortest lease.
pub(super) fn process(etcd: &Etcd) -> Server {
    let mut command = Command::new(current_exe().expect("the path of this program"));
    command.args(["--exact", "etcd::whole::a_process_of_its_own", "--nocapture"]).env(SERVES, etcd.url());
    Server::start(command, &etcd.folder().join("process"))
}

/// Not a test: what [`process`] runs. It ends when it is asked to, or killed.
#[actor_runtime::test]
async fn a_process_of_its_own() {
    let Ok(url) = var(SERVES) else { return };
    let server = serving("calc").await;
    server.node().set_registrar(registrar(&url));
    server.run_until_signal(Duration::from_secs(5)).await.unwrap();
}

#[actor_runtime::test]
async fn a_pool_follows_processes_that_come_go_and_are_killed() {
    let Some(etcd) = Etcd::start().await else { return };
    let mut processes: Vec<Server> = (0..3).map(|_| process(&etcd)).collect();
    let resolver = resolver(etcd.url());
    let pool = ActorPool::<CalcClient>::new(&resolver, "calc");
    pool.wait_for_size(3, Duration::from_secs(30)).await.unwrap();
    for x in 0..30 {
        assert_eq!(pool.call().double(x).await.unwrap(), 2 * x);
    }

    let began = Instant::now();
    processes[0].terminate();
    let asked = began.elapsed();
    until_within(Duration::from_secs(10), "two members", async || pool.size() == 2).await;
    eprintln!(
        "etcd: a pool without the process that was ended: {:.1?}, it took {asked:.1?} itself",
        began.elapsed()
    );
    for x in 0..30 {
        assert_eq!(pool.call().double(x).await.unwrap(), 2 * x);
    }

    let began = Instant::now();
    processes[1].kill();
    until_within(Duration::from_secs(10), "one member", async || pool.endpoints().len() == 1).await;
    eprintln!("etcd: a pool without the process that was killed: {:.1?}; the lease has 2 s", began.elapsed());

    let mut more: Vec<Server> = vec![process(&etcd)];
    pool.wait_for_size(2, Duration::from_secs(30)).await.unwrap();
    for x in 0..30 {
        assert_eq!(pool.call().double(x).await.unwrap(), 2 * x);
    }
    drop(more.pop());
}

#[actor_runtime::test]
async fn a_client_calls_a_server_that_it_finds_in_etcd_even_when_etcd_is_gone() {
    let Some(mut etcd) = Etcd::start().await else { return };
    let server = serving("calc").await;
    server.node().set_registrar(EtcdRegistrar::new(etcd.url()).unwrap());
    server.announced().await.unwrap();
    let resolver = resolver(etcd.url());
    let calc = CalcClient::new(&resolver, "calc");
    assert_eq!(calc.double(21).await.unwrap(), 42);
    etcd.server.kill();
    let late = CalcClient::new(&resolver, "calc");
    assert_eq!(late.double(4).await.unwrap(), 8);
    let error = CalcClient::new(&resolver, "other").double(1).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(r#""calc" in <local>"#), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_tells_its_story() {
    let Some(etcd) = Etcd::start().await else { return };
    let output = Command::new(example("etcd")).arg(etcd.url()).output().expect("the example is built");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    for line in
        ["announced in etcd: 127.0.0.1:", "found in etcd    : actor://127.0.0.1:", "model says       : 3\n"]
    {
        assert!(text.contains(line), "{text}{errors}");
    }
    assert!(text.ends_with("etcd tells       : 0 endpoint(s)\n"), "{text}{errors}");
    assert_eq!((etcd.keys().await.len(), etcd.leases().await), (0, 0));
}
