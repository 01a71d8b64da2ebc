//! What a backend says it can do, beyond what all must.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a backend claims, beyond what the contract asks of all.
///
/// A claim that is made is checked. One that is not made leaves the checks that need it out, and
/// the report says so: they are shown as *not claimed*, never as passed. The default claims
/// nothing beyond what the contract asks of all.
///
/// Two things that the contract does ask for can be taken back, by
/// [`without_order`](Self::without_order) and [`without_drained_close`](Self::without_drained_close):
/// some engines cannot keep them, and the suite has to know in order to judge the rest. The report
/// shows it, and the [level](crate::Level) says how far such a backend goes.
///
/// ```
/// use std::time::Duration;
/// use backend_testkit::{Claims, Order};
///
/// let claims = Claims::new()
///     .with_health()
///     .with_faults()
///     .with_capacity(64)
///     .with_deadline(Duration::from_secs(10));
/// assert_eq!(claims.order(), Order::PerPublisher);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Claims {
    order: Order,
    drained_close: bool,
    health: bool,
    counters: bool,
    probe: bool,
    faults: bool,
    capacity: Option<usize>,
    exact_gaps: bool,
    max_data: Option<usize>,
    deadline: Duration,
}

/// In which order envelopes of one topic arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Order {
    /// In any: clauses O1 and O3 are not kept.
    None,
    /// Each publishing instance's in the order of its publishes (clause O1).
    PerPublisher,
    /// All publishers' in one order, the same for all subscriptions (clause O2), and each
    /// publisher's in the order of its publishes.
    Total,
}

