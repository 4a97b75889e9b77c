//! A node's registrar is told which actors are to be found, and the node knows what became of it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use actor_runtime::{AnnounceError, Announcement, BoxFuture, Registrar, prelude::*};
use tests::Window;
use tokio::sync::watch;

/// What a registrar does with a set.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Announces,
    Fails,
    Hangs,
    Panics,
    GivesUp,
}

/// A registrar whose world is a list of names.
#[derive(Clone, Debug)]
struct Board {
    mood: watch::Sender<Mood>,
    /// The names that are announced.
    names: watch::Sender<Vec<String>>,
    begun: Arc<AtomicUsize>,
    /// Whether it was told that nothing more will come.
    ended: watch::Sender<bool>,
}

impl Board {
    fn new(mood: Mood) -> Self {
        Self {
            mood: watch::Sender::new(mood),
            names: watch::Sender::default(),
            begun: Arc::default(),
            ended: watch::Sender::default(),
        }
    }

    fn names(&self) -> Vec<String> {
        self.names.borrow().clone()
    }

    async fn shows(&self, names: &[&str]) {
        self.names.subscribe().wait_for(|shown| shown == names).await.expect("the board is there");
    }
}

impl Registrar for Board {
    fn announce(&self, mut announcement: Announcement) -> BoxFuture<'static, ()> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let board = self.clone();
        Box::pin(async move {
            let mut moods = board.mood.subscribe();
            loop {
                let wanted = announcement.changed().await;
                while *moods.borrow_and_update() == Mood::Fails {
                    announcement.failed("the board is full");
                    moods.changed().await.expect("the board is there");
                }
                let mood = *moods.borrow();
                match mood {
                    Mood::Hangs => std::future::pending().await,
                    Mood::Panics => panic!("the chalk broke"),
                    Mood::GivesUp => return,
                    Mood::Announces | Mood::Fails => {}
                }
                let names = wanted.endpoints().iter().map(|endpoint| endpoint.name.clone()).collect();
                board.names.send_replace(names);
                announcement.announced(&wanted);
                if wanted.is_last() {
                    board.ended.send_replace(true);
                    return;
                }
            }
        })
    }
}

async fn server(board: &Board) -> ActorServer {
    let node = Node::builder().build().expect("there is a runtime");
    node.set_registrar(board.clone());
    ActorServer::bind_on(&node, "loopback:0").await.expect("a free number")
}

#[actor_runtime::test(start_paused = true)]
async fn what_is_registered_is_announced_and_what_ends_is_withdrawn() {
    let board = Board::new(Mood::Announces);
    let server = server(&board).await;
    server.register("a", Window(0)).unwrap();
    let b = server.registration("b", Window(0)).start().unwrap();
    server.node().unnamed_actor(Window(0)).start().unwrap();
    server.announced().await.unwrap();
    assert_eq!(board.names(), ["a", "b"]);

    server.unregister("a").await;
    server.announced().await.unwrap();
    assert_eq!(board.names(), ["b"]);

    b.stop(Duration::from_secs(1)).await;
    board.shows(&[]).await;

    server.register("c", Window(0)).unwrap();
    server.announced().await.unwrap();
    server.shutdown(Duration::from_secs(1)).await.unwrap();
    assert_eq!(board.names(), [""; 0]);
    assert!(!*board.ended.borrow(), "the node may get another server");

    let again = ActorServer::bind_on(server.node(), "loopback:0").await.unwrap();
    again.register("d", Window(0)).unwrap();
    again.announced().await.unwrap();
    assert_eq!(board.names(), ["d"]);
}

#[actor_runtime::test(start_paused = true)]
async fn an_endpoint_says_where_which_and_what() {
    let board = Board::new(Mood::Announces);
    let node = Node::builder().build().unwrap();
    let (told, mut endpoints) = watch::channel(Vec::new());
    /// Shows its endpoints.
    #[derive(Debug)]
    struct Shows(watch::Sender<Vec<actor_runtime::ResolvedEndpoint>>);
    impl Registrar for Shows {
        fn announce(&self, mut announcement: Announcement) -> BoxFuture<'static, ()> {
            let told = self.0.clone();
            Box::pin(async move {
                loop {
                    let wanted = announcement.changed().await;
                    told.send_replace(wanted.endpoints().to_vec());
                    announcement.announced(&wanted);
                }
            })
        }
    }
    node.set_registrar(board.clone());
    node.set_registrar(Shows(told));
    let server = ActorServer::bind_on(&node, "loopback:0").await.unwrap();
    let id = server.registration("a", Window(0)).metadata("zone", "eu").register().unwrap();
    server.announced().await.unwrap();
    let found = endpoints.borrow_and_update()[0].clone();
    assert_eq!((found.address, found.actor), (server.address(), Some(id)));
    assert_eq!((found.name.as_str(), found.metadata["zone"].as_str()), ("a", "eu"));
    // The one that was replaced was told so.
    board.ended.subscribe().wait_for(|ended| *ended).await.unwrap();
}

