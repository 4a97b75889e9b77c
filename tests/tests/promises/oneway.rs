//! `#[oneway]` calls: what their senders know, and what they do not (S2, S3, S5, S7, S8, S9).

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use actor_runtime::{BoxFuture, FixedResolver, Layer, LayerCall, Next, Status, prelude::*};
use futures::{FutureExt, future::join_all};
use tests::{Fixture, Path, Script, on_each_path, on_each_path_but};
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

#[actor_service]
trait Log {
    /// Adds to the state.
    #[oneway]
    async fn note(&mut self, n: u64);
    /// A borrowed argument.
    #[oneway]
    async fn name(&self, name: &str);
    /// An exclusive turn of this name.
    #[oneway]
    async fn alone(&mut self, name: String);
    /// A shared turn of this name.
    #[oneway]
    async fn beside(&self, name: String);
    #[oneway]
    async fn panic(&self);
    /// Tells itself, from a turn that has the actor for itself.
    async fn echo(&mut self, n: u64) -> Result<(), String>;
    /// Logs what the context says.
    #[oneway]
    async fn context(&self);
    /// Asks itself, from a turn nobody waits for.
    #[oneway]
    async fn ask_itself(&mut self);
    async fn noted(&self) -> Vec<u64>;
}

struct Book {
    script: Script,
    resolver: FixedResolver,
    noted: Vec<u64>,
}

#[actor_service]
impl Log for Book {
    async fn note(&mut self, n: u64) {
        self.noted.push(n);
        self.script.log(format!("noted {n}"));
    }

    async fn name(&self, name: &str) {
        self.script.log(name);
    }

    async fn alone(&mut self, name: String) {
        self.script.act(&name).await;
    }

    async fn beside(&self, name: String) {
        self.script.act(&name).await;
    }

    async fn panic(&self) {
        panic!("on purpose");
    }

    async fn echo(&mut self, n: u64) -> Result<(), String> {
        let own = LogClient::new(&self.resolver, "book");
        own.note(n).await.map_err(|failure| failure.to_string())
    }

    async fn context(&self) {
        let context = current_ctx().expect("a turn");
        let caller = context.caller().is_some();
        self.script.log(format!("caller {caller}, remaining {:?}", context.remaining()));
    }

    async fn ask_itself(&mut self) {
        let failure = LogClient::new(&self.resolver, "book").noted().await.expect_err("it waits for itself");
        self.script.log(format!("{:?}", failure.kind()));
    }

    async fn noted(&self) -> Vec<u64> {
        self.noted.clone()
    }
}

fn book(fixture: &Fixture, mailbox: usize, overflow: Overflow) -> LogClient {
    let book = Book { script: fixture.script.clone(), resolver: fixture.resolver.clone(), noted: Vec::new() };
    fixture
        .server
        .registration("book", book)
        .mailbox(mailbox)
        .overflow(overflow)
        .register()
        .expect("a free name");
    fixture.resolver.set("book", [fixture.server.address()]);
    LogClient::on(&fixture.node, &fixture.resolver, "book")
}

fn first_poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// The sender knows that the actor has it; the turn has not begun.
#[test]
fn a_tell_ends_when_it_is_accepted_and_runs_whatever_its_sender_does() {
    on_each_path(async |fixture| {
        let book = book(fixture, 8, Overflow::Wait);
        book.alone("first".into()).await.unwrap();
        fixture.script.seen("first begins").await;
        book.alone("second".into()).await.unwrap();
        book.beside("third".into()).timeout(Duration::from_secs(1)).await.unwrap();
        book.name("borrowed").await.unwrap();
        assert_eq!(fixture.script.lines(), ["first begins"]);
        // S8: the deadline was for being accepted.
        fixture.pass(Duration::from_secs(if fixture.path.is_paused() { 100 } else { 2 })).await;
        for name in ["first", "second", "third"] {
            fixture.script.open(name);
        }
        fixture.script.seen("third ends").await;
        fixture.script.seen("borrowed").await;
        let lines = fixture.script.lines();
        assert_eq!(lines[1..4], ["first ends", "second begins", "second ends"]);
    });
}