impl Claims {
    /// Claims what the contract asks of all and no more, with a deadline of five seconds.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            order: Order::PerPublisher,
            drained_close: true,
            health: false,
            counters: false,
            probe: false,
            faults: false,
            capacity: None,
            exact_gaps: false,
            max_data: None,
            deadline: Duration::from_secs(5),
        }
    }

    /// All subscriptions to a topic see the envelopes of all publishers in one order (clause O2).
    #[must_use]
    pub const fn with_total_order(mut self) -> Self {
        self.order = Order::Total;
        self
    }

    /// Takes back what clauses O1 and O3 ask for: envelopes of one publisher may overtake each
    /// other.
    ///
    /// The checks on order are then *not claimed*. The others take envelopes in any order, and
    /// since no sentinel can prove that nothing comes after it, they send several; what they say
    /// of things that must not arrive is [statistical](crate::Evidence::Statistical).
    #[must_use]
    pub const fn without_order(mut self) -> Self {
        self.order = Order::None;
        self
    }

    /// Takes back that the streams of a closed instance are drained first (part of clause C1): what
    /// had been accepted and not yet read may be gone. They still end.
    #[must_use]
    pub const fn without_drained_close(mut self) -> Self {
        self.drained_close = false;
        self
    }

    /// The backend knows its health: `as_health_aware` is `Some`.
    #[must_use]
    pub const fn with_health(mut self) -> Self {
        self.health = true;
        self
    }

    /// The backend keeps counters: `as_observable` is `Some`, and its `topics`, `subscriptions`
    /// and `expired` are right. Leaks can be seen only where this is claimed.
    #[must_use]
    pub const fn with_counters(mut self) -> Self {
        self.counters = true;
        self
    }

    /// The harness can ask the engine which topics it holds for an instance: its clusters come with
    /// a [`Probe`](crate::Probe). Leaks at the engine can be seen only where this is claimed.
    #[must_use]
    pub const fn with_probe(mut self) -> Self {
        self.probe = true;
        self
    }

    /// The harness can cut an instance off: its clusters come with [`Faults`](crate::Faults).
    #[must_use]
    pub const fn with_faults(mut self) -> Self {
        self.faults = true;
        self
    }

    /// A subscription that nobody reads keeps at least this many envelopes of its topic.
    ///
    /// The overflow checks publish a few times as many, one after the other, so let the harness
    /// set up a small buffer where the backend allows it: 64 is a good number.
    #[must_use]
    pub const fn with_capacity(mut self, envelopes: usize) -> Self {
        self.capacity = Some(envelopes);
        self
    }

    /// After an overflow, the gap says exactly how many envelopes are missing.
    #[must_use]
    pub const fn with_exact_gaps(mut self) -> Self {
        self.exact_gaps = true;
        self
    }

    /// Data of up to this many bytes is carried.
    #[must_use]
    pub const fn with_max_data(mut self, bytes: usize) -> Self {
        self.max_data = Some(bytes);
        self
    }

    /// How long the slowest honest operation or delivery may take; five seconds unless set.
    ///
    /// It is a limit and costs nothing on a good day: no check waits for it, except to fail. Set
    /// it generously for engines far away or on loaded machines.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// In which order envelopes arrive.
    #[must_use]
    pub const fn order(&self) -> Order {
        self.order
    }

    /// Whether the streams of a closed instance are drained first.
    #[must_use]
    pub const fn drained_close(&self) -> bool {
        self.drained_close
    }

    /// Whether health is claimed.
    #[must_use]
    pub const fn health(&self) -> bool {
        self.health
    }

    /// Whether counters are claimed.
    #[must_use]
    pub const fn counters(&self) -> bool {
        self.counters
    }

    /// Whether the harness can ask the engine for an instance's topics.
    #[must_use]
    pub const fn probe(&self) -> bool {
        self.probe
    }

    /// Whether the harness can cut an instance off.
    #[must_use]
    pub const fn faults(&self) -> bool {
        self.faults
    }

    /// How many envelopes a subscription that nobody reads is sure to keep, if claimed.
    #[must_use]
    pub const fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    /// Whether exact numbers in gaps are claimed.
    #[must_use]
    pub const fn exact_gaps(&self) -> bool {
        self.exact_gaps
    }

    /// The most data that is sure to be carried, in bytes, if claimed.
    #[must_use]
    pub const fn max_data(&self) -> Option<usize> {
        self.max_data
    }

    /// How long the slowest honest operation or delivery may take.
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Those of `needs` that are not claimed.
    pub(crate) fn missing(&self, needs: &[Need]) -> Vec<Need> {
        needs.iter().copied().filter(|need| !self.meets(*need)).collect()
    }

    /// The claims as reports show them: a word for each, and what is claimed, if anything.
    pub(crate) fn in_words(&self) -> [(&'static str, Option<String>); 9] {
        let yes = |claimed: bool| claimed.then(|| "yes".to_owned());
        let order = match self.order {
            Order::None => None,
            Order::PerPublisher => Some("per publisher".to_owned()),
            Order::Total => Some("total".to_owned()),
        };
        [
            ("order", order),
            ("drained close", yes(self.drained_close)),
            ("capacity", self.capacity.map(|envelopes| envelopes.to_string())),
            ("exact gaps", yes(self.exact_gaps)),
            ("largest data", self.max_data.map(|bytes| format!("{bytes} bytes"))),
            ("health", yes(self.health)),
            ("counters", yes(self.counters)),
            ("probe of the engine", yes(self.probe)),
            ("faults", yes(self.faults)),
        ]
    }

    const fn meets(&self, need: Need) -> bool {
        match need {
            Need::Order => !matches!(self.order, Order::None),
            Need::TotalOrder => matches!(self.order, Order::Total),
            Need::DrainedClose => self.drained_close,
            Need::Health => self.health,
            Need::Counters => self.counters,
            Need::Registrations => self.counters || self.probe,
            Need::Faults => self.faults,
            Need::Capacity => self.capacity.is_some(),
            Need::ExactGaps => self.exact_gaps,
            Need::MaxData => self.max_data.is_some(),
        }
    }
}

impl Default for Claims {
    fn default() -> Self {
        Self::new()
    }
}

/// A claim that a check needs before it can hold a backend to anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Need {
    /// Not [`Claims::without_order`].
    Order,
    /// [`Claims::with_total_order`].
    TotalOrder,
    /// Not [`Claims::without_drained_close`].
    DrainedClose,
    /// [`Claims::with_health`].
    Health,
    /// [`Claims::with_counters`].
    Counters,
    /// [`Claims::with_counters`] or [`Claims::with_probe`]: either tells what is registered.
    Registrations,
    /// [`Claims::with_faults`].
    Faults,
    /// [`Claims::with_capacity`].
    Capacity,
    /// [`Claims::with_exact_gaps`].
    ExactGaps,
    /// [`Claims::with_max_data`].
    MaxData,
}

/// The claim in words: `total order`.
impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Order => "order",
            Self::TotalOrder => "total order",
            Self::DrainedClose => "drained close",
            Self::Health => "health",
            Self::Counters => "counters",
            Self::Registrations => "counters or a probe",
            Self::Faults => "faults",
            Self::Capacity => "capacity",
            Self::ExactGaps => "exact gaps",
            Self::MaxData => "max data",
        })
    }
}
