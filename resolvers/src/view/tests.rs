//! A backend that does what its test says, over paused time.

use std::sync::atomic::{AtomicUsize, Ordering};

use actor_runtime::ResolvedEndpoint;
use tokio::sync::mpsc;

use super::*;

/// What the backend does next.
enum Say {
    Set(u16),
    Confirm,
    Fail(&'static str),
    Panic,
}

/// A backend whose one name has one port.
struct Script {
    says: tokio::sync::Mutex<mpsc::UnboundedReceiver<Say>>,
    /// When it was followed.
    begun: Mutex<Vec<Instant>>,
    following: AtomicUsize,
}

/// Counts who follows.
struct Following<'a>(&'a AtomicUsize);

impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Source for Script {
    type Key = Namespace;
    type State = u16;

    fn key(&self, namespace: &Namespace, name: &str) -> Result<Namespace, BoxError> {
        if name == "refused" { Err("no such names here".into()) } else { Ok(namespace.clone()) }
    }

    fn follow<'a>(&'a self, _: &'a Namespace, publisher: &'a Publisher<u16>) -> BoxFuture<'a, BoxError> {
        Box::pin(async move {
            lock(&self.begun).push(clock::now());
            self.following.fetch_add(1, Ordering::Relaxed);
            let _following = Following(&self.following);
            let mut says = self.says.lock().await;
            loop {
                match says.recv().await {
                    Some(Say::Set(port)) => publisher.set(port),
                    Some(Say::Confirm) => publisher.confirm(),
                    Some(Say::Fail(why)) => return why.into(),
                    Some(Say::Panic) => panic!("the script says so"),
                    None => std::future::pending().await,
                }
            }
        })
    }

    fn good_for(&self) -> Option<Duration> {
        Some(second(3600))
    }

    fn answer(&self, port: &u16, _: &Namespace, name: &str) -> ResolveResult {
        let address = format!("127.0.0.1:{port}").parse().expect("an address");
        ResolveResult::new([ResolvedEndpoint::new(address, name)])
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the script")
    }
}

type Says = mpsc::UnboundedSender<Say>;

fn script(options: ViewOptions) -> (Views<Script>, Says) {
    let (say, says) = mpsc::unbounded_channel();
    let (says, begun) = (tokio::sync::Mutex::new(says), Mutex::default());
    (Views::new(Script { says, begun, following: AtomicUsize::new(0) }, options), say)
}

fn say(says: &Says, what: Say) {
    assert!(says.send(what).is_ok(), "the script is followed");
}

async fn resolve(views: &Views<Script>) -> Result<ResolveResult, ResolveError> {
    views.resolve(&Namespace::local(), "a").await
}

