//! Servers that are not etcd, or one that says what a real one seldom does.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Mutex,
    task::JoinHandle,
};

use super::{ports, resolve, resolver, told, watch};

/// What it answers: these bytes, and then the connection ends, or stays.
struct Reply {
    bytes: Vec<u8>,
    stays: bool,
}

/// Answers each request as it is told.
struct StandIn {
    address: SocketAddr,
    task: JoinHandle<()>,
}

type Answering = Box<dyn Fn() -> Reply + Send + Sync>;
type Script = Box<dyn FnMut(&str, &str) -> Reply + Send>;

impl StandIn {
    async fn new(script: impl FnMut(&str, &str) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (connection, _) = listener.accept().await.expect("a connection");
                connections.spawn(answer(connection, script.clone()));
            }
        });
        Self { address, task }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request, and its answer.
async fn answer(mut connection: TcpStream, script: Arc<Mutex<Script>>) {
    let mut request = Vec::new();
    let (path, body) = loop {
        let mut piece = [0; 4096];
        let Ok(length) = connection.read(&mut piece).await else { return };
        if length == 0 {
            return;
        }
        request.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let wanted = head.lines().find_map(|line| {
            line.to_lowercase().strip_prefix("content-length: ").and_then(|length| length.parse().ok())
        });
        if body.len() >= wanted.unwrap_or(0) {
            let path = head.split(' ').nth(1).unwrap_or_default();
            break (path.to_owned(), body.to_owned());
        }
    };
    let reply = (*script.lock().await)(&path, &body);
    if connection.write_all(&reply.bytes).await.is_ok() && reply.stays {
        std::future::pending::<()>().await;
    }
}

fn whole(status: &str, body: &str) -> Reply {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    Reply { bytes: (head + body).into_bytes(), stays: false }
}

fn nothing() -> Reply {
    Reply { bytes: Vec::new(), stays: false }
}

/// An answer that does not end, and has these lines so far.
fn stream(lines: &[&str]) -> Reply {
    let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for line in lines {
        bytes.extend(format!("{:x}\r\n{line}\n\r\n", line.len() + 1).into_bytes());
    }
    Reply { bytes, stays: true }
}

