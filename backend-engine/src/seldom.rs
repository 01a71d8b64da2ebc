//! Log lines about what anybody can cause, as often as they like: at most one in a while, which says
//! how many there were.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The least time between two lines.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    told: Option<Instant>,
    since: u64,
}

impl Seldom {
    /// It has happened so many times. How many times in all since the last line, if it is time for
    /// the next one.
    pub(crate) fn happened(&self, times: u64, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.since = state.since.saturating_add(times);
        if state.told.is_some_and(|told| now.saturating_duration_since(told) < PAUSE) {
            return None;
        }
        state.told = Some(now);
        Some(std::mem::take(&mut state.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_others_together() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.happened(1, start), Some(1));
        for millis in 1..1000 {
            assert_eq!(seldom.happened(2, start + Duration::from_millis(millis)), None);
        }
        assert_eq!(seldom.happened(1, start + PAUSE), Some(1999));
        assert_eq!(seldom.happened(u64::MAX, start + PAUSE), None);
        assert_eq!(seldom.happened(1, start + 2 * PAUSE), Some(u64::MAX));
    }
}
