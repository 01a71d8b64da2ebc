//! Encrypted connections, with certificates of one's own.

use backend_core::{Backend, Error, MessageEnvelope};
use engine_harness::wait::expect;
use engine_harness::{Certificates, Result};

use crate::support::{Nats, quick};

engine_harness::tests![
    a_certificate_of_ones_own_is_trusted_when_it_is_named,
    a_server_that_asks_for_a_certificate_gets_one,
    a_server_without_tls_gets_nothing_in_clear_text,
];

async fn start(certificates: &Certificates, asks_clients: bool) -> Result<Nats> {
    Nats::start_configured(&format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: {asks_clients} }}",
        certificates.certificate(),
        certificates.key(),
        certificates.authority(),
    ))
    .await
}

async fn a_certificate_of_ones_own_is_trusted_when_it_is_named() -> Result {
    let certificates = Certificates::new()?;
    let nats = start(&certificates, false).await?;
    let roots = certificates.authority();
    let by_name = format!("tls://localhost:{}", nats.server.address.port());
    let here = quick(&by_name).root_certificates(&roots).connect().await?;
    // An address, and encrypted since there are roots.
    let there = quick(nats.url()).root_certificates(&roots).connect().await?;
    let mut orders = there.subscribe("orders").await?;
    let large = "x".repeat(1 << 19);
    here.publish(MessageEnvelope::new("orders", large.clone())).await?;
    expect(&mut orders, &large).await?;

    let another = Certificates::new()?;
    for untrusted in [
        quick(&by_name),
        quick(nats.url()).require_tls(),
        // The server insists.
        quick(nats.url()),
        quick(&by_name).root_certificates(another.authority()),
    ] {
        let refused = untrusted.connect().await;
        let Err(Error::Unavailable(why)) = refused else { panic!("{refused:?}") };
        assert!(why.to_string().contains("certificate"), "{why}");
    }
    let twice = quick(&by_name).root_certificates(another.authority()).root_certificates(&roots);
    twice.connect().await?;
    let no_file = quick(&by_name).root_certificates(certificates.file("none")).connect().await;
    assert!(matches!(no_file, Err(Error::Unavailable(_))), "{no_file:?}");
    Ok(())
}

async fn a_server_that_asks_for_a_certificate_gets_one() -> Result {
    let certificates = Certificates::new()?;
    let nats = start(&certificates, true).await?;
    let url = format!("tls://localhost:{}", nats.server.address.port());
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

async fn a_server_without_tls_gets_nothing_in_clear_text() -> Result {
    let nats = Nats::start().await?;
    for encrypted in
        [quick(nats.url()).require_tls(), quick(nats.url().replace("nats://", "tls://"))]
    {
        let refused = encrypted.token("s3cret").connect().await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    }
    Ok(())
}