/// A list of one key, `/actors/<local>/calc/1`, at 127.0.0.1 and this port.
fn listed(port: u16, revision: u64) -> Reply {
    let (key, value) = (super::text("/actors/<local>/calc/1"), super::text(&super::at(port)));
    let header = format!(r#"{{"revision":"{revision}"}}"#);
    whole(
        "200 OK",
        &format!(
            r#"{{"header":{header},"kvs":[{{"key":"{key}","value":"{value}","mod_revision":"{revision}"}}],"count":"1"}}"#
        ),
    )
}

const CREATED: &str = r#"{"result":{"header":{"revision":"5"},"created":true}}"#;

#[tokio::test]
async fn nonsense_is_an_error_that_says_what_came() {
    let endless = {
        let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n".to_vec();
        bytes.resize(9 << 20, b' ');
        move || Reply { bytes: bytes.clone(), stays: true }
    };
    let broken = || Reply {
        bytes: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{\"header\"".to_vec(),
        stays: false,
    };
    let garbage = || Reply { bytes: vec![7; 3000], stays: false };
    let cases: Vec<(&str, Answering, &str)> = vec![
        ("a page", Box::new(|| whole("200 OK", "<html>hello</html>")), "not etcd's gateway"),
        ("a redirection", Box::new(|| whole("302 Found", "")), "not etcd's gateway"),
        (
            "another server",
            Box::new(|| whole("404 Not Found", "404 page not found")),
            "--enable-grpc-gateway",
        ),
        ("JSON of others", Box::new(|| whole("200 OK", r#"{"a":[1]}"#)), "missing field `header`"),
        ("a bad number", Box::new(|| whole("200 OK", r#"{"header":{"revision":"x"}}"#)), "invalid digit"),
        ("a bad gateway", Box::new(|| whole("502 Bad Gateway", "<h1>no</h1>")), "status 502"),
        (
            "no leader",
            Box::new(|| whole("503 Service Unavailable", r#"{"code":14,"message":"no leader"}"#)),
            "no leader",
        ),
        ("half a piece", Box::new(broken), "broke off"),
        ("no HTTP", Box::new(garbage), "cannot be reached"),
        ("no end", Box::new(endless), "bytes"),
        ("nothing", Box::new(|| Reply { bytes: Vec::new(), stays: true }), "did not answer within"),
    ];
    for (what, reply, expected) in cases {
        let server = StandIn::new(move |_, _| reply()).await;
        let error = resolve(&resolver(server.url()), "calc").await.unwrap_err();
        let text = format!("{error}");
        assert!(text.contains(expected), "{what}: {text}");
        assert!(text.len() < 600, "{what}: {text}");
    }
}

#[tokio::test]
async fn a_watch_that_talks_nonsense_leaves_the_last_good_list_with_its_age() {
    let endless = "x".repeat(9 << 20);
    let cases: Vec<(&str, Vec<&str>, &str)> = vec![
        ("no JSON", vec![CREATED, "<html>"], "not etcd's gateway"),
        ("neither", vec![CREATED, "{}"], "neither a result nor an error"),
        ("an error", vec![r#"{"error":{"grpc_code":14,"message":"server stopped"}}"#], "server stopped"),
        (
            "an end",
            vec![r#"{"result":{"canceled":true,"cancel_reason":"permission denied"}}"#],
            "permission denied",
        ),
        ("an endless line", vec![CREATED, &endless], "a line has over"),
        ("a bad key", vec![CREATED, r#"{"result":{"events":[{"kv":{"key":"?"}}]}}"#], "not etcd's gateway"),
        ("silence", vec![], "said nothing"),
    ];
    for (what, lines, expected) in cases {
        let lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
        let server = StandIn::new(move |path, _| match path {
            "/v3/watch" => stream(&lines.iter().map(|line| &**line).collect::<Vec<_>>()),
            _ => listed(7000, 5),
        })
        .await;
        let resolver = resolver(server.url());
        let mut results = watch(&resolver, "calc");
        let (stale, _) = told(&mut results, what, |result| result.stale.is_some()).await;
        let reason = stale.stale.as_ref().map(|stale| stale.reason.clone()).unwrap_or_default();
        assert!(reason.contains(expected) && reason.len() < 600, "{what}: {reason}");
        assert_eq!(ports(&stale), [7000], "{what}");
    }
}

#[tokio::test]
async fn where_watches_are_refused_lists_are_made_and_not_too_many() {
    let lists = Arc::new(AtomicU16::new(0));
    let counted = lists.clone();
    let server = StandIn::new(move |path, _| match path {
        "/v3/watch" => whole("403 Forbidden", r#"{"code":7,"message":"not through this proxy"}"#),
        _ => listed(7000 + counted.fetch_add(1, Relaxed), 5),
    })
    .await;
    let mut results = watch(&resolver(server.url()), "calc");
    let (_, after) = told(&mut results, "the fourth list", |result| ports(result) == [7003]).await;
    let lists = lists.load(Relaxed);
    assert!(lists == 4 && after >= Duration::from_millis(1500), "{lists} lists within {after:?}");
}

#[tokio::test]
async fn where_watches_are_lost_lists_are_made_and_not_too_many() {
    let cases: [(&str, Option<&'static [&str]>); 3] =
        [("before they begin", None), ("as they begin", Some(&[])), ("soon", Some(&[CREATED]))];
    for (what, told_first) in cases {
        let lists = Arc::new(AtomicU16::new(0));
        let member = || {
            let lists = lists.clone();
            StandIn::new(move |path, _| match path {
                "/v3/watch" => Reply { stays: false, ..told_first.map_or_else(nothing, stream) },
                _ => listed(7000 + lists.fetch_add(1, Relaxed), 5),
            })
        };
        let (one, other) = (member().await, member().await);
        let mut results = watch(&resolver(format!("{},{}", one.url(), other.url())), "calc");
        let (_, after) = told(&mut results, what, |result| ports(result) == [7006]).await;
        eprintln!("etcd: watches are lost {what}: seven lists within {after:.1?}");
        assert!(after >= Duration::from_millis(1500), "{what}: seven lists within {after:?}");
    }
}

#[tokio::test]
async fn what_was_compacted_is_listed_again_and_a_cluster_that_only_compacts_is_left() {
    let mut lists = 0;
    let server = StandIn::new(move |path, _| {
        let compacted = r#"{"result":{"canceled":true,"compact_revision":"9"}}"#;
        match path {
            "/v3/watch" if lists == 1 => stream(&[CREATED, compacted]),
            "/v3/watch" => stream(&[CREATED]),
            _ => {
                lists += 1;
                listed(6999 + lists, 5)
            }
        }
    })
    .await;
    let mut results = watch(&resolver(server.url()), "calc");
    let (found, _) = told(&mut results, "the second list", |result| ports(result) == [7001]).await;
    assert_eq!(found.stale, None);

    let server = StandIn::new(|path, _| match path {
        "/v3/watch" => stream(&[CREATED, r#"{"result":{"canceled":true,"compact_revision":"9"}}"#]),
        _ => listed(7000, 5),
    })
    .await;
    let mut results = watch(&resolver(server.url()), "calc");
    let (found, _) = told(&mut results, "a failure", |result| result.stale.is_some()).await;
    assert!(found.stale.unwrap().reason.contains("compacts"));
}

#[tokio::test]
async fn a_cluster_that_has_gone_back_is_listed_again() {
    let mut asked = 0;
    let server = StandIn::new(move |path, _| match path {
        "/v3/watch" => stream(&[CREATED]),
        _ => {
            asked += 1;
            if asked == 1 { listed(7000, 50) } else { listed(7001, 5) }
        }
    })
    .await;
    let mut results = watch(&resolver(server.url()), "calc");
    let (found, _) = told(&mut results, "a failure", |result| result.stale.is_some()).await;
    assert!(found.stale.unwrap().reason.contains("gone back from revision 50 to 5"));
    told(&mut results, "what it has now", |result| ports(result) == [7001] && result.stale.is_none()).await;
}

#[tokio::test]
async fn the_other_members_are_asked_when_one_fails() {
    let bad = StandIn::new(|_, _| whole("200 OK", "<html>")).await;
    let good = StandIn::new(|path, _| match path {
        "/v3/watch" => stream(&[CREATED]),
        _ => listed(7000, 5),
    })
    .await;
    let gone = format!("http://127.0.0.1:{}", crate::server::free_port());
    let endpoints = format!("{gone},{},{}", bad.url(), good.url());
    assert_eq!(ports(&resolve(&resolver(endpoints), "calc").await.unwrap()), [7000]);
    let error = resolve(&resolver(format!("{gone},{}", bad.url())), "calc").await.unwrap_err().to_string();
    assert!(error.contains("no member of etcd answers: ") && error.contains(&gone), "{error}");
    assert!(error.contains("refused") && error.contains("not etcd's gateway"), "{error}");
}

#[tokio::test]
async fn a_list_that_stops_half_way_is_an_error_in_time() {
    let began = tokio::time::Instant::now();
    let server = StandIn::new(|_, _| Reply {
        bytes: b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"header\"".to_vec(),
        stays: true,
    })
    .await;
    let error = resolve(&resolver(server.url()), "calc").await.unwrap_err().to_string();
    assert!(error.contains("500ms"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(3));
}
