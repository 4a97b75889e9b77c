//! Calls through a client of the edition 2021, and through one made in its test.

use actor_runtime::prelude::*;
use tests_edition_2021::{Counter, SourceClient, Spent};

#[test]
fn a_crate_of_the_edition_2021_has_services() {
    tests::on_each_path(async |fixture| {
        fixture.register("counter", Counter::default());
        let counter = SourceClient::on(&fixture.node, &fixture.resolver, "counter");
        assert_eq!(counter.gen(1).await.unwrap(), 1);
        assert!(matches!(counter.gen(1).await, Err(CallError::Application(Spent(1)))));
        assert_eq!(counter.all("t", &[9]).await.unwrap(), ("t".to_owned(), vec![1, 9]));
        assert_eq!(counter.twice(&4).await.unwrap(), 8);
    });
}

#[actor_runtime::test]
async fn the_attributes_of_functions_work_too() {
    let server = ActorServer::bind("loopback:0").await.unwrap();
    server.register("counter", Counter::default()).unwrap();
    let counter = SourceClient::new(&FixedResolver::new([("counter", server.address())]), "counter");
    assert_eq!(counter.gen(5).await.unwrap(), 1);
}
