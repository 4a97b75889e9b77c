//! S4: a panic fails its call and ends its actor; everything else goes on.

use actor_runtime::{Delivery, FailureKind};
use tests::on_each_path;

#[test]
fn the_caller_of_a_panicking_turn_is_told_what_the_panic_said() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        let failure = probe.panic("seven is not a colour").await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Panicked, Delivery::Unknown));
        assert_eq!(failure.detail(), "the handler panicked: seven is not a colour; its actor stops");
    });
}

#[test]
fn the_actor_stops_with_that_reason_and_can_be_registered_anew() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        probe.panic_exclusive("no").await.unwrap_err();
        let failure = probe.add(1).await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Stopped, Delivery::NotDelivered));
        assert_eq!(
            failure.detail(),
            "a handler panicked in Probe/panic_exclusive: no; register the actor anew"
        );
        fixture.puppet("p");
        assert_eq!(probe.add(1).await.unwrap(), 1, "a client of the name follows it");
    });
}

#[test]
fn shared_turns_that_run_beside_it_finish_and_queued_calls_are_told() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        let test = async {
            fixture.script.seen("beside begins").await;
            let queued = async {
                let failure = probe.exclusive("queued").await.unwrap_err();
                assert_eq!(
                    (failure.kind(), failure.delivery()),
                    (FailureKind::Stopped, Delivery::NotDelivered)
                );
            };
            let panics = async {
                assert_eq!(probe.panic("no").await.unwrap_err().kind(), FailureKind::Panicked);
                fixture.script.open("beside");
            };
            tokio::join!(panics, queued);
        };
        let (beside, ()) = tokio::join!(probe.shared("beside"), test);
        assert_eq!(beside.unwrap(), "beside");
        assert_eq!(fixture.script.lines(), ["beside begins", "beside ends"]);
    });
}

#[test]
fn other_actors_and_the_server_go_on() {
    on_each_path(async |fixture| {
        let (one, other) = (fixture.puppet("one"), fixture.puppet("other"));
        one.panic("no").await.unwrap_err();
        assert_eq!(other.add(1).await.unwrap(), 1);
        assert_eq!(fixture.puppet("third").add(1).await.unwrap(), 1);
    });
}

#[test]
fn a_panic_on_a_task_of_its_own_is_the_same() {
    on_each_path(async |fixture| {
        let probe = fixture.configured("p", |registration| registration.parallel(4));
        assert_eq!(probe.panic("no").await.unwrap_err().kind(), FailureKind::Panicked);
        assert_eq!(probe.total().await.unwrap_err().kind(), FailureKind::Stopped);
    });
}
