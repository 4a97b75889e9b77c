use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actor_resolvers::{
    GceResolver, GcsResolver,
    gce::{GceApi, GceError, GceInstance},
};
use actor_runtime::{BoxFuture, Namespace, Resolver, prelude::*};
use serde_json::json;

use super::{RUNNING, builder, project, resolver};
use crate::watched::{PlaceClient, Watched, actor, addresses, example, failure, shrunk};

#[tokio::test]
async fn an_instance_whose_metadata_has_the_actor_is_found() {
    let (project, server) = project().await;
    project.put("vm-1", RUNNING, Some("10.0.0.1"), &[("actor_calc", "7000"), ("actor_other", "7001")]);
    project.put("vm-2", RUNNING, Some("10.0.0.2"), &[("actor_calc", "7002"), ("startup-script", "echo")]);
    project.put("vm-3", RUNNING, Some("10.0.0.3"), &[]);
    let result = resolver(&server).resolve(&Namespace::local(), "calc").await.unwrap();
    assert_eq!(addresses(&result), ["10.0.0.1:7000", "10.0.0.2:7002"]);
    assert!(result.rejected.is_empty());
    let metadata = &result.endpoints[1].metadata;
    assert_eq!((&*metadata["instance"], &*metadata["zone"]), ("vm-2", "z1"));
}

#[tokio::test]
async fn only_instances_that_run_count() {
    let (project, server) = project().await;
    for (number, status) in ["RUNNING", "TERMINATED", "STOPPING", "STAGING", "SUSPENDED"].iter().enumerate() {
        let (name, ip) = (format!("vm-{number}"), format!("10.0.0.{number}"));
        project.put(&name, status, Some(&ip), &[("actor_calc", "7000")]);
    }
    let result = resolver(&server).resolve(&Namespace::local(), "calc").await.unwrap();
    assert_eq!(addresses(&result), ["10.0.0.0:7000"]);
    assert_eq!(project.lists()[0].value("filter"), "status=RUNNING");
    // An API that does not filter changes nothing.
    let all = Fixed::new([instance("a", RUNNING, "10.0.0.1"), instance("b", "TERMINATED", "10.0.0.2")]);
    let result = GceResolver::with_api("p", "z1", all).resolve(&Namespace::local(), "calc").await.unwrap();
    assert_eq!(addresses(&result), ["10.0.0.1:7000"]);
}

#[tokio::test]
async fn namespaces_are_kept_apart_and_none_means_local() {
    let (project, server) = project().await;
    project.put("vm-1", RUNNING, Some("10.0.0.1"), &[("actor_calc", "7000")]);
    let job = [("actor_calc", "7000"), ("actor_namespace", "job-7")];
    project.put("vm-2", RUNNING, Some("10.0.0.2"), &job);
    project.put("vm-3", RUNNING, Some("10.0.0.3"), &[("actor_calc", "7000"), ("actor_namespace", "<local>")]);
    project.put("vm-4", RUNNING, Some("10.0.0.4"), &[("actor_calc", "7000"), ("actor_namespace", "a b")]);
    let resolver = resolver(&server);
    let local = resolver.resolve(&Namespace::local(), "calc").await.unwrap();
    assert_eq!(addresses(&local), ["10.0.0.1:7000", "10.0.0.3:7000"]);
    assert_eq!(local.rejected.len(), 1);
    assert!(local.rejected[0].contains("\"a b\" cannot be a namespace"), "{:?}", local.rejected);
    let job = resolver.resolve(&Namespace::new("job-7").unwrap(), "calc").await.unwrap();
    assert_eq!(addresses(&job), ["10.0.0.2:7000"]);
    let none = resolver.resolve(&Namespace::new("job-8").unwrap(), "calc").await.unwrap();
    assert!(none.is_empty());
    let known = ["\"calc\" in <local>", "\"calc\" in a b", "\"calc\" in job-7"];
    assert_eq!(none.known, known, "the key of the namespace is no actor");
    assert_eq!(project.lists().len(), 1, "one list answers all names");
}

