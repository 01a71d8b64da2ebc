//! Connections that fall silent, are killed, or are given up.

use std::time::Duration;

use backend_core::{Backend, Error, Event, HealthAwareBackend, MessageEnvelope, ObservableBackend};
use backend_nats::NatsBackend;
use engine_harness::wait::{
    PATIENCE, expect, expect_outage, next, recoveries, recovery, until, until_it_says,
};
use engine_harness::{Proxy, Result, Wire};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use crate::support::{Nats, ask, quick, subjects, through};

engine_harness::tests![
    silence_is_noticed_in_time_and_harms_no_other,
    silence_is_survived_by_others_under_load,
    operations_in_silence_end_in_time,
    a_cut_connection_comes_back,
    a_slow_subscriber_is_cut_off_and_told,
    a_server_that_refuses_connections_is_tried_again,
    nothing_stays_behind_of_an_instance_that_ends_in_an_outage,
    nothing_stays_behind_of_an_instance_that_ends_in_silence,
    who_closes_over_a_broken_connection_is_told,
    any_duration_will_do,
];

async fn silence_is_noticed_in_time_and_harms_no_other() -> Result {
    let nats = Nats::start().await?;
    let wire = Proxy::to(nats.server.address).await?;
    let ping = Duration::from_millis(200);
    let deaf = quick(through(&wire)).ping_interval(ping).connect().await?;
    let here = quick(nats.url()).connect().await?;
    let there = quick(nats.url()).connect().await?;
    let mut again = recoveries(&deaf);
    let (mut orders, mut others) =
        (deaf.subscribe("orders").await?, there.subscribe("orders").await?);

    wire.set(Wire::Silent).await;
    let since = Instant::now();
    // Those who know the deaf one wait for its answer, for a second, and not again.
    let mut prices = there.subscribe("prices").await?;
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    let since_then = Instant::now();
    for number in 0..100 {
        let mut news = there.subscribe("news").await?;
        for topic in ["orders", "prices", "news"] {
            here.publish(MessageEnvelope::new(topic, number.to_string())).await?;
        }
        for stream in [&mut others, &mut prices, &mut news] {
            expect(stream, &number.to_string()).await?;
        }
    }
    assert!(since_then.elapsed() < Duration::from_secs(5), "{:?}", since_then.elapsed());
    until("unhealthy", || !deaf.is_healthy()).await?;
    // One interval, and two more; the rest is for a machine with much to do.
    assert!(since.elapsed() < ping * 3 + Duration::from_secs(5), "{:?}", since.elapsed());
    let refused = deaf.publish(MessageEnvelope::new("orders", "into silence")).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert!(here.is_healthy() && there.is_healthy());

    wire.set(Wire::Whole).await;
    recovery(&mut again).await?;
    expect_outage(&mut orders).await?;
    here.publish(MessageEnvelope::new("orders", "after")).await?;
    expect(&mut orders, "after").await?;
    deaf.publish(MessageEnvelope::new("orders", "again")).await?;
    expect(&mut others, "after").await?;
    expect(&mut others, "again").await?;
    assert_eq!((here.stats().reconnects, there.stats().reconnects), (0, 0));
    Ok(())
}

/// A server lets publishers wait for a reader that does not read, as long as `write_deadline` says.
async fn silence_is_survived_by_others_under_load() -> Result {
    let nats = Nats::start_configured("write_deadline: \"200ms\"").await?;
    let wire = Proxy::to(nats.server.address).await?;
    let deaf = quick(through(&wire)).ping_interval(Duration::from_secs(600)).connect().await?;
    let here = quick(nats.url()).connect().await?;
    let there = quick(nats.url()).capacity(1 << 16).connect().await?;
    let _unheard = deaf.subscribe("orders").await?;
    let mut orders = there.subscribe("orders").await?;
    wire.set(Wire::Silent).await;
    let longest = Duration::from_secs(3);
    for _ in 0..2_000 {
        let since = Instant::now();
        here.publish(MessageEnvelope::new("orders", vec![b'x'; 16 * 1024])).await?;
        let event = next(&mut orders).await?;
        assert!(matches!(event, Event::Message(_)), "{event:?}");
        assert!(since.elapsed() < longest, "{:?}", since.elapsed());
    }
    assert_eq!((here.stats().reconnects, there.stats().reconnects), (0, 0));
    Ok(())
}

