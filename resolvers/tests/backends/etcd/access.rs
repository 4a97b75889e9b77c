//! Who is let in: users, certificates, and an etcd without its gateway.

use std::time::Duration;

use actor_resolvers::{EtcdError, EtcdOptions, EtcdRegistrar, EtcdResolver};
use actor_runtime::ActorServer;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::{Value, json};

use super::{Etcd, at, ports, resolve, soon, text, told, watch};
use crate::server::free_port;

impl Etcd {
    async fn ask_as(&self, token: &str, path: &str, asks: &Value) -> Value {
        let done = super::post_as(&format!("{}{path}", self.url()), token, asks).await;
        done.expect("it answers")
    }

    /// Switches authentication on: `root` may all, `reader` may read the actors, `writer` may write them.
    async fn with_users(&self) -> String {
        let name = |name: &str| json!({ "name": name, "password": format!("{name}'s secret") });
        let range =
            |kind: &str| json!({ "permType": kind, "key": text("/actors/"), "range_end": text("/actors0") });
        for (user, kind) in [("root", None), ("reader", Some("READ")), ("writer", Some("READWRITE"))] {
            let mut steps = vec![
                ("/v3/auth/user/add", name(user)),
                ("/v3/auth/role/add", json!({ "name": user })),
                ("/v3/auth/user/grant", json!({ "user": user, "role": user })),
            ];
            steps.extend(
                kind.map(|kind| ("/v3/auth/role/grant", json!({ "name": user, "perm": range(kind) }))),
            );
            for (path, asks) in steps {
                let done = self.ask(path, &asks).await.expect("it answers");
                assert!(done["header"].is_object(), "{path}: {done}");
            }
        }
        let done = self.ask("/v3/auth/enable", &json!({})).await.expect("it answers");
        assert!(done["header"].is_object(), "{done}");
        let done = self.ask("/v3/auth/authenticate", &name("root")).await.expect("it answers");
        done["token"].as_str().expect("a token").to_owned()
    }
}

