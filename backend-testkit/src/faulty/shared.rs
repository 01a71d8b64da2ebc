//! What the wrapper, its controls and its subscriptions share.
//!
//! Locks are taken in this order: `switch`, `link`, a line's, the script's, the recorder's. No
//! reconnect callback and no waker runs with one held.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use backend_core::{Backend, Error, Result, Subscription};
use backend_fanout::Health;

use super::line::{Events, Line};
use super::lock;
use super::recording::{Record, Recorder};
use super::script::Script;
use super::{Fate, Operation};

/// The parts of the health, for the callbacks.
const SCRIPT: &str = "script";
const INNER: &str = "inner";

pub(super) struct Shared {
    /// Weak, so that the controls do not keep an instance from closing when it is dropped (C4).
    inner: Weak<dyn Backend>,
    pub(super) script: Script,
    pub(super) recorder: Recorder,
    /// The callbacks. What `is_healthy` says is looked up anew: a backend tells when it gets
    /// healthy, and not when it stops being so.
    pub(super) health: Health,
    pub(super) told: Told,
    closed: AtomicBool,
    /// Changed with the lock of `link` held.
    cut: AtomicBool,
    /// Who begins or ends an outage, from the first line to the last.
    switch: Mutex<()>,
    /// The open subscriptions.
    link: Mutex<Link>,
}

#[derive(Default)]
struct Link {
    lines: BTreeMap<u64, Weak<Line>>,
    made: u64,
}

/// What the wrapper adds to the counters of the backend.
#[derive(Default)]
pub(super) struct Told {
    pub(super) sent: AtomicU64,
    pub(super) gaps: AtomicU64,
    pub(super) missed: AtomicU64,
    pub(super) expired: AtomicU64,
}

impl Shared {
    pub(super) fn new(inner: Weak<dyn Backend>) -> Self {
        Self {
            inner,
            script: Script::default(),
            recorder: Recorder::new(),
            health: Health::new(),
            told: Told::default(),
            closed: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            switch: Mutex::default(),
            link: Mutex::default(),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.health.close();
    }

    /// The error of every call in a scripted outage. A closed instance says so itself (C2).
    pub(super) fn check_link(&self) -> Result<()> {
        if self.is_cut() && !self.is_closed() { Err(cut_off()) } else { Ok(()) }
    }

    /// Puts a line between a subscription of the backend and its reader.
    pub(super) fn connect(self: &Arc<Self>, topic: &str, inner: Subscription) -> Result<Events> {
        let mut link = lock(&self.link);
        if self.is_cut() && !self.is_closed() {
            drop(link);
            drop(inner);
            return Err(cut_off());
        }
        link.made += 1;
        let number = link.made;
        let line = Arc::new(Line::new(number, topic.into(), Arc::clone(self), inner));
        link.lines.insert(number, Arc::downgrade(&line));
        drop(link);
        let mut record = Record::new(Operation::Subscribe, Fate::Passed).on(topic);
        record.subscription = Some(number);
        self.recorder.write(record);
        Ok(Events::of(line))
    }

    pub(super) fn forget(&self, number: u64) {
        lock(&self.link).lines.remove(&number);
    }

    /// Begins an outage, unless there is one.
    pub(super) fn outage(&self) {
        let switching = lock(&self.switch);
        let lines = {
            let link = lock(&self.link);
            if self.is_cut() {
                return;
            }
            self.cut.store(true, Ordering::Release);
            open(&link)
        };
        let wakers: Vec<_> = lines.iter().filter_map(|line| line.cut()).collect();
        self.recorder.write(Record::new(Operation::Outage, Fate::Passed));
        drop(switching);
        self.health.update_part(SCRIPT, || !self.is_cut());
        wakers.into_iter().for_each(std::task::Waker::wake);
    }

    /// Ends an outage, if there is one.
    pub(super) fn recover(&self) {
        let switching = lock(&self.switch);
        if !self.is_cut() {
            return;
        }
        // No line can be added now, so these are all.
        let lines = open(&lock(&self.link));
        let wakers: Vec<_> = lines.iter().filter_map(|line| line.restore()).collect();
        {
            let _link = lock(&self.link);
            self.cut.store(false, Ordering::Release);
        }
        self.recorder.write(Record::new(Operation::Recover, Fate::Passed));
        drop(switching);
        wakers.into_iter().for_each(std::task::Waker::wake);
        // An outage of the backend's own may outlast the scripted one, and it was not told of its
        // beginning. Looked up under the lock of the health, so that a return at this moment is
        // not missed; at worst, when both end in the same moment, it is told twice.
        let inner = self.inner.upgrade();
        self.health.update_part(INNER, || inner.as_deref().is_some_and(is_healthy));
        self.health.update_part(SCRIPT, || !self.is_cut());
    }

    /// The backend itself has come back.
    pub(super) fn inner_recovered(&self) {
        // That it was gone is news: it tells of its return alone.
        self.health.set_part(INNER, false);
        self.health.set_part(INNER, true);
    }

    pub(super) fn is_healthy(&self) -> bool {
        let inner_is_healthy = || self.inner.upgrade().as_deref().is_some_and(is_healthy);
        !self.is_closed() && !self.is_cut() && inner_is_healthy()
    }

    /// How many subscriptions are open, or have ended and were not read to the end.
    pub(super) fn subscriptions(&self) -> usize {
        lock(&self.link).lines.len()
    }
}

/// What does not know its health is taken to be well.
fn is_healthy(backend: &dyn Backend) -> bool {
    backend.as_health_aware().is_none_or(|health| health.is_healthy())
}

/// The lines whose readers are still there.
fn open(link: &Link) -> Vec<Arc<Line>> {
    link.lines.values().filter_map(Weak::upgrade).collect()
}

fn cut_off() -> Error {
    Error::unavailable("cut off by a scripted outage")
}
