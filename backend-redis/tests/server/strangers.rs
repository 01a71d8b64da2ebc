//! Others on the same server: namespaces, other formats, and whoever sends whatever.

use backend_core::{Backend, HealthAwareBackend, MessageEnvelope, TryRecvError};
use backend_redis::Format;
use engine_harness::Result;
use engine_harness::wait::expect;

use crate::support::{Redis, quick};

engine_harness::tests![
    garbage_on_a_channel_harms_nothing,
    namespaces_never_meet,
    both_formats_are_read,
    a_pattern_is_a_topic_like_any_other,
];

async fn garbage_on_a_channel_harms_nothing() -> Result {
    let redis = Redis::start().await?;
    let here = quick(redis.url()).namespace("chat").connect().await?;
    let there = quick(redis.url()).namespace("chat").connect().await?;
    let mut orders = there.subscribe("orders").await?;
    let mut client = redis.client().await?;
    here.publish(MessageEnvelope::new("orders", "before")).await?;
    let mut bytes: u32 = 1;
    for round in 0..200 {
        let mut pipeline = redis::pipe();
        for length in 0..100 {
            let mut frame: Vec<u8> = (0..length)
                .map(|_| {
                    bytes = bytes.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    bytes.to_be_bytes()[0]
                })
                .collect();
            // Some begin as ours do.
            let start: &[u8] = [&[][..], &[0xF7], b"{", &[0xF7, 1]][round % 4];
            let start = &start[..start.len().min(frame.len())];
            frame[..start.len()].copy_from_slice(start);
            pipeline.cmd("PUBLISH").arg("chat.orders").arg(frame).ignore();
        }
        pipeline.exec_async(&mut client).await?;
    }
    here.publish(MessageEnvelope::new("orders", "after")).await?;
    expect(&mut orders, "before").await?;
    expect(&mut orders, "after").await?;
    assert!(here.is_healthy() && there.is_healthy());
    Ok(())
}

async fn namespaces_never_meet() -> Result {
    let redis = Redis::start().await?;
    let here = quick(redis.url()).namespace("a").connect().await?;
    let mut others = Vec::new();
    for (namespace, topic) in [("a.b", "c"), ("", "b.c"), ("A", "b.c"), ("a*", "b.c"), ("a", "b?c")]
    {
        let other = quick(redis.url()).namespace(namespace).connect().await?;
        let topic = other.subscribe(topic).await?;
        others.push((other, topic));
    }
    let there = quick(redis.url()).namespace("a").connect().await?;
    let mut same = there.subscribe("b.c").await?;
    here.publish(MessageEnvelope::new("b.c", "first")).await?;
    expect(&mut same, "first").await?;
    for (other, topic) in &mut others {
        // Behind all that the server may have sent before.
        drop(other.subscribe(topic.topic()).await?);
        assert_eq!(topic.try_recv(), Err(TryRecvError::Empty));
    }
    Ok(())
}

async fn both_formats_are_read() -> Result {
    let redis = Redis::start().await?;
    let binary = quick(redis.url()).namespace("chat").connect().await?;
    let json = quick(redis.url()).namespace("chat").format(Format::Json).connect().await?;
    let (mut at_binary, mut at_json) = (binary.subscribe("t").await?, json.subscribe("t").await?);
    for round in 0..10 {
        binary.publish(MessageEnvelope::new("t", format!("binary {round}"))).await?;
        json.publish(MessageEnvelope::new("t", format!("json {round}"))).await?;
        expect(&mut at_json, &format!("binary {round}")).await?;
        expect(&mut at_binary, &format!("json {round}")).await?;
    }
    // Somebody who knows nothing of numbers.
    let mut client = redis.client().await?;
    let plain = r#"{"topic":"t","data":"plain"}"#;
    redis::cmd("PUBLISH").arg(&["chat.t", plain]).exec_async(&mut client).await?;
    expect(&mut at_json, "plain").await?;
    expect(&mut at_binary, "plain").await
}

async fn a_pattern_is_a_topic_like_any_other() -> Result {
    let redis = Redis::start().await?;
    let here = quick(redis.url()).namespace("chat").connect().await?;
    let there = quick(redis.url()).namespace("chat").connect().await?;
    let topics = ["*", "?", "[a]", "\\a", "a\r\nPUBLISH chat.a x", "__keyspace@0__:a", ""];
    let mut streams = Vec::new();
    for topic in topics {
        streams.push(there.subscribe(topic).await?);
    }
    for topic in ["a", "b"].into_iter().chain(topics) {
        here.publish(MessageEnvelope::new(topic, topic)).await?;
    }
    for stream in &mut streams {
        let topic = stream.topic().to_owned();
        expect(stream, &topic).await?;
        assert_eq!(stream.try_recv(), Err(TryRecvError::Empty));
    }
    Ok(())
}
