use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use actor_resolvers::KubernetesResolver;
use actor_runtime::{Namespace, Resolver};
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    RootCertStore, ServerConfig, crypto::ring, pki_types::PrivateKeyDer, server::WebPkiClientVerifier,
};
use tokio_rustls::TlsAcceptor;

use super::{builder, cluster};
use crate::{
    cluster::Cluster,
    watched::{Watched, addresses, failure, now, pause, quick},
};

/// A directory that is gone after the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("actor-kubernetes-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory can be made");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file can be written");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// An authority that signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("it signs itself");
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        (params.signed_by(&key, &self.issuer).expect("it is signed"), key)
    }

    /// A server's side of TLS.
    fn serves(&self, asks_for_clients: bool) -> TlsAcceptor {
        let (certificate, key) = self.sign("127.0.0.1");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("it is an authority");
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let clients = clients.build().expect("there are roots");
        let config = ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().expect("they fit");
        let config = match asks_for_clients {
            true => config.with_client_cert_verifier(clients),
            false => config.with_no_client_auth(),
        };
        let config = config.with_single_cert(vec![certificate.der().clone()], key).expect("they fit");
        TlsAcceptor::from(Arc::new(config))
    }

    fn pem(&self) -> String {
        self.certificate.pem()
    }
}

#[tokio::test]
async fn a_pod_uses_its_service_account_over_tls_and_reads_a_new_token_when_the_old_one_is_refused() {
    let authority = Authority::new();
    let directory = Directory::new("account");
    directory.write("token", "first");
    directory.write("ca.crt", &authority.pem());
    directory.write("namespace", "prod\n");
    let cluster = Cluster::new();
    cluster.require("first");
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
    let server = cluster.serve_at("127.0.0.1:0".parse().unwrap(), Some(authority.serves(false))).await;
    let url = format!("https://{}", server.address);
    let resolver = KubernetesResolver::builder()
        .url(url)
        .service_account(&directory.0)
        .options(quick())
        .build()
        .unwrap();
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&["10.0.0.1:7000"]).await;
    cluster.watched(1).await;
    cluster.require("second");
    cluster.end_watches();
    let reason = watched.is_stale().await;
    assert!(reason.contains("the credentials are not accepted"), "{reason}");
    directory.write("token", "second");
    watched.has(&["10.0.0.1:7000"]).await;
}

#[tokio::test]
async fn an_authority_that_is_another_one_is_refused_until_the_file_has_the_right_one() {
    let authority = Authority::new();
    let directory = Directory::new("authority");
    directory.write("token", "t");
    directory.write("ca.crt", &Authority::new().pem());
    directory.write("namespace", "prod");
    let cluster = Cluster::new();
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
    let server = cluster.serve_at("127.0.0.1:0".parse().unwrap(), Some(authority.serves(false))).await;
    let url = format!("https://{}", server.address);
    let resolver = KubernetesResolver::builder()
        .url(url)
        .service_account(&directory.0)
        .options(quick())
        .build()
        .unwrap();
    let mut watched = Watched::new(&resolver, "calc");
    let error = watched.next().await.unwrap_err();
    assert!(error.contains("cannot be reached"), "{error}");
    assert!(error.contains("certificate"), "{error}");
    assert!(cluster.asked().is_empty());
    directory.write("ca.crt", &authority.pem());
    watched.has(&["10.0.0.1:7000"]).await;
}

