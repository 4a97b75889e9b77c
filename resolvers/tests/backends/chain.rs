//! Chains of resolvers that answer, fail, hang, panic and change. The time is paused.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actor_resolvers::ChainResolver;
use actor_runtime::{
    BoxFuture, BoxStream, FixedResolver, Namespace, ResolveError, ResolveResult, ResolvedEndpoint, Resolver,
    Staleness,
};
use futures::{FutureExt, StreamExt, future::pending, stream};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

type Said = Result<ResolveResult, String>;

/// A member that says what it is told to say; `None` is silence.
#[derive(Clone)]
struct Fake {
    who: &'static str,
    says: watch::Sender<Option<Said>>,
    asked: Arc<AtomicUsize>,
}

impl Fake {
    fn new(who: &'static str, says: Option<Said>) -> Self {
        Self { who, says: watch::Sender::new(says), asked: Arc::default() }
    }

    fn with(who: &'static str, addresses: &[&str]) -> Self {
        Self::new(who, Some(has(addresses)))
    }

    fn failing(who: &'static str, reason: &str) -> Self {
        Self::new(who, Some(Err(reason.to_owned())))
    }

    fn silent(who: &'static str) -> Self {
        Self::new(who, None)
    }

    fn say(&self, said: Said) {
        self.says.send_replace(Some(said));
    }
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.who)
    }
}

impl Resolver for Fake {
    fn resolve<'a>(
        &'a self,
        namespace: &'a Namespace,
        name: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let said = self.says.borrow().clone();
        Box::pin(async move {
            match said {
                Some(said) => said.map_err(|text| ResolveError::new(namespace, name, text)),
                None => pending().await,
            }
        })
    }

    fn watch(
        &self,
        namespace: &Namespace,
        name: &str,
    ) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let (namespace, name) = (namespace.clone(), name.to_owned());
        let mut says = self.says.subscribe();
        says.mark_changed();
        let said = stream::unfold(says, |mut says| async move {
            loop {
                says.changed().await.ok()?;
                let said = says.borrow_and_update().clone();
                if let Some(said) = said {
                    return Some((said, says));
                }
            }
        });
        said.map(move |said| said.map_err(|text| ResolveError::new(&namespace, &*name, text))).boxed()
    }
}

/// Panics whenever it is asked.
#[derive(Debug)]
struct Panics;

impl Resolver for Panics {
    fn resolve<'a>(
        &'a self,
        _: &'a Namespace,
        _: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        panic!("no resolve")
    }

    fn watch(&self, _: &Namespace, _: &str) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        async { panic!("no watch") }.into_stream().boxed()
    }
}

/// Its watch always has the same to say at once.
#[derive(Debug)]
struct Chatters;

impl Resolver for Chatters {
    fn resolve<'a>(
        &'a self,
        _: &'a Namespace,
        _: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        Box::pin(async { Ok(ResolveResult::default()) })
    }

    fn watch(&self, _: &Namespace, _: &str) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        stream::repeat_with(|| Ok(ResolveResult::default())).boxed()
    }
}

/// Says one thing, and its watch ends, each time.
#[derive(Clone, Debug, Default)]
struct Ends(Arc<AtomicUsize>);

impl Resolver for Ends {
    fn resolve<'a>(
        &'a self,
        _: &'a Namespace,
        _: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        Box::pin(async { Ok(ResolveResult::default()) })
    }

    fn watch(&self, _: &Namespace, _: &str) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        let port = 7000 + self.0.fetch_add(1, Ordering::Relaxed);
        let said = has(&[&format!("10.9.9.9:{port}")]).expect("an answer");
        stream::iter([Ok(said)]).boxed()
    }
}

fn has(addresses: &[&str]) -> Said {
    let endpoint = |address: &&str| ResolvedEndpoint::new(address.parse().expect("an address"), "calc");
    Ok(ResolveResult::new(addresses.iter().map(endpoint)))
}

fn knows(name: &str) -> Said {
    let mut result = ResolveResult::default();
    result.known.push(name.to_owned());
    Ok(result)
}

fn stale(mut said: Said, age: u64) -> Said {
    if let Ok(result) = &mut said {
        result.stale = Some(Staleness::new(Duration::from_secs(age), "it is away"));
    }
    said
}

async fn ask(chain: &ChainResolver) -> Result<ResolveResult, String> {
    chain.resolve(&Namespace::local(), "calc").await.map_err(|error| error.to_string())
}

fn addresses(result: &ResolveResult) -> Vec<String> {
    result.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect()
}

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";
const C: &str = "10.0.0.3:7000";

#[tokio::test(start_paused = true)]
async fn the_first_that_has_an_endpoint_answers_and_later_ones_are_not_asked() {
    let (empty, one, other) = (Fake::with("empty", &[]), Fake::with("one", &[A]), Fake::with("other", &[B]));
    let chain = ChainResolver::first_answer().and(empty).and(one).and(other.clone());
    assert_eq!(addresses(&ask(&chain).await.unwrap()), [A]);
    assert_eq!(other.asked.load(Ordering::Relaxed), 0);
    assert_eq!(format!("{chain:?}"), "the first answer of [empty, one, other]");
}

