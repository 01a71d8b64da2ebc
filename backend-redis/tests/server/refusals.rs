//! What is told when no server takes the instance: which server, why, and what to look at.

use std::net::SocketAddr;
use std::time::Duration;

use backend_core::Error;
use backend_redis::{Builder, RedisBackend};
use engine_harness::{Result, free_port};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::support::{Redis, quick};

engine_harness::tests![
    every_server_is_named_with_its_reason,
    a_server_of_another_kind_is_told_from_a_dead_one,
    credentials_that_are_missing_are_told_from_wrong_ones,
    what_is_wrong_with_a_list_of_servers_is_told_by_number,
];

/// Listens, and says this to whoever connects. Then it says nothing more, as most servers do until
/// they are asked something.
async fn stranger(says: &'static str) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.write_all(says.as_bytes()).await;
            open.push(socket);
        }
    });
    Ok(address)
}

/// What is told of an attempt: one line, which is worth another attempt and holds no password.
async fn told(builder: Builder) -> String {
    let Err(error) = builder.connect().await else { panic!("it is connected") };
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    let told = error.to_string();
    assert!(!told.contains('\n') && !told.contains("s3cret"), "{told}");
    told
}

async fn every_server_is_named_with_its_reason() -> Result {
    let silent = stranger("").await?;
    let closed = free_port()?;
    let urls =
        format!("redis://127.0.0.1:{closed},redis://a:s3cret@{silent},redis://no-host.invalid");
    let told = told(quick(urls).operation_timeout(Duration::from_millis(900))).await;
    let [first, second, third] = told.split("; ").collect::<Vec<_>>()[..] else { panic!("{told}") };
    assert!(first.contains(&format!("127.0.0.1:{closed}: Connection refused")), "{told}");
    assert!(second.contains(&format!("{silent}: no answer within 270ms")), "{told}");
    assert!(third.contains("no-host.invalid:6379: failed to lookup"), "{told}");
    Ok(())
}

async fn a_server_of_another_kind_is_told_from_a_dead_one() -> Result {
    let patience = Duration::from_millis(500);
    for (says, what) in [
        ("", "is it a Redis server"),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "is not a Redis server"),
        ("INFO {\"server_id\":\"s3cret\"} \r\n", "is not a Redis server"),
        ("\u{15}\u{3}\u{3}\0\u{2}\u{2}(", "wants an encrypted connection"),
    ] {
        let at = stranger(says).await?;
        let told = told(quick(format!("redis://{at}")).operation_timeout(patience)).await;
        assert!(told.contains(&format!("{at}: ")) && told.contains(what), "{says:?}: {told}");
    }
    // As a server without TLS does: it waits for the end of what it cannot read.
    let at = stranger("").await?;
    let told = told(quick(format!("rediss://{at}")).operation_timeout(patience)).await;
    assert!(told.contains(&format!("{at}: ")) && told.contains("its port for TLS"), "{told}");
    Ok(())
}

async fn credentials_that_are_missing_are_told_from_wrong_ones() -> Result {
    let redis = Redis::start_with(&["--requirepass", "right"]).await?;
    let at = redis.server.address;
    for (credentials, what) in [("", "it wants credentials"), (":s3cret@", "WRONGPASS invalid")] {
        let told = told(quick(format!("redis://{credentials}{at}"))).await;
        assert!(told.contains(&format!("{at}: {what}")), "{told}");
    }
    Ok(())
}

async fn what_is_wrong_with_a_list_of_servers_is_told_by_number() -> Result {
    for (urls, what) in [
        ("redis://a,nats://:s3cret@b", "URL 2 is a nats:// one: all servers"),
        ("HTTP://s3cret@a,redis://b", "URL 1 is a http:// one: all servers"),
        ("redis://a,valkey://b,s3cret://c", "URL 3 begins with something else than redis://"),
        ("redis://a,,nats://b", "URL 2 is not that of a Redis server"),
        ("a:s3cret@localhost:6379", "URL 1 is not that of a Redis server"),
        ("redis://a:s3cret@b/?x=s3cret", "URL 1 has options"),
    ] {
        let Err(error) = RedisBackend::connect(urls).await else { panic!("{urls} is taken") };
        let told = error.to_string();
        assert!(told.contains(what) && told.matches("error").count() < 2, "{urls}: {told}");
        assert!(!told.contains("s3cret") && !error.is_retryable(), "{urls}: {told}");
    }
    Ok(())
}
