//! Replicas, and servers that become one.

use std::time::Duration;

use backend_core::{Backend, Error, HealthAwareBackend, MessageEnvelope};
use engine_harness::Result;
use engine_harness::wait::{expect, expect_outage, recoveries, recovery};

use crate::support::{client, pair, quick, replicate};

engine_harness::tests![
    a_replica_is_refused,
    the_master_is_found_among_several,
    a_promoted_replica_is_gone_to,
    a_server_that_has_become_a_replica_is_left,
];

async fn a_replica_is_refused() -> Result {
    let (_master, replica) = pair().await?;
    match quick(replica.url()).connect().await {
        Err(Error::Unavailable(error)) => assert!(error.to_string().contains("replica"), "{error}"),
        other => panic!("{other:?}"),
    }
    Ok(())
}

async fn the_master_is_found_among_several() -> Result {
    let (master, replica) = pair().await?;
    let (master, replica) = (master.url(), replica.url());
    let here = quick(format!("{replica},{master}")).connect().await?;
    let there = quick(format!("{master},{replica}")).connect().await?;
    let mut orders = there.subscribe("orders").await?;
    here.publish(MessageEnvelope::new("orders", "first")).await?;
    expect(&mut orders, "first").await
}

async fn a_promoted_replica_is_gone_to() -> Result {
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
async fn a_server_that_has_become_a_replica_is_left() -> Result {
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
