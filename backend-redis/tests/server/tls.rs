//! Encrypted connections, with certificates of one's own.

use std::path::Path;

use backend_core::{Backend, Error, MessageEnvelope};
use engine_harness::Server;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::support::{Result, expect, quick};

crate::tests![
    a_certificate_of_ones_own_is_trusted_when_it_is_named,
    a_server_that_asks_for_a_certificate_gets_one,
];

/// `ca.pem`, and a certificate for localhost, which serves both ends: `local.pem`, `local.key`.
fn certificates(folder: &Path) -> Result<()> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "an authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let certificate = authority.self_signed(&key)?;
    std::fs::write(folder.join("ca.pem"), certificate.pem())?;
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate()?;
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let local = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    std::fs::write(folder.join("local.pem"), local.pem())?;
    std::fs::write(folder.join("local.key"), key.serialize_pem())?;
    Ok(())
}

async fn start(certificates: &Path, asks_clients: bool) -> Result<Server> {
    let file = |name: &str| certificates.join(name).display().to_string();
    let arguments = |port: u16, folder: &Path| {
        let all = [
            ["--tls-port".to_owned(), port.to_string()],
            ["--port".into(), "0".into()],
            ["--bind".into(), "127.0.0.1".into()],
            ["--dir".into(), folder.display().to_string()],
            ["--save".into(), String::new()],
            ["--appendonly".into(), "no".into()],
            ["--tls-cert-file".into(), file("local.pem")],
            ["--tls-key-file".into(), file("local.key")],
            ["--tls-ca-cert-file".into(), file("ca.pem")],
            ["--tls-auth-clients".into(), if asks_clients { "yes" } else { "no" }.into()],
        ];
        all.into_iter().flatten().collect()
    };
    // It listens when it is ready.
    Ok(Server::start("redis-server", arguments, |_| async { true }).await?)
}

async fn a_certificate_of_ones_own_is_trusted_when_it_is_named() -> Result<()> {
    let folder = TempDir::new()?;
    certificates(folder.path())?;
    let server = start(folder.path(), false).await?;
    let roots = folder.path().join("ca.pem");
    let by_name = format!("rediss://localhost:{}", server.address.port());
    let here = quick(&by_name).root_certificates(&roots).connect().await?;
    // An address, and encrypted since there are roots.
    let by_address = format!("redis://{}", server.address);
    let there = quick(&by_address).root_certificates(&roots).connect().await?;
    let mut orders = there.subscribe("orders").await?;
    let large = "x".repeat(1 << 20);
    here.publish(MessageEnvelope::new("orders", large.clone())).await?;
    expect(&mut orders, &large).await?;

    for untrusted in [quick(&by_name), quick(&by_address).require_tls(), quick(&by_address)] {
        let refused = untrusted.connect().await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    }
    let no_file = quick(&by_name).root_certificates(folder.path().join("none")).connect().await;
    assert!(no_file.unwrap_err().to_string().contains("none"));
    Ok(())
}

async fn a_server_that_asks_for_a_certificate_gets_one() -> Result<()> {
    let folder = TempDir::new()?;
    certificates(folder.path())?;
    let server = start(folder.path(), true).await?;
    let file = |name: &str| folder.path().join(name);
    let url = format!("rediss://localhost:{}", server.address.port());
    let without = quick(&url).root_certificates(file("ca.pem")).connect().await;
    assert!(matches!(without, Err(Error::Unavailable(_))), "{without:?}");
    let here = quick(&url)
        .root_certificates(file("ca.pem"))
        .client_certificate(file("local.pem"), file("local.key"))
        .connect()
        .await?;
    here.publish(MessageEnvelope::new("orders", "first")).await?;
    Ok(())
}
