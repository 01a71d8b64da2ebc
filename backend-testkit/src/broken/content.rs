//! Faults against D7, D8 and the ttl: which topic, which fields, how long.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backend_core::{
    Backend, Error, Event, Gap, MessageEnvelope, ObservableBackend, Result, Subscription,
};
use backend_memory::MemoryBackend;

use super::Specimen;
use super::twist::{
    Seat, Shared, Twist, Twisting, copied, lock, renamed, rewrite, rewrite_messages, timed, twisted,
};

pub(super) const SPECIMENS: &[Specimen] = &[
    Specimen::new(
        "prefix_match",
        "A subscription gets every topic that begins with its own.",
        "isolation::prefixes_and_suffixes_are_strangers",
        |deadline| {
            twisted(deadline, |seat| {
                Matching::new(seat, |pattern, topic| {
                    !pattern.is_empty() && topic.starts_with(pattern)
                })
            })
        },
    ),
    Specimen::new(
        "wildcards",
        "A subscription to a.* gets a.b.",
        "isolation::wildcards_are_ordinary",
        |deadline| {
            twisted(deadline, |seat| {
                Matching::new(seat, |pattern, topic| {
                    pattern.strip_suffix('*').is_some_and(|start| topic.starts_with(start))
                })
            })
        },
    ),
    Specimen::new(
        "the_empty_topic_is_all",
        "A subscription to the empty topic gets everything.",
        "isolation::the_empty_string_is_a_topic",
        |deadline| twisted(deadline, |seat| Matching::new(seat, |pattern, _| pattern.is_empty())),
    ),
    Specimen::new(
        "folds_case",
        "Topics that differ in case are one.",
        "isolation::case_matters",
        |deadline| twisted(deadline, |_| Renaming(str::to_ascii_lowercase)),
    ),
    Specimen::new(
        "trims_topics",
        "Space around a topic is cut off.",
        "isolation::spaces_matter",
        |deadline| twisted(deadline, |_| Renaming(|topic| topic.trim().to_owned())),
    ),
    Specimen::new(
        "normalizes_topics",
        "Composed and decomposed characters are one.",
        "isolation::unicode_is_not_normalized",
        |deadline| twisted(deadline, |_| Renaming(|topic| topic.replace("e\u{301}", "\u{e9}"))),
    ),
    Specimen::new(
        "cuts_topics_at_nul",
        "A topic ends at its first NUL.",
        "isolation::control_characters_are_ordinary",
        |deadline| {
            twisted(deadline, |_| {
                Renaming(|topic| topic.split('\0').next().unwrap_or_default().to_owned())
            })
        },
    ),
    Specimen::new(
        "cuts_long_topics",
        "Of a topic, 255 characters count.",
        "isolation::a_topic_may_have_1_kib",
        |deadline| twisted(deadline, |_| Renaming(|topic| topic.chars().take(255).collect())),
    ),
    Specimen::new(
        "decodes_topics",
        "%20 in a topic is a space.",
        "isolation::escapes_are_ordinary",
        |deadline| twisted(deadline, |_| Renaming(|topic| topic.replace("%20", " "))),
    ),
    Specimen::new(
        "refuses_the_empty_topic",
        "The empty topic is invalid.",
        "isolation::the_empty_string_is_a_topic",
        |deadline| twisted(deadline, |_| NoEmptyTopic),
    ),
    Specimen::new(
        "one_bus_for_all",
        "Instances that were not linked hear one another.",
        "isolation::unlinked_instances_never_meet",
        |deadline| {
            Box::new(Twisting {
                one_bus: Some(MemoryBackend::new()),
                ..Twisting::new(deadline, |_| Fields(|e| Some(e.clone())))
            })
        },
    ),
    Specimen::new(
        "filters_by_scope",
        "What has a scope of somebody else is left out.",
        "isolation::nothing_is_filtered_by_scope",
        |deadline| {
            twisted(deadline, |_| {
                Fields(|envelope| {
                    envelope
                        .scope()
                        .is_none_or(|scope| scope != "user:43")
                        .then(|| envelope.clone())
                })
            })
        },
    ),
    Specimen::new(
        "an_empty_scope_is_none",
        "An empty scope arrives as an absent one.",
        "fidelity::scope_arrives_exactly",
        |deadline| {
            twisted(deadline, |_| {
                Fields(|envelope| {
                    let scope = envelope.scope().filter(|scope| !scope.is_empty());
                    Some(copied(envelope, envelope.topic(), scope, envelope.ttl(), envelope.id()))
                })
            })
        },
    ),
    Specimen::new(
        "loses_the_id",
        "The id does not arrive.",
        "fidelity::id_arrives_exactly",
        |deadline| {
            twisted(deadline, |_| {
                Fields(|envelope| {
                    Some(copied(envelope, envelope.topic(), envelope.scope(), envelope.ttl(), None))
                })
            })
        },
    ),
    Specimen::new(
        "rounds_the_ttl",
        "A ttl arrives in whole milliseconds, rounded up.",
        "fidelity::ttl_arrives_exactly",
        |deadline| {
            twisted(deadline, |_| {
                Fields(|envelope| {
                    let rounded = envelope.ttl().map(|ttl| {
                        let millis = ttl.as_nanos().div_ceil(1_000_000);
                        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
                    });
                    Some(timed(envelope, rounded))
                })
            })
        },
    ),
    Specimen::new(
        "data_is_text",
        "Data that is not UTF-8 arrives with replacement characters.",
        "fidelity::every_byte_value_arrives",
        |deadline| {
            twisted(deadline, |_| {
                Fields(|envelope| {
                    let text = String::from_utf8_lossy(envelope.data()).into_owned();
                    let text = MessageEnvelope::new(envelope.topic(), text);
                    Some(copied(
                        &text,
                        envelope.topic(),
                        envelope.scope(),
                        envelope.ttl(),
                        envelope.id(),
                    ))
                })
            })
        },
    ),
    Specimen::new(
        "trims_data",
        "Line ends after the data are cut off.",
        "fidelity::data_is_not_trimmed_or_parsed",
        |deadline| {
            twisted(deadline, |_| {
                Fields(|envelope| {
                    let data = envelope.data();
                    let text = MessageEnvelope::new(
                        envelope.topic(),
                        data.slice(..data.trim_ascii_end().len()),
                    );
                    Some(copied(
                        &text,
                        envelope.topic(),
                        envelope.scope(),
                        envelope.ttl(),
                        envelope.id(),
                    ))
                })
            })
        },
    ),
    Specimen::new(
        "empty_data_is_nothing",
        "An envelope without data is not delivered.",
        "fidelity::empty_data_arrives",
        |deadline| {
            twisted(deadline, |_| {
                Fields(|envelope| (!envelope.data().is_empty()).then(|| envelope.clone()))
            })
        },
    ),
    Specimen::new(
        "ignores_the_ttl",
        "What has expired is handed out.",
        "ttl::expired_is_not_handed_out",
        |deadline| twisted(deadline, |_| Timing(|_| Some(None))),
    ),
    Specimen::new(
        "expired_is_a_gap",
        "What has expired shows as a gap.",
        "ttl::expired_is_no_gap",
        |deadline| twisted(deadline, |_| ExpiredIsAGap),
    ),
    Specimen::new(
        "ttl_in_milliseconds",
        "A ttl below a millisecond becomes 0, which is for ever.",
        "ttl::a_short_ttl_runs_out",
        |deadline| {
            twisted(deadline, |_| {
                Timing(|ttl| {
                    Some(Some(Duration::from_millis(
                        u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
                    )))
                })
            })
        },
    ),
    Specimen::new(
        "seconds_for_milliseconds",
        "A ttl is taken for a thousandth of what it is.",
        "ttl::not_yet_expired_is_handed_out",
        |deadline| twisted(deadline, |_| Timing(|ttl| Some(Some(ttl / 1_000)))),
    ),
    Specimen::new(
        "zero_expires",
        "A ttl of zero runs out at once.",
        "ttl::zero_never_expires",
        |deadline| twisted(deadline, |_| Timing(|ttl| (!ttl.is_zero()).then_some(Some(ttl)))),
    ),
    Specimen::new(
        "an_hour_is_too_long",
        "A ttl of an hour or more runs out at once.",
        "ttl::a_blocked_reader_gets_what_is_not_expired",
        |deadline| {
            twisted(deadline, |_| Timing(|ttl| (ttl.as_secs() < 3_600).then_some(Some(ttl))))
        },
    ),
    Specimen::new(
        "ttl_from_the_publisher",
        "The time on the way counts against the ttl.",
        "ttl::counted_from_receipt",
        |deadline| twisted(deadline, |_| FromThePublisher),
    ),
];