#[tokio::test(start_paused = true)]
async fn failures_hangs_and_panics_before_the_first_answer_are_told_and_do_not_stop_it() {
    let chain = ChainResolver::first_answer()
        .and(Fake::failing("bad", "it burns"))
        .and(Panics)
        .and(Fake::silent("silent"))
        .and(Fake::with("good", &[A]))
        .patience(Duration::from_secs(3));
    let began = Instant::now();
    let result = ask(&chain).await.unwrap();
    assert_eq!(addresses(&result), [A]);
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    let rejected =
        ["bad: it burns", "Panics: it panicked: no resolve", "silent: it gave no answer within 3s"];
    assert_eq!(result.rejected, rejected);
}

#[tokio::test(start_paused = true)]
async fn when_all_are_empty_the_answer_is_empty_with_what_all_know() {
    for chain in [ChainResolver::first_answer(), ChainResolver::merged()] {
        let fixed = FixedResolver::new([("store", A)]);
        let one = Fake::new("one", Some(knows("a")));
        let two = Fake::new("two", Some(knows("a")));
        let result = ask(&chain.and(one).and(fixed).and(two)).await.unwrap();
        assert!(result.is_empty());
        assert_eq!(result.known, ["a", "\"store\" in <local>"]);
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_the_error_names_each_and_its_reason() {
    for chain in [ChainResolver::first_answer(), ChainResolver::merged()] {
        let chain = chain.and(Fake::failing("one", "it burns")).and(Fake::silent("two"));
        let error = ask(&chain).await.unwrap_err();
        let reasons = "all failed: one: it burns; two: it gave no answer within 2s";
        assert_eq!(error, format!("resolving \"calc\" in namespace <local> failed: {reasons}"));
    }
}

#[tokio::test(start_paused = true)]
async fn when_some_fail_and_the_others_have_nothing_that_is_an_error() {
    for chain in [ChainResolver::first_answer(), ChainResolver::merged()] {
        let chain = chain.and(Fake::with("empty", &[])).and(Fake::failing("one", "it burns"));
        let error = ask(&chain).await.unwrap_err();
        assert!(error.ends_with("some failed, and the others have nothing: one: it burns"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_nobody_says_so() {
    let chain = ChainResolver::merged();
    assert!(ask(&chain).await.unwrap_err().ends_with("there is no resolver in the chain"));
    let mut watched = chain.watch(&Namespace::local(), "calc");
    assert!(watched.next().await.unwrap().is_err());
    assert!(timeout(Duration::from_secs(60), watched.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn merged_has_each_endpoint_once_as_the_earlier_member_has_it() {
    let mut first = has(&[A, B]).unwrap();
    first.endpoints[0].metadata.insert("zone".to_owned(), "a".to_owned());
    let chain =
        ChainResolver::merged().and(Fake::new("one", Some(Ok(first)))).and(Fake::with("two", &[C, A]));
    let result = ask(&chain).await.unwrap();
    assert_eq!(addresses(&result), [A, B, C]);
    assert_eq!(result.endpoints[0].metadata["zone"], "a");
}

#[tokio::test(start_paused = true)]
async fn merged_serves_the_others_after_the_patience_with_one() {
    let chain = ChainResolver::merged()
        .and(Fake::silent("silent"))
        .and(Panics)
        .and(Fake::with("one", &[A]))
        .and(Fake::silent("dumb"));
    let began = Instant::now();
    let result = ask(&chain).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    assert_eq!(addresses(&result), [A]);
    assert_eq!(result.rejected.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_stale_is_told_with_the_greatest_age() {
    let one = Fake::new("one", Some(stale(has(&[A]), 5)));
    let two = Fake::new("two", Some(stale(has(&[B]), 9)));
    let first = ask(&ChainResolver::first_answer().and(one.clone())).await.unwrap();
    assert_eq!(first.stale, Some(Staleness::new(Duration::from_secs(5), "it is away")));
    let merged = ask(&ChainResolver::merged().and(one).and(two)).await.unwrap();
    let both = Staleness::new(Duration::from_secs(9), "one: it is away; two: it is away");
    assert_eq!(merged.stale, Some(both));
}

#[tokio::test(start_paused = true)]
async fn merged_endpoints_are_bounded() {
    let address = |n: usize| format!("10.1.{}.{}:7000", n / 250, n % 250);
    let many: Vec<_> = (0..10_005).map(address).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let result = ask(&ChainResolver::merged().and(Fake::with("many", &many))).await.unwrap();
    assert_eq!(result.endpoints.len(), 10_000);
    assert_eq!(result.rejected, ["5 endpoints after the first 10000 are left out"]);
}

/// The next result of a watch.
async fn next(watched: &mut BoxStream<'static, Result<ResolveResult, ResolveError>>) -> Said {
    let next = timeout(Duration::from_secs(60), watched.next()).await.expect("a result within a minute");
    next.expect("a watch without an end").map_err(|error| error.to_string())
}

/// Whether a watch has nothing to say for a minute.
async fn is_quiet(watched: &mut BoxStream<'static, Result<ResolveResult, ResolveError>>) -> bool {
    timeout(Duration::from_secs(60), watched.next()).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_over_to_the_next_member_and_back() {
    let (one, two) = (Fake::with("one", &[A]), Fake::with("two", &[B]));
    let chain = ChainResolver::first_answer().and(one.clone()).and(two.clone());
    let mut watched = chain.watch(&Namespace::local(), "calc");
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), [A]);
    two.say(has(&[C]));
    assert!(is_quiet(&mut watched).await);
    one.say(Ok(ResolveResult::default()));
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), [C]);
    one.say(Err("it burns".to_owned()));
    let result = next(&mut watched).await.unwrap();
    assert_eq!(
        (addresses(&result), &result.rejected[..]),
        (vec![C.to_owned()], &["one: it burns".to_owned()][..])
    );
    two.say(Ok(ResolveResult::default()));
    assert!(next(&mut watched).await.unwrap_err().contains("some failed, and the others have nothing"));
    one.say(has(&[A]));
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), [A]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_waits_for_earlier_members_no_longer_than_its_patience() {
    let (one, two) = (Fake::silent("one"), Fake::with("two", &[B]));
    for (chain, both) in [(ChainResolver::first_answer(), vec![A]), (ChainResolver::merged(), vec![A, B])] {
        let one = Fake { says: watch::Sender::new(None), ..one.clone() };
        let chain = chain.and(one.clone()).and(two.clone());
        let mut watched = chain.watch(&Namespace::local(), "calc");
        let began = Instant::now();
        let result = next(&mut watched).await.unwrap();
        assert_eq!((addresses(&result), began.elapsed()), (vec![B.to_owned()], Duration::from_secs(2)));
        assert_eq!(result.rejected, ["one: it gave no answer within 2s"]);
        one.say(has(&[A]));
        assert_eq!(addresses(&next(&mut watched).await.unwrap()), both);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_silent_members_says_so() {
    let chain = ChainResolver::merged().and(Fake::silent("one")).and(Fake::silent("two"));
    let mut watched = chain.watch(&Namespace::local(), "calc");
    assert!(
        next(&mut watched).await.unwrap_err().contains("all failed: one: it gave no answer within 2s; two")
    );
    assert!(is_quiet(&mut watched).await);
}

#[tokio::test(start_paused = true)]
async fn in_a_merged_watch_endpoints_of_a_member_that_fails_stay_and_are_stale() {
    let (one, two) = (Fake::with("one", &[A]), Fake::with("two", &[B]));
    let chain = ChainResolver::merged().and(one.clone()).and(two.clone());
    let mut watched = chain.watch(&Namespace::local(), "calc");
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), [A, B]);
    tokio::time::advance(Duration::from_secs(7)).await;
    one.say(Err("it burns".to_owned()));
    let result = next(&mut watched).await.unwrap();
    assert_eq!(addresses(&result), [A, B]);
    assert_eq!(result.stale, Some(Staleness::new(Duration::from_secs(7), "one: it burns")));
    two.say(has(&[C]));
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), [A, C]);
    one.say(has(&[A]));
    let result = next(&mut watched).await.unwrap();
    assert_eq!((addresses(&result), result.stale), (vec![A.to_owned(), C.to_owned()], None));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_or_panics_does_not_end_the_others_and_is_begun_again() {
    let (ends, one) = (Ends::default(), Fake::with("one", &[A]));
    let chain = ChainResolver::merged().and(Panics).and(ends.clone()).and(one.clone());
    let mut watched = chain.watch(&Namespace::local(), "calc");
    let result = next(&mut watched).await.unwrap();
    assert_eq!(addresses(&result), ["10.9.9.9:7000", A]);
    assert_eq!(result.rejected, ["Panics: it panicked: no watch"]);
    let began = Instant::now();
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), ["10.9.9.9:7001", A]);
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    one.say(has(&[B]));
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), ["10.9.9.9:7001", B]);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_talks_without_end_holds_up_nobody() {
    let one = Fake::with("one", &[A]);
    let chain = ChainResolver::merged().and(Chatters).and(one.clone()).and(Chatters);
    let mut watched = chain.watch(&Namespace::local(), "calc");
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), [A]);
    one.say(has(&[B]));
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), [B]);
    let other = tokio::spawn(async {});
    let told = tokio::select! {
        told = watched.next() => told.is_some(),
        other = other => other.is_err(),
    };
    assert!(!told, "another task of the thread has its turn");
}

#[tokio::test(start_paused = true)]
async fn fixed_members_are_heard_at_once() {
    let (one, two) = (FixedResolver::new([("calc", A)]), FixedResolver::new([("calc", B)]));
    let chain = ChainResolver::merged().and(one.clone()).and(two.clone());
    let mut watched = chain.watch(&Namespace::local(), "calc");
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), [A, B]);
    two.remove("calc");
    assert_eq!(addresses(&ask(&chain).await.unwrap()), [A]);
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), [A]);
    one.insert("calc", C);
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), [A, C]);
}