/// S2.
#[test]
fn tells_and_asks_of_a_handle_start_in_order() {
    on_each_path(async |fixture| {
        let book = book(fixture, 4, Overflow::Wait);
        let tells = join_all((0..200).map(|n| book.note(n)));
        let (tells, noted) = tokio::join!(tells, book.noted());
        tells.into_iter().for_each(|told| told.unwrap());
        assert_eq!(noted.unwrap(), (0..200).collect::<Vec<u64>>());
    });
}

/// S3: the sender waits for a place, as long as it wants to; then nothing was delivered.
#[test]
fn a_full_mailbox_is_waited_for_within_the_deadline() {
    on_each_path(async |fixture| {
        let book = book(fixture, 2, Overflow::Wait);
        book.alone("held".into()).await.unwrap();
        fixture.script.seen("held begins").await;
        book.note(1).await.unwrap();
        book.note(2).await.unwrap();
        let failure = book.note(3).timeout(Duration::from_millis(200)).await.unwrap_err();
        assert_eq!(
            (failure.kind(), failure.delivery()),
            (FailureKind::DeadlineExceeded, Delivery::NotDelivered)
        );
        // One that gives up is not run, one that waits is accepted when there is a place.
        let mut waits = pin!(book.note(4));
        assert!(first_poll(&mut waits).is_pending());
        assert!(first_poll(book.note(5)).is_pending(), "and leaves");
        let health = fixture.health("book").await;
        assert_eq!((health.queued, health.waiting), (2, 1), "those that left wait no more");
        fixture.script.open("held");
        waits.await.unwrap();
        assert_eq!(book.noted().await.unwrap(), [1, 2, 4]);
    });
}

/// S3: the actor's own choice.
#[test]
fn an_actor_that_prefers_to_refuse_says_overloaded() {
    on_each_path(async |fixture| {
        let book = book(fixture, 1, Overflow::Fail);
        book.alone("held".into()).await.unwrap();
        fixture.script.seen("held begins").await;
        book.note(1).await.unwrap();
        let failure = book.note(2).await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Overloaded, Delivery::NotDelivered));
        fixture.script.open("held");
        fixture.script.seen("noted 1").await;
        assert_eq!(book.noted().await.unwrap(), [1]);
    });
}

#[test]
fn a_tell_to_an_actor_that_is_gone_was_not_delivered() {
    on_each_path(async |fixture| {
        let book = book(fixture, 8, Overflow::Wait);
        book.note(1).await.unwrap();
        assert!(fixture.server.unregister("book").await);
        let failure = book.note(2).await.unwrap_err();
        assert!(matches!(failure.kind(), FailureKind::NotFound | FailureKind::Stopped), "{failure}");
        assert_eq!(failure.delivery(), Delivery::NotDelivered);
        assert_eq!(fixture.script.lines(), ["noted 1"]);
    });
}

/// S4: a panic goes the actor's way.
#[test]
fn a_panic_stops_the_actor_and_the_sender_is_not_told() {
    on_each_path(async |fixture| {
        let book = book(fixture, 8, Overflow::Wait);
        book.panic().await.unwrap();
        let failure = book.noted().await.unwrap_err();
        assert!(matches!(failure.kind(), FailureKind::Stopped | FailureKind::NotFound), "{failure}");
        assert_eq!(failure.delivery(), Delivery::NotDelivered);
    });
}

