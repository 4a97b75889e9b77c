//! Handshakes of both sides in memory, with what the transport will give to QUIC.

use std::{sync::Arc, time::Duration};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Connection, Error, ServerConfig,
    ServerConnection,
    client::WebPkiServerVerifier,
    crypto::ring,
    pki_types::CertificateDer,
    server::WebPkiClientVerifier,
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};

use super::{Authority, Crypto, Identity, Peer, Trust, TrustError, tls::ALPN};
use crate::node::clock;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How it ended at the client and at the server.
type Ends = (Result<Peer, Error>, Result<Peer, Error>);

fn trust(authority: &Authority, names: &[&str]) -> Trust {
    shows(authority, authority.issue(names).unwrap())
}

fn shows(authority: &Authority, identity: Identity) -> Trust {
    Trust::builder().identity(identity).authority(authority).build().unwrap()
}

/// The client dials the server at this host.
fn dial(client: &Trust, host: &str, server: &Trust) -> Ends {
    handshake((client.client_config(), client), host, (server.server_config(), server))
}

fn handshake(
    (client, of_client): (Arc<ClientConfig>, &Trust),
    host: &str,
    (server, of_server): (Arc<ServerConfig>, &Trust),
) -> Ends {
    let name = of_client.server_name_for(host).unwrap();
    let mut client = Connection::Client(ClientConnection::new(client, name).unwrap());
    let mut server = Connection::Server(ServerConnection::new(server).unwrap());
    let (mut at_client, mut at_server) = (Ok(()), Ok(()));
    while client.wants_write() || server.wants_write() {
        carry(&mut client, &mut server, &mut at_server);
        carry(&mut server, &mut client, &mut at_client);
    }
    (at_client.map(|()| peer(of_client, &client)), at_server.map(|()| peer(of_server, &server)))
}

/// Carries what one side has to say to the other, and what that makes of it.
fn carry(from: &mut Connection, to: &mut Connection, end: &mut Result<(), Error>) {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut bytes = bytes.as_slice();
    while end.is_ok() && !bytes.is_empty() {
        to.read_tls(&mut bytes).unwrap();
        *end = to.process_new_packets().map(drop);
    }
}

fn peer(of: &Trust, connection: &Connection) -> Peer {
    assert!(!connection.is_handshaking());
    assert_eq!(connection.alpn_protocol(), Some(ALPN));
    assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    of.peer(connection.peer_certificates().unwrap()).unwrap()
}

fn refused(end: Result<Peer, Error>) -> CertificateError {
    match end {
        Err(Error::InvalidCertificate(error)) => error,
        end => panic!("not refused for its certificate: {end:?}"),
    }
}

#[test]
fn both_sides_learn_who_the_other_is() {
    let authority = Authority::new("test").unwrap();
    let server = trust(&authority, &["127.0.0.1", "server.example", "actor://cluster/server"]);
    let client = trust(&authority, &["client.example"]);
    for host in ["127.0.0.1", "server.example"] {
        let (at_client, at_server) = dial(&client, host, &server);
        let (at_client, at_server) = (at_client.unwrap(), at_server.unwrap());
        assert_eq!(at_client.identity(), "actor://cluster/server");
        assert_eq!(at_client.names(), ["actor://cluster/server", "server.example", "127.0.0.1"]);
        assert_eq!(at_server.to_string(), "client.example");
    }
}

#[test]
fn an_identity_of_another_authority_is_refused_on_both_sides() {
    // Of the same name, so that it is the signature that tells.
    let [ours, theirs] = [0, 1].map(|_| Authority::new("test").unwrap());
    let names = ["localhost", "actor://cluster/a"];
    let (us, them) = (trust(&ours, &names), trust(&theirs, &names));
    let believes_ours = shows(&ours, theirs.issue(names).unwrap());

    refused(dial(&us, "localhost", &them).0);
    let (at_client, at_server) = dial(&believes_ours, "localhost", &us);
    refused(at_server);
    assert!(matches!(at_client, Err(Error::AlertReceived(_))), "{at_client:?}");
}

