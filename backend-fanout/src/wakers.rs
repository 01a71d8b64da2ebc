//! Readers to wake once no lock is held.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

/// Wakers that were taken out under a topic's lock. Often there is one, and then nothing is
/// allocated for it.
#[must_use = "readers wait for this"]
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Wakers {
    /// Wakes them all. A waker that panics costs the others nothing; its panic goes on after that.
    pub(crate) fn wake(self) {
        let mut panicked = None;
        for waker in self.first.into_iter().chain(self.others) {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                // What a panic carries may panic when it is dropped.
                mem::forget(panicked.replace(panic));
            }
        }
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
    }

    pub(crate) fn extend(&mut self, other: Wakers) {
        self.others.extend(other.first.into_iter().chain(other.others));
    }
}

impl FromIterator<Waker> for Wakers {
    fn from_iter<I: IntoIterator<Item = Waker>>(wakers: I) -> Self {
        let mut wakers = wakers.into_iter();
        Self { first: wakers.next(), others: wakers.collect() }
    }
}

#[cfg(test)]
impl Wakers {
    pub(crate) fn count(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }
}
