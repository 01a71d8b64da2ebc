//! What comes of a check.

use std::fmt;
use std::time::Duration;

use crate::Check;

/// What a check says about a backend.
///
/// A check is *inconclusive* until it has seen something: only a positive observation makes it
/// pass.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The backend was seen to do what the clauses ask for.
    Passed(Evidence),
    /// It was seen to do something else; the message says what, and which clause that breaks.
    Failed(String),
    /// An operation did not come back in time, or the backend blocked the thread. The message
    /// says what was being waited for.
    TimedOut(String),
    /// The harness could not do its part, such as making instances: nothing is said of the backend.
    Errored(String),
    /// The check came to its end without having seen what it has to see.
    Inconclusive(String),
    /// The check failed, as the list of [known failures](crate::Harness::known_failures) says.
    KnownFailure(String),
    /// The backend does not claim what the check is about: nothing was run.
    NotClaimed(String),
}

/// What a passed check rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    /// What was seen cannot have been otherwise by chance: order made every sentinel a proof.
    Certain,
    /// The check is about something that must not arrive, and the backend claims
    /// [no order](crate::Claims::without_order): several sentinels came through without it. That
    /// makes it likely, and no more.
    Statistical,
}

impl Verdict {
    /// Whether it is [`Passed`](Self::Passed), on whatever evidence.
    #[must_use]
    pub const fn is_passed(&self) -> bool {
        matches!(self, Self::Passed(_))
    }

    /// Whether the check was run and did not pass: it makes the run fail.
    ///
    /// That is so for [`Errored`](Self::Errored) and [`Inconclusive`](Self::Inconclusive), too,
    /// and not so for a [`KnownFailure`](Self::KnownFailure).
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::Failed(_) | Self::TimedOut(_) | Self::Errored(_) | Self::Inconclusive(_)
        )
    }

    /// The message, if there is one.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Passed(_) => None,
            Self::Failed(message)
            | Self::TimedOut(message)
            | Self::Errored(message)
            | Self::Inconclusive(message)
            | Self::KnownFailure(message)
            | Self::NotClaimed(message) => Some(message),
        }
    }

    /// The verdict in a word or two, such as `timed out`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Passed(Evidence::Certain) => "passed",
            Self::Passed(Evidence::Statistical) => "passed (statistical)",
            Self::Failed(_) => "failed",
            Self::TimedOut(_) => "timed out",
            Self::Errored(_) => "error",
            Self::Inconclusive(_) => "inconclusive",
            Self::KnownFailure(_) => "known failure",
            Self::NotClaimed(_) => "not claimed",
        }
    }

    /// The verdict with this [`word`](Self::word) and message.
    pub(crate) fn from_word(word: &str, message: Option<String>) -> Option<Self> {
        let message = message.unwrap_or_default();
        Some(match word {
            "passed" => Self::Passed(Evidence::Certain),
            "passed (statistical)" => Self::Passed(Evidence::Statistical),
            "failed" => Self::Failed(message),
            "timed out" => Self::TimedOut(message),
            "error" => Self::Errored(message),
            "inconclusive" => Self::Inconclusive(message),
            "known failure" => Self::KnownFailure(message),
            "not claimed" => Self::NotClaimed(message),
            _ => return None,
        })
    }
}

/// The verdict in a word or two, then its message on lines of its own.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotClaimed(reason) => f.write_str(reason),
            other => match other.message() {
                Some(message) => write!(f, "{}\n{message}", other.word()),
                None => f.write_str(other.word()),
            },
        }
    }
}

/// One check and its verdict.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The check.
    pub check: &'static Check,
    /// What it says.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}
