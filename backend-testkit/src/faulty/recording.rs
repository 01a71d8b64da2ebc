//! What has passed, in order, and what was done to it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backend_core::{Gap, MessageEnvelope};
use tokio::sync::watch;

use super::lock;
use crate::show;

/// How many steps are kept unless told otherwise.
const LIMIT: usize = 10_000;

/// What a [`Record`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// A call of `publish`.
    Publish,
    /// A call of `subscribe`.
    Subscribe,
    /// A call of `unsubscribe`.
    Unsubscribe,
    /// A call of `close`.
    Close,
    /// A message on its way to a reader.
    Receive,
    /// A gap that a reader was handed, whoever made it.
    Gap,
    /// A stream has ended: its reader got `None`.
    End,
    /// A subscription was dropped.
    Release,
    /// [`Controls::outage`](super::Controls::outage) has cut the instance off.
    Outage,
    /// [`Controls::recover`](super::Controls::recover) has let it back.
    Recover,
}

/// A word: `publish`.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
            Self::Close => "close",
            Self::Receive => "receive",
            Self::Gap => "gap",
            Self::End => "end",
            Self::Release => "release",
            Self::Outage => "outage",
            Self::Recover => "recover",
        })
    }
}

/// What was done to it.
///
/// [`Passed`](Self::Passed), [`Dropped`](Self::Dropped), [`Lost`](Self::Lost),
/// [`Refused`](Self::Refused), [`CutOff`](Self::CutOff) and [`Expired`](Self::Expired) are the
/// last that is heard of a call or message. The others are steps on its way, and more follows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// It went through: the call is done, the event is handed out.
    Passed,
    /// A rule let it vanish.
    Dropped,
    /// A rule let it be lost, and the reader is told by a gap.
    Lost,
    /// A rule delays it by this time.
    Delayed(Duration),
    /// A rule holds it at a gate.
    Held,
    /// A rule lets it go through twice.
    Duplicated,
    /// A rule lets the next event go first.
    Swapped,
    /// The call failed, by a rule, by an outage or by the backend itself: the error's text.
    Refused(String),
    /// It came in a scripted outage, and does not arrive.
    CutOff,
    /// It was kept so long here that its ttl ran out.
    Expired,
}

/// What happened: `was delayed by 2s`.
impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Dropped => f.write_str("was dropped silently"),
            Self::Lost => f.write_str("was lost, to be told by a gap"),
            Self::Delayed(time) => write!(f, "was delayed by {time:?}"),
            Self::Held => f.write_str("was held at a gate"),
            Self::Duplicated => f.write_str("was duplicated"),
            Self::Swapped => f.write_str("was put behind the next"),
            Self::Refused(error) => write!(f, "was refused: {error}"),
            Self::CutOff => f.write_str("was cut off by the outage"),
            Self::Expired => f.write_str("has expired"),
        }
    }
}

/// One step of the [`Recording`].
///
/// It prints as a line: `3 receive "hello" to "room", subscription 1: passed`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Its place in the recording, from 0.
    pub number: u64,
    /// What it is about.
    pub operation: Operation,
    /// What was done to it.
    pub fate: Fate,
    /// The topic, where it concerns one.
    pub topic: Option<Arc<str>>,
    /// The subscription, where it concerns one: from 1, in the order in which they were made.
    pub subscription: Option<u64>,
    /// The envelope, of a publish and of a message.
    pub envelope: Option<MessageEnvelope>,
    /// The gap that was handed out.
    pub gap: Option<Gap>,
}

impl Record {
    pub(super) fn new(operation: Operation, fate: Fate) -> Self {
        Self {
            number: 0,
            operation,
            fate,
            topic: None,
            subscription: None,
            envelope: None,
            gap: None,
        }
    }

    pub(super) fn on(mut self, topic: impl Into<Arc<str>>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    pub(super) fn of(mut self, envelope: &MessageEnvelope) -> Self {
        self.envelope = Some(envelope.clone());
        self
    }

    /// The payload, of a publish and of a message; empty for all else.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.envelope.as_ref().map_or(&[], |envelope| envelope.data())
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.operation)?;
        match (&self.envelope, &self.gap, &self.topic) {
            (Some(envelope), _, _) => write!(f, " {}", show::shown(envelope))?,
            (_, Some(gap), Some(topic)) => write!(f, " on {}, {gap}", show::quoted(topic))?,
            (_, _, Some(topic)) => write!(f, " {}", show::quoted(topic))?,
            _ => {}
        }
        if let Some(subscription) = self.subscription {
            write!(f, ", subscription {subscription}")?;
        }
        write!(f, ": {}", self.fate)
    }
}

/// What has passed so far, in order: a picture of one moment, which does not grow.
///
/// It prints one line for each step, for messages of failed tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    records: Vec<Record>,
    left_out: u64,
}

impl Recording {
    /// The steps that are kept, oldest first.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// How many older steps are not kept any more.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// How many steps of this kind are kept that went through.
    #[must_use]
    pub fn passed(&self, operation: Operation) -> usize {
        let passed =
            |record: &&Record| record.operation == operation && record.fate == Fate::Passed;
        self.records.iter().filter(passed).count()
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.left_out > 0 {
            writeln!(f, "… {} older steps are left out", self.left_out)?;
        }
        self.records.iter().try_for_each(|record| writeln!(f, "{record}"))
    }
}

/// Where the steps are written down.
pub(super) struct Recorder {
    /// Taken last of all locks, and never while somebody's code runs.
    tape: Mutex<Tape>,
    /// Marked as changed after each step.
    grown: watch::Sender<()>,
}

struct Tape {
    records: VecDeque<Record>,
    /// The number of the next one.
    next: u64,
    limit: usize,
}

impl Recorder {
    pub(super) fn new() -> Self {
        let tape = Tape { records: VecDeque::new(), next: 0, limit: LIMIT };
        Self { tape: Mutex::new(tape), grown: watch::Sender::new(()) }
    }

    pub(super) fn set_limit(&self, limit: usize) {
        let mut tape = lock(&self.tape);
        tape.limit = limit;
        let too_many = tape.records.len().saturating_sub(limit);
        let _outside_the_lock: Vec<Record> = tape.records.drain(..too_many).collect();
        drop(tape);
    }

    pub(super) fn write(&self, mut record: Record) {
        let _outside_the_lock = {
            let mut tape = lock(&self.tape);
            record.number = tape.next;
            tape.next += 1;
            tape.records.push_back(record);
            if tape.records.len() > tape.limit { tape.records.pop_front() } else { None }
        };
        self.grown.send_modify(|()| {});
    }

    pub(super) fn recording(&self) -> Recording {
        let tape = lock(&self.tape);
        let records: Vec<Record> = tape.records.iter().cloned().collect();
        Recording { left_out: tape.next - records.len() as u64, records }
    }

    /// The first record that `wanted` picks; it is shown each one once, in order.
    pub(super) async fn until(&self, mut wanted: impl FnMut(&Record) -> bool) -> Record {
        let mut grown = self.grown.subscribe();
        let mut next = 0;
        loop {
            // What is written after this is seen as a change.
            grown.mark_unchanged();
            for record in self.since(next) {
                next = record.number + 1;
                if wanted(&record) {
                    return record;
                }
            }
            // Cannot fail: `self` is the sender.
            let _ = grown.changed().await;
        }
    }

    fn since(&self, number: u64) -> Vec<Record> {
        let tape = lock(&self.tape);
        let newer = tape.records.iter().rev().take_while(|record| record.number >= number).count();
        tape.records.range(tape.records.len() - newer..).cloned().collect()
    }
}
