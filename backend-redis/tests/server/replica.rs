//! Replicas, and servers that become one.

use std::net::SocketAddr;

use backend_core::{Backend, Error, HealthAwareBackend, MessageEnvelope};
use redis::aio::MultiplexedConnection;
use std::time::Duration;
use tokio::time::timeout;

use crate::support::{
    PATIENCE, Redis, Result, client, expect, expect_outage, quick, recoveries, recovery,
};

crate::tests![
    a_replica_is_refused,
    the_master_is_found_among_several,
    a_promoted_replica_is_gone_to,
    a_server_that_has_become_a_replica_is_left,
];

/// Makes one server a replica of another, and waits until it says so.
async fn replicate(server: &mut MultiplexedConnection, master: Option<SocketAddr>) -> Result<()> {
    let (host, port, role) = match master {
        Some(master) => (master.ip().to_string(), master.port().to_string(), "slave"),
        None => ("NO".to_owned(), "ONE".to_owned(), "master"),
    };
    redis::cmd("REPLICAOF").arg(&[host, port]).exec_async(server).await?;
    let changed = async {
        loop {
            let answer: Vec<redis::Value> = redis::cmd("ROLE").query_async(server).await?;
            let now: String = redis::from_redis_value(answer[0].clone())?;
            // A replica passes on what its master does once they are connected.
            let state = answer.get(3).and_then(|state| redis::from_redis_value(state.clone()).ok());
            if now == role && state.is_none_or(|state: String| state == "connected") {
                return Ok::<_, crate::support::Error>(());
            }
        }
    };
    timeout(PATIENCE, changed).await.map_err(|_| "the role stays as it was")?
}

/// A master and its replica.
async fn pair() -> Result<(Redis, Redis)> {
    // A replica need not wait for others that want the same.
    let at_once = ["--repl-diskless-sync-delay", "0"];
    let (master, replica) =
        (Redis::start_with(&at_once).await?, Redis::start_with(&at_once).await?);
    replicate(&mut client(replica.server.address).await?, Some(master.server.address)).await?;
    Ok((master, replica))
}

async fn a_replica_is_refused() -> Result<()> {
    let (_master, replica) = pair().await?;
    match quick(replica.url()).connect().await {
        Err(Error::Unavailable(error)) => assert!(error.to_string().contains("replica"), "{error}"),
        other => panic!("{other:?}"),
    }
    Ok(())
}

async fn the_master_is_found_among_several() -> Result<()> {
    let (master, replica) = pair().await?;
    let (master, replica) = (master.url(), replica.url());
    let here = quick(format!("{replica},{master}")).connect().await?;
    let there = quick(format!("{master},{replica}")).connect().await?;
    let mut orders = there.subscribe("orders").await?;
    here.publish(MessageEnvelope::new("orders", "first")).await?;
    expect(&mut orders, "first").await
}

async fn a_promoted_replica_is_gone_to() -> Result<()> {
    let (mut master, replica) = pair().await?;
    let both = format!("{},{}", master.url(), replica.url());
    let (here, there) = (quick(&both).connect().await?, quick(&both).connect().await?);
    let (mut here_again, mut there_again) = (recoveries(&here), recoveries(&there));
    let mut orders = there.subscribe("orders").await?;
    master.server.kill();
    replicate(&mut client(replica.server.address).await?, None).await?;
    recovery(&mut here_again).await?;
    recovery(&mut there_again).await?;
    expect_outage(&mut orders).await?;
    here.publish(MessageEnvelope::new("orders", "after")).await?;
    expect(&mut orders, "after").await
}

/// The connection stays as it is, and every publish is taken.
async fn a_server_that_has_become_a_replica_is_left() -> Result<()> {
    let (master, replica) = pair().await?;
    let both = format!("{},{}", master.url(), replica.url());
    let connect = || quick(&both).ping_interval(Duration::from_millis(50)).connect();
    let (here, there) = (connect().await?, connect().await?);
    let (mut here_again, mut there_again) = (recoveries(&here), recoveries(&there));
    let mut orders = there.subscribe("orders").await?;
    replicate(&mut client(replica.server.address).await?, None).await?;
    replicate(&mut client(master.server.address).await?, Some(replica.server.address)).await?;
    recovery(&mut here_again).await?;
    recovery(&mut there_again).await?;
    assert!(here.is_healthy() && there.is_healthy());
    expect_outage(&mut orders).await?;
    here.publish(MessageEnvelope::new("orders", "after")).await?;
    expect(&mut orders, "after").await
}
