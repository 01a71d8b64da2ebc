//! Credentials: how they are given, and that they are never shown.

use std::time::Duration;

use backend_core::Error;
use backend_nats::NatsBackend;
use engine_harness::{Result, free_port};

use crate::support::{Nats, quick};

engine_harness::tests![
    credentials_are_taken_from_the_url_or_by_themselves,
    a_token_is_taken_from_the_url_or_by_itself,
    no_error_and_no_debug_shows_a_password,
    what_is_wrong_with_a_url_is_said,
];

const PASSWORD: &str = "p@ss:w/o%rd,2";
const IN_A_URL: &str = "p%40ss%3Aw%2Fo%25rd%2C2";

async fn credentials_are_taken_from_the_url_or_by_themselves() -> Result {
    let users =
        format!(r#"authorization {{ users = [{{ user: "al@ice", password: "{PASSWORD}" }}] }}"#);
    let nats = Nats::start_configured(&users).await?;
    let address = nats.server.address;
    let ways = [
        quick(format!("nats://al%40ice:{IN_A_URL}@{address}")),
        quick(format!("nats://{address}")).user_and_password("al@ice", PASSWORD),
        // By themselves goes before the URL.
        quick(format!("nats://x:y@{address}")).user_and_password("al@ice", PASSWORD),
        // One URL has them for all.
        quick(format!("nats://al%40ice:{IN_A_URL}@127.0.0.1:{},nats://{address}", free_port()?)),
    ];
    for way in ways {
        let shown = format!("{way:?}");
        way.connect().await.map_err(|error| format!("{shown}: {error}"))?;
    }
    for wrong in ["", "x@", "al%40ice:x@", "bob:x@"] {
        let refused = quick(format!("nats://{wrong}{address}")).connect().await;
        let Err(Error::Unavailable(why)) = refused else { panic!("{refused:?}") };
        assert!(why.to_string().contains("authorization violation"), "{why}");
    }
    Ok(())
}

async fn a_token_is_taken_from_the_url_or_by_itself() -> Result {
    let nats =
        Nats::start_configured(&format!("authorization {{ token: \"{PASSWORD}\" }}")).await?;
    let address = nats.server.address;
    quick(format!("nats://{IN_A_URL}@{address}")).connect().await?;
    quick(format!("nats://{address}")).token(PASSWORD).connect().await?;
    let refused = quick(format!("nats://{address}")).token("wrong").connect().await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    Ok(())
}

async fn no_error_and_no_debug_shows_a_password() -> Result {
    let users = r#"authorization { users = [{ user: s3cret-user, password: s3cret-right }] }"#;
    let nats = Nats::start_configured(users).await?;
    let address = nats.server.address;
    let mut shown = Vec::new();
    let mut show = |builder: &backend_nats::Builder| shown.push(format!("{builder:?}"));
    let right = quick(format!("nats://s3cret-user:s3cret-right@{address}"));
    show(&right);
    show(&quick(format!("nats://{address}")).token("s3cret"));
    let backend = right.connect().await?;
    let closed = free_port()?;
    let mut errors = Vec::new();
    for url in [
        format!("nats://s3cret-user:s3cret-wrong@{address}"),
        format!("nats://s3cret-token@{address}"),
        format!("tls://alice:s3cret-wrong@{address}"),
        format!("nats://alice:s3cret-wrong@127.0.0.1:{closed}"),
        "nats://alice:s3cret-wrong@no-such-host.invalid".to_owned(),
        format!("nats://alice:s3cret%FF@{address}"),
        format!("wss://alice:s3cret-wrong@{address}"),
        format!("redis://alice:s3cret-wrong@{address}"),
        "nats://alice:s3cret@".to_owned(),
        "alice:s3cret-wrong@host:port".to_owned(),
    ] {
        let builder =
            NatsBackend::builder().servers(&url).operation_timeout(Duration::from_secs(2));
        show(&builder);
        let error = builder.connect().await.map(|_| url).expect_err("it cannot connect");
        errors.push(error);
    }
    for error in &errors {
        shown.push(format!("{error} {error:?}"));
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            shown.push(format!("{error} {error:?}"));
            source = error.source();
        }
    }
    shown.push(format!("{backend:?} {backend:#?}"));
    for text in shown {
        assert!(!text.contains("s3cret"), "{text}");
    }
    Ok(())
}

async fn what_is_wrong_with_a_url_is_said() -> Result {
    for (url, what) in [
        ("", "nats://"),
        ("nats://a,,nats://b", "nats://"),
        ("redis://localhost", "nats://"),
        ("nats://localhost:x", "cannot be read"),
        ("nats://:4222", "cannot be read"),
    ] {
        let Err(error) = NatsBackend::connect(url).await else { panic!("{url:?} is taken") };
        assert!(error.to_string().contains(what), "{url:?}: {error}");
        assert!(!error.is_retryable(), "{error:?}");
    }
    Ok(())
}
