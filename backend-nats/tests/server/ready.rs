//! Whatever is published after `subscribe` has returned arrives (D4), wherever it is published and
//! whoever listens besides.

use backend_core::{Backend, MessageEnvelope};
use backend_nats::NatsBackend;
use engine_harness::Result;
use engine_harness::wait::expect;
use tokio::try_join;

use crate::support::{Nats, quick};

engine_harness::tests![
    nothing_is_missed_after_subscribe,
    nothing_is_missed_where_somebody_listens_to_everything,
    nothing_is_missed_between_two_servers_of_a_cluster,
    nothing_is_missed_by_instances_that_connect_at_the_same_time,
];

/// Subscribes again and again, and publishes at once.
async fn subscribe_and_publish(here: &NatsBackend, there: &NatsBackend, times: usize) -> Result {
    let topics: Vec<_> = (0..10).map(|number| format!("topic {number}")).collect();
    // The first publish to a topic waits for the server. The next ones do not.
    for topic in &topics {
        here.publish(MessageEnvelope::new(topic, "unheard")).await?;
    }
    for time in 0..times {
        let topic = &topics[time % topics.len()];
        let mut subscription = there.subscribe(topic).await?;
        here.publish(MessageEnvelope::new(topic, time.to_string())).await?;
        expect(&mut subscription, &time.to_string()).await?;
    }
    Ok(())
}

async fn nothing_is_missed_after_subscribe() -> Result {
    let nats = Nats::start().await?;
    let (here, there) = (quick(nats.url()).connect().await?, quick(nats.url()).connect().await?);
    subscribe_and_publish(&here, &there, 3_000).await
}

/// Such a listener takes the server's answer that there is none away from those who wait for it.
async fn nothing_is_missed_where_somebody_listens_to_everything() -> Result {
    let nats = Nats::start().await?;
    let client = nats.client().await?;
    let _everything = client.subscribe(">").await?;
    client.flush().await?;
    let (here, there) = (quick(nats.url()).connect().await?, quick(nats.url()).connect().await?);
    subscribe_and_publish(&here, &there, 3_000).await
}

/// The other server hears of a subscription later than the one that has it.
async fn nothing_is_missed_between_two_servers_of_a_cluster() -> Result {
    let [one, other, _] = Nats::start_cluster().await?;
    let (here, there) = (quick(one.url()).connect().await?, quick(other.url()).connect().await?);
    subscribe_and_publish(&here, &there, 1_000).await?;
    subscribe_and_publish(&there, &here, 1_000).await
}

/// Neither server knows yet that the other's instance listens for those that come.
async fn nothing_is_missed_by_instances_that_connect_at_the_same_time() -> Result {
    let [one, other, _] = Nats::start_cluster().await?;
    for _ in 0..100 {
        let connect = |nats: &Nats| quick(nats.url()).connect();
        let (here, there) = try_join!(connect(&one), connect(&other))?;
        here.publish(MessageEnvelope::new("orders", "unheard")).await?;
        let mut orders = there.subscribe("orders").await?;
        here.publish(MessageEnvelope::new("orders", "one coffee")).await?;
        expect(&mut orders, "one coffee").await?;
        here.close().await?;
        there.close().await?;
    }
    Ok(())
}
