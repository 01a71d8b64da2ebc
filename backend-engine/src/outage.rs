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
    client_name: Option<String>,
    /// That of the last connection.
    server: Option<String>,
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
    /// There is none yet.
    pub(crate) fn of(client_name: Option<&str>) -> Self {
        Self { client_name: client_name.map(str::to_owned), ..Self::default() }
    }

    /// There is a connection, to this server.
    pub(crate) fn is_on(&mut self, server: Option<&str>) {
        self.server = server.map(str::to_owned);
    }

    /// The connection is lost, or an attempt to get another one has failed.
    pub(crate) fn goes_on<L>(&mut self, core: &Core<L>, cause: &dyn fmt::Display) {
        let instance = core.origin;
        let cause = cause.to_string();
        let (client_name, server) = (self.client_name.as_deref(), self.server.as_deref());
        match &mut self.begun {
            None => {
                tracing::warn!(%instance, client_name, server, %cause, "the connection to the engine is lost");
                self.begun = Some(Begun { at: Instant::now(), attempts: 0, cause });
            }
            Some(begun) => {
                begun.attempts += 1;
                let attempts = begun.attempts;
                if begun.cause == cause {
                    tracing::debug!(%instance, client_name, %cause, attempts, "no connection to the engine yet");
                } else {
                    tracing::warn!(%instance, client_name, %cause, attempts, "no connection to the engine yet");
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
                // Jitter makes up to twice as much of it.
                .with_max_delay((most / 2).max(least))
                .with_jitter()
                .without_max_times()
                .build()
        });
        pauses.next().map_or(most, |pause| pause.min(most))
    }

    /// Every topic is live.
    pub(crate) fn ends<L: Link>(&mut self, core: &Core<L>) {
        self.pauses = None;
        let (instance, topics) = (core.origin, core.users.stats().topics);
        let (client_name, server) = (self.client_name.as_deref(), self.server.as_deref());
        match self.begun.take() {
            None => {
                let namespace = &core.options.namespace;
                tracing::info!(%instance, client_name, server, namespace, "connected to the engine");
            }
            Some(Begun { at, attempts, .. }) => {
                let after = at.elapsed();
                tracing::info!(%instance, client_name, server, ?after, topics, attempts, "connected to the engine again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pause_is_shorter_than_the_least_or_longer_than_the_most() {
        let millis = Duration::from_millis;
        for (least, most) in [(20, 2_000), (20, 30), (20, 20)] {
            let backoff = (millis(least), millis(most));
            for _ in 0..50 {
                let mut outage = Outage::default();
                for _ in 0..20 {
                    let pause = outage.pause(backoff);
                    assert!((backoff.0..=backoff.1).contains(&pause), "{pause:?} of {backoff:?}");
                }
            }
        }
    }

    #[test]
    fn instances_do_not_come_back_all_at_once() {
        let backoff = (Duration::from_millis(20), Duration::from_secs(2));
        let late = || {
            let mut outage = Outage::default();
            (0..20).map(|_| outage.pause(backoff)).last()
        };
        assert_ne!([late(), late(), late()], [late(), late(), late()]);
    }
}
