//! Actors in a zone of Knot DNS.

mod faults;
mod knot;

use std::time::{Duration, Instant};

use actor_resolvers::DnsResolver;
use actor_runtime::{BoxStream, Namespace, ResolveError, ResolveResult, Resolver, prelude::*};
use futures::StreamExt;
use knot::{DOMAIN, Knot};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::{sleep, timeout},
};

use crate::server::example;

type Watched = BoxStream<'static, Result<ResolveResult, ResolveError>>;

const CALC: &str = "\
_calc._udp SRV 10 5 7001 b
_calc._udp SRV 10 20 7000 A.Actors.Test.
_calc._udp SRV 20 90 7002 c
_calc._udp SRV 10 20 7000 a
_calc._udp.training SRV 0 0 7003 a
a A 127.0.0.1
a AAAA ::1
b A 127.0.0.2
c A 127.0.0.3
";

async fn ask_in(namespace: &str, dns: &DnsResolver, name: &str) -> Result<ResolveResult, String> {
    let namespace = Namespace::new(namespace).expect("a namespace");
    dns.resolve(&namespace, name).await.map_err(|error| error.to_string())
}

async fn ask(dns: &DnsResolver, name: &str) -> Result<ResolveResult, String> {
    ask_in("<local>", dns, name).await
}

fn watch(dns: &DnsResolver, name: &str) -> Watched {
    dns.watch(&Namespace::local(), name)
}

async fn next(watched: &mut Watched) -> Result<ResolveResult, String> {
    let next = timeout(Duration::from_secs(100), watched.next()).await.expect("a result in time");
    next.expect("a watch without an end").map_err(|error| error.to_string())
}

fn addresses(result: &ResolveResult) -> Vec<String> {
    result.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect()
}

#[tokio::test]
async fn srv_targets_come_by_priority_and_weight() {
    let Some(knot) = Knot::start(CALC).await else { return };
    let dns = knot.resolver();
    let found = ask(&dns, "calc").await.unwrap();
    assert_eq!(addresses(&found), ["a.actors.test:7000", "b.actors.test:7001", "c.actors.test:7002"]);
    let of = |n: usize, key: &str| found.endpoints[n].metadata[key].clone();
    assert_eq!((of(0, "priority"), of(0, "weight")), ("10".to_owned(), "20".to_owned()));
    assert_eq!((of(2, "priority"), of(2, "weight")), ("20".to_owned(), "90".to_owned()));
    assert_eq!(found.first().unwrap().to_string(), "actor://a.actors.test:7000/calc");
    let upper = ask(&dns, "CALC").await.unwrap();
    assert_eq!(upper.first().unwrap().to_string(), "actor://a.actors.test:7000/CALC");
    let training = ask_in("training", &dns, "calc").await.unwrap();
    assert_eq!(addresses(&training), ["a.actors.test:7003"]);
    assert_eq!(format!("{dns:?}"), format!("DNS at {} under \"actors.test\"", knot.address()));
}

#[tokio::test]
async fn targets_may_be_given_by_their_addresses() {
    let far = "_calc._udp SRV 30 0 7009 far.elsewhere.test.\n";
    let Some(knot) = Knot::start(&(CALC.to_owned() + far)).await else { return };
    let dns = knot.resolver().target_addresses();
    let found = ask(&dns, "calc").await.unwrap();
    let all = ["127.0.0.1:7000", "[::1]:7000", "127.0.0.2:7001", "127.0.0.3:7002"];
    assert_eq!(addresses(&found), all);
    // It is of another zone, which this server refuses to speak of.
    assert_eq!(found.rejected.len(), 1);
    let reason = &found.rejected[0];
    assert!(reason.starts_with("the target far.elsewhere.test.: ") && reason.contains("Refused"), "{reason}");
    let ipv6 = ask(&dns.only_ipv6(), "calc").await.unwrap();
    assert_eq!(addresses(&ipv6), ["[::1]:7000"]);
}