#[tokio::test]
async fn one_bad_entry_does_not_spoil_the_set() {
    let (project, server) = project().await;
    project.put("good", RUNNING, Some("10.0.0.1"), &[("actor_calc", " 7000\n")]);
    project.put("no-address", RUNNING, None, &[("actor_calc", "7000")]);
    project.put("no-ip", RUNNING, Some("nonsense"), &[("actor_calc", "7000")]);
    for (name, port) in [("text", "http"), ("zero", "0"), ("large", "70000"), ("none", "")] {
        project.put(name, RUNNING, Some("10.0.0.2"), &[("actor_calc", port)]);
    }
    let items = json!([{"key": "actor_calc", "value": 7000}, {"value": "x"}, 7]);
    project.put_object("z1", json!({"name": "odd", "status": "RUNNING", "metadata": {"items": items}}));
    project.put_object("z1", json!({"name": 7, "status": "RUNNING", "networkInterfaces": "none"}));
    let result = resolver(&server).resolve(&Namespace::local(), "calc").await.unwrap();
    assert_eq!(addresses(&result), ["10.0.0.1:7000"]);
    let expected = [
        "instance \"no-address\" in z1: it has no internal address",
        "instance \"no-ip\" in z1: \"nonsense\" is not an IP address",
        "instance \"text\" in z1: \"http\" is not a port",
        "instance \"zero\" in z1: \"0\" is not a port",
        "instance \"large\" in z1: \"70000\" is not a port",
        "instance \"none\" in z1: \"\" is not a port",
    ];
    assert_eq!(result.rejected, expected);
}

#[tokio::test]
async fn the_keys_of_fluster_can_be_used() {
    let (project, server) = project().await;
    let metadata =
        [("fluster_actor_inference", "8080"), ("fluster_namespace", "<local>"), ("actor_inference", "1")];
    project.put("worker-1", RUNNING, Some("10.0.0.1"), &metadata);
    let fluster = builder(&server).prefix("fluster_actor_").namespace_key("fluster_namespace").build();
    let result = fluster.resolve(&Namespace::local(), "inference").await.unwrap();
    assert_eq!(addresses(&result), ["10.0.0.1:8080"]);
}

#[tokio::test]
async fn several_zones_are_one_set() {
    let (project, server) = project().await;
    project.put("vm-1", RUNNING, Some("10.0.0.1"), &[("actor_calc", "7000")]);
    let items = json!([{"key": "actor_calc", "value": "7000"}]);
    let other = json!({"name": "vm-2", "status": "RUNNING", "metadata": {"items": items},
                       "networkInterfaces": [{"networkIP": "10.1.0.1"}]});
    project.put_object("z2", other);
    let result = builder(&server).and_zone("z2").build().resolve(&Namespace::local(), "calc").await.unwrap();
    assert_eq!(addresses(&result), ["10.0.0.1:7000", "10.1.0.1:7000"]);
    assert_eq!(result.endpoints[1].metadata["zone"], "z2");
}

#[tokio::test]
async fn a_name_that_cannot_be_a_key_is_refused_and_nothing_is_asked() {
    let (project, server) = project().await;
    for bad in ["", "a/b", "a b", "namespace", &"x".repeat(123)] {
        let error = failure(&resolver(&server), bad).await;
        assert!(error.contains("key"), "{error}");
    }
    let odd = GceResolver::with_api("p/../q", "z1", Fixed::new([]));
    assert!(failure(&odd, "calc").await.contains("cannot be the name of a project"));
    assert!(project.lists().is_empty());
}

/// An API of one's own, as the seeds want it.
#[derive(Clone, Default)]
struct Fixed {
    instances: Arc<Mutex<Vec<GceInstance>>>,
}

impl Fixed {
    fn new(instances: impl IntoIterator<Item = GceInstance>) -> Self {
        let fixed = Self::default();
        fixed.set(instances);
        fixed
    }

    fn set(&self, instances: impl IntoIterator<Item = GceInstance>) {
        *self.instances.lock().expect("nobody panics") = instances.into_iter().collect();
    }
}

