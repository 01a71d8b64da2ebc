//! Credentials: how they are given, and that they are never shown.

use backend_core::Error;
use backend_redis::RedisBackend;
use engine_harness::Result;

use crate::support::{Redis, quick};

engine_harness::tests![
    credentials_are_taken_from_the_url_or_by_themselves,
    no_error_and_no_debug_shows_a_password,
];

const PASSWORD: &str = "p@ss:w/o%rd,2";
const IN_A_URL: &str = "p%40ss%3Aw%2Fo%25rd%2C2";

async fn credentials_are_taken_from_the_url_or_by_themselves() -> Result {
    let redis = Redis::start_with(&[
        "--requirepass",
        PASSWORD,
        "--user",
        "al@ice",
        "on",
        &format!(">{PASSWORD}"),
        "+@all",
        "allchannels",
    ])
    .await?;
    let address = redis.server.address;
    let ways = [
        quick(format!("redis://:{IN_A_URL}@{address}")),
        quick(format!("redis://default:{IN_A_URL}@{address}/3")),
        quick(format!("redis://al%40ice:{IN_A_URL}@{address}")),
        quick(format!("redis://{address}")).password(PASSWORD),
        quick(format!("redis://{address}")).user_and_password("al@ice", PASSWORD),
        // By themselves goes before the URL.
        quick(format!("redis://x:y@{address}")).password(PASSWORD),
    ];
    for way in ways {
        let shown = format!("{way:?}");
        way.connect().await.map_err(|error| format!("{shown}: {error}"))?;
    }
    for wrong in ["redis://", "redis://:x@", "redis://bob:x@"] {
        let refused = quick(format!("{wrong}{address}")).connect().await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    }
    Ok(())
}

async fn no_error_and_no_debug_shows_a_password() -> Result {
    let redis = Redis::start_with(&["--requirepass", "s3cret-right"]).await?;
    let address = redis.server.address;
    let mut shown = Vec::new();
    let mut show = |builder: &backend_redis::Builder| shown.push(format!("{builder:?}"));
    let right = quick(format!("redis://:s3cret-right@{address}"));
    show(&right);
    let backend = right.connect().await?;
    let closed = engine_harness::free_port()?;
    let mut errors = Vec::new();
    for url in [
        format!("redis://:s3cret-wrong@{address}"),
        format!("redis://alice:s3cret-wrong@{address}"),
        format!("rediss://alice:s3cret-wrong@{address}"),
        format!("redis://alice:s3cret-wrong@127.0.0.1:{closed}"),
        "redis://alice:s3cret-wrong@no-such-host.invalid".to_owned(),
        format!("redis://alice:s3cret%FF@{address}"),
        format!("redis://alice:s3cret-wrong@{address}/s3cret"),
        format!("redis://alice:s3cret-wrong@{address}?s3cret"),
        "redis://alice:s3cret@".to_owned(),
        "alice:s3cret-wrong@host".to_owned(),
    ] {
        let builder = RedisBackend::builder()
            .servers(&url)
            .operation_timeout(std::time::Duration::from_secs(2));
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
