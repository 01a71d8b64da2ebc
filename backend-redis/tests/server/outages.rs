//! Connections that fall silent, are killed, or are given up.

use std::sync::Arc;
use std::time::Duration;

use backend_core::{Backend, Error, HealthAwareBackend, MessageEnvelope};
use engine_harness::wait::{PATIENCE, expect, expect_outage, next, recoveries, recovery, until};
use engine_harness::{Proxy, Result, Wire};
use futures_util::poll;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use crate::support::{self, Redis, quick};

engine_harness::tests![
    silence_is_noticed_and_harms_no_other,
    operations_in_silence_end_in_time,
    what_nobody_has_answered_yet_is_unconfirmed_when_the_connection_breaks,
    a_killed_connection_comes_back,
    a_slow_subscriber_is_cut_off_and_told,
    what_the_server_does_not_take_costs_the_connection_alone,
    what_is_too_large_is_refused_before_it_is_sent,
    nothing_stays_behind_of_an_instance_that_is_dropped_in_an_outage,
];

fn through(wire: &Proxy) -> String {
    format!("redis://{}", wire.address)
}

async fn silence_is_noticed_and_harms_no_other() -> Result {
    let redis = Redis::start().await?;
    let wire = Proxy::to(redis.server.address).await?;
    let deaf = quick(through(&wire)).ping_interval(Duration::from_millis(50)).connect().await?;
    let here = quick(redis.url()).connect().await?;
    let there = quick(redis.url()).connect().await?;
    let mut again = recoveries(&deaf);
    let (mut orders, mut others) =
        (deaf.subscribe("orders").await?, there.subscribe("orders").await?);

    wire.set(Wire::Silent).await;
    until("unhealthy", || !deaf.is_healthy()).await?;
    let refused = deaf.publish(MessageEnvelope::new("orders", "into silence")).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    here.publish(MessageEnvelope::new("orders", "unheard")).await?;
    expect(&mut others, "unheard").await?;
    assert!(here.is_healthy() && there.is_healthy());

    wire.set(Wire::Whole).await;
    recovery(&mut again).await?;
    expect_outage(&mut orders).await?;
    here.publish(MessageEnvelope::new("orders", "after")).await?;
    expect(&mut orders, "after").await?;
    deaf.publish(MessageEnvelope::new("orders", "again")).await?;
    expect(&mut others, "after").await?;
    expect(&mut others, "again").await
}

async fn operations_in_silence_end_in_time() -> Result {
    let redis = Redis::start().await?;
    let wire = Proxy::to(redis.server.address).await?;
    let limit = Duration::from_millis(200);
    let backend = quick(through(&wire))
        // The silence is not noticed by a ping.
        .ping_interval(Duration::from_secs(600))
        .operation_timeout(limit)
        .connect()
        .await?;
    let _orders = backend.subscribe("orders").await?;
    wire.set(Wire::Silent).await;
    let since = Instant::now();
    let (subscribed, again, published) = tokio::join!(
        backend.subscribe("prices"),
        backend.subscribe("orders"),
        backend.publish(MessageEnvelope::new("orders", "x")),
    );
    for error in [subscribed.unwrap_err(), again.unwrap_err(), published.unwrap_err()] {
        assert!(error.is_retryable(), "{error:?}");
    }
    backend.unsubscribe("orders").await?;
    backend.close().await?;
    assert!(since.elapsed() < limit * 10, "{:?}", since.elapsed());
    Ok(())
}

async fn what_nobody_has_answered_yet_is_unconfirmed_when_the_connection_breaks() -> Result {
    let redis = Redis::start().await?;
    let wire = Proxy::to(redis.server.address).await?;
    let backend = quick(through(&wire)).connect().await?;
    let mut again = recoveries(&backend);
    for _ in 0..50 {
        wire.set(Wire::Silent).await;
        let mut publish = backend.publish(MessageEnvelope::new("orders", "unheard"));
        assert!(poll!(&mut publish).is_pending());
        wire.set(Wire::Cut).await;
        let met = publish.await;
        until("unhealthy", || !backend.is_healthy()).await?;
        let refused = backend.publish(MessageEnvelope::new("orders", "refused")).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        match met {
            Err(Error::Unconfirmed(_)) => return Ok(()),
            // The task that hands over to the client had its turn too late.
            Err(Error::Unavailable(_)) => {}
            other => panic!("{other:?}"),
        }
        wire.set(Wire::Whole).await;
        recovery(&mut again).await?;
    }
    Err("in 50 outages, none met a publish that had been handed over".into())
}

