//! Several servers to choose from.

use std::time::Duration;

use backend_core::{Backend, Error, HealthAwareBackend, MessageEnvelope};
use engine_harness::wait::{expect, expect_outage, recoveries, recovery};
use engine_harness::{Result, free_port};
use tokio::time::Instant;

use crate::support::{Nats, quick, subjects};

engine_harness::tests![
    who_loses_its_server_goes_to_another,
    a_server_that_is_away_does_not_keep_others_from_connecting,
    a_host_that_is_none_is_unavailable,
];

async fn who_loses_its_server_goes_to_another() -> Result {
    let mut cluster = Nats::start_cluster().await?;
    let urls = cluster.each_ref().map(Nats::url).join(",");
    let here = quick(&urls).client_name("here").connect().await?;
    let mut again = recoveries(&here);
    let mut own = here.subscribe("orders").await?;
    for _ in 0..3 {
        let mut its = None;
        for (number, nats) in cluster.iter().enumerate() {
            if !subjects(nats.monitor, "here").await?.is_empty() {
                its = Some(number);
            }
        }
        let its = its.ok_or("it is connected to none")?;
        let there = quick(cluster[(its + 1) % 3].url()).connect().await?;
        let mut orders = there.subscribe("orders").await?;
        cluster[its].server.kill();
        recovery(&mut again).await?;
        expect_outage(&mut own).await?;
        here.publish(MessageEnvelope::new("orders", "after")).await?;
        expect(&mut orders, "after").await?;
        there.publish(MessageEnvelope::new("orders", "back")).await?;
        expect(&mut own, "back").await?;
        assert!(there.is_healthy());
        cluster[its].start_again().await?;
        for nats in &cluster {
            nats.has_found(2).await?;
        }
    }
    Ok(())
}

async fn a_server_that_is_away_does_not_keep_others_from_connecting() -> Result {
    let nats = Nats::start().await?;
    let (away, url) = (free_port()?, nats.url());
    let others = [format!("nats://127.0.0.1:{away}"), "nats://no-such-host.invalid".to_owned()];
    for round in 0..10 {
        let urls = match round % 2 {
            0 => format!("{},{url}", others.join(",")),
            _ => format!("{url},{}", others.join(",")),
        };
        let here = quick(urls).connect().await?;
        here.publish(MessageEnvelope::new("orders", "")).await?;
    }
    Ok(())
}

async fn a_host_that_is_none_is_unavailable() -> Result {
    let limit = Duration::from_secs(2);
    let since = Instant::now();
    let none = quick("nats://no-such-host.invalid").operation_timeout(limit).connect().await;
    assert!(matches!(none, Err(Error::Unavailable(_))), "{none:?}");
    assert!(since.elapsed() < limit * 2, "{:?}", since.elapsed());
    Ok(())
}
