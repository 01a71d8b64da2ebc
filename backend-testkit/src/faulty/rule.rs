//! Rules: which calls and messages a fault strikes, and what it does to them.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use backend_core::{Error, MessageEnvelope};

use super::{Gate, Operation};

type Condition = Arc<dyn Fn(&MessageEnvelope) -> bool + Send + Sync>;
type MakeError = Arc<dyn Fn() -> Error + Send + Sync>;

/// A fault: which calls or messages it strikes, and what it does to them.
///
/// It reads as a sentence: what it is about, which of those, and what happens to them.
///
/// ```
/// use std::time::Duration;
/// use backend_core::Error;
/// use backend_testkit::Rule;
///
/// let third_is_lost = Rule::receive().topic("room").skip(2).times(1).lose();
/// let fails_once = Rule::publish().times(1).fail_with(|| Error::unavailable("connection reset"));
/// let slow = Rule::subscribe().delay(Duration::from_secs(2));
/// let noisy_line = Rule::receive().with_probability(0.1).duplicate();
/// assert_eq!(third_is_lost.to_string(), r#"receive on "room", after 2, 1 time: lose"#);
/// ```
///
/// Rules are asked in the order in which they were added. The first that strikes decides, and
/// those behind it do not see that call or message; so several rules read as a script: "the first
/// one fails, the next one is delayed". See [`Matching`] for what they count.
#[derive(Clone)]
pub struct Rule {
    pub(super) operation: Operation,
    pub(super) topic: Option<Arc<str>>,
    pub(super) condition: Option<Condition>,
    pub(super) skip: u64,
    pub(super) times: Option<u64>,
    pub(super) probability: Option<f64>,
    pub(super) action: Action,
}

#[derive(Clone)]
pub(super) enum Action {
    Drop,
    Lose,
    Delay(Duration),
    DelayUpTo(Duration),
    Hold(Gate),
    Duplicate,
    Swap,
    Fail(MakeError),
    SendAndFail(MakeError),
}

impl Rule {
    /// A fault of `publish`, on the way out.
    pub fn publish() -> Matching<Publish> {
        Matching::new()
    }

    /// A fault on the way in: of the messages that a subscription receives.
    ///
    /// Every subscription counts for itself, so what one reader sees does not hang on which of
    /// several reads first. Gaps are no messages and always pass.
    pub fn receive() -> Matching<Receive> {
        Matching::new()
    }

    /// A fault of `subscribe`.
    pub fn subscribe() -> Matching<Subscribe> {
        Matching::new()
    }

    /// A fault of `unsubscribe`.
    pub fn unsubscribe() -> Matching<Unsubscribe> {
        Matching::new()
    }

    /// A fault of `close`.
    pub fn close() -> Matching<Close> {
        Matching::new()
    }

    pub(super) fn matches(
        &self,
        operation: Operation,
        topic: Option<&str>,
        envelope: Option<&MessageEnvelope>,
    ) -> bool {
        self.operation == operation
            && self.topic.as_deref().is_none_or(|wanted| Some(wanted) == topic)
            && self
                .condition
                .as_ref()
                .is_none_or(|condition| envelope.is_some_and(|envelope| condition(envelope)))
    }
}

/// The sentence that it is.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operation)?;
        if let Some(topic) = &self.topic {
            write!(f, " on {}", crate::show::quoted(topic))?;
        }
        if self.condition.is_some() {
            f.write_str(", if its condition holds")?;
        }
        if self.skip > 0 {
            write!(f, ", after {}", self.skip)?;
        }
        match self.times {
            Some(1) => f.write_str(", 1 time")?,
            Some(times) => write!(f, ", {times} times")?,
            None => {}
        }
        if let Some(probability) = self.probability {
            write!(f, ", with probability {probability}")?;
        }
        f.write_str(": ")?;
        match &self.action {
            Action::Drop => f.write_str("drop silently"),
            Action::Lose => f.write_str("lose"),
            Action::Delay(time) => write!(f, "delay by {time:?}"),
            Action::DelayUpTo(time) => write!(f, "delay by up to {time:?}"),
            Action::Hold(_) => f.write_str("hold at a gate"),
            Action::Duplicate => f.write_str("duplicate"),
            Action::Swap => f.write_str("swap with the next"),
            Action::Fail(_) => f.write_str("fail"),
            Action::SendAndFail(_) => f.write_str("send and fail"),
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({self})")
    }
}

/// The first half of a [`Rule`]: which calls or messages it strikes. Its last word, such as
/// [`delay`](Self::delay), makes it a rule.
///
/// Without further words, it strikes all of its kind. Of those that match
/// [`topic`](Self::topic) and [`when`](Self::when), the first [`skip`](Self::skip) go unharmed;
/// of the others each is struck with the [probability](Self::with_probability), until it has
/// struck the given number of [`times`](Self::times).
#[must_use = "it becomes a rule by its last word, which says what happens"]
pub struct Matching<On> {
    topic: Option<Arc<str>>,
    condition: Option<Condition>,
    skip: u64,
    times: Option<u64>,
    probability: Option<f64>,
    on: PhantomData<fn() -> On>,
}

/// What a rule can be about.
pub trait On: sealed::On {}

/// The kinds that concern one topic.
pub trait OnTopic: On {}

/// The kinds that concern one envelope.
pub trait OnEnvelope: OnTopic {}

/// The kinds that are calls, which can fail.
pub trait OnCall: On {}

mod sealed {
    pub trait On {
        const OPERATION: super::Operation;
    }
}

macro_rules! kinds {
    ($($name:ident, $text:literal: $($can:ident)*;)*) => {$(
        #[doc = $text]
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl sealed::On for $name {
            const OPERATION: Operation = Operation::$name;
        }

        impl On for $name {}
        $(impl $can for $name {})*
    )*};
}

