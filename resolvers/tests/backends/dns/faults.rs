//! Name servers that are gone, silent, slow, or answer nonsense.

use std::time::{Duration, Instant};

use actor_resolvers::{DnsResolver, ViewOptions};
use tokio::time::sleep;

use super::{
    Watched, addresses, ask,
    knot::{DOMAIN, Knot, Makes, Relay},
    next, watch,
};
use crate::server::short_or_long;

const ONE: &str = "_calc._udp SRV 0 0 7000 a\n";
const OTHER: &str = "_calc._udp SRV 0 0 7001 a\n";

/// Impatient, as tests are.
fn quick(dns: DnsResolver) -> DnsResolver {
    let options = ViewOptions::default().retry(Duration::from_millis(50), Duration::from_millis(500));
    dns.patience(Duration::from_millis(500)).options(options)
}

/// The next result is that one with this reason for its age; gives how long it took to be told.
async fn is_stale(watched: &mut Watched, reason: &str) -> Duration {
    let began = Instant::now();
    let result = next(watched).await.expect("a result");
    assert_eq!(addresses(&result), ["a.actors.test:7000"]);
    let stale = result.stale.expect("a stale result");
    assert!(stale.reason.contains(reason), "{stale} has not {reason:?}");
    began.elapsed()
}

/// The next result is fresh; gives how long it took to be told.
async fn is_fresh(watched: &mut Watched, address: &str) -> Duration {
    let began = Instant::now();
    let result = next(watched).await.expect("a result");
    assert_eq!((addresses(&result), result.stale), (vec![address.to_owned()], None));
    began.elapsed()
}

#[tokio::test]
async fn a_server_that_is_gone_and_comes_back() {
    let Some(mut knot) = Knot::start(ONE).await else { return };
    let dns = quick(knot.resolver());
    let mut watched = watch(&dns, "calc");
    is_fresh(&mut watched, "a.actors.test:7000").await;
    knot.stop();
    let noticed = is_stale(&mut watched, "it gave no answer within 500ms").await;
    let away = short_or_long(Duration::from_secs(4), Duration::from_secs(60));
    sleep(away).await;
    let result = ask(&dns, "calc").await.unwrap();
    assert_eq!(addresses(&result), ["a.actors.test:7000"]);
    let age = result.stale.expect("a stale result").age;
    assert!(age >= away && age < away + Duration::from_secs(4), "{age:?}");
    let began = Instant::now();
    knot.restart(OTHER).await;
    let back = began.elapsed();
    let fresh = is_fresh(&mut watched, "a.actors.test:7001").await;
    eprintln!(
        "server gone for {away:?}: told after {noticed:.2?} (TTL 1 s, patience 0.5 s), served with an age of {age:.1?}, \
         fresh {fresh:.2?} after the server was back, which took it {back:.2?}"
    );
    assert!(noticed < Duration::from_secs(3) && fresh < Duration::from_secs(3));
}

#[tokio::test]
async fn a_server_that_is_silent() {
    let Some(knot) = Knot::start(ONE).await else { return };
    let mut watched = watch(&quick(knot.resolver()), "calc");
    is_fresh(&mut watched, "a.actors.test:7000").await;
    knot.freeze();
    let noticed = is_stale(&mut watched, "it gave no answer within 500ms").await;
    // Who asks for the first time hears why there is nothing.
    let began = Instant::now();
    let error = ask(&quick(knot.resolver()), "calc").await.unwrap_err();
    assert!(error.contains("it gave no answer within 500ms"), "{error}");
    let asked = began.elapsed();
    knot.thaw();
    let fresh = is_fresh(&mut watched, "a.actors.test:7000").await;
    eprintln!(
        "server stopped: told after {noticed:.2?}, fresh {fresh:.2?} after it went on; a first question failed after {asked:.2?}"
    );
    assert!(noticed < Duration::from_secs(3) && fresh < Duration::from_secs(3));
    assert!(asked < Duration::from_secs(2));
}

#[tokio::test]
async fn a_server_that_is_slow() {
    let Some(knot) = Knot::start(ONE).await else { return };
    let relay = Relay::new(knot.address()).await;
    relay.set(Makes::Late(Duration::from_millis(300)));
    let began = Instant::now();
    let found = ask(&quick(relay.resolver()).patience(Duration::from_secs(2)), "calc").await.unwrap();
    assert_eq!(addresses(&found), ["a.actors.test:7000"]);
    eprintln!("server slow by 300 ms: answered after {:.2?}", began.elapsed());
    relay.set(Makes::Late(Duration::from_secs(5)));
    let error = ask(&quick(relay.resolver()), "calc").await.unwrap_err();
    assert!(error.contains("it gave no answer within 500ms"), "{error}");
}