#[test]
fn an_identity_that_is_over_or_not_there_yet_is_refused_on_both_sides() {
    let authority = Authority::new("test").unwrap();
    let now = clock::calendar();
    let good = trust(&authority, &["localhost"]);
    let during = |validity| shows(&authority, authority.issue_during(validity, ["localhost"]).unwrap());
    let over = during(now - 2 * DAY..now - DAY);
    let early = during(now + DAY..now + 2 * DAY);

    for (end, expired) in [
        (dial(&good, "localhost", &over).0, true),
        (dial(&over, "localhost", &good).1, true),
        (dial(&good, "localhost", &early).0, false),
        (dial(&early, "localhost", &good).1, false),
    ] {
        match refused(end) {
            CertificateError::ExpiredContext { .. } => assert!(expired),
            CertificateError::NotValidYetContext { .. } => assert!(!expired),
            error => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_client_without_certificate_is_refused() {
    let authority = Authority::new("test").unwrap();
    let server = trust(&authority, &["localhost"]);
    let mut nobody = dialler(&authority).with_no_client_auth();
    nobody.alpn_protocols = vec![ALPN.to_vec()];
    let (_, at_server) = handshake((nobody.into(), &server), "localhost", (server.server_config(), &server));
    assert_eq!(at_server, Err(Error::NoCertificatesPresented));
}

#[test]
fn a_certificate_without_its_key_is_refused_on_both_sides() {
    let authority = Authority::new("test").unwrap();
    let victim = trust(&authority, &["localhost", "actor://cluster/victim"]);
    let thief = authority.issue(["thief.example"]).unwrap();
    let key = ring::default_provider().key_provider.load_private_key(thief.key().clone_key()).unwrap();
    let stolen = CertifiedKey::new(victim.identity().chain().to_vec(), key);
    let stolen = Arc::new(SingleCertAndKey::from(stolen));

    let mut client = dialler(&authority).with_client_cert_resolver(stolen.clone());
    client.alpn_protocols = vec![ALPN.to_vec()];
    let (_, at_server) = handshake((client.into(), &victim), "localhost", (victim.server_config(), &victim));
    assert_eq!(refused(at_server), CertificateError::BadSignature);

    let provider = Arc::new(ring::default_provider());
    let roots = Arc::new(roots(&authority));
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(roots, provider).build().unwrap(),
        )
        .with_cert_resolver(stolen);
    server.alpn_protocols = vec![ALPN.to_vec()];
    let (at_client, _) = handshake((victim.client_config(), &victim), "localhost", (server.into(), &victim));
    assert_eq!(refused(at_client), CertificateError::BadSignature);
}

#[test]
fn a_server_at_a_host_that_its_certificate_does_not_name_is_refused() {
    let authority = Authority::new("test").unwrap();
    let node = trust(&authority, &["node-1.example", "127.0.0.1", "actor://cluster/node-1"]);
    for host in ["node-2.example", "127.0.0.2", "::1"] {
        let (at_client, at_server) = dial(&node, host, &node);
        assert!(matches!(refused(at_client), CertificateError::NotValidForNameContext { .. }));
        let alert = AlertDescription::BadCertificate;
        assert_eq!(at_server, Err(Error::AlertReceived(alert)));
    }
}

#[test]
fn with_a_common_name_the_host_is_not_asked() {
    let authority = Authority::new("test").unwrap();
    let common = |names: [&str; 2]| {
        let identity = authority.issue(names).unwrap();
        Trust::builder().identity(identity).authority(&authority).server_name("cluster").build().unwrap()
    };
    let node = common(["cluster", "actor://cluster/node-1"]);
    let (at_client, at_server) = dial(&node, "10.1.2.3", &node);
    assert_eq!(at_client.unwrap().identity(), "actor://cluster/node-1");
    assert!(at_server.is_ok());

    let stranger = common(["10.1.2.3", "actor://cluster/node-2"]);
    refused(dial(&node, "10.1.2.3", &stranger).0);
}

#[test]
fn what_a_dialler_showed_is_asked_for_the_host_as_a_server_would_be() {
    let authority = Authority::new("test").unwrap();
    let node = trust(&authority, &["node-1.example", "10.0.0.1"]);
    let chain = node.identity().chain();
    assert!(node.is_valid_for(chain, "node-1.example"));
    assert!(node.is_valid_for(chain, "10.0.0.1"));
    assert!(!node.is_valid_for(chain, "node-2.example"));
    assert!(!node.is_valid_for(chain, "not a host"));
    assert!(!node.is_valid_for(&[], "10.0.0.1"));
    assert!(!node.is_valid_for(&[CertificateDer::from(vec![1, 2, 3])], "10.0.0.1"));

    let other = trust(&Authority::new("test").unwrap(), &["node-1.example"]);
    assert!(!node.is_valid_for(other.identity().chain(), "node-1.example"));
    let now = clock::calendar();
    let over = authority.issue_during(now - 2 * DAY..now - DAY, ["node-1.example"]).unwrap();
    assert!(!node.is_valid_for(over.chain(), "node-1.example"));
}

#[test]
fn certificates_that_are_none_name_nobody() {
    let authority = Authority::new("test").unwrap();
    let node = trust(&authority, &["a"]);
    assert_eq!(node.peer(&[]), Err(TrustError::NoCertificate));
    let nonsense = node.peer(&[CertificateDer::from(vec![0; 40])]);
    assert!(matches!(nonsense, Err(TrustError::Certificate { .. })));
}

#[test]
fn several_authorities_are_believed() {
    let [old, new] = ["old", "new"].map(|name| Authority::new(name).unwrap());
    let both = |issuer: &Authority| {
        let identity = issuer.issue(["localhost"]).unwrap();
        let pem = old.certificate_pem() + &new.certificate_pem();
        Trust::builder().identity(identity).authority_pem(pem).build().unwrap()
    };
    let (at_client, at_server) = dial(&both(&old), "localhost", &both(&new));
    assert!(at_client.is_ok() && at_server.is_ok());
}

#[test]
fn an_authority_that_was_read_again_issues_for_the_same_cluster() {
    let authority = Authority::new("test").unwrap();
    let read = Authority::from_pem(authority.to_pem()).unwrap();
    let (at_client, at_server) =
        dial(&trust(&authority, &["localhost"]), "localhost", &trust(&read, &["localhost"]));
    assert!(at_client.is_ok() && at_server.is_ok());
}

#[test]
fn an_identity_cannot_issue_others() {
    let authority = Authority::new("actor node").unwrap();
    let issued = authority.issue(["localhost"]).unwrap();
    let impostor = Authority::from_pem(issued.certificate_pem() + &issued.key_pem()).unwrap();
    let forged = impostor.issue(["localhost", "actor://cluster/admin"]).unwrap();
    let chain = forged.chain().iter().chain(issued.chain()).cloned().collect();
    let forged = Identity::new(chain, forged.key().clone_key()).unwrap();
    let node = trust(&authority, &["localhost"]);
    refused(dial(&shows(&authority, forged.clone()), "localhost", &node).1);
    refused(dial(&node, "localhost", &shows(&authority, forged)).0);
}

#[test]
fn hosts_are_names_or_addresses() {
    let node = trust(&Authority::new("test").unwrap(), &["a"]);
    for (host, name) in
        [("a.example", "a.example"), ("10.0.0.1", "10.0.0.1"), ("::1", "::1"), ("[::1]", "::1")]
    {
        assert_eq!(node.server_name_for(host).unwrap().to_str(), name);
    }
    for host in ["", "a b", "[a]", "10.0.0.1:7000"] {
        let error = node.server_name_for(host).unwrap_err();
        assert_eq!(error, TrustError::Host { host: host.to_owned() });
    }
}

#[test]
fn nothing_is_resumed_and_nothing_is_early() {
    let node = trust(&Authority::new("test").unwrap(), &["localhost"]);
    let (server, client) = (node.server_config(), node.client_config());
    assert_eq!((server.max_early_data_size, server.send_tls13_tickets), (0, 0));
    assert!(!server.ticketer.enabled() && !server.send_half_rtt_data && !client.enable_early_data);
    let name = || node.server_name_for("localhost").unwrap();
    for _ in 0..2 {
        let mut dialler = Connection::Client(ClientConnection::new(client.clone(), name()).unwrap());
        let mut listener = Connection::Server(ServerConnection::new(server.clone()).unwrap());
        let mut end = Ok(());
        while dialler.wants_write() || listener.wants_write() {
            carry(&mut dialler, &mut listener, &mut end);
            carry(&mut listener, &mut dialler, &mut end);
        }
        assert_eq!(dialler.handshake_kind(), Some(rustls::HandshakeKind::Full));
    }
}

#[test]
fn another_protocol_is_refused() {
    let authority = Authority::new("test").unwrap();
    let node = trust(&authority, &["localhost"]);
    let mut other = (*node.client_config()).clone();
    other.alpn_protocols = vec![b"h3".to_vec()];
    let ends = handshake((other.into(), &node), "localhost", (node.server_config(), &node));
    assert_eq!(ends.1, Err(Error::NoApplicationProtocol));
}

#[test]
fn each_crypto_talks_to_each() {
    let authority = Authority::new("test").unwrap();
    let all = [
        Crypto::Ring,
        #[cfg(feature = "aws-lc-rs")]
        Crypto::AwsLcRs,
    ];
    let of = |crypto| {
        let identity = authority.issue(["localhost"]).unwrap();
        Trust::builder().identity(identity).authority(&authority).crypto(crypto).build().unwrap()
    };
    for (client, server) in all.iter().flat_map(|client| all.iter().map(move |server| (*client, *server))) {
        let (at_client, at_server) = dial(&of(client), "localhost", &of(server));
        assert!(at_client.is_ok() && at_server.is_ok(), "{client:?} to {server:?}");
    }
}

/// A client that believes the authority and may show anything.
fn dialler(authority: &Authority) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let provider = Arc::new(ring::default_provider());
    let roots = Arc::new(roots(authority));
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build().unwrap();
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_webpki_verifier(verifier)
}

fn roots(authority: &Authority) -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.certificate().clone()).unwrap();
    roots
}