#[tokio::test]
async fn targets_that_are_none_are_left_out_with_the_reason() {
    let records = "\
_odd._udp SRV 1 0 7000 a
_odd._udp SRV 2 0 7000 loopback.
_odd._udp SRV 3 0 7000 127.0.0.9.
_odd._udp SRV 4 0 0 b
_odd._udp SRV 5 0 7000 no\\032host
_none._udp SRV 0 0 0 .
_alias._udp CNAME _odd._udp
a A 127.0.0.1
";
    let Some(knot) = Knot::start(records).await else { return };
    for name in ["odd", "alias"] {
        let odd = ask(&knot.resolver(), name).await.unwrap();
        assert_eq!(addresses(&odd), ["a.actors.test:7000"], "{name}");
        let reasons = [
            "\"loopback\", port 7000",
            "\"127.0.0.9\", port 7000",
            "\"b.actors.test\", port 0",
            "host.actors.test\", port 7000",
        ];
        for (rejected, reason) in odd.rejected.iter().zip(reasons) {
            assert!(rejected.contains(&format!("{reason}, is no host to be dialled")), "{rejected}");
        }
        assert_eq!(odd.rejected.len(), reasons.len());
    }
    let none = ask(&knot.resolver(), "none").await.unwrap();
    assert!(none.is_empty());
    assert_eq!(
        none.rejected,
        ["_none._udp.actors.test. says that nothing is served there (its target is `.`)"]
    );
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_empty_until_it_does() {
    let Some(mut knot) = Knot::start("other A 127.0.0.1\n").await else { return };
    let dns = knot.resolver();
    let mut watched = watch(&dns, "calc");
    let none = next(&mut watched).await.unwrap();
    assert!(none.is_empty() && none.stale.is_none());
    let began = Instant::now();
    knot.change(CALC);
    assert_eq!(next(&mut watched).await.unwrap().endpoints.len(), 3);
    eprintln!(
        "a name that came to exist is told after {:.2?}; its absence was right for 1 s",
        began.elapsed()
    );
    assert!(began.elapsed() < Duration::from_secs(3));
    knot.change("");
    assert!(next(&mut watched).await.unwrap().is_empty());
    // The host is there, and has no such records.
    let other = ask(&knot.resolver().template("{name}"), "ns").await.unwrap();
    assert!(other.is_empty());
}

#[tokio::test]
async fn names_that_cannot_be_asked_for_are_refused() {
    let dns = DnsResolver::with_servers(["127.0.0.1:1".parse().unwrap()]);
    let error = ask(&dns, "calc").await.unwrap_err();
    assert!(error.contains("call `DnsResolver::domain`"), "{error}");
    let dns = dns.domain(DOMAIN);
    for name in ["a.b", "", "a b", "größe"] {
        let error = ask(&dns, name).await.unwrap_err();
        assert!(error.contains("is no DNS label"), "{error}");
        assert!(next(&mut watch(&dns, name)).await.is_err());
    }
    let fixed = dns.template("_{name}._udp");
    let error = ask_in("training", &fixed, "calc").await.unwrap_err();
    assert!(error.contains("it has no place for training"), "{error}");
}

#[tokio::test]
async fn hosts_have_an_endpoint_for_each_address() {
    let records = "\
calc A 127.0.0.2
calc A 127.0.0.1
calc AAAA ::1
calc A 0.0.0.0
calc.training A 127.0.0.3
alias CNAME calc
";
    let Some(mut knot) = Knot::start(records).await else { return };
    let dns = knot.resolver().port(7000);
    for name in ["calc", "alias"] {
        let found = ask(&dns, name).await.unwrap();
        assert_eq!(addresses(&found), ["127.0.0.1:7000", "127.0.0.2:7000", "[::1]:7000"]);
        assert_eq!(found.rejected.len(), 1);
    }
    assert_eq!(addresses(&ask_in("training", &dns, "calc").await.unwrap()), ["127.0.0.3:7000"]);
    assert_eq!(addresses(&ask(&dns.clone().only_ipv4(), "calc").await.unwrap()).len(), 2);
    let mut watched = watch(&dns, "calc");
    assert_eq!(next(&mut watched).await.unwrap().endpoints.len(), 3);
    knot.change("calc A 127.0.0.7\n");
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), ["127.0.0.7:7000"]);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_into_a_datagram_comes_over_tcp() {
    let targets =
        (0..60).map(|n| format!("_calc._udp SRV 0 {n} {} host-{n}\nhost-{n} A 127.0.1.{n}\n", 7000 + n));
    let Some(knot) = Knot::start(&targets.collect::<String>()).await else { return };
    let names = ask(&knot.resolver(), "calc").await.unwrap();
    assert_eq!(names.endpoints.len(), 60);
    assert_eq!(names.first().unwrap().to_string(), "actor://host-59.actors.test:7059/calc");
    let began = Instant::now();
    let found = ask(&knot.resolver().target_addresses(), "calc").await.unwrap();
    eprintln!("60 targets with their addresses, over UDP and then TCP, took {:.1?}", began.elapsed());
    assert_eq!(found.endpoints.len(), 60);
    assert_eq!(found.first().unwrap().to_string(), "actor://127.0.1.59:7059/calc");
    assert!(found.rejected.is_empty());
}

