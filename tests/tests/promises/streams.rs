//! S1, S7 and the wire's credit, for streams: what is in order, what is bounded, who stops whom.

use std::{task::Poll, time::Duration};

use actor_runtime::{BoxFuture, Layer, LayerCall, Next, NodeBuilder, Status, prelude::*};
use futures::future::{join_all, poll_fn};
use tests::{
    Fixture, Path, on_each_path, on_each_path_but,
    reel::{Seen, Watched, projector},
    runtime,
};

/// More than this is never made of what nobody reads: the window, and a batch on either side of it.
const AHEAD: u64 = 1024 + 2 * 64;

#[test]
fn items_come_in_order_and_then_the_end() {
    on_each_path(async |fixture| {
        let (reel, seen) = projector(fixture);
        for n in [0, 1, 3, 5000] {
            let numbers: Vec<u64> = reel.count_to(n).await.unwrap().try_collect().await.unwrap();
            assert!(numbers.into_iter().eq(0..n), "{n} items");
        }
        seen.dropped(4).await;
        let mut over = reel.count_to(1).await.unwrap();
        assert_eq!(over.try_next().await.unwrap(), Some(0));
        assert_eq!((over.try_next().await.unwrap(), over.try_next().await.unwrap()), (None, None));
    });
}

#[test]
fn a_method_may_fail_instead_with_its_own_error() {
    on_each_path(async |fixture| {
        let (reel, _) = projector(fixture);
        let Err(CallError::Application(error)) = reel.open("").await else { panic!("no error") };
        assert_eq!(error, "no name");
        let names: Vec<String> = reel.open("part").await.unwrap().try_collect().await.unwrap();
        assert_eq!(names, ["part 0", "part 1", "part 2"]);
    });
}

#[test]
fn long_items_and_short_ones_keep_their_order() {
    on_each_path(async |fixture| {
        let (reel, _) = projector(fixture);
        let lengths: Vec<u32> =
            (0..100).map(|n| [0, 10, 100 * 1024, 33 * 1024, 1000, 300 * 1024][n % 6]).collect();
        let items: Vec<Vec<u8>> = reel.lengths(lengths.clone()).await.unwrap().try_collect().await.unwrap();
        assert_eq!(items.len(), lengths.len());
        for (place, (item, length)) in items.iter().zip(lengths).enumerate() {
            assert_eq!(item.len(), length as usize, "item {place}");
            assert!(item.iter().all(|byte| usize::from(*byte) == place), "item {place}");
        }
    });
}

/// Time for whatever would be made, if it were: until nothing changes.
async fn at_rest(fixture: &Fixture, seen: &Seen) -> u64 {
    loop {
        let before = seen.made();
        fixture.settle().await;
        if seen.made() == before {
            return before;
        }
    }
}

#[test]
fn a_slow_reader_stops_a_fast_writer() {
    on_each_path(async |fixture| {
        let (reel, seen) = projector(fixture);
        let mut numbers = reel.for_ever().await.unwrap();
        for read in 0..3 {
            let ahead = at_rest(fixture, &seen).await - read * 2000;
            assert!(ahead <= AHEAD, "{ahead} items are made ahead of the reader");
            for n in 0..2000 {
                assert_eq!(numbers.try_next().await.unwrap(), Some(read * 2000 + n));
            }
        }
    });
}

#[test]
fn a_slow_reader_bounds_bytes_too() {
    on_each_path_but(&[Path::Direct], "values have no bytes there", async |fixture| {
        let (reel, seen) = projector(fixture);
        let mut items = reel.lengths(vec![20 * 1024; 250]).await.unwrap();
        let made = at_rest(fixture, &seen).await;
        assert!(made * 20 <= 256 + 20, "{made} items of 20 KiB are made ahead");
        let mut read = 0;
        while items.try_next().await.unwrap().is_some() {
            read += 1;
        }
        assert_eq!(read, 250);
    });
}

