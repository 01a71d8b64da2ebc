//! What a whole run says about a backend, and how that is published.

mod json;
mod junit;
mod markdown;

use std::fmt;
use std::path::Path;

use crate::{Check, Claims, Evidence, Level, Outcome, Verdict, checks};

pub use json::ReportError;
pub use markdown::matrix;

/// The outcome of a run of the suite over one backend.
///
/// ```
/// use std::time::Duration;
/// use backend_testkit::{Level, Suite, broken};
///
/// let suite = Suite::new(broken::honest(Duration::from_secs(5)));
/// let echo = suite.report_of(|check| check.name().starts_with("echo::"));
/// assert_eq!(echo.failures().count(), 0);
/// // Only a part of the checks was run, so nothing is said of the backend as a whole.
/// assert!(!echo.passed());
/// assert_eq!(echo.level(), None);
/// assert!(echo.tally(Level::Core).not_run > 0);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The backend's name.
    pub backend: String,
    /// What it claims.
    pub claims: Claims,
    /// Where all chance of the run came from; see [`Suite::with_seed`](crate::Suite::with_seed).
    pub seed: u64,
    /// What came of each check that was run, in the order of [`checks`].
    pub outcomes: Vec<Outcome>,
}

/// How the checks of one level went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Passed, the statistical ones included.
    pub passed: usize,
    /// Of those that passed, the ones on statistical evidence.
    pub statistical: usize,
    /// Failed, timed out, in error or inconclusive.
    pub failed: usize,
    /// Failed as the list of known failures says.
    pub known: usize,
    /// Not claimed.
    pub not_claimed: usize,
    /// Left out of this run.
    pub not_run: usize,
}

impl Report {
    /// Whether every check was run and none of them makes the run fail.
    ///
    /// What did not run counts as a failure: a part of the suite says nothing of the whole.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures().next().is_none() && self.outcomes.len() == checks().count()
    }

    /// The outcomes that make the run fail.
    pub fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| outcome.verdict.is_failure())
    }

    /// The highest level that the backend is at: it has passed what is asked for there and below.
    ///
    /// A level asks for its claims, and then for every check that the claims call for. A known
    /// failure is a failure here, and so is what was not run. `None` below [`Level::Core`].
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        let reached = |level: &&Level| {
            self.claims.missing(level.asks_for()).is_empty() && self.tally(**level).is_clean()
        };
        Level::ALL.iter().take_while(reached).last().copied()
    }

    /// How the checks of a level went.
    #[must_use]
    pub fn tally(&self, level: Level) -> Tally {
        self.tally_of(checks().filter(|check| Level::of(check) == level))
    }

    fn tally_of(&self, checks: impl Iterator<Item = &'static Check>) -> Tally {
        let mut tally = Tally::default();
        for check in checks {
            let outcome = self.outcomes.iter().find(|outcome| outcome.check.name() == check.name());
            match outcome.map(|outcome| &outcome.verdict) {
                None => tally.not_run += 1,
                Some(Verdict::Passed(evidence)) => {
                    tally.passed += 1;
                    tally.statistical += usize::from(*evidence == Evidence::Statistical);
                }
                Some(Verdict::KnownFailure(_)) => tally.known += 1,
                Some(Verdict::NotClaimed(_)) => tally.not_claimed += 1,
                Some(_) => tally.failed += 1,
            }
        }
        tally
    }

    /// Writes `<backend>.json`, `<backend>.xml` (JUnit) and `<backend>.md` into a folder, which is
    /// made if it is not there.
    ///
    /// # Errors
    /// The folder cannot be made, or a file not written; the error names which.
    pub fn write_to(&self, folder: &Path) -> std::io::Result<()> {
        let named = |path: &Path, error: std::io::Error| {
            std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        };
        std::fs::create_dir_all(folder).map_err(|error| named(folder, error))?;
        let files =
            [("json", self.to_json()), ("xml", self.to_junit()), ("md", self.to_markdown())];
        // A name may hold what a file's name may not.
        let stem = self.backend.replace(['/', '\\', ':', '\0'], "-");
        for (extension, text) in files {
            let path = folder.join(format!("{stem}.{extension}"));
            std::fs::write(&path, text).map_err(|error| named(&path, error))?;
        }
        Ok(())
    }
}

impl Tally {
    /// Whether something of the level was run, and all that was passed.
    fn is_clean(&self) -> bool {
        self.passed > 0 && (self.failed, self.known, self.not_run) == (0, 0, 0)
    }
}

/// In words: `118 passed, 2 failed, 12 not claimed`.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.passed, "passed"),
            (self.statistical, "of these statistical"),
            (self.failed, "failed"),
            (self.known, "known to fail"),
            (self.not_claimed, "not claimed"),
            (self.not_run, "not run"),
        ];
        let mut separator = "";
        for (count, word) in parts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{separator}{count} {word}")?;
            separator = ", ";
        }
        if separator.is_empty() { f.write_str("nothing to check") } else { Ok(()) }
    }
}