async fn a_killed_connection_comes_back() -> Result {
    let redis = Redis::start().await?;
    let here = quick(redis.url()).connect().await?;
    // It is not a ping that tells.
    let there = quick(redis.url())
        .client_name("there")
        .ping_interval(Duration::from_secs(600))
        .connect()
        .await?;
    let mut again = recoveries(&there);
    let mut orders = there.subscribe("orders").await?;
    let mut client = redis.client().await?;
    for round in 0..20 {
        let list: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut client).await?;
        let line =
            list.lines().find(|line| line.contains(" name=there ")).ok_or("no connection")?;
        let id = line.split(' ').find_map(|field| field.strip_prefix("id=")).ok_or("no id")?;
        redis::cmd("CLIENT").arg(&["KILL", "ID", id]).exec_async(&mut client).await?;
        recovery(&mut again).await?;
        expect_outage(&mut orders).await?;
        here.publish(MessageEnvelope::new("orders", round.to_string())).await?;
        expect(&mut orders, &round.to_string()).await?;
    }
    Ok(())
}

/// The server does not wait for a subscriber for ever: it closes the connection, and what waited
/// there is lost.
async fn a_slow_subscriber_is_cut_off_and_told() -> Result {
    let limits = ["--client-output-buffer-limit", "pubsub 1mb 512kb 5"];
    let redis = Redis::start_with(&limits).await?;
    let wire = Proxy::to(redis.server.address).await?;
    let here = quick(redis.url()).connect().await?;
    let slow = quick(through(&wire))
        .client_name("slow")
        .ping_interval(Duration::from_secs(600))
        .connect()
        .await?;
    let there = quick(redis.url()).capacity(1 << 16).connect().await?;
    let mut again = recoveries(&slow);
    let (mut orders, mut others) =
        (slow.subscribe("orders").await?, there.subscribe("orders").await?);

    wire.set(Wire::Silent).await;
    let mut client = redis.client().await?;
    let mut sent = 0;
    let cut_off = async {
        while support::channels(&mut client, "slow").await? > 0 {
            let data = vec![b'x'; 16 * 1024];
            here.publish(MessageEnvelope::new("orders", data)).await?;
            sent += 1;
        }
        Ok::<_, engine_harness::Error>(())
    };
    timeout(PATIENCE, cut_off).await??;
    for _ in 0..sent {
        let event = next(&mut others).await?;
        assert!(event.gap().is_none(), "another one has lost something");
    }
    wire.set(Wire::Whole).await;
    recovery(&mut again).await?;
    here.publish(MessageEnvelope::new("orders", "after")).await?;
    // What had come through before the silence, and then the gap.
    while next(&mut orders).await?.gap().is_none() {}
    expect(&mut orders, "after").await
}

async fn what_the_server_does_not_take_costs_the_connection_alone() -> Result {
    let redis = Redis::start_with(&["--proto-max-bulk-len", "1mb"]).await?;
    let here = quick(redis.url()).connect().await?;
    let there = quick(redis.url()).connect().await?;
    let mut again = recoveries(&here);
    let mut orders = there.subscribe("orders").await?;
    let large = MessageEnvelope::new("orders", vec![0; 2 * 1024 * 1024]);
    let result = here.publish(large).await;
    assert!(result.is_err(), "{result:?}");
    recovery(&mut again).await?;
    here.publish(MessageEnvelope::new("orders", "after")).await?;
    expect(&mut orders, "after").await?;
    assert!(there.is_healthy());
    Ok(())
}

async fn what_is_too_large_is_refused_before_it_is_sent() -> Result {
    let redis = Redis::start().await?;
    let here = quick(redis.url()).max_message(64 * 1024).connect().await?;
    let there = quick(redis.url()).connect().await?;
    let mut orders = there.subscribe("orders").await?;
    let refused = here.publish(MessageEnvelope::new("orders", vec![0; 64 * 1024])).await;
    let Err(Error::PayloadTooLarge { actual, limit }) = refused else { panic!("{refused:?}") };
    assert_eq!(actual, 64 * 1024);
    here.publish(MessageEnvelope::new("orders", vec![b'x'; limit])).await?;
    expect(&mut orders, &"x".repeat(limit)).await?;
    assert!(here.is_healthy());
    Ok(())
}

async fn nothing_stays_behind_of_an_instance_that_is_dropped_in_an_outage() -> Result {
    let mut redis = Redis::start().await?;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let backend = Arc::new(quick(redis.url()).connect().await?);
    let orders = backend.subscribe("orders").await?;
    assert!(tasks() > before);
    redis.server.kill();
    until("unhealthy", || !backend.is_healthy()).await?;
    drop(backend);
    until("no task is left", || tasks() == before).await?;
    drop(orders);
    Ok(())
}