#[test]
fn dropping_the_reader_drops_the_producer() {
    on_each_path(async |fixture| {
        let (reel, seen) = projector(fixture);
        let mut numbers = reel.for_ever().await.unwrap();
        numbers.try_next().await.unwrap();
        drop(numbers);
        seen.dropped(1).await;
        // One that waits for something else than room.
        drop(reel.silent().await.unwrap());
        seen.dropped(2).await;
        // One that was never read.
        drop(reel.lengths(vec![100 * 1024; 200]).await.unwrap());
        seen.dropped(3).await;
        let numbers: Vec<u64> = reel.count_to(10).await.unwrap().try_collect().await.unwrap();
        assert_eq!(numbers.len(), 10);
    });
}

#[test]
fn a_stream_is_not_a_turn() {
    on_each_path(async |fixture| {
        let (reel, _) = projector(fixture);
        let mut numbers = reel.for_ever().await.unwrap();
        let mut nothing = reel.silent().await.unwrap();
        for n in 1..=3 {
            assert_eq!(reel.add(1).await.unwrap(), n);
            numbers.try_next().await.unwrap();
        }
        assert!(poll_fn(|cx| Poll::Ready(nothing.poll_next_unpin(cx).is_pending())).await);
    });
}

#[test]
fn a_stream_belongs_to_its_actor_and_to_no_call() {
    on_each_path(async |fixture| {
        let (reel, _) = projector(fixture);
        let who: Vec<_> = reel.who().await.unwrap().try_collect().await.unwrap();
        assert_eq!(who, [("projector".to_owned(), true)]);
    });
}

#[test]
fn a_stream_has_no_deadline_of_its_call() {
    on_each_path(async |fixture| {
        let (reel, _) = projector(fixture);
        reel.add(0).await.unwrap();
        let timeout = Duration::from_millis(if fixture.path.is_paused() { 20 } else { 500 });
        let mut numbers = reel.count_to(2).timeout(timeout).await.unwrap();
        assert_eq!(numbers.try_next().await.unwrap(), Some(0));
        fixture.pass(2 * timeout).await;
        assert_eq!(numbers.try_next().await.unwrap(), Some(1));
        assert_eq!(numbers.try_next().await.unwrap(), None);
    });
}

#[test]
fn a_panic_in_a_stream_ends_it_and_nothing_else() {
    on_each_path(async |fixture| {
        let (reel, seen) = projector(fixture);
        let mut numbers = reel.panics_after(3).await.unwrap();
        for n in 0..3 {
            assert_eq!(numbers.try_next().await.unwrap(), Some(n));
        }
        let failure = numbers.try_next().await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Panicked);
        assert_eq!((failure.method(), failure.actor()), ("Reel/panics_after", "projector"));
        assert!(failure.detail().contains("the film tears"), "{failure}");
        assert_eq!(numbers.try_next().await.unwrap(), None);
        seen.dropped(1).await;
        assert_eq!(reel.add(1).await.unwrap(), 1, "its actor goes on");
    });
}

#[test]
fn an_argument_is_a_stream_that_the_handler_reads_to_its_end() {
    on_each_path(async |fixture| {
        let (reel, _) = projector(fixture);
        for n in [0, 1, 5000] {
            assert_eq!(reel.sum("label", stream::iter(0..n)).await.unwrap(), ((0..n).sum(), None));
        }
        let items = stream::iter(vec![vec![1; 10], vec![2; 100 * 1024], vec![3; 10]]);
        assert_eq!(reel.read_some(9, items).await.unwrap(), [10, 100 * 1024, 10]);
    });
}

#[test]
fn an_argument_that_breaks_off_does_not_look_like_its_end() {
    on_each_path(async |fixture| {
        let (reel, _) = projector(fixture);
        let breaks = stream::iter(0..).map(|n: u64| {
            assert!(n < 5, "the caller's stream panics");
            n
        });
        assert_eq!(reel.sum("label", breaks).await.unwrap(), (10, Some("panicked".to_owned())));
    });
}