fn port(result: &ResolveResult) -> String {
    result.first().expect("an endpoint").address.to_string()
}

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A failure that others see before the source is followed again.
async fn fail(says: &Says, why: &'static str) {
    say(says, Say::Fail(why));
    clock::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn everybody_is_answered_from_one_task() {
    let (views, says) = script(ViewOptions::default());
    say(&says, Say::Set(7));
    let many = futures::future::join_all((0..100).map(|_| {
        let views = views.clone();
        async move { resolve(&views).await.map(|found| port(&found)).map_err(|error| error.to_string()) }
    }));
    assert!(many.await.iter().all(|found| found.as_deref() == Ok("127.0.0.1:7")));
    assert_eq!(lock(&views.shared.source.begun).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_backend_is_told_of_within_the_time() {
    let (views, _says) = script(ViewOptions::default().answer_within(second(2)));
    let begun = clock::now();
    let text = resolve(&views).await.unwrap_err().to_string();
    assert!(text.ends_with("the script gave no answer within 2s"), "{text}");
    assert_eq!(begun.elapsed(), second(2));
    let told = views.watch(&Namespace::local(), "a").next().await.unwrap();
    assert!(told.unwrap_err().to_string().contains("gave no answer"));
}

#[tokio::test(start_paused = true)]
async fn a_first_failure_is_told_at_once_and_asking_again_has_it_tried_sooner() {
    let (views, says) = script(ViewOptions::default());
    say(&says, Say::Fail("down"));
    let begun = clock::now();
    assert!(resolve(&views).await.unwrap_err().to_string().ends_with("failed: down"));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // The pauses have grown long by now.
    for _ in 0..6 {
        say(&says, Say::Fail("down"));
    }
    let tries = || lock(&views.shared.source.begun).len();
    while tries() < 7 {
        clock::sleep(Duration::from_millis(10)).await;
    }
    clock::sleep(second(1)).await;
    assert_eq!(tries(), 7);
    let asked = clock::now();
    say(&says, Say::Set(7));
    assert_eq!(port(&resolve(&views).await.unwrap()), "127.0.0.1:7");
    assert!(asked.elapsed() <= Duration::from_millis(200), "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_to_their_bound_and_begin_again_after_an_answer() {
    let options = ViewOptions::default().retry(Duration::from_millis(100), second(1));
    let (views, says) = script(options);
    let mut watched = views.watch(&Namespace::local(), "a");
    for _ in 0..12 {
        say(&says, Say::Fail("down"));
    }
    say(&says, Say::Set(7));
    while watched.next().await.unwrap().is_err() {}
    clock::sleep(second(5)).await;
    say(&says, Say::Fail("down"));
    clock::sleep(second(1)).await;
    let begun = lock(&views.shared.source.begun).clone();
    let pauses: Vec<_> = begun.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(pauses[0] >= Duration::from_millis(100) && pauses[0] <= Duration::from_millis(250), "{pauses:?}");
    let longest = second(1)..=Duration::from_millis(1200);
    assert!(pauses[8..12].iter().all(|pause| longest.contains(pause)), "{pauses:?}");
    // Beside the five seconds in which all was well.
    assert!(pauses[12] <= Duration::from_millis(5250), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_good_answer_is_served_with_its_age_until_there_is_a_new_one() {
    let (views, says) = script(ViewOptions::default());
    say(&says, Say::Set(7));
    assert_eq!(resolve(&views).await.unwrap().stale, None);
    clock::sleep(second(5)).await;
    say(&says, Say::Confirm);
    clock::sleep(second(1)).await;
    fail(&says, "down").await;
    clock::sleep(second(60)).await;
    let found = resolve(&views).await.unwrap();
    let stale = found.stale.clone().unwrap();
    assert_eq!(port(&found), "127.0.0.1:7");
    assert_eq!(stale.reason, "down");
    assert!(stale.age >= second(61) && stale.age < second(62), "{stale}");
    say(&says, Say::Confirm);
    clock::sleep(second(1)).await;
    assert_eq!(resolve(&views).await.unwrap().stale, None);
    say(&says, Say::Set(8));
    clock::sleep(second(1)).await;
    assert_eq!(port(&resolve(&views).await.unwrap()), "127.0.0.1:8");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_is_no_answer() {
    let (views, says) = script(ViewOptions::default().serve_stale_for(second(30)));
    let mut watched = views.watch(&Namespace::local(), "a");
    say(&says, Say::Set(7));
    assert_eq!(watched.next().await.unwrap().unwrap().stale, None);
    fail(&says, "down").await;
    assert!(watched.next().await.unwrap().unwrap().stale.is_some());
    let begun = clock::now();
    let text = watched.next().await.unwrap().unwrap_err().to_string();
    assert!(text.ends_with("older than 30s, which is too old: down"), "{text}");
    assert!(begun.elapsed() <= second(30), "{:?}", begun.elapsed());
    assert!(resolve(&views).await.unwrap_err().to_string().contains("too old"));
}

#[tokio::test(start_paused = true)]
async fn a_watcher_is_told_the_present_each_other_answer_and_that_it_is_stale() {
    let (views, says) = script(ViewOptions::default());
    let mut watched = views.watch(&Namespace::local(), "a");
    say(&says, Say::Set(7));
    assert_eq!(port(&watched.next().await.unwrap().unwrap()), "127.0.0.1:7");
    // The same again is nothing new.
    say(&says, Say::Set(7));
    say(&says, Say::Confirm);
    clock::sleep(second(1)).await;
    say(&says, Say::Set(8));
    assert_eq!(port(&watched.next().await.unwrap().unwrap()), "127.0.0.1:8");
    for _ in 0..3 {
        fail(&says, "down").await;
    }
    assert_eq!(watched.next().await.unwrap().unwrap().stale.unwrap().reason, "down");
    say(&says, Say::Confirm);
    assert_eq!(watched.next().await.unwrap().unwrap().stale, None);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_is_a_failure_and_followed_again() {
    let (views, says) = script(ViewOptions::default());
    say(&says, Say::Panic);
    let text = resolve(&views).await.unwrap_err().to_string();
    assert!(text.ends_with("it panicked: the script says so"), "{text}");
    say(&says, Say::Set(7));
    clock::sleep(second(1)).await;
    assert_eq!(port(&resolve(&views).await.unwrap()), "127.0.0.1:7");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_any_more_is_forgotten_and_what_is_watched_is_not() {
    let (views, says) = script(ViewOptions::default().forget_after(second(60)));
    let following = || views.shared.source.following.load(Ordering::Relaxed);
    say(&says, Say::Set(7));
    resolve(&views).await.unwrap();
    clock::sleep(second(59)).await;
    resolve(&views).await.unwrap();
    clock::sleep(second(59)).await;
    assert_eq!(following(), 1);
    clock::sleep(second(2)).await;
    assert_eq!(following(), 0);
    assert!(lock(&views.shared.views).is_empty());

    let mut watched = views.watch(&Namespace::local(), "a");
    say(&says, Say::Set(8));
    watched.next().await.unwrap().unwrap();
    clock::sleep(second(600)).await;
    assert_eq!(following(), 1);
    drop(watched);
    clock::sleep(second(121)).await;
    assert_eq!(following(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_is_gone_follows_nothing() {
    let (views, says) = script(ViewOptions::default());
    say(&says, Say::Set(7));
    resolve(&views).await.unwrap();
    drop(views);
    says.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_has_no_place_is_refused() {
    let (views, _says) = script(ViewOptions::default());
    let refused = views.resolve(&Namespace::local(), "refused").await.unwrap_err();
    assert!(refused.to_string().ends_with("no such names here"), "{refused}");
    let mut watched = views.watch(&Namespace::local(), "refused");
    assert!(watched.next().await.unwrap().is_err());
    assert!(futures::poll!(watched.next()).is_pending());
}

/// Such as a watch that is refused although a list is not.
#[tokio::test(start_paused = true)]
async fn a_backend_that_answers_and_fails_at_once_is_asked_less_often_each_time() {
    let options = ViewOptions::default().retry(Duration::from_millis(100), second(10));
    let (views, says) = script(options);
    let _watched = views.watch(&Namespace::local(), "a");
    say(&says, Say::Set(7));
    resolve(&views).await.unwrap();
    for _ in 0..50 {
        say(&says, Say::Fail("no watch"));
        say(&says, Say::Set(7));
    }
    clock::sleep(second(60)).await;
    let tries = lock(&views.shared.source.begun).len();
    assert!((8..=16).contains(&tries), "{tries} in a minute");
}

#[tokio::test(start_paused = true)]
async fn what_is_watched_is_followed_however_soon_it_is_to_be_forgotten() {
    let (views, says) = script(ViewOptions::default().forget_after(Duration::ZERO));
    for said in [7, 8] {
        say(&says, Say::Set(said));
        assert_eq!(port(&resolve(&views).await.unwrap()), format!("127.0.0.1:{said}"));
        clock::sleep(second(3)).await;
        assert!(lock(&views.shared.views).is_empty());
    }
    let mut watched = views.watch(&Namespace::local(), "a");
    say(&says, Say::Set(9));
    assert_eq!(port(&watched.next().await.unwrap().unwrap()), "127.0.0.1:9");
}

/// A task that cannot run does not know that it is late.
#[tokio::test(start_paused = true)]
async fn what_was_not_heard_of_for_too_long_is_not_called_fresh() {
    let (views, says) = script(ViewOptions::default().forget_after(second(7200)));
    say(&says, Say::Set(7));
    assert_eq!(resolve(&views).await.unwrap().stale, None);
    clock::sleep(second(3601)).await;
    let found = resolve(&views).await.unwrap();
    assert!(found.stale.is_some_and(|stale| stale.age >= second(3601)));
    say(&says, Say::Confirm);
    clock::sleep(second(1)).await;
    assert_eq!(resolve(&views).await.unwrap().stale, None);
}

#[tokio::test(start_paused = true)]
async fn what_was_stale_when_it_was_heard_grows_older() {
    let (views, says) = script(ViewOptions::default());
    let limited = ViewOptions::default().serve_stale_for(second(100));
    let kept = crate::CachedResolver::new(views.clone());
    let kept_for_a_while = crate::CachedResolver::with(views, limited);
    say(&says, Say::Set(7));
    let local = Namespace::local();
    let mut watched = kept_for_a_while.watch(&local, "a");
    assert_eq!(watched.next().await.unwrap().unwrap().stale, None);
    assert_eq!(kept.resolve(&local, "a").await.unwrap().stale, None);
    fail(&says, "down").await;
    assert!(watched.next().await.unwrap().unwrap().stale.is_some());
    clock::sleep(second(60)).await;
    let stale = kept.resolve(&local, "a").await.unwrap().stale.unwrap();
    assert!(stale.age >= second(60) && stale.age < second(62), "{stale}");
    assert!(watched.next().await.unwrap().is_err());
    assert!(kept_for_a_while.resolve(&local, "a").await.unwrap_err().to_string().contains("too old"));
}

/// A process can have several runtimes one after the other, as tests do.
#[test]
fn a_resolver_outlives_the_runtime_that_followed_for_it() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().expect("a runtime")
    };
    let (views, says) = script(ViewOptions::default());
    for said in [7, 8] {
        say(&says, Say::Set(said));
        let found = runtime().block_on(resolve(&views)).unwrap();
        assert_eq!(port(&found), format!("127.0.0.1:{said}"));
    }
    assert_eq!(lock(&views.shared.source.begun).len(), 2);
}
