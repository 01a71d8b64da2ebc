//! Encrypted connections, with certificates of one's own.

use std::path::{Path, PathBuf};

use backend_core::{Backend, Error, MessageEnvelope};
use engine_harness::wait::expect;
use engine_harness::{Certificates, Result, Server};

use crate::support::quick;

engine_harness::tests![
    a_certificate_of_ones_own_is_trusted_when_it_is_named,
    a_server_that_asks_for_a_certificate_gets_one,
];

async fn start(certificates: &Certificates, asks_clients: bool) -> Result<Server> {
    let file = |file: PathBuf| file.display().to_string();
    let arguments = |port: u16, folder: &Path| {
        let all = [
            ["--tls-port".to_owned(), port.to_string()],
            ["--port".into(), "0".into()],
            ["--bind".into(), "127.0.0.1".into()],
            ["--dir".into(), folder.display().to_string()],
            ["--save".into(), String::new()],
            ["--appendonly".into(), "no".into()],
            ["--tls-cert-file".into(), file(certificates.certificate())],
            ["--tls-key-file".into(), file(certificates.key())],
            ["--tls-ca-cert-file".into(), file(certificates.authority())],
            ["--tls-auth-clients".into(), if asks_clients { "yes" } else { "no" }.into()],
        ];
        all.into_iter().flatten().collect()
    };
    // It listens when it is ready.
    Ok(Server::start("redis-server", arguments, |_| async { true }).await?)
}

async fn a_certificate_of_ones_own_is_trusted_when_it_is_named() -> Result {
    let certificates = Certificates::new()?;
    let server = start(&certificates, false).await?;
    let roots = certificates.authority();
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
    let no_file = quick(&by_name).root_certificates(certificates.file("none")).connect().await;
    assert!(no_file.unwrap_err().to_string().contains("none"));
    Ok(())
}

async fn a_server_that_asks_for_a_certificate_gets_one() -> Result {
    let certificates = Certificates::new()?;
    let server = start(&certificates, true).await?;
    let url = format!("rediss://localhost:{}", server.address.port());
    let without = quick(&url).root_certificates(certificates.authority()).connect().await;
    assert!(matches!(without, Err(Error::Unavailable(_))), "{without:?}");
    let here = quick(&url)
        .root_certificates(certificates.authority())
        .client_certificate(certificates.certificate(), certificates.key())
        .connect()
        .await?;
    here.publish(MessageEnvelope::new("orders", "first")).await?;
    Ok(())
}