async fn operations_in_silence_end_in_time() -> Result {
    let nats = Nats::start().await?;
    let wire = Proxy::to(nats.server.address).await?;
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
    assert!(since.elapsed() < limit * 20, "{:?}", since.elapsed());
    Ok(())
}

async fn a_cut_connection_comes_back() -> Result {
    let nats = Nats::start().await?;
    let wire = Proxy::to(nats.server.address).await?;
    let here = quick(nats.url()).connect().await?;
    // It is not a ping that tells.
    let there = quick(through(&wire)).ping_interval(Duration::from_secs(600)).connect().await?;
    let mut again = recoveries(&there);
    let mut orders = there.subscribe("orders").await?;
    for round in 0..20 {
        wire.set(Wire::Cut).await;
        until("unhealthy", || !there.is_healthy()).await?;
        let since = Instant::now();
        assert!(matches!(there.subscribe("prices").await, Err(Error::Unavailable(_))));
        assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
        wire.set(Wire::Whole).await;
        recovery(&mut again).await?;
        expect_outage(&mut orders).await?;
        here.publish(MessageEnvelope::new("orders", round.to_string())).await?;
        expect(&mut orders, &round.to_string()).await?;
    }
    assert_eq!(there.stats().reconnects, 20);
    Ok(())
}

/// The server does not wait for a subscriber for ever: it closes the connection, and what waited
/// there is lost.
async fn a_slow_subscriber_is_cut_off_and_told() -> Result {
    let nats = Nats::start_configured("write_deadline: \"100ms\"\nmax_pending: 1MB").await?;
    let wire = Proxy::to(nats.server.address).await?;
    let here = quick(nats.url()).connect().await?;
    let slow = quick(through(&wire))
        .client_name("slow")
        .ping_interval(Duration::from_secs(600))
        .connect()
        .await?;
    let there = quick(nats.url()).capacity(1 << 16).connect().await?;
    let mut again = recoveries(&slow);
    let (mut orders, mut others) =
        (slow.subscribe("orders").await?, there.subscribe("orders").await?);

    wire.set(Wire::Silent).await;
    let cut_off = async {
        while !subjects(nats.monitor, "slow").await?.is_empty() {
            for _ in 0..50 {
                here.publish(MessageEnvelope::new("orders", vec![b'x'; 16 * 1024])).await?;
                let event = next(&mut others).await?;
                assert!(event.gap().is_none(), "another one has lost something");
            }
        }
        Ok::<_, engine_harness::Error>(())
    };
    timeout(PATIENCE, cut_off).await??;
    wire.set(Wire::Whole).await;
    recovery(&mut again).await?;
    here.publish(MessageEnvelope::new("orders", "after")).await?;
    // What had come through before the silence, and then the gap.
    while next(&mut orders).await?.gap().is_none() {}
    expect(&mut orders, "after").await
}