fn options(etcd: &Etcd, user: &str) -> EtcdOptions {
    EtcdOptions::new(etcd.url()).silence(Duration::from_millis(500)).user(user, format!("{user}'s secret"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_let_in_again_when_their_token_has_ended() {
    // A token that is not used for this many seconds ends.
    let Some(etcd) = Etcd::start_with(&["--auth-token", "simple", "--auth-token-ttl", "1"]).await else {
        return;
    };
    // Who has a password is let in before there are users, too.
    let early = EtcdResolver::with(options(&etcd, "reader"), soon()).unwrap();
    assert!(resolve(&early, "calc").await.unwrap().is_empty());
    let root = etcd.with_users().await;
    let put = |port: u16| json!({ "key": text("/actors/<local>/calc/1"), "value": text(&at(port)) });
    etcd.ask_as(&root, "/v3/kv/put", &put(7000)).await;
    let resolver = EtcdResolver::with(options(&etcd, "reader"), soon()).unwrap();
    let mut results = watch(&resolver, "calc");
    told(&mut results, "what is there", |result| ports(result) == [7000]).await;

    let mut results = watch(&early, "calc");
    told(&mut results, "what was put since", |result| ports(result) == [7000]).await;

    let error = resolve(&super::resolver(etcd.url()), "calc").await.unwrap_err().to_string();
    assert!(error.contains("user name is empty") && error.contains("EtcdOptions::user"), "{error}");
    let wrong = EtcdOptions::new(etcd.url()).user("reader", "wrong");
    let error = resolve(&EtcdResolver::with(wrong, soon()).unwrap(), "calc").await.unwrap_err().to_string();
    assert!(error.contains("authentication failed") && !error.contains("wrong"), "{error}");

    // Looks after the watch are a half second apart here; these are three.
    let slow = options(&etcd, "reader").silence(Duration::from_secs(3));
    let slow = EtcdResolver::with(slow, soon()).unwrap();
    let mut slowly = watch(&slow, "calc");
    told(&mut slowly, "what is there", |result| ports(result) == [7000]).await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    let again =
        etcd.ask("/v3/auth/authenticate", &json!({ "name": "root", "password": "root's secret" })).await;
    let root = again.expect("it answers")["token"].as_str().expect("a token").to_owned();
    etcd.ask_as(&root, "/v3/kv/put", &put(7001)).await;
    told(&mut slowly, "a change", |result| ports(result) == [7001]).await;
    assert_eq!(resolve(&slow, "calc").await.unwrap().stale, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_with_signed_tokens_are_let_in_again_when_other_users_have_changed() {
    let folder = crate::server::Folder::new("jwt");
    let key = folder.path().join("key");
    std::fs::write(&key, "a secret of thirty-two bytes, or more").unwrap();
    let tokens = format!("jwt,sign-method=HS256,priv-key={}", key.display());
    let Some(etcd) = Etcd::start_with(&["--auth-token", &tokens]).await else { return };
    let root = etcd.with_users().await;
    let resolver = EtcdResolver::with(options(&etcd, "reader"), soon()).unwrap();
    let mut results = watch(&resolver, "calc");
    let server = super::registrar::serving("calc").await;
    server.node().set_registrar(EtcdRegistrar::new(options(&etcd, "writer")).unwrap());
    server.announced().await.unwrap();
    told(&mut results, "it is announced", |result| result.endpoints.len() == 1).await;

    let other = json!({ "name": "other", "password": "other's secret" });
    let done = etcd.ask_as(&root, "/v3/auth/user/add", &other).await;
    assert!(done["header"].is_object(), "{done}");
    server.register("later", super::registrar::Doubling).unwrap();
    server.announced().await.unwrap();
    let mut results = watch(&resolver, "later");
    told(&mut results, "it is found", |result| result.endpoints.len() == 1 && result.stale.is_none()).await;
    // Some looks later.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(resolve(&resolver, "later").await.unwrap().stale, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registrar_needs_a_user_who_may_write() {
    let Some(etcd) = Etcd::start().await else { return };
    etcd.with_users().await;
    let server = super::registrar::serving("calc").await;
    server.node().set_registrar(EtcdRegistrar::new(options(&etcd, "writer")).unwrap());
    server.announced().await.unwrap();
    let resolver = EtcdResolver::with(options(&etcd, "reader"), soon()).unwrap();
    assert_eq!(resolve(&resolver, "calc").await.unwrap().endpoints.len(), 1);

    server.node().set_registrar(EtcdRegistrar::new(options(&etcd, "reader")).unwrap());
    let error = super::registrar::failure(&server).await;
    assert!(error.contains("permission denied"), "{error}");
}

/// An authority, and a certificate of it for 127.0.0.1, as PEM.
struct Certificates {
    authority: String,
    chain: String,
    key: String,
}

impl Certificates {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let chain = params.signed_by(&key, &authority).expect("a certificate");
        Self { authority: authority.pem(), chain: chain.pem(), key: key.serialize_pem() }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_trusts_the_authorities_that_are_given_and_shows_who_we_are() {
    let (ours, others) = (Certificates::new(), Certificates::new());
    let folder = crate::server::Folder::new("tls");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let (chain, key) = (file("chain", &ours.chain), file("key", &ours.key));
    let authority = file("authority", &ours.authority);
    let secure = format!("https://127.0.0.1:{}", free_port());
    let arguments =
        ["--cert-file", &chain, "--key-file", &key, "--trusted-ca-file", &authority, "--client-cert-auth"];
    let Some(etcd) = Etcd::start_also_at(&secure, &arguments).await else { return };
    etcd.put("/actors/<local>/calc/1", &at(7000)).await;
    let at = || EtcdOptions::new(&secure).silence(Duration::from_secs(1));
    let asked = async |options: EtcdOptions| {
        resolve(&EtcdResolver::with(options, soon()).expect("options"), "calc").await
    };
    let all = at().authorities(&ours.authority).identity(&ours.chain, &ours.key);
    assert_eq!(ports(&asked(all.clone()).await.unwrap()), [7000]);
    let unknown = at().authorities(&others.authority).identity(&ours.chain, &ours.key);
    let error = asked(unknown).await.unwrap_err().to_string();
    assert!(error.contains("invalid peer certificate"), "{error}");
    let nobody = at().authorities(&ours.authority);
    let error = asked(nobody).await.unwrap_err().to_string();
    assert!(error.contains(&secure), "{error}");
    let stranger = at().authorities(&ours.authority).identity(&others.chain, &others.key);
    assert!(asked(stranger).await.is_err());
    let error = EtcdResolver::new(at().authorities("nonsense")).unwrap_err();
    assert!(matches!(error, EtcdError::Trust { .. }), "{error}");

    let server: ActorServer = super::registrar::serving("model").await;
    server.node().set_registrar(EtcdRegistrar::new(all.clone()).unwrap());
    server.announced().await.unwrap();
    let resolver = EtcdResolver::with(all, soon()).unwrap();
    assert_eq!(resolve(&resolver, "model").await.unwrap().endpoints.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_without_its_gateway_is_an_error_that_says_what_to_do() {
    let Some(etcd) = Etcd::start_with(&["--enable-grpc-gateway=false"]).await else { return };
    let error = resolve(&super::resolver(etcd.url()), "calc").await.unwrap_err().to_string();
    assert!(error.contains("no JSON gateway") && error.contains("--enable-grpc-gateway=false"), "{error}");
    let server = super::registrar::serving("calc").await;
    server.node().set_registrar(EtcdRegistrar::new(etcd.url()).unwrap());
    let error = super::registrar::failure(&server).await;
    assert!(error.contains("--enable-grpc-gateway=false"), "{error}");
}
