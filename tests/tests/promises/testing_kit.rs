//! What tests of users are made with: clients in one line, fakes, recorders, faults, idleness and paused time.
#![expect(clippy::disallowed_methods, reason = "the bounds are bounds of time")]
#![allow(clippy::unwrap_used, reason = "an actor of a test may panic as the test may")]

use actor_runtime::{
    NodeBuilder, Retry, StopReason,
    prelude::*,
    supervise::{Child, Strategy, Supervisor},
    testing::{self, Fault, Faults, Recorder},
};

#[actor_service]
trait Till {
    async fn price(&self, of: &str) -> Result<u64, String>;
    async fn set(&mut self, of: String, price: u64);
    async fn later(&mut self, n: u64, answer: ReplyTo<u64>);
    fn count(&self, n: u64) -> impl Stream<Item = u64>;
    #[oneway]
    async fn note(&mut self, text: String);
    async fn sum(&mut self, numbers: Streaming<u64>) -> u64;
}

#[derive(Default)]
struct Desk {
    prices: u64,
    noted: usize,
}

#[actor_service]
impl Till for Desk {
    async fn price(&self, of: &str) -> Result<u64, String> {
        if of == "gold" { Err("no gold".to_owned()) } else { Ok(self.prices) }
    }

    async fn set(&mut self, _: String, price: u64) {
        self.prices = price;
    }

    async fn later(&mut self, n: u64, answer: ReplyTo<u64>) {
        answer.send(n).unwrap();
    }

    fn count(&self, n: u64) -> impl Stream<Item = u64> {
        stream::iter(0..n)
    }

    async fn note(&mut self, _: String) {
        testing::pass(Duration::from_millis(300)).await;
        self.noted += 1;
    }

    async fn sum(&mut self, mut numbers: Streaming<u64>) -> u64 {
        let mut sum = 0;
        while let Ok(Some(n)) = numbers.try_next().await {
            sum += n;
        }
        sum
    }
}

fn fake() -> impl Actor {
    testing::fake::<TillService>(|call| match call {
        TillRequest::Price { of } => TillResponse::Price(Err(of)),
        TillRequest::Later { n } => TillResponse::Later(n + 1),
        TillRequest::Count { n } => TillResponse::Count(Streaming::new(stream::iter([n, n]))),
        TillRequest::Note { text } => {
            assert_eq!(text, "hello");
            TillResponse::Note(())
        }
        other => testing::unexpected(other),
    })
}

#[actor_runtime::test]
async fn a_fake_answers_every_kind_of_method() {
    let calls = Recorder::new();
    // Inside a layer, and without one.
    for till in [testing::client::<TillClient>(fake()), calls.client(fake())] {
        assert!(matches!(till.price("x").await, Err(CallError::Application(of)) if of == "x"));
        assert_eq!(till.later(3).await.unwrap(), 4);
        assert_eq!(till.count(5).await.unwrap().try_collect::<Vec<_>>().await.unwrap(), [5, 5]);
        till.note("hello".into()).await.unwrap();
        let refused = till.set("x".into(), 1).await.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.delivery()),
            (FailureKind::Unimplemented, Delivery::NotDelivered)
        );
        assert!(refused.to_string().contains("the fake does not expect calls of Till/set"), "{refused}");
        // It goes on after that.
        assert_eq!(till.later(1).await.unwrap(), 2);
    }
    calls.expect(&["Till/price", "Till/later", "Till/count", "Till/note", "Till/set", "Till/later"]);
    assert_eq!(calls.calls(), [""; 0]);
}