kinds! {
    Publish, "Calls of `publish`: see [`Rule::publish`].": OnTopic OnEnvelope OnCall;
    Receive, "Messages that come in: see [`Rule::receive`].": OnTopic OnEnvelope;
    Subscribe, "Calls of `subscribe`: see [`Rule::subscribe`].": OnTopic OnCall;
    Unsubscribe, "Calls of `unsubscribe`: see [`Rule::unsubscribe`].": OnTopic OnCall;
    Close, "Calls of `close`: see [`Rule::close`].": OnCall;
}

impl<K: On> Matching<K> {
    fn new() -> Self {
        Self {
            topic: None,
            condition: None,
            skip: 0,
            times: None,
            probability: None,
            on: PhantomData,
        }
    }

    /// The first `count` go unharmed.
    pub fn skip(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// It strikes that many times, and then no more.
    pub fn times(mut self, count: u64) -> Self {
        self.times = Some(count);
        self
    }

    /// It strikes each with this probability, from 0 to 1.
    ///
    /// Chance comes from the [seed](super::Faulty::with_seed): with the same seed, the same calls
    /// and messages in the same order meet the same fate.
    ///
    /// # Panics
    /// If it is not from 0 to 1.
    pub fn with_probability(mut self, probability: f64) -> Self {
        assert!((0.0..=1.0).contains(&probability), "a probability from 0 to 1: {probability}");
        self.probability = Some(probability);
        self
    }

    /// It takes so long. The caller waits; of messages, those behind it wait too, so their order
    /// is kept.
    ///
    /// Time is tokio's, so `tokio::time::pause` makes it fly. A message's delay begins when its
    /// reader comes to it: of a row of messages, each is delayed after the one before.
    ///
    /// # Panics
    /// Not here; but who then waits for it needs a tokio runtime with time enabled.
    pub fn delay(self, time: Duration) -> Rule {
        self.then(Action::Delay(time))
    }

    /// It takes up to so long, by the seed's chance; otherwise as [`delay`](Self::delay).
    pub fn delay_up_to(self, time: Duration) -> Rule {
        self.then(Action::DelayUpTo(time))
    }

    /// It hangs until the test opens the gate. The caller waits; of messages, those behind it wait
    /// too, and so does the end of the stream.
    pub fn hold(self, gate: &Gate) -> Rule {
        self.then(Action::Hold(gate.clone()))
    }

    fn then(self, action: Action) -> Rule {
        let Self { topic, condition, skip, times, probability, .. } = self;
        Rule { operation: K::OPERATION, topic, condition, skip, times, probability, action }
    }
}

impl<K: OnTopic> Matching<K> {
    /// Only on exactly this topic.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into().into());
        self
    }
}

impl<K: OnEnvelope> Matching<K> {
    /// Only envelopes for which this is true.
    ///
    /// The condition must only look: it must not use the backend or its
    /// [`Controls`](super::Controls), which it might wait for in vain.
    pub fn when(
        mut self,
        condition: impl Fn(&MessageEnvelope) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.condition = Some(Arc::new(condition));
        self
    }

    /// It vanishes, and nobody is told: a publish is `Ok` and reaches no one, a message does not
    /// arrive.
    ///
    /// No backend may do that (L2). It shows what an application makes of a broken one, or of
    /// data that was never sent. An honest loss is [`lose`](Matching::lose).
    pub fn drop_silently(self) -> Rule {
        self.then(Action::Drop)
    }

    /// It goes out or comes in twice, one right behind the other.
    ///
    /// No backend may do that (D5), but a publisher that tries again after an error that
    /// [may have taken effect](Error::may_have_taken_effect) may have the same effect. Where the second
    /// of a publish fails, the publish is [`Error::Unconfirmed`].
    pub fn duplicate(self) -> Rule {
        self.then(Action::Duplicate)
    }
}

impl<K: OnCall> Matching<K> {
    /// It fails with this error, and nothing else happens: nothing is sent, nothing subscribed.
    /// A `close` closes all the same, as it has to.
    ///
    /// The error is made anew for each call, as errors cannot be cloned.
    pub fn fail_with(self, error: impl Fn() -> Error + Send + Sync + 'static) -> Rule {
        self.then(Action::Fail(Arc::new(error)))
    }
}

impl Matching<Publish> {
    /// It is sent, and fails with this error all the same: the case that [`Error::Timeout`] and
    /// [`Error::Unconfirmed`] leave open, in which trying again delivers it twice. No backend may do
    /// that with another error: those promise that nobody got it.
    pub fn send_and_fail_with(self, error: impl Fn() -> Error + Send + Sync + 'static) -> Rule {
        self.then(Action::SendAndFail(Arc::new(error)))
    }
}

impl Matching<Receive> {
    /// It is lost as an overflow loses messages: in its place there is a gap (`Lagged`), which
    /// says how many are missing.
    ///
    /// One gap tells of all that were lost in a row, as far as they were there when the reader
    /// came.
    pub fn lose(self) -> Rule {
        self.then(Action::Lose)
    }

    /// It comes behind the next event; if there is none, it is held back until the stream ends.
    ///
    /// No backend may do that (O1).
    pub fn swap_with_next(self) -> Rule {
        self.then(Action::Swap)
    }
}

impl<K: On> fmt::Debug for Matching<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matching")
            .field("operation", &K::OPERATION)
            .field("topic", &self.topic)
            .field("skip", &self.skip)
            .field("times", &self.times)
            .field("probability", &self.probability)
            .finish_non_exhaustive()
    }
}
