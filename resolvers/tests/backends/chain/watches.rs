//! Chains that are watched.

use std::time::Duration;

use actor_resolvers::ChainResolver;
use actor_runtime::{BoxStream, FixedResolver, Namespace, ResolveError, ResolveResult, Resolver, Staleness};
use futures::StreamExt;
use tokio::time::{Instant, timeout};

use super::{
    A, B, C, addresses, ask,
    fakes::{Chatters, Ends, Fake, Panics, Said, has, stale},
};

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
    let two = Fake::with("two", &[B]);
    for (chain, both) in [(ChainResolver::first_answer(), vec![A]), (ChainResolver::merged(), vec![A, B])] {
        let one = Fake::silent("one");
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
async fn what_a_member_calls_too_old_goes_at_once() {
    let (one, two) = (Fake::with("one", &[A]), Fake::with("two", &[B]));
    let chain = ChainResolver::merged().and(one.clone()).and(two.clone());
    let mut watched = chain.watch(&Namespace::local(), "calc");
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), [A, B]);
    one.say(stale(has(&[A]), 1));
    assert!(next(&mut watched).await.unwrap().stale.is_some());
    one.say(Err("it is too old".to_owned()));
    let result = next(&mut watched).await.unwrap();
    assert_eq!((addresses(&result), result.stale), (vec![B.to_owned()], None));
    assert_eq!(result.rejected, ["one: it is too old"]);
}

#[tokio::test(start_paused = true)]
async fn endpoints_of_a_member_that_fails_stay_as_long_as_the_chain_says() {
    let (one, two) = (Fake::with("one", &[A]), Fake::with("two", &[B]));
    let chain = ChainResolver::merged().and(one.clone()).and(two.clone());
    let chain = chain.serve_stale_for(Duration::from_secs(20));
    let mut watched = chain.watch(&Namespace::local(), "calc");
    let began = Instant::now();
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), [A, B]);
    tokio::time::advance(Duration::from_secs(5)).await;
    one.say(Err("it burns".to_owned()));
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), [A, B]);
    let result = next(&mut watched).await.unwrap();
    assert_eq!((addresses(&result), began.elapsed().as_secs()), (vec![B.to_owned()], 20));
    one.say(has(&[C]));
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), [C, B]);
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_grows_older_after_it_was_heard() {
    let (one, two) = (Fake::new("one", Some(stale(has(&[A]), 5))), Fake::with("two", &[B]));
    let mut watched = ChainResolver::merged().and(one).and(two.clone()).watch(&Namespace::local(), "calc");
    let age = |result: ResolveResult| result.stale.expect("a stale result").age.as_secs();
    assert_eq!(age(next(&mut watched).await.unwrap()), 5);
    tokio::time::advance(Duration::from_secs(7)).await;
    two.say(has(&[C]));
    assert_eq!(age(next(&mut watched).await.unwrap()), 12);
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