#[tokio::test]
async fn a_server_that_answers_nonsense() {
    let Some(knot) = Knot::start(ONE).await else { return };
    let relay = Relay::new(knot.address()).await;
    let dns = quick(relay.resolver());
    let mut watched = watch(&dns, "calc");
    is_fresh(&mut watched, "a.actors.test:7000").await;
    for nonsense in Makes::NONSENSE {
        relay.set(nonsense);
        let began = Instant::now();
        let told = is_stale(&mut watched, "are not known").await;
        let reason = ask(&dns, "calc").await.unwrap().stale.expect("a stale result").reason;
        let error = ask(&quick(relay.resolver()), "calc").await.unwrap_err();
        assert!(error.contains("are not known"), "{error}");
        relay.set(Makes::Nothing);
        let fresh = is_fresh(&mut watched, "a.actors.test:7000").await;
        eprintln!("{nonsense:?}: told after {told:.2?}, fresh after {fresh:.2?}: {reason}");
        assert!(began.elapsed() < Duration::from_secs(6));
    }
}

#[tokio::test]
async fn answers_with_wrong_bytes_end_one_way_or_the_other() {
    let Some(knot) = Knot::start(super::CALC).await else { return };
    let relay = Relay::new(knot.address()).await;
    let (mut answers, mut failures) = (0, 0);
    for seed in 1..=300 {
        relay.set(Makes::Flipped(seed));
        let dns = relay.resolver().target_addresses().patience(Duration::from_millis(30));
        match ask(&dns, "calc").await {
            Ok(_) => answers += 1,
            Err(error) => {
                assert!(
                    error.contains("not known") || error.contains("has records of other names"),
                    "{error}"
                );
                failures += 1;
            }
        }
    }
    eprintln!("of 300 answers with one to four wrong bytes {answers} were read, {failures} failed");
    assert!(answers > 0 && failures > 0);
}

#[tokio::test]
async fn a_server_that_refuses_is_no_empty_answer() {
    let Some(knot) = Knot::start(ONE).await else { return };
    let error = ask(&quick(knot.resolver().domain("elsewhere.test")), "calc").await.unwrap_err();
    assert!(error.contains("it answers Query Refused"), "{error}");
}

#[tokio::test]
async fn another_server_is_asked_and_asked_first_from_then_on() {
    let Some(knot) = Knot::start(ONE).await else { return };
    let nobody = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let servers = [nobody.local_addr().unwrap(), knot.address()];
    let dns = quick(DnsResolver::with_servers(servers).domain(DOMAIN));
    let mut times = Vec::new();
    for name in ["calc", "other"] {
        let began = Instant::now();
        ask(&dns, name).await.unwrap();
        times.push(began.elapsed());
    }
    eprintln!("with a silent server before the good one: {:.2?}, and then {:.2?}", times[0], times[1]);
    assert!(times[0] >= Duration::from_millis(500) && times[1] < Duration::from_millis(500));
}

#[tokio::test]
async fn a_target_that_cannot_be_asked_for_keeps_its_addresses_and_the_answer_is_stale() {
    let srv = "_calc._udp SRV 0 0 7000 a.sub\n_calc._udp SRV 1 0 7001 b\n";
    let records = |far: &str, near: &str| format!("{srv}{far}b A {near}\n");
    let here = |near: &str| records("a.sub A 127.0.0.1\n", near);
    // It is said to be somewhere else, where nobody is.
    let away = |near: &str| records("sub NS ns.elsewhere.test.\n", near);
    let Some(mut knot) = Knot::start(&here("127.0.0.2")).await else { return };
    let dns = quick(knot.resolver().target_addresses());
    let mut watched = watch(&dns, "calc");
    let found = next(&mut watched).await.unwrap();
    assert_eq!(
        (addresses(&found), found.stale),
        (vec!["127.0.0.1:7000".into(), "127.0.0.2:7001".into()], None)
    );
    knot.change(&away("127.0.0.2"));
    let found = next(&mut watched).await.unwrap();
    assert_eq!(addresses(&found), ["127.0.0.1:7000", "127.0.0.2:7001"]);
    let reason = found.stale.expect("a stale result").reason;
    assert!(reason.contains("the target a.sub.actors.test. has the addresses of before"), "{reason}");
    knot.change(&away("127.0.0.3"));
    loop {
        let found = next(&mut watched).await.unwrap();
        if addresses(&found) == ["127.0.0.1:7000", "127.0.0.3:7001"] && found.stale.is_some() {
            break;
        }
    }
    knot.change(&here("127.0.0.3"));
    loop {
        let found = next(&mut watched).await.unwrap();
        if found.stale.is_none() && found.rejected.is_empty() {
            assert_eq!(addresses(&found), ["127.0.0.1:7000", "127.0.0.3:7001"]);
            break;
        }
    }
}
