//! An outage: when to try again, and what the log tells of it: its beginning with the cause, each new
//! cause on the way, its end.
//!
//! An instance may be without its engine for hours and try twice a second. So an attempt that fails
//! for the same reason as the one before is told at the level `debug`, and one that fails for another
//! reason (the server is there again, and takes the password no more) as a warning.

use std::fmt;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::core::Core;
use crate::driver::Link;

/// The outage that is going on, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    /// `None` before the first connection works, and while one does.
    begun: Option<Begun>,
    /// How long to wait before the next attempts. They go on where they were when a connection is
    /// lost before it is of use.
    pauses: Option<ExponentialBackoff>,
}

#[derive(Debug)]
struct Begun {
    at: Instant,
    attempts: u64,
    cause: String,
}

impl Outage {
    /// The connection is lost, or an attempt to get another one has failed.
    pub(crate) fn goes_on<L>(&mut self, core: &Core<L>, cause: &dyn fmt::Display) {
        let instance = core.origin;
        let cause = cause.to_string();
        match &mut self.begun {
            None => {
                tracing::warn!(%instance, %cause, "the connection to the engine is lost");
                self.begun = Some(Begun { at: Instant::now(), attempts: 0, cause });
            }
            Some(begun) => {
                begun.attempts += 1;
                let attempts = begun.attempts;
                if begun.cause == cause {
                    tracing::debug!(%instance, %cause, attempts, "no connection to the engine yet");
                } else {
                    tracing::warn!(%instance, %cause, attempts, "no connection to the engine yet");
                    begun.cause = cause;
                }
            }
        }
    }

    /// How long to wait before the next attempt.
    pub(crate) fn pause(&mut self, (least, most): (Duration, Duration)) -> Duration {
        let pauses = self.pauses.get_or_insert_with(|| {
            ExponentialBuilder::new()
                .with_min_delay(least)
                .with_max_delay(most)
                .with_jitter()
                .without_max_times()
                .build()
        });
        pauses.next().unwrap_or(most)
    }

    /// Every topic is live.
    pub(crate) fn ends<L: Link>(&mut self, core: &Core<L>) {
        self.pauses = None;
        let (instance, topics) = (core.origin, core.users.stats().topics);
        match self.begun.take() {
            None => {
                let namespace = &core.options.namespace;
                tracing::info!(%instance, namespace, "connected to the engine");
            }
            Some(Begun { at, attempts, .. }) => {
                let after = at.elapsed();
                tracing::info!(%instance, ?after, topics, attempts, "connected to the engine again");
            }
        }
    }
}
