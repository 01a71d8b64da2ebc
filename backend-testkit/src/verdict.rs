//! What comes of a check.

use std::fmt;
use std::time::Duration;

use crate::Check;

/// What a check says about a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The backend was seen to do what the clauses ask for.
    Passed,
    /// It was seen to do something else; the message says what, and which clause that breaks.
    Failed(String),
    /// An operation did not come back in time, or the backend blocked the thread. The message
    /// says what was being waited for.
    TimedOut(String),
    /// The backend does not claim what the check is about: nothing was run.
    NotClaimed(String),
}

impl Verdict {
    /// Whether it is [`Passed`](Self::Passed).
    #[must_use]
    pub const fn is_passed(&self) -> bool {
        matches!(self, Self::Passed)
    }

    /// Whether the check was run and not passed.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::TimedOut(_))
    }

    /// The message, if there is one.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Passed => None,
            Self::Failed(message) | Self::TimedOut(message) | Self::NotClaimed(message) => {
                Some(message)
            }
        }
    }
}

/// The verdict in a word or two, then its message on lines of its own.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed(message) => write!(f, "failed\n{message}"),
            Self::TimedOut(message) => write!(f, "timed out\n{message}"),
            Self::NotClaimed(reason) => f.write_str(reason),
        }
    }
}

/// The verdict of one check.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// The check.
    pub check: &'static Check,
    /// What it says.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}
