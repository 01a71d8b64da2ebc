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
    pub(crate) fn new(first: Option<Waker>, others: Vec<Waker>) -> Self {
        Self { first, others }
    }

    /// Wakes them all. A waker that panics costs the others nothing; its panic goes on after that.
    #[inline]
    pub(crate) fn wake(self) {
        let Self { first, others } = self;
        // One by itself has no others to be spared.
        if others.is_empty() {
            if let Some(waker) = first {
                waker.wake();
            }
        } else {
            wake_all(first, others);
        }
    }

    pub(crate) fn extend(&mut self, other: Wakers) {
        self.others.extend(other.first.into_iter().chain(other.others));
    }
}

fn wake_all(first: Option<Waker>, others: Vec<Waker>) {
    let mut panicked = None;
    for waker in first.into_iter().chain(others) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            // What a panic carries may panic when it is dropped.
            mem::forget(panicked.replace(panic));
        }
    }
    if let Some(panic) = panicked {
        resume_unwind(panic);
    }
}

#[cfg(test)]
impl Wakers {
    pub(crate) fn count(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }
}
