//! What is told when no server takes the instance: which server, why, and what to look at.

use std::net::SocketAddr;
use std::time::Duration;

use backend_core::Error;
use backend_nats::{Builder, NatsBackend};
use engine_harness::{Result, free_port};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::support::{Nats, quick};

engine_harness::tests![
    every_server_is_named_with_its_reason,
    a_server_of_another_kind_is_told_from_a_dead_one,
    credentials_that_are_missing_are_told_from_wrong_ones,
    a_list_of_servers_of_several_kinds_is_refused_by_number,
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
    let urls = format!("nats://127.0.0.1:{closed},nats://a:s3cret@{silent},nats://no-host.invalid");
    let told = told(quick(urls).operation_timeout(Duration::from_millis(900))).await;
    let [first, second, third] = told.split("; ").collect::<Vec<_>>()[..] else { panic!("{told}") };
    assert!(first.contains(&format!("127.0.0.1:{closed}: Connection refused")), "{told}");
    assert!(second.contains(&format!("{silent}: no greeting within 270ms")), "{told}");
    assert!(third.contains("no-host.invalid:4222: failed to lookup"), "{told}");
    Ok(())
}

async fn a_server_of_another_kind_is_told_from_a_dead_one() -> Result {
    let patience = Duration::from_millis(500);
    for (says, what) in [
        ("", "is it a NATS server"),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "is not a NATS server"),
        ("-NOAUTH Authentication required.\r\n", "is not a NATS server"),
        ("SSH-2.0-s3cret\r\n", "is not a NATS server"),
        ("+OK\r\n", "does not greet as a NATS server"),
    ] {
        let at = stranger(says).await?;
        let told = told(quick(format!("nats://{at}")).operation_timeout(patience)).await;
        assert!(told.contains(&format!("{at}: ")) && told.contains(what), "{says:?}: {told}");
    }
    let nats = Nats::start().await?;
    let at = nats.server.address;
    let told = told(quick(format!("tls://{at}"))).await;
    assert!(told.contains(&format!("{at}: no encrypted connection: ")), "{told}");
    Ok(())
}

async fn credentials_that_are_missing_are_told_from_wrong_ones() -> Result {
    let users = r#"authorization { users = [{ user: al, password: right }] }"#;
    let nats = Nats::start_configured(users).await?;
    let at = nats.server.address;
    for (credentials, what) in
        [("", "wants credentials"), ("al:s3cret@", "refuses these credentials")]
    {
        let told = told(quick(format!("nats://{credentials}{at}"))).await;
        assert!(told.ends_with(&format!("{at}: authorization violation: it {what}")), "{told}");
    }
    Ok(())
}

async fn a_list_of_servers_of_several_kinds_is_refused_by_number() -> Result {
    for (urls, what) in [
        ("nats://a,redis://:s3cret@b", "URL 2 is a redis:// one: all servers"),
        ("HTTP://s3cret@a,nats://b", "URL 1 is a http:// one: all servers"),
        ("nats://a,nats://b,s3cret://c", "URL 3 begins with something else than nats://"),
        ("nats://a,,redis://b", "URL 2 is not that of a NATS server"),
    ] {
        let Err(error) = NatsBackend::connect(urls).await else { panic!("{urls} is taken") };
        let told = error.to_string();
        assert!(told.contains(what) && told.matches("error").count() < 2, "{urls}: {told}");
        assert!(!told.contains("s3cret") && !error.is_retryable(), "{urls}: {told}");
    }
    Ok(())
}