impl GceApi for Fixed {
    fn list_instances<'a>(
        &'a self,
        project: &'a str,
        zone: &'a str,
    ) -> BoxFuture<'a, Result<Vec<GceInstance>, GceError>> {
        assert_eq!((project, zone), ("p", "z1"));
        let instances = self.instances.lock().expect("nobody panics").clone();
        Box::pin(async move { Ok(instances) })
    }
}

fn instance(name: &str, status: &str, ip: &str) -> GceInstance {
    GceInstance {
        name: name.to_owned(),
        status: status.to_owned(),
        internal_ip: Some(ip.to_owned()),
        metadata: [("actor_calc".to_owned(), "7000".to_owned())].into(),
    }
}

#[tokio::test(start_paused = true)]
async fn an_injected_api_is_polled_every_thirty_seconds() {
    let api = Fixed::new([instance("a", RUNNING, "10.0.0.1")]);
    let resolver: GcsResolver = GceResolver::with_api("p", "z1", api.clone());
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&["10.0.0.1:7000"]).await;
    let began = crate::watched::now();
    api.set([instance("a", RUNNING, "10.0.0.1"), instance("b", RUNNING, "10.0.0.2")]);
    while resolver.resolve(&Namespace::local(), "calc").await.unwrap().endpoints.len() == 1 {
        crate::watched::pause(Duration::from_secs(1)).await;
    }
    watched.has(&["10.0.0.1:7000", "10.0.0.2:7000"]).await;
    assert!((30..=31).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_too_large_is_cut_and_says_so() {
    let many =
        (0..10_007).map(|i| instance(&format!("vm-{i}"), RUNNING, &format!("10.0.{}.{}", i / 250, i % 250)));
    let resolver = GceResolver::with_api("p", "z1", Fixed::new(many));
    let result = resolver.resolve(&Namespace::local(), "calc").await.unwrap();
    assert_eq!(result.endpoints.len(), 10_000);
    assert_eq!(result.rejected, ["7 endpoints over 10000 are left out"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_actor_is_found_and_called_and_a_pool_follows_a_change() {
    let (project, server) = project().await;
    let (_first, first) = actor("place", "first").await;
    let (_second, second) = actor("place", "second").await;
    project.put("vm-1", RUNNING, Some("127.0.0.1"), &[("actor_place", &first.to_string())]);
    let (resolver, node) = (resolver(&server), Node::builder().build().unwrap());
    let called = async {
        assert_eq!(PlaceClient::new(&resolver, "place").name().await.unwrap(), "first");
        let pool = PlaceClient::pool(&resolver, "place");
        pool.wait_for_size(1, Duration::from_secs(10)).await.unwrap();
        project.put("vm-2", RUNNING, Some("127.0.0.1"), &[("actor_place", &second.to_string())]);
        pool.wait_for_size(2, Duration::from_secs(10)).await.unwrap();
        let shrunk = shrunk(&pool, 1);
        project.put("vm-1", "STOPPING", Some("127.0.0.1"), &[("actor_place", &first.to_string())]);
        shrunk.await;
        assert_eq!(pool.call().name().await.unwrap(), "second");
    };
    node.scope(called).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_runs() {
    let (project, server) = project().await;
    project.put("vm-1", RUNNING, Some("10.0.0.1"), &[("actor_calc", "7000")]);
    project.put("vm-2", RUNNING, None, &[("actor_calc", "7000")]);
    let arguments = |name: &str| ["p", "z1", name, &format!("http://{}", server.address)].map(str::to_owned);
    let printed = example("gce", &arguments("calc")).await;
    assert!(printed.contains("calc is served at 1 places"), "{printed}");
    assert!(printed.contains("actor://10.0.0.1:7000/calc on vm-1"), "{printed}");
    assert!(printed.contains("it has no internal address"), "{printed}");
    let printed = example("gce", &arguments("sums")).await;
    assert!(printed.contains("there is: \"calc\" in <local>"), "{printed}");
}