#[test]
fn a_caller_s_stream_is_stopped_with_its_reader_and_bounded_by_it() {
    on_each_path(async |fixture| {
        let (reel, _) = projector(fixture);
        let seen = Seen::default();
        let items = Watched(stream::repeat(vec![0_u8; 10]), seen.clone());
        assert_eq!(reel.read_some(3, items).await.unwrap(), [10; 3]);
        seen.dropped(1).await;
        assert!(seen.made() <= AHEAD, "{} items were made", seen.made());
        // It is not asked for what nobody reads.
        let items = Watched(stream::repeat(vec![0_u8; 10]), seen.clone());
        let before = seen.made();
        assert_eq!(reel.read_some(0, items).await.unwrap(), [0; 0]);
        seen.dropped(2).await;
        assert_eq!(seen.made(), before);
    });
}

#[test]
fn a_caller_that_leaves_drops_its_stream() {
    on_each_path(async |fixture| {
        let (reel, _) = projector(fixture);
        reel.add(0).await.unwrap();
        let seen = Seen::default();
        let (first, next) =
            (Watched(stream::pending(), seen.clone()), Watched(stream::iter(0..3), seen.clone()));
        // Never polled, under way, and ended.
        drop(reel.sum("label", Watched(stream::pending(), seen.clone())));
        seen.dropped(1).await;
        let mut call = Box::pin(reel.sum("label", first));
        assert!(futures::poll!(&mut call).is_pending());
        fixture.settle().await;
        drop(call);
        seen.dropped(2).await;
        assert_eq!(reel.sum("label", next).await.unwrap(), (3, None));
        seen.dropped(3).await;
    });
}

#[test]
fn streams_go_both_ways_at_once() {
    on_each_path(async |fixture| {
        let (reel, seen) = projector(fixture);
        let (words, hear) = tokio::sync::mpsc::channel(4);
        let hear = stream::unfold(hear, |mut hear| async { Some((hear.recv().await?, hear)) });
        let mut echo = reel.echo(hear).await.unwrap();
        for n in 0..20 {
            words.send(format!("word {n}")).await.unwrap();
            assert_eq!(echo.try_next().await.unwrap(), Some(format!("word {n}")));
            assert_eq!(reel.add(1).await.unwrap(), n + 1);
        }
        drop(words);
        assert_eq!(echo.try_next().await.unwrap(), None);
        seen.dropped(1).await;
    });
}

#[test]
fn many_streams_share_a_connection_and_none_starves() {
    on_each_path(async |fixture| {
        let (reel, _) = projector(fixture);
        let mut endless = reel.for_ever().await.unwrap();
        endless.try_next().await.unwrap();
        let read = async |n: u64| {
            let numbers: Vec<u64> = reel.count_to(n * 50).await.unwrap().try_collect().await.unwrap();
            assert!(numbers.into_iter().eq(0..n * 50), "stream {n}");
        };
        join_all((0..100).map(read)).await;
        assert_eq!(endless.try_next().await.unwrap(), Some(1));
    });
}

#[test]
fn a_stream_passes_the_layers_of_its_server_and_of_its_caller() {
    struct Through;

    impl Layer for Through {
        fn call<'a>(&'a self, _: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
            Box::pin(async move {
                let end = next.run().await;
                assert!(matches!(end, Ok(Status::Replied)), "{end:?}");
                end
            })
        }
    }

    for path in Path::ALL {
        runtime(path).block_on(async {
            let layers = |builder: NodeBuilder| builder.server_layer(Through).client_layer(Through);
            let fixture = Fixture::with(path, layers).await;
            let (reel, _) = projector(&fixture);
            let numbers: Vec<u64> = reel.count_to(100).await.unwrap().try_collect().await.unwrap();
            assert!(numbers.into_iter().eq(0..100), "{path:?}");
            assert_eq!(reel.sum("label", stream::iter(0..3)).await.unwrap(), (3, None), "{path:?}");
        });
    }
}