#[actor_runtime::test]
async fn a_fake_is_an_actor_as_others_also_over_a_network() {
    let server = ActorServer::bind("loopback:0").await.unwrap();
    let around = Faults::seeded(1);
    around.add(Fault::delay(Duration::ZERO));
    server.registration("till", fake()).layer(around.clone()).register().unwrap();
    let till = TillClient::new(&FixedResolver::new([("till", server.address())]), "till");
    assert_eq!(till.later(3).await.unwrap(), 4);
    assert!(matches!(till.price("x").await, Err(CallError::Application(of)) if of == "x"));
    assert_eq!(till.count(5).await.unwrap().try_collect::<Vec<_>>().await.unwrap(), [5, 5]);
    assert_eq!(around.counts().delayed, 3);
    // A panic of its function is one of a handler.
    till.note("goodbye".into()).await.unwrap();
    let ended = till.later(1).retry(Retry::none()).await.unwrap_err();
    assert_eq!(ended.kind(), FailureKind::Stopped, "{ended}");
}

/// Several nodes live in the process, and none is meant.
#[tokio::test]
async fn a_client_outside_of_any_scope_has_a_node_of_its_own() {
    let _others = [Node::builder().build().unwrap(), Node::builder().build().unwrap()];
    let till: TillClient = testing::client(Desk { prices: 3, ..Desk::default() });
    assert_eq!(till.price("tea").await.unwrap(), 3);
    assert_eq!(till.sum(stream::iter([1, 2, 3])).await.unwrap(), 6);
}

#[actor_service]
trait Other {
    async fn nothing(&self);
}

#[actor_runtime::test]
#[should_panic(expected = "does not serve Other; it serves Till")]
async fn a_client_of_another_service_is_refused_at_once() {
    let _: OtherClient = testing::client(Desk::default());
}

#[actor_runtime::test]
#[should_panic(expected = "expected: [\"Till/set\"]")]
async fn a_recorder_shows_what_came_instead() {
    let calls = Recorder::new();
    let till: TillClient = calls.client(Desk::default());
    till.price("tea").await.unwrap();
    assert_eq!((calls.count("price"), calls.count("Till/price"), calls.count("set")), (1, 1, 0));
    calls.expect(&["Till/set"]);
}

#[actor_runtime::test(start_paused = true)]
async fn faults_say_truly_what_was_delivered() {
    for at_client in [true, false] {
        let (faults, node) = (Faults::seeded(3), Node::builder());
        let layered = if at_client { NodeBuilder::client_layer } else { NodeBuilder::server_layer };
        let node = layered(node, faults.clone()).build().unwrap();
        let desk = node.unnamed_actor(Desk { prices: 1, ..Desk::default() }).start().unwrap();
        let till: TillClient = desk.client();
        faults.add(Fault::fail(FailureKind::Unreachable).of("Till/set").nth(1));
        faults.add(Fault::fail_after(FailureKind::ConnectionLost).of("set").nth(1));
        faults.add(Fault::lose_reply().of("set").nth(1));
        faults.add(Fault::lose_reply().of("set").nth(1));
        let set = async |price| till.set("tea".into(), price).retry(Retry::none());
        let price = async || till.price("tea").await.unwrap();

        let failed = set(2).await.await.unwrap_err();
        assert_eq!((failed.kind(), failed.delivery()), (FailureKind::Unreachable, Delivery::NotDelivered));
        assert_eq!(price().await, 1);
        let failed = set(3).await.await.unwrap_err();
        assert_eq!((failed.kind(), failed.delivery()), (FailureKind::ConnectionLost, Delivery::Executed));
        assert_eq!(price().await, 3);
        let began = tokio::time::Instant::now();
        let failed = set(4).await.timeout(Duration::from_secs(20)).await.unwrap_err();
        assert_eq!(failed.kind(), FailureKind::DeadlineExceeded, "{failed}");
        assert_ne!(failed.delivery(), Delivery::NotDelivered, "{failed}");
        assert_eq!(began.elapsed().as_secs(), 20);
        assert_eq!(price().await, 4);
        // Without a deadline it would never end.
        let failed = set(5).await.no_timeout().await.unwrap_err();
        assert_eq!((failed.kind(), failed.delivery()), (FailureKind::ConnectionLost, Delivery::Executed));
        assert_eq!(price().await, 5);

        faults.add(Fault::delay(Duration::from_secs(7)).of("price"));
        let began = tokio::time::Instant::now();
        assert_eq!(price().await, 5);
        assert_eq!(began.elapsed().as_secs(), 7);
        faults.clear();
        // An error of the method's own is a reply.
        faults.add(Fault::fail_after(FailureKind::ConnectionLost).of("price"));
        assert!(
            matches!(till.price("gold").await, Err(CallError::Failed(failure)) if failure.delivery() == Delivery::Executed)
        );
        let counts = faults.counts();
        assert_eq!((counts.failed, counts.lost, counts.delayed, counts.panicked), (3, 2, 1, 0), "{counts:?}");
    }
}

