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
    /// How often the engine is asked for a sign of life. One that falls silent is given up after one
    /// interval without traffic, and two more without an answer.
    pub ping_interval: Duration,
    /// How long an operation, or an attempt to connect, may take.
    pub operation_timeout: Duration,
    /// How long to wait before connecting again: at first, and at most. Each wait is about twice
    /// the one before, with jitter, so that the instances of a service do not come back all at
    /// once.
    pub backoff: (Duration, Duration),
}

/// The shortest that is taken for a time; what is shorter counts as this.
const LEAST: Duration = Duration::from_millis(1);

/// The longest: as good as for ever, and no clock overflows.
const MOST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Options {
    /// The same, with times that can be counted with, and backoffs the right way round.
    pub(crate) fn within_reason(mut self) -> Self {
        for time in [&mut self.ping_interval, &mut self.operation_timeout] {
            *time = (*time).clamp(LEAST, MOST);
        }
        let (least, most) = self.backoff;
        let least = least.clamp(LEAST, MOST);
        self.backoff = (least, most.clamp(least, MOST));
        self
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_brought_within_reason() {
        let mut options = Options::default();
        (options.ping_interval, options.operation_timeout) = (Duration::ZERO, Duration::MAX);
        options.backoff = (Duration::from_secs(3), Duration::ZERO);
        let options = options.within_reason();
        assert_eq!((options.ping_interval, options.operation_timeout), (LEAST, MOST));
        assert_eq!(options.backoff, (Duration::from_secs(3), Duration::from_secs(3)));
    }
}
