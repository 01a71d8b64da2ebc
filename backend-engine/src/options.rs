//! What may be chosen about an instance, whatever the engine.

use std::time::Duration;

use backend_fanout::DEFAULT_CAPACITY;

use crate::wire::Format;

/// What may be chosen about an instance, whatever the engine. Adapters have builders for it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Instances hear each other only within one namespace of one engine. Default: `tavern`.
    pub namespace: String,
    /// How many envelopes a topic keeps for a reader that has not taken them.
    pub capacity: usize,
    /// How envelopes are written. Either form is read by all.
    pub format: Format,
    /// How often the engine is asked for a sign of life.
    pub ping_interval: Duration,
    /// How long an operation, a ping or an attempt to connect may take.
    pub operation_timeout: Duration,
    /// How long to wait before connecting again: at first, and at most. Each wait is about twice
    /// the one before, with jitter, so that the instances of a service do not come back all at
    /// once.
    pub backoff: (Duration, Duration),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            namespace: "tavern".to_owned(),
            capacity: DEFAULT_CAPACITY,
            format: Format::default(),
            ping_interval: Duration::from_secs(2),
            operation_timeout: Duration::from_secs(5),
            backoff: (Duration::from_millis(20), Duration::from_secs(2)),
        }
    }
}