/// Publishes to every topic that matches, by a rule that is more than equality.
struct Matching {
    cluster: Arc<Shared>,
    rule: fn(&str, &str) -> bool,
}

impl Matching {
    fn new(seat: &Seat, rule: fn(&str, &str) -> bool) -> Self {
        Self { cluster: Arc::clone(&seat.cluster), rule }
    }

    fn remember(&self, topic: &str) {
        let mut topics = lock(&self.cluster.topics);
        if !topics.iter().any(|known| known == topic) {
            topics.push(topic.to_owned());
        }
    }
}

#[async_trait]
impl Twist for Matching {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        let patterns = lock(&self.cluster.topics).clone();
        for pattern in patterns {
            if pattern != envelope.topic() && (self.rule)(&pattern, envelope.topic()) {
                inner.publish(renamed(&envelope, &pattern)).await?;
            }
        }
        inner.publish(envelope).await
    }

    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        self.remember(topic);
        inner.subscribe(topic).await
    }
}

/// Uses another name for a topic, the same for some that are different.
struct Renaming(fn(&str) -> String);

#[async_trait]
impl Twist for Renaming {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        inner.publish(renamed(&envelope, &(self.0)(envelope.topic()))).await
    }

    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(&(self.0)(topic)).await?;
        let original = topic.to_owned();
        let named = rewrite_messages(honest, move |envelope| Some(renamed(&envelope, &original)));
        Ok(Subscription::new(topic, named))
    }

    async fn unsubscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<()> {
        inner.unsubscribe(&(self.0)(topic)).await
    }
}

