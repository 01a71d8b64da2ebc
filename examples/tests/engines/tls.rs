//! Encrypted connections, with roots of one's own.

use engine_harness::free_port;
use libtest_mimic::Trial;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::Client;
use tempfile::TempDir;

use crate::compose::talk;
use crate::support::engines::{Engine, Kind};
use crate::support::{Chat, command, within};

pub(crate) fn all() -> Vec<Trial> {
    crate::over_each![processes_talk_over_encrypted_connections]
}

/// The settings of NATS and of Redis, as the page "Run it on more than one machine" shows them.
pub(crate) const SETTINGS: [&str; 2] = [
    "\ntls {\n  cert_file: \"server.pem\"\n  key_file: \"server.key\"\n}\n",
    "\ntls-cert-file server.pem\ntls-key-file server.key\ntls-ca-cert-file roots.pem\n\
     tls-auth-clients no\n",
];

async fn processes_talk_over_encrypted_connections(kind: Kind) {
    let key = || KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([]).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, key()).expect("an authority");
    let server_key = key();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let server = params.signed_by(&server_key, &authority).expect("a certificate");
    let (roots, server) = (authority.pem(), server.pem());

    let settings = SETTINGS[usize::from(kind == Kind::Redis)];
    let (file, encrypted) = match kind {
        Kind::Nats => ("nats.conf", None),
        // In the clear, it is asked whether it is up.
        Kind::Redis => ("redis.conf", Some(free_port().expect("a free port"))),
    };
    let files = [
        (file, settings),
        ("roots.pem", &roots),
        ("server.pem", &server),
        ("server.key", &server_key.serialize_pem()),
    ];
    let arguments = |_| match encrypted {
        None => vec!["-c".to_owned(), file.to_owned()],
        Some(port) => vec![file.to_owned(), "--tls-port".to_owned(), port.to_string()],
    };
    let engine = Engine::start_in(kind, &files, arguments).await;
    let url = match encrypted {
        None => format!("tls://{}", engine.address()),
        Some(port) => format!("rediss://127.0.0.1:{port}"),
    };

    // By the system's roots, nobody knows this server.
    let options = ["--port", "0", "--backend", &url];
    let output = within("the end", command(&options).output()).await.expect("it runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("certificate"), "{complaint}");

    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("roots.pem");
    std::fs::write(&file, &roots).expect("the folder takes a file");
    let roots = file.to_str().expect("a path in UTF-8");
    let options = ["--instances", "1", "--backend", &url, "--tls-roots", roots];
    let chats = [Chat::start(&options).await, Chat::start(&options).await];
    talk(&Client::new(), &chats, "encrypted").await;
}
