//! What a backend says it can do, beyond what all must.

use std::fmt;
use std::time::Duration;

/// What a backend claims, beyond what the contract asks of all.
///
/// A claim that is made is checked. One that is not made leaves the checks that need it out, and
/// the report says so: they are shown as *not claimed*, never as passed. The default claims
/// nothing.
///
/// ```
/// use std::time::Duration;
/// use backend_testkit::Claims;
///
/// let claims = Claims::new()
///     .with_health()
///     .with_faults()
///     .with_capacity(64)
///     .with_deadline(Duration::from_secs(10));
/// assert!(!claims.total_order());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claims {
    total_order: bool,
    health: bool,
    counters: bool,
    faults: bool,
    capacity: Option<usize>,
    exact_gaps: bool,
    max_data: Option<usize>,
    deadline: Duration,
}

impl Claims {
    /// Claims nothing, with a deadline of five seconds.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            total_order: false,
            health: false,
            counters: false,
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
        self.total_order = true;
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

    /// Whether a total order is claimed.
    #[must_use]
    pub const fn total_order(&self) -> bool {
        self.total_order
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

    const fn meets(&self, need: Need) -> bool {
        match need {
            Need::TotalOrder => self.total_order,
            Need::Health => self.health,
            Need::Counters => self.counters,
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
    /// [`Claims::with_total_order`].
    TotalOrder,
    /// [`Claims::with_health`].
    Health,
    /// [`Claims::with_counters`].
    Counters,
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
            Self::TotalOrder => "total order",
            Self::Health => "health",
            Self::Counters => "counters",
            Self::Faults => "faults",
            Self::Capacity => "capacity",
            Self::ExactGaps => "exact gaps",
            Self::MaxData => "max data",
        })
    }
}
