//! Chains of resolvers that answer, fail, hang, panic and change. The time is paused.

mod fakes;
mod watches;

use std::{sync::atomic::Ordering, time::Duration};

use actor_resolvers::ChainResolver;
use actor_runtime::{FixedResolver, Namespace, ResolveResult, Resolver, Staleness};
use fakes::{Fake, Panics, has, knows, stale};
use futures::StreamExt;
use tokio::time::{Instant, timeout};

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
