//! What an instance has done, for Prometheus: at `/metrics`, in its text format.
//!
//! The backend counts already. Nothing is counted twice, or kept here: whenever somebody asks, a
//! collector reads the counters of that moment.
//!
//! Every metric has the label `chat_instance`, and not `instance`, which is what Prometheus itself
//! calls the address that it has asked. Rooms are no label: anybody can make as many as they like.

use std::fmt;
use std::sync::Arc;

use backend_core::BackendStats;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::instance::{Delivered, Instance};

/// What the text is.
pub(crate) const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// The metrics of one instance; clones are of the same.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Arc<Registry>);

impl Metrics {
    pub(crate) fn of(instance: Arc<Instance>) -> Self {
        let label = ("chat_instance".into(), instance.name().to_owned().into());
        let mut registry = Registry::with_labels([label].into_iter());
        registry.register_collector(Box::new(OfInstance(instance)));
        Self(Arc::new(registry))
    }

    /// All of them, as they are now.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.0)?;
        Ok(text)
    }
}

/// A counter of the backend: its name, to which `_total` is added, and what it says.
type Counted = (&'static str, &'static str, fn(&BackendStats) -> u64);

const COUNTERS: [Counted; 8] = [
    ("pubsub_messages_sent", "Messages that were handed to the bus or engine", |stats| stats.sent),
    (
        "pubsub_messages_received",
        "Messages that subscriptions have received, counted once for each subscription",
        |stats| stats.received,
    ),
    (
        "pubsub_messages_missed",
        "Messages that gaps of known size stand for, counted once for each subscription",
        |stats| stats.missed,
    ),
    (
        "pubsub_messages_lost",
        "Messages that are known to have been lost on their way to this instance",
        |stats| stats.lost,
    ),
    (
        "pubsub_messages_expired",
        "Messages that were not handed out because their time to live was over",
        |stats| stats.expired,
    ),
    (
        "pubsub_frames_refused",
        "What the engine brought and was dropped: no message of its topic, or one that came before",
        |stats| stats.refused,
    ),
    (
        "pubsub_gaps",
        "Gaps in subscriptions, of known and of unknown size, counted once for each subscription",
        |stats| stats.gaps,
    ),
    (
        "pubsub_reconnects",
        "How often the connection was lost and has come back, with every topic",
        |stats| stats.reconnects,
    ),
];

const GAUGES: [Counted; 3] = [
    ("pubsub_connected", "Whether there is a connection to the bus or engine: 1, or 0", |stats| {
        stats.connected.into()
    }),
    ("pubsub_topics", "Topics with at least one subscription", |stats| stats.topics),
    ("pubsub_subscriptions", "Live subscriptions", |stats| stats.subscriptions),
];

/// Reads an instance's counters when it is asked.
#[derive(Debug)]
struct OfInstance(Arc<Instance>);

impl Collector for OfInstance {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(instance) = self;
        if let Some(stats) = instance.stats() {
            for (name, help, of) in COUNTERS {
                counter(&mut encoder, name, help, of(&stats))?;
            }
            for (name, help, of) in GAUGES {
                gauge(&mut encoder, name, help, of(&stats))?;
            }
        }
        let healthy =
            "Whether what is published now reaches the others, and theirs this one: 1, or 0";
        gauge(&mut encoder, "pubsub_healthy", healthy, instance.is_healthy().into())?;
        let readers = "Open event streams, in all rooms";
        gauge(&mut encoder, "chat_readers", readers, instance.readers() as u64)?;
        posts(&mut encoder, instance)
    }
}

fn posts(encoder: &mut DescriptorEncoder<'_>, instance: &Instance) -> fmt::Result {
    let one = ConstCounter::new(0_u64);
    let help = "Messages that were posted here, by whom they were handed to";
    let mut posts = encoder.encode_descriptor("chat_posts", help, None, one.metric_type())?;
    for (delivered, count) in instance.posts() {
        let whom = match delivered {
            Delivered::Everywhere => "everywhere",
            Delivered::ThisInstanceOnly => "this_instance_only",
        };
        ConstCounter::new(count).encode(posts.encode_family(&[("delivered", whom)])?)?;
    }
    Ok(())
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let counter = ConstCounter::new(value);
    counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use backend_core::{Backend, MessageEnvelope, ObservableBackend, Result, Subscription};

    use super::*;

    /// Has counted something else of each.
    struct Counted;

    #[async_trait]
    impl Backend for Counted {
        async fn publish(&self, _: MessageEnvelope) -> Result<()> {
            Ok(())
        }

        async fn subscribe(&self, topic: &str) -> Result<Subscription> {
            Ok(Subscription::new(topic, futures_util::stream::empty()))
        }

        async fn unsubscribe(&self, _: &str) -> Result<()> {
            Ok(())
        }

        async fn close(&self) -> Result<()> {
            Ok(())
        }

        fn as_observable(&self) -> Option<&dyn ObservableBackend> {
            Some(self)
        }
    }

    impl ObservableBackend for Counted {
        fn stats(&self) -> BackendStats {
            let mut stats = BackendStats::default();
            stats.connected = true;
            stats.sent = 2;
            stats.received = 3;
            stats.missed = 4;
            stats.lost = 5;
            stats.gaps = 6;
            stats.expired = 7;
            stats.refused = 8;
            stats.reconnects = 9;
            stats.topics = 10;
            stats.subscriptions = 11;
            stats
        }
    }

    #[test]
    fn each_number_stands_at_its_name() {
        let instance = Arc::new(Instance::over("alpha", Arc::new(Counted), 8));
        let text = Metrics::of(instance).text().unwrap();
        for (name, value) in [
            ("pubsub_connected", 1),
            ("pubsub_messages_sent_total", 2),
            ("pubsub_messages_received_total", 3),
            ("pubsub_messages_missed_total", 4),
            ("pubsub_messages_lost_total", 5),
            ("pubsub_gaps_total", 6),
            ("pubsub_messages_expired_total", 7),
            ("pubsub_frames_refused_total", 8),
            ("pubsub_reconnects_total", 9),
            ("pubsub_topics", 10),
            ("pubsub_subscriptions", 11),
            ("pubsub_healthy", 1),
        ] {
            let line = format!("\n{name}{{chat_instance=\"alpha\"}} {value}\n");
            assert!(text.contains(&line), "{line} is not in {text}");
        }
    }
}