#[actor_runtime::test(start_paused = true)]
async fn what_cannot_be_announced_is_told_with_its_reason_and_tried_again() {
    let board = Board::new(Mood::Fails);
    let server = server(&board).await;
    server.register("a", Window(0)).unwrap();
    let late = server.announced().await.unwrap_err();
    let waited = server.node().config().default_timeout;
    assert_eq!(late, AnnounceError::Late { waited, reason: Some("the board is full".into()) });
    board.mood.send_replace(Mood::Announces);
    server.announced().await.unwrap();
    assert_eq!(board.names(), ["a"]);
}

#[actor_runtime::test(start_paused = true)]
async fn a_registrar_that_panics_or_gives_up_is_asked_again() {
    for mood in [Mood::Panics, Mood::GivesUp] {
        let board = Board::new(mood);
        let server = server(&board).await;
        server.register("a", Window(0)).unwrap();
        let node = server.node().clone();
        let recovers = async {
            let mut failed = server.announced().await;
            while failed.is_err() && board.begun.load(Ordering::Relaxed) < 2 {
                failed = server.announced().await;
            }
            board.mood.send_replace(Mood::Announces);
            server.announced().await
        };
        node.scope(recovers).await.unwrap();
        assert_eq!(board.names(), ["a"]);
    }
}

#[actor_runtime::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "a test measures")]
async fn a_registrar_that_hangs_holds_up_a_shutdown_for_its_grace_only() {
    let board = Board::new(Mood::Hangs);
    let server = server(&board).await;
    server.register("a", Window(0)).unwrap();
    let begun = tokio::time::Instant::now();
    server.shutdown(Duration::from_secs(2)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(2600), "{:?}", begun.elapsed());
}

#[actor_runtime::test(start_paused = true)]
async fn the_end_of_the_node_is_the_last_set() {
    let board = Board::new(Mood::Announces);
    let server = server(&board).await;
    server.register("a", Window(0)).unwrap();
    server.announced().await.unwrap();
    drop(server);
    board.ended.subscribe().wait_for(|ended| *ended).await.unwrap();
    assert_eq!(board.names(), [""; 0]);
}

#[actor_runtime::test(start_paused = true)]
async fn a_node_without_a_registrar_says_so() {
    let server = ActorServer::bind("loopback:0").await.unwrap();
    assert_eq!(server.announced().await, Err(AnnounceError::NoRegistrar));
}

#[actor_runtime::test(start_paused = true)]
async fn who_waits_is_told_that_the_registrar_was_replaced() {
    let board = Board::new(Mood::Fails);
    let server = server(&board).await;
    server.register("a", Window(0)).unwrap();
    let replaces = async {
        tokio::task::yield_now().await;
        server.node().set_registrar(Board::new(Mood::Announces));
    };
    let (waited, ()) = tokio::join!(server.announced(), replaces);
    assert_eq!(waited, Err(AnnounceError::Replaced));
    server.announced().await.unwrap();
}

#[test]
fn an_actor_that_takes_no_more_calls_is_withdrawn_though_its_queue_still_runs() {
    tests::on_path(tests::Path::Direct, async |fixture| {
        let board = Board::new(Mood::Announces);
        let server = fixture.another_server("other").await;
        server.node().set_registrar(board.clone());
        let handle = server.registration(
            "p",
            tests::Puppet { script: fixture.script.clone(), resolver: fixture.resolver.clone(), total: 0 },
        );
        let handle = handle.start().unwrap();
        server.announced().await.unwrap();
        let probe = handle.client::<tests::ProbeClient>();
        let stops = async {
            fixture.script.seen("long begins").await;
            let ended = handle.stop(Duration::from_secs(60));
            board.shows(&[]).await;
            fixture.script.open("long");
            ended.await;
        };
        let (ran, ()) = tokio::join!(probe.exclusive("long"), stops);
        assert_eq!(ran.unwrap(), "long");
    });
}
