//! How far a backend goes: the levels by which backends are compared.

use std::fmt;

use crate::{Check, Need};

/// A part of the contract that backends are compared by.
///
/// Levels stand on one another: a backend is [*at*](crate::Report::level) a level when it has
/// passed what that level and all below it ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Delivery, isolation, fidelity, loss, lifecycle, cancellation and ttl.
    Core,
    /// Order, too: of each publisher, and of all where that is claimed.
    Ordered,
    /// It knows its health, too.
    Health,
    /// It has been cut off and let back, too, and kept all clauses on outages.
    FaultTested,
}

impl Level {
    /// All levels, the lowest first.
    pub const ALL: &'static [Self] = &[Self::Core, Self::Ordered, Self::Health, Self::FaultTested];

    /// The level that a check belongs to.
    #[must_use]
    pub fn of(check: &Check) -> Self {
        let needs = |need| check.needs().contains(&need);
        if needs(Need::Faults) {
            Self::FaultTested
        } else if needs(Need::Health) {
            Self::Health
        } else if needs(Need::Order) || needs(Need::TotalOrder) {
            Self::Ordered
        } else {
            Self::Core
        }
    }

    /// The claims that a backend makes to be looked at for this level.
    pub(crate) const fn asks_for(self) -> &'static [Need] {
        match self {
            Self::Core => &[],
            Self::Ordered => &[Need::Order],
            Self::Health => &[Need::Health],
            Self::FaultTested => &[Need::Health, Need::Faults],
        }
    }
}

/// `core`, `ordered`, `health`, `fault-tested`.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Core => "core",
            Self::Ordered => "ordered",
            Self::Health => "health",
            Self::FaultTested => "fault-tested",
        })
    }
}