/// S5: nobody waits for the turn of a tell, so it is no link of a chain.
#[test]
fn a_tell_to_oneself_is_no_cycle_and_its_own_turn_begins_a_chain() {
    on_each_path(async |fixture| {
        let book = book(fixture, 8, Overflow::Wait);
        book.echo(7).await.unwrap();
        assert_eq!(book.noted().await.unwrap(), [7]);
        book.ask_itself().await.unwrap();
        fixture.script.seen("Cycle").await;
        book.context().timeout(Duration::from_secs(5)).await.unwrap();
        fixture.script.seen("caller true, remaining None").await;
    });
}

/// S7: what was accepted cannot be taken back; what was not can.
#[test]
fn leaving_takes_back_only_what_was_not_accepted() {
    on_each_path_but(&[Path::Quic], "the moment of acceptance is to be met", async |fixture| {
        let book = book(fixture, 2, Overflow::Wait);
        book.noted().await.unwrap();
        drop(book.note(0));
        let mut told = Box::pin(book.beside("told".into()));
        let accepted = first_poll(&mut told).is_ready();
        fixture.script.seen("told begins").await;
        drop(told);
        assert_eq!(accepted, !fixture.path.crosses_nodes());
        fixture.settle().await;
        fixture.script.open("told");
        fixture.script.seen("told ends").await;
        assert_eq!(book.noted().await.unwrap(), [0_u64; 0]);
    });
}

/// S9: what was accepted is run within the grace.
#[test]
fn a_shutdown_runs_what_was_accepted() {
    on_each_path(async |fixture| {
        let book = book(fixture, 8, Overflow::Wait);
        book.alone("held".into()).await.unwrap();
        fixture.script.seen("held begins").await;
        for n in 0..5 {
            book.note(n).await.unwrap();
        }
        let open = async {
            fixture.settle().await;
            fixture.script.open("held");
        };
        let (ended, ()) = tokio::join!(fixture.server.shutdown(Duration::from_secs(5)), open);
        ended.unwrap();
        fixture.script.seen("noted 4").await;
    });
}

/// S9: beyond the grace the turn is cut off; the sender had its end.
#[test]
fn a_shutdown_beyond_its_grace_cuts_off_accepted_turns() {
    on_each_path(async |fixture| {
        let book = book(fixture, 8, Overflow::Wait);
        book.beside("held".into()).await.unwrap();
        fixture.script.seen("held begins").await;
        book.note(1).await.unwrap();
        let ended = fixture.server.shutdown(Duration::from_millis(10)).await.unwrap_err();
        assert_eq!(ended.cut_off, ["book"]);
        assert_eq!(fixture.script.lines(), ["held begins", "held dropped"]);
    });
}

/// More tells than a connection has credit for, to an actor that is slower: all arrive, in order.
#[test]
fn tells_beyond_the_credit_wait_and_none_is_lost() {
    on_each_path(async |fixture| {
        let book = book(fixture, 3, Overflow::Wait);
        book.alone("held".into()).await.unwrap();
        let tells = join_all((0..3000).map(|n| book.note(n)));
        let open = async {
            fixture.settle().await;
            fixture.script.open("held");
        };
        let (tells, ()) = tokio::join!(tells, open);
        assert!(tells.into_iter().all(|told| told.is_ok()));
        assert_eq!(book.noted().await.unwrap(), (0..3000).collect::<Vec<u64>>());
    });
}

/// `try_now` does not wait for the way, and has it looked up.
#[test]
fn try_now_fails_while_the_way_is_unknown_and_soon_it_is_known() {
    on_each_path(async |fixture| {
        let book = book(fixture, 8, Overflow::Wait);
        let failure = book.note(1).try_now().now_or_never().expect("at once").unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Overloaded, Delivery::NotDelivered));
        assert!(failure.detail().contains("the way to \"book\" is not known yet"), "{failure}");
        // Whatever comes next waits for the look-up that has begun.
        book.note(2).await.unwrap();
        book.note(3).try_now().await.unwrap();
        assert_eq!(book.noted().try_now().await.unwrap(), [2, 3]);
    });
}