#[tokio::test]
async fn changes_are_told_when_the_ttl_ends() {
    let record = |port: u32| format!("_calc._udp SRV 0 0 {port} a\na A 127.0.0.1\n");
    let Some(mut knot) = Knot::start(&record(7000)).await else { return };
    let mut watched = watch(&knot.resolver(), "calc");
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), ["a.actors.test:7000"]);
    let mut times = Vec::new();
    for port in 7001..=7020 {
        sleep(Duration::from_millis(u64::from(port) * 97 % 1000)).await;
        knot.change(&record(port));
        let began = Instant::now();
        assert_eq!(addresses(&next(&mut watched).await.unwrap()), [format!("a.actors.test:{port}")]);
        times.push(began.elapsed());
    }
    times.sort();
    eprintln!(
        "with a TTL of 1 s a change is told after {:.2?} (half of 20), {:.2?} (all)",
        times[9], times[19]
    );
    assert!(times[19] < Duration::from_secs(2));
}

#[tokio::test]
async fn a_long_ttl_is_cut_short() {
    let record = |port: u32| format!("_calc._udp 3600 SRV 0 0 {port} a\n");
    let Some(mut knot) = Knot::start(&record(7000)).await else { return };
    let mut watched = watch(&knot.resolver().refresh_within(Duration::from_secs(2)), "calc");
    assert!(next(&mut watched).await.is_ok());
    knot.change(&record(7001));
    let began = Instant::now();
    assert_eq!(addresses(&next(&mut watched).await.unwrap()), ["a.actors.test:7001"]);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[actor_service]
trait Desk {
    async fn whose(&self) -> String;
}

struct Clerk;

#[actor_service]
impl Desk for Clerk {
    async fn whose(&self) -> String {
        "Ada's".to_owned()
    }
}

#[actor_runtime::test]
async fn actors_are_called_where_the_zone_says() {
    let server = ActorServer::bind("127.0.0.1:0").await.unwrap();
    server.register("desk", Clerk).unwrap();
    let address = server.address().to_string();
    let (_, port) = address.rsplit_once(':').unwrap();
    let records = format!("_desk._udp SRV 0 0 {port} a\na A 127.0.0.1\n");
    let Some(knot) = Knot::start(&records).await else { return };
    let desk = DeskClient::new(&knot.resolver().target_addresses(), "desk");
    assert_eq!(desk.whose().await.unwrap(), "Ada's");
    server.shutdown(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn the_example_tells_its_story() {
    let Some(mut knot) = Knot::start(CALC).await else { return };
    let mut program = tokio::process::Command::new(example("dns"));
    program.args([&knot.address().to_string(), DOMAIN, "calc"]);
    let mut program = program.stdout(std::process::Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut told = Vec::new();
    let listening = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.starts_with("its change") {
                knot.change("_calc._udp SRV 0 0 7009 a\na A 127.0.0.1\n");
            }
            told.push(line);
        }
    };
    timeout(Duration::from_secs(60), listening).await.expect("an example that ends");
    let told = told.join("\n");
    assert!(told.contains("  actor://127.0.0.1:7000/calc, priority 10, weight 20\n"), "{told}");
    assert!(told.ends_with("  actor://127.0.0.1:7009/calc, priority 0, weight 0"), "{told}");
    assert!(program.wait().await.unwrap().success());
}
