//! One check: a name, the clauses that it holds a backend to, and what it does.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::bench::Bench;
use crate::failure::Verified;
use crate::{Clause, Need};

pub(crate) type Run = fn(Bench) -> Pin<Box<dyn Future<Output = Verified>>>;

/// One check of the suite.
///
/// A check is small and holds one idea. It passes on a positive observation only: what saw nothing
/// has not passed. That something does *not* arrive is shown with a witness and a sentinel, never
/// by waiting for a while: somebody else receives the forbidden envelope, something permitted is
/// sent after it, and the subject sees the second without the first.
pub struct Check {
    pub(crate) name: &'static str,
    pub(crate) clauses: &'static [Clause],
    pub(crate) needs: &'static [Need],
    pub(crate) summary: &'static str,
    pub(crate) run: Run,
}

impl Check {
    /// Its name: the group and the idea, such as `deliver::reaches_every_other_instance`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The clauses that it holds a backend to; the first is the one it is mostly about.
    #[must_use]
    pub const fn clauses(&self) -> &'static [Clause] {
        self.clauses
    }

    /// The claims without which it says nothing about a backend.
    #[must_use]
    pub const fn needs(&self) -> &'static [Need] {
        self.needs
    }

    /// What a backend shows by passing it, in a sentence.
    #[must_use]
    pub const fn summary(&self) -> &'static str {
        self.summary
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("name", &self.name)
            .field("clauses", &self.clauses)
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}

/// `check!("group", name, [clauses], [needs], "summary")`: an entry for the function `name`.
macro_rules! check {
    ($group:literal, $name:ident, [$($clause:ident),+], [$($need:ident),*], $summary:literal) => {
        $crate::Check {
            name: concat!($group, "::", stringify!($name)),
            clauses: &[$($crate::Clause::$clause),+],
            needs: &[$($crate::Need::$need),*],
            summary: $summary,
            run: |bench| Box::pin($name(bench)),
        }
    };
}

pub(crate) use check;