/// `try_now` does not wait for a place in the mailbox, wherever that is.
#[test]
fn try_now_fails_if_the_mailbox_is_full() {
    on_each_path(async |fixture| {
        let book = book(fixture, 2, Overflow::Wait);
        book.alone("held".into()).await.unwrap();
        fixture.script.seen("held begins").await;
        book.note(1).try_now().await.unwrap();
        book.note(2).try_now().await.unwrap();
        let full = "the mailbox is full (2 calls), and the call was made with `try_now()`; call again later, or \
                    without it, to wait for a place";
        for failure in
            [book.note(3).try_now().await.unwrap_err(), book.noted().try_now().await.map(drop).unwrap_err()]
        {
            assert_eq!(
                (failure.kind(), failure.delivery()),
                (FailureKind::Overloaded, Delivery::NotDelivered)
            );
            assert_eq!(failure.detail(), full);
        }
        if fixture.path == Path::Direct {
            assert!(book.note(4).try_now().now_or_never().expect("at once").is_err());
        }
        fixture.script.open("held");
        assert_eq!(book.noted().await.unwrap(), [1, 2]);
    });
}

/// `try_now` does not wait for credit either, and says so before anything is sent.
#[test]
fn try_now_fails_without_credit() {
    for path in Path::ALL.into_iter().filter(|path| path.encodes()) {
        tests::runtime(path).block_on(async {
            let config = actor_runtime::Config { call_credit: 2, ..actor_runtime::Config::default() };
            let fixture = Fixture::with(path, |builder| builder.config(config.clone())).await;
            let book = book(&fixture, 64, Overflow::Wait);
            book.alone("held".into()).await.unwrap();
            fixture.script.seen("held begins").await;
            let mut queued: Vec<_> = (1..=3).map(|n| Box::pin(book.note(n))).collect();
            // Over loopback those for which there is credit are accepted at once.
            queued.retain_mut(|call| first_poll(call).is_pending());
            assert!(!queued.is_empty());
            let failure = book.note(9).try_now().now_or_never().expect("at once").unwrap_err();
            assert_eq!(
                (failure.kind(), failure.delivery()),
                (FailureKind::Overloaded, Delivery::NotDelivered)
            );
            assert!(failure.detail().starts_with("as many calls as "), "{failure}");
            fixture.script.open("held");
            join_all(queued).await.into_iter().for_each(|told| told.unwrap());
            assert_eq!(book.noted().await.unwrap(), [1, 2, 3]);
        });
    }
}

/// `try_now` to an actor that has stopped does not wait for another one to come.
#[test]
fn try_now_does_not_wait_for_a_successor() {
    on_each_path(async |fixture| {
        let book = book(fixture, 8, Overflow::Wait);
        book.note(1).await.unwrap();
        assert!(fixture.server.unregister("book").await);
        let failure = book.note(2).try_now().await.unwrap_err();
        assert!(matches!(failure.kind(), FailureKind::NotFound | FailureKind::Stopped), "{failure}");
        assert_eq!(failure.delivery(), Delivery::NotDelivered);
    });
}

/// S3: the way that a client knew may be gone. To find another one is waiting too.
#[test]
fn try_now_does_not_wait_for_a_new_connection() {
    let direct = "no connection is lost there";
    on_each_path_but(&[Path::Direct], direct, async |fixture| {
        let book = book(fixture, 8, Overflow::Wait);
        assert_eq!(book.noted().await.unwrap(), [0; 0]);
        fixture.server.shutdown(Duration::from_secs(1)).await.unwrap();
        fixture.settle().await;
        let told = first_poll(book.note(1).try_now());
        let Poll::Ready(Err(failure)) = told else { panic!("{told:?}, over {:?}", fixture.path) };
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Overloaded, Delivery::NotDelivered));
        assert!(failure.detail().contains("is not known"), "{failure}");
    });
}

struct Contradicts;

