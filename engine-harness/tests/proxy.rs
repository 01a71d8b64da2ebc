//! What a wire lets through.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use engine_harness::{Proxy, Wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

/// A server that gives back what it gets.
async fn echo() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = socket.into_split();
                copy(&mut from, &mut to).await
            });
        }
    });
    Ok(address)
}

/// Sends a megabyte, and says how long it was until its first byte and all of it were back.
async fn there_and_back(proxy: &Proxy) -> io::Result<(Duration, Duration)> {
    let all: Vec<u8> = (0..1 << 20).map(|number: u32| (number % 251) as u8).collect();
    let (mut from, mut to) = TcpStream::connect(proxy.address).await?.into_split();
    let since = Instant::now();
    let sent = all.clone();
    let sender = tokio::spawn(async move {
        to.write_all(&sent).await?;
        // Only this direction: the other one is to go on.
        to.shutdown().await
    });
    let mut back = vec![from.read_u8().await?];
    let first = since.elapsed();
    from.read_to_end(&mut back).await?;
    assert!(back == all, "{} of {} bytes", back.len(), all.len());
    sender.await??;
    Ok((first, since.elapsed()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_wire_carries_everything_both_ways() -> io::Result<()> {
    there_and_back(&Proxy::to(echo().await?).await?).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_wire_carries_everything_later() -> io::Result<()> {
    let delay = Duration::from_millis(50);
    let proxy = Proxy::with_delay(echo().await?, delay).await?;
    let (first, all) = there_and_back(&proxy).await?;
    assert!(first >= 2 * delay, "{first:?}");
    // One after the other, its chunks would take 64 times as long.
    assert!(all < 64 * delay, "{all:?}");

    // It can be cut like any other, and is as long as before when it is whole again.
    proxy.set(Wire::Cut).await;
    proxy.set(Wire::Whole).await;
    let (first, _) = there_and_back(&proxy).await?;
    assert!(first >= 2 * delay, "{first:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_ends_connections_and_refuses_others() -> io::Result<()> {
    for delay in [Duration::ZERO, Duration::from_millis(1)] {
        let proxy = Proxy::with_delay(echo().await?, delay).await?;
        let mut before = TcpStream::connect(proxy.address).await?;
        before.write_all(b"a").await?;
        assert_eq!(before.read_u8().await?, b'a');
        proxy.set(Wire::Cut).await;
        assert!(before.read_u8().await.is_err());
        // It may be accepted, but nothing is behind it.
        if let Ok(mut meanwhile) = TcpStream::connect(proxy.address).await {
            let _ = meanwhile.write_all(b"b").await;
            assert!(meanwhile.read_u8().await.is_err());
        }
        proxy.set(Wire::Whole).await;
        there_and_back(&proxy).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_comes_through_a_silent_wire() -> io::Result<()> {
    let server = TcpListener::bind(("127.0.0.1", 0)).await?;
    let proxy = Proxy::to(server.local_addr()?).await?;
    for round in 0..500 {
        let mut near = TcpStream::connect(proxy.address).await?;
        let (mut far, _) = server.accept().await?;
        near.write_all(b"a").await?;
        assert_eq!(far.read_u8().await?, b'a');
        proxy.set(Wire::Silent).await;
        near.write_all(b"b").await?;
        // The connection ends with this.
        proxy.set(Wire::Whole).await;
        let mut rest = Vec::new();
        let _ = far.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "round {round}: {rest:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_does_not_wait_for_connections_after_it() -> io::Result<()> {
    let proxy = Proxy::to(echo().await?).await?;
    let address = proxy.address;
    // Clients that are there again at once, and stay.
    let clients: Vec<_> = (0..8)
        .map(|_| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                loop {
                    if let Ok(mut socket) = TcpStream::connect(address).await {
                        let _ = socket.read_u8().await;
                    }
                }
            }))
        })
        .collect();
    for round in 0..1_000 {
        let wire = [Wire::Cut, Wire::Whole, Wire::Silent, Wire::Whole][round % 4];
        let changed = timeout(Duration::from_secs(20), proxy.set(wire)).await;
        assert!(changed.is_ok(), "round {round}: {wire:?}");
    }
    drop(clients);
    Ok(())
}
