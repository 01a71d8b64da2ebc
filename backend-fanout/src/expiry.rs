//! When the ttl of an envelope runs out, in eight bytes.
//!
//! An `Option<Instant>` takes sixteen, in pieces of two sizes, in each slot of each ring; and few
//! envelopes have a ttl at all.

use std::num::NonZeroU64;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use backend_core::MessageEnvelope;

/// A moment in nanoseconds, counted from when this process first asked for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Expiry(NonZeroU64);

impl Expiry {
    /// Clause T1: counted from here, the moment at which this process got the envelope. A ttl beyond
    /// what can be counted, some 500 years, never runs out.
    #[inline]
    pub(crate) fn of(envelope: &MessageEnvelope) -> Option<Self> {
        envelope.ttl().and_then(|ttl| Self::after(now(), ttl))
    }

    /// `ttl` after `now`; zero means what no ttl means.
    pub(crate) fn after(now: Duration, ttl: Duration) -> Option<Self> {
        if ttl.is_zero() {
            return None;
        }
        let nanoseconds = now.checked_add(ttl)?.as_nanos();
        NonZeroU64::new(u64::try_from(nanoseconds).ok()?).map(Self)
    }

    pub(crate) fn has_passed(self) -> bool {
        now() >= Duration::from_nanos(self.0.get())
    }
}

/// On the clock that an [`Expiry`] goes by.
pub(crate) fn now() -> Duration {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    FIRST.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_counted_never_runs_out() {
        assert_eq!(Expiry::after(now(), Duration::ZERO), None);
        assert_eq!(Expiry::after(now(), Duration::MAX), None);
        assert_eq!(Expiry::after(Duration::from_nanos(1), Duration::from_nanos(u64::MAX)), None);
        assert!(Expiry::after(now(), Duration::from_secs(1 << 33)).is_some());
    }

    #[test]
    fn it_passes_when_the_ttl_is_over_and_not_before() {
        let an_hour = Duration::from_secs(3_600);
        let later = Expiry::after(now(), an_hour).expect("it can be counted");
        assert!(!later.has_passed());
        let at_once = Expiry::after(Duration::ZERO, Duration::from_nanos(1));
        let at_once = at_once.expect("it can be counted");
        while now() < Duration::from_nanos(1) {}
        assert!(at_once.has_passed() && at_once < later);
    }

    #[test]
    fn it_takes_no_more_than_a_number() {
        assert_eq!(size_of::<Option<Expiry>>(), 8);
    }
}