#[actor_runtime::test(start_paused = true)]
async fn a_share_of_the_calls_is_the_same_for_a_seed() {
    let run = async |seed| {
        let faults = Faults::seeded(seed);
        faults.add(Fault::fail(FailureKind::Overloaded).share(0.25));
        let node = Node::builder().client_layer(faults.clone()).build().unwrap();
        let till: TillClient = node.unnamed_actor(Desk::default()).start().unwrap().client();
        let mut failed = Vec::new();
        for n in 0..400 {
            if till.price("tea").retry(Retry::none()).await.is_err() {
                failed.push(n);
            }
        }
        assert_eq!(faults.counts().failed, failed.len() as u64);
        failed
    };
    let (one, again, other) = (run(1).await, run(1).await, run(2).await);
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert!((60..140).contains(&one.len()), "{} of 400", one.len());
}

#[actor_runtime::test(start_paused = true)]
async fn a_panic_that_is_put_in_is_the_handlers() {
    let faults = Faults::seeded(1);
    faults.add(Fault::panic().of("set").nth(1));
    faults.add(Fault::panic().of("price").nth(1));
    let node = Node::builder().server_layer(faults.clone()).client_layer(faults.clone()).build().unwrap();
    let team = Supervisor::new(Strategy::OneForOne)
        .child(Child::new("desk", || Desk { prices: 1, ..Desk::default() }))
        .start(&node)
        .unwrap();
    let till: TillClient = team.child("desk").unwrap().client();
    let set = till.set("tea".into(), 2).await.unwrap_err();
    assert_eq!(set.kind(), FailureKind::Panicked);
    assert!(set.to_string().contains("a panic that the test put in"), "{set}");
    assert!(
        matches!(till.price("tea").await, Err(CallError::Failed(f)) if f.kind() == FailureKind::Panicked)
    );
    assert_eq!(till.price("tea").await.unwrap(), 1);
    let desk = node.actors().actor("desk").cloned().unwrap();
    assert_eq!(desk.restarts, 2);
    assert!(matches!(desk.last_failure, Some(StopReason::Panicked { method, .. }) if method == "Till/price"));
    assert_eq!(faults.counts().panicked, 2);
}

#[actor_runtime::test(start_paused = true)]
async fn a_node_is_idle_when_what_was_begun_has_ended() {
    let node = Node::current().unwrap();
    let desk = node.actor("desk", Desk::default()).start().unwrap();
    let till: TillClient = desk.client();
    testing::idle(&node).await.unwrap();
    for _ in 0..10 {
        till.note("hello".into()).await.unwrap();
    }
    let busy = testing::idle(&node).within(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(busy.actors[0].running, ["Till/note"]);
    assert!(busy.to_string().starts_with("not idle after 1s: \"desk\" runs Till/note, "), "{busy}");
    let began = tokio::time::Instant::now();
    testing::idle(&node).await.unwrap();
    // Ten turns of 0.3 s, of which one second has passed.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1_999) && took < Duration::from_millis(2_100), "{took:?}");
    // No time passes where nothing is to be done.
    let began = tokio::time::Instant::now();
    testing::idle(&node).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
}
