//! S7, as far as it goes in one process: a caller that leaves cancels its call.

use std::time::Duration;

use tests::on_each_path;
use tokio::task::yield_now;

#[test]
fn a_running_shared_turn_ends_at_its_next_await() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        tokio::select! {
            _ = probe.shared("left") => unreachable!("nobody opens its door"),
            () = fixture.script.seen("left begins") => {}
        }
        fixture.script.seen("left dropped").await;
        assert_eq!(probe.add(1).await.unwrap(), 1, "its place is free");
    });
}

#[test]
fn a_running_exclusive_turn_goes_on_to_its_end() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        tokio::select! {
            _ = probe.exclusive("left") => unreachable!("nobody opens its door yet"),
            () = fixture.script.seen("left begins") => {}
        }
        for _ in 0..20 {
            yield_now().await;
        }
        assert_eq!(fixture.script.lines(), ["left begins"]);
        fixture.script.open("left");
        fixture.script.seen("left ends").await;
    });
}

#[test]
fn a_deadline_cancels_as_leaving_does() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        // Connecting takes longer than the calls have.
        probe.total().await.unwrap();
        probe.shared("late").timeout(Duration::from_millis(10)).await.unwrap_err();
        fixture.script.seen("late dropped").await;
        probe.exclusive("whole").timeout(Duration::from_millis(10)).await.unwrap_err();
        fixture.script.open("whole");
        fixture.script.seen("whole ends").await;
    });
}

#[test]
fn turns_on_tasks_of_their_own_are_cancelled_too() {
    on_each_path(async |fixture| {
        let probe = fixture.configured("p", |registration| registration.parallel(2));
        tokio::select! {
            _ = probe.shared("left") => unreachable!("nobody opens its door"),
            () = fixture.script.seen("left begins") => {}
        }
        fixture.script.seen("left dropped").await;
    });
}

#[test]
fn leaving_cancels_the_calls_that_the_turn_made() {
    on_each_path(async |fixture| {
        let front = fixture.puppet("front");
        fixture.puppet("back");
        tokio::select! {
            _ = front.relay(&["end:back".to_owned()]) => unreachable!("nobody opens its door"),
            () = fixture.script.seen("back begins") => {}
        }
        fixture.script.seen("back dropped").await;
    });
}