impl Layer for Contradicts {
    fn call<'a>(&'a self, _: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        Box::pin(async move {
            next.run().await?;
            Err(Failure::new(FailureKind::Denied, Delivery::Unknown, "by a layer"))
        })
    }
}

/// A client's layer sees the acceptance, and may make something else of it for the caller; the call is run.
#[test]
fn a_layer_of_the_client_has_the_last_word_with_the_caller_only() {
    for path in Path::ALL {
        tests::runtime(path).block_on(async {
            let fixture = Fixture::with(path, |builder| builder.client_layer(Contradicts)).await;
            let book = book(&fixture, 8, Overflow::Wait);
            let failure = book.alone("held".into()).await.unwrap_err();
            assert_eq!((failure.kind(), failure.detail()), (FailureKind::Denied, "by a layer"));
            fixture.script.open("held");
            fixture.script.seen("held ends").await;
        });
    }
}

struct Stands;

impl Layer for Stands {}

/// A client's layer that lets the call through and says that it went well leaves the call where it is: accepted.
#[test]
fn a_layer_of_the_client_around_a_tell_does_not_take_it_back() {
    for path in Path::ALL {
        tests::runtime(path).block_on(async {
            let fixture = Fixture::with(path, |builder| builder.client_layer(Stands)).await;
            let book = book(&fixture, 8, Overflow::Wait);
            book.alone("held".into()).await.unwrap();
            fixture.script.seen("held begins").await;
            book.alone("queued".into()).await.unwrap();
            fixture.settle().await;
            fixture.script.open("held");
            fixture.script.open("queued");
            assert_eq!(book.noted().await.unwrap(), [0; 0]);
            let lines = ["held begins", "held ends", "queued begins", "queued ends"];
            assert_eq!(fixture.script.lines(), lines, "over {path:?}");
        });
    }
}

struct Refuses;

impl Layer for Refuses {
    fn call<'a>(&'a self, _: LayerCall<'a>, _: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        Box::pin(async { Err(Failure::new(FailureKind::Denied, Delivery::NotDelivered, "by a layer")) })
    }
}

/// A server's layer comes after the acceptance: what it refuses is not run, and the sender is not told.
#[test]
fn a_layer_of_the_server_refuses_what_was_accepted() {
    for path in Path::ALL {
        tests::runtime(path).block_on(async {
            let fixture = Fixture::with(path, |builder| builder.server_layer(Refuses)).await;
            let book = book(&fixture, 8, Overflow::Wait);
            book.note(1).await.unwrap();
            assert_eq!(book.noted().await.unwrap_err().kind(), FailureKind::Denied);
            assert_eq!(fixture.script.lines(), [""; 0]);
        });
    }
}

/// Says that the call has ended, and has not run it.
struct Skips;

impl Layer for Skips {
    fn call<'a>(&'a self, _: LayerCall<'a>, _: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        Box::pin(async { Ok(Status::Replied) })
    }
}

/// Counts what is said of accepted calls that were not run.
#[derive(Clone, Default)]
struct Logged(Arc<AtomicUsize>);

impl Subscriber for Logged {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target() == "actor_runtime::call::oneway"
    }

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn what_a_layer_of_the_server_keeps_from_being_run_is_logged_however_it_says_so() {
    let logged = Logged::default();
    let _subscriber = tests::traced(logged.clone());
    for path in Path::ALL {
        tests::runtime(path).block_on(async {
            let refuses = Fixture::with(path, |builder| builder.server_layer(Refuses)).await;
            let skips = Fixture::with(path, |builder| builder.server_layer(Skips)).await;
            for fixture in [refuses, skips] {
                let book = book(&fixture, 8, Overflow::Wait);
                book.note(1).await.unwrap();
                // Its turn comes behind that one.
                book.noted().await.unwrap_err();
                assert_eq!(fixture.script.lines(), [""; 0]);
                assert_eq!(logged.0.swap(0, Ordering::Relaxed), 1, "over {path:?}");
            }
        });
    }
}
