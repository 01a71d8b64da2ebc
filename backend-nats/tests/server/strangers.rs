//! Others on the same server: other formats, and whoever sends whatever.

use std::sync::Arc;

use async_nats::Client;
use backend_core::{Backend, HealthAwareBackend, MessageEnvelope, ObservableBackend};
use backend_nats::Format;
use engine_harness::wait::{expect, expect_outage, next, recoveries, recovery};
use engine_harness::{Account, Result};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::garbage::Garbage;
use crate::support::{Nats, quick, subjects};

engine_harness::tests![
    garbage_on_a_topic_is_counted_and_harms_nothing,
    garbage_on_the_adapters_own_subjects_harms_nothing,
    instances_that_are_none_do_not_stop_a_subscribe,
    a_header_that_is_none_costs_the_connection_and_is_told,
    both_formats_are_read,
    many_publishers_to_one_topic_show_no_gap,
];

async fn garbage_on_a_topic_is_counted_and_harms_nothing() -> Result {
    /// Some are sent by and by with what is none.
    const FRAMES: u64 = 100_000;
    let nats = Nats::start().await?;
    let here = quick(nats.url()).namespace("chat").connect().await?;
    let there = quick(nats.url()).namespace("chat").connect().await?;
    let mut orders = there.subscribe("orders").await?;
    let client = nats.client().await?;
    let mut garbage = Garbage::default();
    for number in 0..FRAMES {
        client.publish("chat.orders", garbage.frame().into()).await?;
        if number % 10_000 == 0 {
            client.flush().await?;
            here.publish(MessageEnvelope::new("orders", number.to_string())).await?;
            expect(&mut orders, &number.to_string()).await?;
        }
    }
    // This stranger is on time for the other streams.
    client.publish("chat.orders", r#"{"topic":"orders","data":"last"}"#.into()).await?;
    expect(&mut orders, "last").await?;
    assert_eq!(there.stats().refused, FRAMES);
    assert_eq!(there.stats().lost, 0);
    assert!(here.is_healthy() && there.is_healthy());
    assert_eq!((here.stats().reconnects, there.stats().reconnects), (0, 0));
    Ok(())
}

/// Sends so much of it to these subjects, and waits until the server has it.
async fn flood(client: &Client, subjects: &[String], frames: usize) -> Result {
    let mut garbage = Garbage::default();
    for _ in 0..frames {
        for subject in subjects {
            client.publish(subject.clone(), garbage.word().into()).await?;
        }
    }
    Ok(client.flush().await?)
}

async fn garbage_on_the_adapters_own_subjects_harms_nothing() -> Result {
    let nats = Nats::start().await?;
    let here = quick(nats.url()).namespace("chat").connect().await?;
    let there = quick(nats.url()).namespace("chat").client_name("there").connect().await?;
    let own = subjects(nats.monitor, "there").await?;
    assert_eq!(own.len(), 2, "{own:?}");
    assert!(own.iter().all(|subject| subject.starts_with("chat.~~nats.")), "{own:?}");
    let client = nats.client().await?;
    for round in 0..10 {
        flood(&client, &own, 5_000).await?;
        let mut orders = there.subscribe("orders").await?;
        here.publish(MessageEnvelope::new("orders", round.to_string())).await?;
        expect(&mut orders, &round.to_string()).await?;
    }
    assert!(here.is_healthy() && there.is_healthy());
    assert_eq!((here.stats().reconnects, there.stats().reconnects), (0, 0));
    Ok(())
}

/// Thousands of instances that say hello, and never answer.
async fn instances_that_are_none_do_not_stop_a_subscribe() -> Result {
    let nats = Nats::start().await?;
    let here = quick(nats.url()).namespace("chat").connect().await?;
    let there = quick(nats.url()).namespace("chat").connect().await?;
    let client = nats.client().await?;
    for number in 0..10_000_u64 {
        let id = number.to_be_bytes();
        let hello = [&[1][..], &id, &[9; 8], &[7; 16], &[7; 16]].concat();
        client.publish("chat.~~nats.hello", hello.into()).await?;
    }
    client.flush().await?;
    let since = tokio::time::Instant::now();
    for round in 0..20 {
        let mut orders = there.subscribe("orders").await?;
        here.publish(MessageEnvelope::new("orders", round.to_string())).await?;
        expect(&mut orders, &round.to_string()).await?;
    }
    // One wait of a second, for those that are known; not one for each subscribe.
    assert!(since.elapsed().as_secs() < 5, "{:?}", since.elapsed());
    assert!(here.is_healthy() && there.is_healthy());
    Ok(())
}

/// The client cannot read on behind it.
async fn a_header_that_is_none_costs_the_connection_and_is_told() -> Result {
    let nats = Nats::start().await?;
    let here = quick(nats.url()).namespace("chat").connect().await?;
    let there = quick(nats.url()).namespace("chat").connect().await?;
    let mut again = recoveries(&there);
    let mut orders = there.subscribe("orders").await?;
    let mut stranger = BufReader::new(TcpStream::connect(nats.server.address).await?);
    stranger.read_line(&mut String::new()).await?;
    stranger.write_all(b"CONNECT {\"headers\":true,\"verbose\":false}\r\n").await?;
    for round in 0..5 {
        stranger.write_all(b"HPUB chat.orders 12 13\r\nno header \r\nx\r\n").await?;
        recovery(&mut again).await?;
        expect_outage(&mut orders).await?;
        here.publish(MessageEnvelope::new("orders", round.to_string())).await?;
        expect(&mut orders, &round.to_string()).await?;
    }
    // Who does not listen to the topic has not noticed.
    assert_eq!((here.stats().reconnects, there.stats().reconnects), (0, 5));
    Ok(())
}

async fn both_formats_are_read() -> Result {
    let nats = Nats::start().await?;
    let binary = quick(nats.url()).namespace("chat").connect().await?;
    let json = quick(nats.url()).namespace("chat").format(Format::Json).connect().await?;
    let (mut at_binary, mut at_json) = (binary.subscribe("t").await?, json.subscribe("t").await?);
    for round in 0..10 {
        binary.publish(MessageEnvelope::new("t", format!("binary {round}"))).await?;
        json.publish(MessageEnvelope::new("t", format!("json {round}"))).await?;
        expect(&mut at_json, &format!("binary {round}")).await?;
        expect(&mut at_binary, &format!("json {round}")).await?;
    }
    // Somebody who knows nothing of numbers.
    let client = nats.client().await?;
    client.publish("chat.t", r#"{"topic":"t","data":"plain"}"#.into()).await?;
    expect(&mut at_json, "plain").await?;
    expect(&mut at_binary, "plain").await?;
    assert_eq!((binary.stats().refused, json.stats().refused), (0, 0));
    Ok(())
}

async fn many_publishers_to_one_topic_show_no_gap() -> Result {
    /// Of each of 8 tasks on each of 4 instances.
    const EACH: u64 = 1_000;
    let nats = Nats::start().await?;
    let there = quick(nats.url()).capacity(1 << 18).connect().await?;
    let mut orders = there.subscribe("orders").await?;
    let mut publishers = JoinSet::<backend_core::Result<()>>::new();
    for instance in 0..4 {
        let format = if instance % 2 == 0 { Format::Binary } else { Format::Json };
        let publisher = Arc::new(quick(nats.url()).format(format).connect().await?);
        for task in 0..8 {
            let (publisher, name) = (Arc::clone(&publisher), format!("{instance} {task}"));
            publishers.spawn(async move {
                for number in 1..=EACH {
                    publisher.publish(Account::numbered("orders", &name, number)).await?;
                }
                Ok(())
            });
        }
    }
    let mut account = Account::default();
    while account.received + account.missed < 32 * EACH {
        account.take(&next(&mut orders).await?)?;
    }
    while let Some(published) = publishers.join_next().await {
        published??;
    }
    assert_eq!((account.missed, account.outages, there.stats().lost), (0, 0, 0));
    Ok(())
}
