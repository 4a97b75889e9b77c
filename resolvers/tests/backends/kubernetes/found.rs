use actor_runtime::{Namespace, Resolver, prelude::*};
use serde_json::json;

use super::{builder, cluster, resolver};
use crate::watched::{PlaceClient, Watched, actor, addresses, example, failure, shrunk};

#[tokio::test]
async fn a_service_is_found_by_its_label_in_pages_at_one_version() {
    let (cluster, server) = cluster().await;
    for number in 0..120 {
        let address = format!("10.0.0.{number}");
        cluster.put("prod", "calc", &format!("calc-{number:03}"), &[&address], 7000);
    }
    cluster.put("prod", "other", "other-0", &["10.1.0.1"], 7000);
    cluster.put("test", "calc", "calc-x", &["10.2.0.1"], 7000);
    let result = resolver(&server).resolve(&Namespace::local(), "calc").await.unwrap();
    assert_eq!(result.endpoints.len(), 120);
    assert_eq!(result.first().unwrap().to_string(), "actor://10.0.0.0:7000/calc");
    let pages: Vec<_> = cluster.lists().iter().map(|asked| asked.value("continue").to_owned()).collect();
    assert_eq!(pages, ["", "222@20", "222@40", "222@60", "222@80", "222@100"]);
    cluster.watched(1).await;
    let watch = &cluster.watches()[0];
    assert_eq!(watch.path, "/apis/discovery.k8s.io/v1/namespaces/prod/endpointslices");
    assert_eq!(watch.value("resourceVersion"), "222");
    assert_eq!(watch.value("allowWatchBookmarks"), "true");
    assert_eq!(watch.value("timeoutSeconds"), "48");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_empty_and_is_found_when_it_comes() {
    let (cluster, server) = cluster().await;
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    assert!(watched.next().await.unwrap().is_empty());
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
    let result = watched.has(&["10.0.0.1:7000"]).await;
    let metadata = &result.first().unwrap().metadata;
    assert_eq!(metadata["node"], "node-1");
    assert_eq!(metadata["zone"], "zone-a");
    assert_eq!(metadata["pod"], "calc-10.0.0.1");
}

#[tokio::test]
async fn namespaces_are_those_of_kubernetes_or_as_given() {
    let (cluster, server) = cluster().await;
    cluster.put("prod", "calc", "a", &["10.0.0.1"], 7000);
    cluster.put("job-7", "calc", "b", &["10.0.0.2"], 7000);
    cluster.put("batch", "calc", "c", &["10.0.0.3"], 7000);
    let night = Namespace::new("Night_Job").unwrap();
    let resolver = builder(&server).map_namespace(night.clone(), "batch").build().unwrap();
    for (namespace, address) in [
        (Namespace::local(), "10.0.0.1:7000"),
        (Namespace::new("job-7").unwrap(), "10.0.0.2:7000"),
        (night, "10.0.0.3:7000"),
    ] {
        assert_eq!(addresses(&resolver.resolve(&namespace, "calc").await.unwrap()), [address]);
    }
    let refused = resolver.resolve(&Namespace::new("batch").unwrap(), "calc").await.unwrap_err();
    assert!(crate::watched::chain(&refused).contains("is that of Night_Job"), "{refused}");
}

#[tokio::test]
async fn several_actors_can_have_one_service_and_are_followed_once() {
    let (cluster, server) = cluster().await;
    cluster.put("prod", "workers", "w", &["10.0.0.1"], 7000);
    let resolver = builder(&server).service_of(|_| Some("workers".to_owned())).build().unwrap();
    for name in ["Sums", "products/2"] {
        let result = resolver.resolve(&Namespace::local(), name).await.unwrap();
        assert_eq!(result.first().unwrap().name, name);
    }
    assert_eq!(cluster.lists().len(), 1);
}

#[tokio::test]
async fn a_name_that_cannot_be_a_service_is_refused_and_nothing_is_asked() {
    let (cluster, server) = cluster().await;
    let error = failure(&resolver(&server), "Calc").await;
    assert!(error.contains("\"Calc\" cannot be the name of a service in Kubernetes"), "{error}");
    assert!(cluster.asked().is_empty());
}

#[tokio::test]
async fn another_port_name_can_be_given_and_what_has_no_port_is_told() {
    let (cluster, server) = cluster().await;
    let ports = json!([{"name": "quic", "port": 7001}, {"name": "http", "port": 80}]);
    let object = json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": ports});
    cluster.put_object("prod", "calc", "calc-0", object);
    let other = builder(&server).port_name("quic").build().unwrap();
    let result = other.resolve(&Namespace::local(), "calc").await.unwrap();
    assert_eq!(addresses(&result), ["10.0.0.1:7001"]);
    let result = resolver(&server).resolve(&Namespace::local(), "calc").await.unwrap();
    assert!(result.is_empty());
    assert_eq!(
        result.rejected,
        ["slice \"calc-0\": no port is named \"actor\"; there is \"quic\", \"http\""]
    );
}

#[tokio::test]
async fn one_bad_slice_does_not_spoil_the_others() {
    let (cluster, server) = cluster().await;
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1", "not an address"], 7000);
    cluster.put_object("prod", "calc", "calc-1", json!({"addressType": 7, "endpoints": "none"}));
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    let result = watched.has(&["10.0.0.1:7000"]).await;
    assert_eq!(result.rejected.len(), 2, "{:?}", result.rejected);
    cluster.put_object("prod", "calc", "calc-2", json!({"addressType": ["x"]}));
    let result = watched.until(|result| result.rejected.len() == 3).await;
    assert_eq!(addresses(&result), ["10.0.0.1:7000"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_actor_is_found_and_called_and_a_pool_follows_a_change() {
    let (cluster, server) = cluster().await;
    let (_first, first) = actor("place", "first").await;
    let (_second, second) = actor("place", "second").await;
    cluster.put("prod", "place", "place-0", &["127.0.0.1"], first);
    let (resolver, node) = (resolver(&server), Node::builder().build().unwrap());
    let called = async {
        assert_eq!(PlaceClient::new(&resolver, "place").name().await.unwrap(), "first");
        let pool = PlaceClient::pool(&resolver, "place");
        pool.wait_for_size(1, Duration::from_secs(10)).await.unwrap();
        cluster.put("prod", "place", "place-1", &["127.0.0.1"], second);
        pool.wait_for_size(2, Duration::from_secs(10)).await.unwrap();
        let shrunk = shrunk(&pool, 1);
        cluster.put("prod", "place", "place-0", &[], first);
        shrunk.await;
        assert_eq!(pool.call().name().await.unwrap(), "second");
    };
    node.scope(called).await;
    assert_eq!(cluster.lists().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_runs() {
    let (cluster, server) = cluster().await;
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1", "10.0.0.2"], 7000);
    let url = format!("http://{}", server.address);
    let printed = example("kubernetes", &[url, "prod".to_owned(), "calc".to_owned()]).await;
    assert!(printed.contains("calc is served at 2 places"), "{printed}");
    assert!(printed.contains("actor://10.0.0.2:7000/calc on node-1 in zone-a"), "{printed}");
}
