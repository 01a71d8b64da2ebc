//! What a check has to say when a backend does not keep a clause.

use std::time::Duration;

use crate::Clause;

/// What every check ends with.
pub(crate) type Verified<T = ()> = Result<T, Failure>;

/// Why a check failed: what the contract asks for, and what was there instead.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) expected: String,
    pub(crate) seen: String,
    /// The clause that was broken, where the check is held by several.
    pub(crate) clause: Option<Clause>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The backend did something else.
    Broken,
    /// An operation did not come back.
    Hung,
    /// The harness could not do its part.
    Harness,
    /// Nothing was seen that would say anything.
    Inconclusive,
}

impl Failure {
    pub(crate) fn new(expected: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { kind: Kind::Broken, expected: expected.into(), seen: seen.into(), clause: None }
    }

    pub(crate) fn hung(operation: &str, deadline: Duration) -> Self {
        Self {
            kind: Kind::Hung,
            expected: format!("{operation}: an end within {deadline:?}"),
            seen: "it did not come back".into(),
            clause: None,
        }
    }

    /// The harness could not do its part.
    pub(crate) fn harness(expected: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { kind: Kind::Harness, ..Self::new(expected, seen) }
    }

    /// The check has not seen what it has to see.
    pub(crate) fn inconclusive(expected: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { kind: Kind::Inconclusive, ..Self::new(expected, seen) }
    }

    /// Names the clause that this failure breaks, among those of its check.
    pub(crate) fn of(mut self, clause: Clause) -> Self {
        self.clause = self.clause.or(Some(clause));
        self
    }

    /// Says what the expectation was for.
    pub(crate) fn because(mut self, reason: &str) -> Self {
        self.expected = format!("{} ({reason})", self.expected);
        self
    }
}

/// Adds the clause or the reason to the failure of a step.
pub(crate) trait Explain {
    fn because(self, reason: &str) -> Self;
    fn of(self, clause: Clause) -> Self;
}

impl<T> Explain for Verified<T> {
    fn because(self, reason: &str) -> Self {
        self.map_err(|failure| failure.because(reason))
    }

    fn of(self, clause: Clause) -> Self {
        self.map_err(|failure| failure.of(clause))
    }
}

/// Fails unless the condition holds.
pub(crate) fn ensure(
    condition: bool,
    expected: impl Into<String>,
    seen: impl Into<String>,
) -> Verified {
    if condition { Ok(()) } else { Err(Failure::new(expected, seen)) }
}
