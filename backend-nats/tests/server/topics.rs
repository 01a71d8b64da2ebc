//! Topics that look like something to a server, and are none but topics.

use std::collections::HashMap;

use backend_core::{Backend, HealthAwareBackend, MessageEnvelope, ObservableBackend, TryRecvError};
use backend_engine::name::Names;
use engine_harness::Result;
use engine_harness::wait::expect;
use futures_util::StreamExt;

use crate::support::{Nats, quick};

engine_harness::tests![
    no_topic_is_more_than_a_topic,
    namespaces_never_meet,
    a_long_namespace_is_one_like_any_other,
];

async fn no_topic_is_more_than_a_topic() -> Result {
    let nats = Nats::start().await?;
    let client = nats.client().await?;
    let mut everything = client.subscribe(">").await?;
    client.flush().await?;
    let here = quick(nats.url()).namespace("chat").connect().await?;
    let there = quick(nats.url()).namespace("chat").connect().await?;

    let (long, longer) = ("a".repeat(4 * 1024), "b".repeat(100_000));
    let mut other_long = long.clone();
    other_long.push('a');
    let topics = [
        "orders",
        "orders.>",
        "orders.*",
        "orders.secret",
        "orders.",
        ".orders",
        "*",
        ">",
        "",
        " ",
        "a b",
        "a\tb",
        "a\r\nPUB chat.orders 1\r\nx",
        "\0",
        "$SYS.REQ.SERVER.PING",
        "$SYS.>",
        "_INBOX.a",
        "~",
        "~~nats.hello",
        "~~nats",
        "%2E",
        "käse",
        "ka\u{308}se",
        "Orders",
        &long,
        &other_long,
        &longer,
    ];
    let mut streams = Vec::new();
    for topic in topics {
        streams.push(there.subscribe(topic).await?);
    }
    // One more round, in which each is known to be of this topic.
    for (number, topic) in topics.iter().enumerate() {
        here.publish(MessageEnvelope::new(*topic, number.to_string())).await?;
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        expect(stream, &number.to_string()).await?;
    }
    for stream in &mut streams {
        // Behind all that the server may have sent before.
        drop(there.subscribe(stream.topic()).await?);
        assert_eq!(stream.try_recv(), Err(TryRecvError::Empty), "{:?}", stream.topic());
    }
    assert!(here.is_healthy() && there.is_healthy());
    assert_eq!((here.stats().reconnects, there.stats().reconnects), (0, 0));

    // What everybody could hear: each envelope once, under its name, and the adapter's own.
    client.publish("the.end", "".into()).await?;
    let names = Names::new("chat");
    let mut expected: HashMap<String, usize> = HashMap::new();
    for topic in topics {
        *expected.entry(names.name(topic).as_str().to_owned()).or_default() += 1;
    }
    assert_eq!(expected.len(), topics.len());
    while let Some(message) = everything.next().await {
        let subject = message.subject.as_str();
        if subject == "the.end" {
            break;
        }
        if subject.starts_with("chat.~~nats.") {
            assert!(message.payload.len() <= 49, "{subject}: {message:?}");
            continue;
        }
        let times = expected.get_mut(subject).ok_or_else(|| format!("on {subject}"))?;
        *times = times.checked_sub(1).ok_or_else(|| format!("twice on {subject}"))?;
    }
    assert!(expected.values().all(|times| *times == 0), "{expected:?}");
    Ok(())
}

async fn namespaces_never_meet() -> Result {
    let nats = Nats::start().await?;
    let here = quick(nats.url()).namespace("a").connect().await?;
    let mut others = Vec::new();
    let pairs =
        [("a.b", "c"), ("", "b.c"), ("A", "b.c"), ("a*", "b.c"), ("a", "b c"), (">", "b.c")];
    for (namespace, topic) in pairs {
        let other = quick(nats.url()).namespace(namespace).connect().await?;
        let stream = other.subscribe(topic).await?;
        others.push((other, stream));
    }
    let there = quick(nats.url()).namespace("a").connect().await?;
    let mut same = there.subscribe("b.c").await?;
    here.publish(MessageEnvelope::new("b.c", "first")).await?;
    expect(&mut same, "first").await?;
    for (other, stream) in &mut others {
        // Behind all that the server may have sent before.
        drop(other.subscribe(stream.topic()).await?);
        assert_eq!(stream.try_recv(), Err(TryRecvError::Empty));
    }
    Ok(())
}

/// A server takes subjects of up to 4 KB.
async fn a_long_namespace_is_one_like_any_other() -> Result {
    let nats = Nats::start().await?;
    for length in [100, 190, 300, 5_000, 100_000] {
        let namespace = "n".repeat(length);
        let here = quick(nats.url()).namespace(&namespace).connect().await?;
        let there = quick(nats.url()).namespace(&namespace).connect().await?;
        let other = quick(nats.url()).namespace(format!("{namespace}n")).connect().await?;
        let (mut orders, mut elsewhere) =
            (there.subscribe("orders").await?, other.subscribe("orders").await?);
        here.publish(MessageEnvelope::new("orders", "first")).await?;
        expect(&mut orders, "first").await?;
        drop(other.subscribe("orders").await?);
        assert_eq!(elsewhere.try_recv(), Err(TryRecvError::Empty));
    }
    Ok(())
}
