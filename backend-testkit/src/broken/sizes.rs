//! Faults that show with large data, long topics, many envelopes or certain fields alone.

use std::sync::Arc;

use async_trait::async_trait;
use backend_core::{Backend, HealthAwareBackend, MessageEnvelope, Result, Subscription};
use backend_memory::MemoryBackend;

use super::Specimen;
use super::twist::{Seat, Twist, rewrite_messages, twisted};

pub(super) const SPECIMENS: &[Specimen] = &[
    Specimen::new(
        "large_data_goes_past_the_echo_filter",
        "A publisher hears its own data of more than 4 KiB.",
        "echo::never_echoed_with_large_data",
        |deadline| twisted(deadline, LargeWay::new),
    ),
    Specimen::new(
        "no_id_after_scope_and_ttl",
        "With a scope and a ttl, an absent id arrives as an empty one.",
        "fidelity::every_combination_of_fields_arrives",
        |deadline| twisted(deadline, |_| NoIdIsEmpty),
    ),
    Specimen::new(
        "long_topics_are_deaf",
        "A topic of more than 1 KiB can be subscribed to, and nothing arrives.",
        "isolation::a_longer_topic_is_refused_or_works",
        |deadline| twisted(deadline, |_| DeafWhenLong),
    ),
    Specimen::new(
        "loses_each_4096th",
        "A sequence number of 12 bits: the 4096th envelope of a subscription is taken for an old one.",
        "scale::seventy_thousand_to_one_subscription",
        |deadline| twisted(deadline, |_| TwelveBits),
    ),
];

/// What is large goes out by another instance, which the publisher hears.
struct LargeWay(MemoryBackend);

impl LargeWay {
    fn new(seat: &Seat) -> Self {
        Self(seat.inner.fork())
    }
}

#[async_trait]
impl Twist for LargeWay {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        if envelope.data().len() > 4_096 && inner.is_healthy() {
            return self.0.publish(envelope).await;
        }
        inner.publish(envelope).await
    }
}

struct NoIdIsEmpty;

#[async_trait]
impl Twist for NoIdIsEmpty {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        let full = envelope.scope().is_some() && envelope.ttl().is_some();
        if full && envelope.id().is_none() {
            return inner.publish(envelope.with_id("")).await;
        }
        inner.publish(envelope).await
    }
}

struct DeafWhenLong;

#[async_trait]
impl Twist for DeafWhenLong {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        let deaf = topic.len() > 1_024;
        Ok(rewrite_messages(honest, move |envelope| (!deaf).then_some(envelope)))
    }
}

struct TwelveBits;

#[async_trait]
impl Twist for TwelveBits {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        let mut seen = 0_u64;
        Ok(rewrite_messages(honest, move |envelope| {
            seen += 1;
            (!seen.is_multiple_of(4_096)).then_some(envelope)
        }))
    }
}