fn kubeconfig(url: &str, cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         contexts: [{{ name: here, context: {{ cluster: c, user: u, namespace: prod }} }}]\n\
         clusters: [{{ name: c, cluster: {{ server: \"{url}\"{cluster} }} }}]\n\
         users: [{{ name: u, user: {{ {user} }} }}]\n"
    )
}

#[tokio::test]
async fn a_kubeconfig_gives_the_server_the_namespace_and_the_token() {
    let (cluster, server) = cluster().await;
    cluster.require("secret");
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
    let directory = Directory::new("kubeconfig");
    let url = format!("http://{}", server.address);
    let path = directory.write("config", &kubeconfig(&url, "", "token: secret"));
    let resolver = KubernetesResolver::builder().kubeconfig_file(&path).options(quick()).build().unwrap();
    let result = resolver.resolve(&Namespace::local(), "calc").await.unwrap();
    assert_eq!(addresses(&result), ["10.0.0.1:7000"]);
    let error = KubernetesResolver::builder().kubeconfig_file(path).context("there").build().unwrap_err();
    assert!(error.to_string().contains("has no context \"there\""), "{error}");
}

#[tokio::test]
async fn a_kubeconfig_gives_the_authority_and_a_certificate_of_ones_own() {
    let authority = Authority::new();
    let cluster = Cluster::new();
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
    let server = cluster.serve_at("127.0.0.1:0".parse().unwrap(), Some(authority.serves(true))).await;
    let url = format!("https://{}", server.address);
    let (certificate, key) = authority.sign("me");
    let of = |text: String| STANDARD.encode(text);
    let trusts = format!(", certificate-authority-data: {}", of(authority.pem()));
    let chain = format!("client-certificate-data: {}", of(certificate.pem()));
    let both = format!("{chain}, client-key-data: {}", of(key.serialize_pem()));
    let directory = Directory::new("identity");
    let path = directory.write("config", &kubeconfig(&url, &trusts, &both));
    let resolver = KubernetesResolver::builder().kubeconfig_file(path).options(quick()).build().unwrap();
    assert_eq!(resolver.resolve(&Namespace::local(), "calc").await.unwrap().endpoints.len(), 1);
    for (user, expected) in
        [("{}", "cannot be reached"), (&*chain, "one of client-certificate and client-key")]
    {
        let path = directory.write("other", &kubeconfig(&url, &trusts, user.trim_matches(['{', '}'])));
        let other = KubernetesResolver::builder().kubeconfig_file(path).options(quick()).build().unwrap();
        let error = failure(&other, "calc").await;
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_plugin_of_a_kubeconfig_gives_the_token() {
    let (cluster, server) = cluster().await;
    cluster.require("from-plugin");
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
    let directory = Directory::new("plugin");
    let script = r#"echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"from-plugin"}}'"#;
    let script = directory.write("plugin.sh", script);
    let user = format!(
        "exec: {{ apiVersion: client.authentication.k8s.io/v1, command: sh, args: [\"{}\"], interactiveMode: Never }}",
        script.display()
    );
    let path = directory.write("config", &kubeconfig(&format!("http://{}", server.address), "", &user));
    let resolver = KubernetesResolver::builder().kubeconfig_file(path).options(quick()).build().unwrap();
    assert_eq!(resolver.resolve(&Namespace::local(), "calc").await.unwrap().endpoints.len(), 1);
}

/// A user who is a plugin of this script, with a secret in its arguments and in its environment.
fn plugin(script: &std::path::Path) -> String {
    format!(
        "exec: {{ apiVersion: client.authentication.k8s.io/v1, command: sh, args: [\"{}\", SECRET-ARGUMENT], \
         env: [{{ name: PASSWORD, value: SECRET-VALUE }}], interactiveMode: Never }}",
        script.display()
    )
}

#[tokio::test]
async fn a_plugin_that_fails_is_told_of_without_its_secrets() {
    let directory = Directory::new("secrets");
    let old = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"SECRET-TOKEN","expirationTimestamp":"2001-01-01T00:00:00Z"}}"#;
    let once = format!(
        "cd {}; if mkdir once 2>/dev/null; then echo '{old}'; else echo SECRET-OUTPUT; exit 3; fi",
        directory.0.display()
    );
    for (script, expected) in [
        (
            "echo SECRET-OUTPUT; echo SECRET-ERROR >&2; exit 1",
            "the plugin \"sh\" of the kubeconfig failed: exit status: 1",
        ),
        (
            "echo '{ \"token\": SECRET-OUTPUT: [ '",
            "the plugin \"sh\" of the kubeconfig gives what is not understood",
        ),
        (&*once, "the plugin \"sh\" of the kubeconfig failed: exit status: 3"),
    ] {
        let script = directory.write("plugin.sh", script);
        let path = directory.write("config", &kubeconfig("http://127.0.0.1:1", "", &plugin(&script)));
        let resolver = KubernetesResolver::builder().kubeconfig_file(path).options(quick()).build().unwrap();
        let error = failure(&resolver, "calc").await;
        assert!(error.contains(expected) && !error.contains("SECRET"), "{error}");
    }
    let path =
        directory.write("config", "users: [{ name: u, user: { token: SECRET-TOKEN, exec: SECRET-WORD } }]\n");
    let built = KubernetesResolver::builder().kubeconfig_file(path).build();
    let error = built.expect_err("it is no kubeconfig").to_string();
    assert!(error.contains("not understood") && !error.contains("SECRET"), "{error}");
}

#[tokio::test]
async fn an_outage_does_not_run_the_plugin_again_and_a_refusal_does() {
    let directory = Directory::new("outage");
    let runs = directory.0.join("runs");
    let script = format!(
        "echo >> {}; echo '{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\
         \"status\":{{\"token\":\"first\"}}}}'",
        runs.display()
    );
    let script = directory.write("plugin.sh", &script);
    let count = || fs::read(&runs).map_or(0, |lines| lines.len());
    let cluster = Cluster::new();
    let services = ["a", "b", "c", "d"];
    services.iter().for_each(|service| cluster.put("prod", service, service, &["10.0.0.1"], 7000));
    let server = cluster.serve().await;
    let (address, url) = (server.address, format!("http://{}", server.address));
    let path = directory.write("config", &kubeconfig(&url, "", &plugin(&script)));
    let resolver = KubernetesResolver::builder().kubeconfig_file(path).options(quick()).build().unwrap();
    let mut watched = services.map(|service| Watched::new(&resolver, service));
    for watched in &mut watched {
        watched.has(&["10.0.0.1:7000"]).await;
    }
    assert_eq!(count(), 1);
    drop(server);
    for watched in &mut watched {
        watched.is_stale().await;
    }
    pause(Duration::from_secs(1)).await;
    assert_eq!(count(), 1);
    let _server = cluster.serve_at(address, None).await;
    for watched in &mut watched {
        watched.has(&["10.0.0.1:7000"]).await;
    }
    assert_eq!(count(), 1);
    cluster.require("second");
    cluster.end_watches();
    let began = now();
    while count() < 2 {
        assert!(began.elapsed() < Duration::from_secs(10), "the plugin is asked for another token");
        pause(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_a_kubeconfig_asks_for_and_is_not_understood_is_refused() {
    let directory = Directory::new("refused");
    for (cluster, expected) in [
        (", insecure-skip-tls-verify: true", "insecure-skip-tls-verify"),
        (", tls-server-name: other", "tls-server-name"),
        (", proxy-url: \"http://127.0.0.1:1\"", "a proxy"),
    ] {
        let path = directory.write("config", &kubeconfig("https://127.0.0.1:1", cluster, "token: t"));
        let resolver = KubernetesResolver::builder().kubeconfig_file(path).options(quick()).build().unwrap();
        let error = failure(&resolver, "calc").await;
        assert!(error.contains("not understood") && error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_when_it_is_built() {
    let error = |built: Result<_, actor_resolvers::KubernetesError>| match built {
        Ok(resolver) => panic!("it is built: {:?}", Some::<KubernetesResolver>(resolver)),
        Err(error) => error.to_string(),
    };
    let directory = Directory::new("none");
    let text = error(KubernetesResolver::builder().service_account(&directory.0).build());
    assert!(
        text.contains("the own namespace of this pod cannot be read") && text.contains("outside of a pod"),
        "{text}"
    );
    for url in ["", "127.0.0.1:80", "ftp://x", "http:///x", "http://h/?a=b", "http://me:secret@h"] {
        let text = error(KubernetesResolver::builder().url(url).namespace("prod").build());
        assert!(text.contains("URL") && !text.contains("secret"), "{text}");
    }
    let text = error(KubernetesResolver::builder().url("http://h").namespace("No Good").build());
    assert!(text.contains("cannot be the name of a namespace"), "{text}");
    let (_, server) = cluster().await;
    let shown = format!("{:?}", builder(&server).build().unwrap());
    assert_eq!(shown, format!("Kubernetes at http://{}", server.address));
}
