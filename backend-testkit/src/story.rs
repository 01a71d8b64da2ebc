//! The story of a check: what was done and seen, in order, and what it waits for right now.
//!
//! It makes up a failure's message, and the watchdog of the [runner](crate::runner) reads it to
//! tell a hanging backend from a slow one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The first lines say how it began; of the rest, the last ones matter.
const FIRST: usize = 6;
const LAST: usize = 60;

#[derive(Clone, Debug)]
pub(crate) struct Story(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    first: Vec<String>,
    last: VecDeque<String>,
    left_out: usize,
    waits: BTreeMap<u64, Wait>,
    next_wait: u64,
    /// When something last began or ended.
    moved: Instant,
}

#[derive(Debug)]
struct Wait {
    since: Instant,
    what: String,
}

/// Something is being waited for until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    story: Story,
    number: u64,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            first: Vec::new(),
            last: VecDeque::new(),
            left_out: 0,
            waits: BTreeMap::new(),
            next_wait: 0,
            moved: Instant::now(),
        })))
    }

    /// Adds a line.
    pub(crate) fn tell(&self, line: impl Into<String>) {
        let mut inner = self.inner();
        inner.moved = Instant::now();
        if inner.first.len() < FIRST {
            inner.first.push(line.into());
            return;
        }
        if inner.last.len() == LAST {
            inner.last.pop_front();
            inner.left_out += 1;
        }
        inner.last.push_back(line.into());
    }

    /// Forgets the lines: another story begins.
    pub(crate) fn start_again(&self) {
        let mut inner = self.inner();
        inner.first.clear();
        inner.last.clear();
        inner.left_out = 0;
        inner.moved = Instant::now();
    }

    /// Notes that `what` is being waited for, until the guard is dropped.
    pub(crate) fn waiting(&self, what: impl Into<String>) -> Waiting {
        let mut inner = self.inner();
        let number = inner.next_wait;
        inner.next_wait += 1;
        inner.moved = Instant::now();
        inner.waits.insert(number, Wait { since: Instant::now(), what: what.into() });
        Waiting { story: self.clone(), number }
    }

    /// Runs a call that should return at once, and notes that it runs.
    pub(crate) fn during<T>(&self, what: impl Into<String>, call: impl FnOnce() -> T) -> T {
        let _waiting = self.waiting(what);
        call()
    }

    /// What has been waited for longer than `limit`, or that nothing has moved for twice as long.
    pub(crate) fn stuck(&self, limit: Duration) -> Option<String> {
        let inner = self.inner();
        let oldest = inner.waits.values().min_by_key(|wait| wait.since);
        match oldest {
            Some(wait) if wait.since.elapsed() > limit => Some(wait.what.clone()),
            None if inner.moved.elapsed() > limit * 2 => Some("the check's next step".into()),
            _ => None,
        }
    }

    /// The lines, numbered from 1.
    pub(crate) fn lines(&self) -> Vec<String> {
        let inner = self.inner();
        let mut lines = Vec::new();
        for (index, line) in inner.first.iter().enumerate() {
            lines.push(format!("{:>3}. {line}", index + 1));
        }
        if inner.left_out > 0 {
            lines.push(format!("     … {} steps more …", inner.left_out));
        }
        for (index, line) in inner.last.iter().enumerate() {
            lines.push(format!("{:>3}. {line}", FIRST + inner.left_out + index + 1));
        }
        lines
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut inner = self.story.inner();
        inner.moved = Instant::now();
        inner.waits.remove(&self.number);
    }
}