struct NoEmptyTopic;

#[async_trait]
impl Twist for NoEmptyTopic {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        if envelope.topic().is_empty() {
            return Err(Error::invalid_topic("", "it is empty"));
        }
        inner.publish(envelope).await
    }

    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        if topic.is_empty() {
            return Err(Error::invalid_topic("", "it is empty"));
        }
        inner.subscribe(topic).await
    }
}

/// Hands out another envelope than arrived, or none.
struct Fields(fn(&MessageEnvelope) -> Option<MessageEnvelope>);

#[async_trait]
impl Twist for Fields {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let change = self.0;
        Ok(rewrite_messages(inner.subscribe(topic).await?, move |envelope| change(&envelope)))
    }
}

/// Publishes with another ttl; `None` does not publish at all.
struct Timing(fn(Duration) -> Option<Option<Duration>>);

#[async_trait]
impl Twist for Timing {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        match envelope.ttl().map(self.0) {
            None => inner.publish(envelope).await,
            Some(Some(ttl)) => inner.publish(timed(&envelope, ttl)).await,
            Some(None) => Ok(()),
        }
    }
}

struct ExpiredIsAGap;

#[async_trait]
impl Twist for ExpiredIsAGap {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let (counting, mut known) = (Arc::downgrade(inner), 0);
        let rule = move |event, ready: &mut VecDeque<Event>| {
            let expired = counting.upgrade().map_or(known, |inner| inner.stats().expired);
            if expired > known {
                ready.push_back(Event::Gap(Gap::lagged(expired - known)));
                known = expired;
            }
            ready.push_back(event);
        };
        Ok(rewrite(inner.subscribe(topic).await?, rule))
    }
}

struct FromThePublisher;

#[async_trait]
impl Twist for FromThePublisher {
    async fn publish(&self, inner: &Arc<MemoryBackend>, envelope: MessageEnvelope) -> Result<()> {
        let way = Duration::from_millis(12);
        tokio::time::sleep(way).await;
        match envelope.ttl() {
            Some(ttl) if !ttl.is_zero() && ttl <= way => Ok(()),
            _ => inner.publish(envelope).await,
        }
    }
}