/// It has more connections than it takes; later, it has not.
async fn a_server_that_refuses_connections_is_tried_again() -> Result {
    let mut nats = Nats::start_configured("max_connections: 10").await?;
    let here = quick(nats.url()).connect().await?;
    let mut again = recoveries(&here);
    nats.server.kill();
    nats.configure("max_connections: 1")?;
    nats.start_again().await?;
    // Whoever comes first has the one place.
    recovery(&mut again).await?;
    let Err(refused) = quick(nats.url()).connect().await else { panic!("a second one") };
    assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
    assert!(refused.to_string().contains("maximum connections exceeded"), "{refused}");

    nats.server.kill();
    until("unhealthy", || !here.is_healthy()).await?;
    let refuses = TcpListener::bind(nats.server.address).await?;
    for _ in 0..5 {
        drop(timeout(PATIENCE, refuses.accept()).await??);
    }
    assert!(!here.is_healthy());
    drop(refuses);
    nats.start_again().await?;
    recovery(&mut again).await
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

async fn no_task_is_left(before: usize) -> Result {
    until("no task is left", || tasks() <= before).await
}

async fn nothing_stays_behind_of_an_instance_that_ends_in_an_outage() -> Result {
    let mut nats = Nats::start().await?;
    for dropped in [true, false] {
        let before = tasks();
        let backend = quick(nats.url()).connect().await?;
        let mut orders = backend.subscribe("orders").await?;
        assert!(tasks() > before);
        nats.server.kill();
        until("unhealthy", || !backend.is_healthy()).await?;
        // Somebody is there to see it come, or stay away.
        let visitors = TcpListener::bind(nats.server.address).await?;
        for _ in 0..3 {
            timeout(PATIENCE, visitors.accept()).await??;
        }
        if dropped {
            drop(backend);
        } else {
            let since = Instant::now();
            backend.close().await?;
            assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
        }
        no_task_is_left(before).await?;
        assert!(timeout(PATIENCE, orders.recv()).await?.is_none());
        // Those that had come before; and then none, for many times as long as it waited between two.
        while timeout(Duration::ZERO, visitors.accept()).await.is_ok() {}
        let late = timeout(Duration::from_millis(500), visitors.accept()).await;
        assert!(late.is_err(), "it goes on connecting");
        drop(visitors);
        nats.start_again().await?;
    }
    Ok(())
}

async fn nothing_stays_behind_of_an_instance_that_ends_in_silence() -> Result {
    let nats = Nats::start().await?;
    let wire = Proxy::to(nats.server.address).await?;
    let before = tasks();
    for dropped in [true, false] {
        let backend = quick(through(&wire))
            .ping_interval(Duration::from_secs(600))
            .operation_timeout(Duration::from_millis(200))
            .connect()
            .await?;
        let orders = backend.subscribe("orders").await?;
        wire.set(Wire::Silent).await;
        if dropped {
            drop(backend);
        } else {
            backend.close().await?;
        }
        drop(orders);
        // The wire's own task ends when it is cut.
        wire.set(Wire::Cut).await;
        no_task_is_left(before).await?;
        wire.set(Wire::Whole).await;
        until_it_says("no connection is left", async || {
            Ok(ask(nats.monitor, "/connz").await?["num_connections"] == 0)
        })
        .await?;
    }
    Ok(())
}

/// What was `Ok` may be in the client's queue still, or in a socket, when the connection breaks.
async fn who_closes_over_a_broken_connection_is_told() -> Result {
    let nats = Nats::start().await?;
    let wire = Proxy::to(nats.server.address).await?;
    let there = quick(nats.url()).connect().await?;
    let mut orders = there.subscribe("orders").await?;
    for breaks in [Wire::Whole, Wire::Silent, Wire::Cut] {
        let here = quick(through(&wire))
            // No ping settles it.
            .ping_interval(Duration::from_secs(600))
            .operation_timeout(Duration::from_millis(500))
            .connect()
            .await?;
        // The first one to a topic waits for the server.
        here.publish(MessageEnvelope::new("orders", "first")).await?;
        expect(&mut orders, "first").await?;
        wire.set(breaks).await;
        let is_taken = here.publish(MessageEnvelope::new("orders", "last")).await.is_ok();
        let closed = timeout(PATIENCE, here.close()).await?;
        if breaks == Wire::Whole {
            assert!(is_taken);
            closed?;
            expect(&mut orders, "last").await?;
        } else {
            let told = closed.unwrap_err();
            assert!(matches!(told, Error::Unconfirmed(_)), "{told:?}");
            let most = format!("{} envelopes", 1 + u8::from(is_taken));
            assert!(told.to_string().contains(&most), "{told}");
        }
        here.close().await?;
        wire.set(Wire::Whole).await;
    }
    Ok(())
}

async fn any_duration_will_do() -> Result {
    let mut nats = Nats::start().await?;
    let mut instances = Vec::new();
    for duration in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        let pings = NatsBackend::builder().servers(nats.url()).ping_interval(duration);
        // An operation with no time at all may fail, and no more than that.
        let hasty = NatsBackend::builder().servers(nats.url()).operation_timeout(duration);
        drop(hasty.connect().await);
        let pings = pings.backoff(Duration::ZERO, Duration::from_millis(50));
        // On a busy machine, pings that come so quickly are an outage now and then.
        let mut subscribed = None;
        until_it_says("it connects, and subscribes", async || {
            let Ok(pings) = pings.clone().connect().await else { return Ok(false) };
            let orders = pings.subscribe("orders").await.ok();
            subscribed = orders.map(|orders| (pings, orders));
            Ok(subscribed.is_some())
        })
        .await?;
        let (pings, orders) = subscribed.ok_or("it has")?;
        let mut again = recoveries(&pings);
        nats.server.kill();
        nats.start_again().await?;
        recovery(&mut again).await?;
        instances.push((pings, orders));
    }
    drop(instances);
    Ok(())
}
