//! The report as JSON, and back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Report;
use crate::{Claims, Level, Outcome, Verdict, checks};

/// The form of the file; a reader refuses another one.
const FORMAT: &str = "backend-testkit/1";

/// A text is no report that this version of the suite can read.
#[derive(Debug, thiserror::Error)]
#[error("no conformance report of this version: {0}")]
pub struct ReportError(String);

#[derive(Serialize, Deserialize)]
struct Document {
    format: String,
    backend: String,
    /// The highest level that was reached; for readers, not read back.
    level: Option<String>,
    passed: bool,
    seed: u64,
    claims: Claims,
    checks: Vec<Entry>,
    not_run: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    name: String,
    clauses: Vec<String>,
    level: String,
    verdict: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    milliseconds: u64,
}

impl Report {
    /// The report as JSON: the claims, and each check with its verdict and message.
    #[must_use]
    pub fn to_json(&self) -> String {
        let run = |name: &str| self.outcomes.iter().any(|outcome| outcome.check.name() == name);
        let document = Document {
            format: FORMAT.to_owned(),
            backend: self.backend.clone(),
            level: self.level().map(|level| level.to_string()),
            passed: self.passed(),
            seed: self.seed,
            claims: self.claims.clone(),
            checks: self.outcomes.iter().map(entry).collect(),
            not_run: checks()
                .map(|check| check.name())
                .filter(|name| !run(name))
                .map(str::to_owned)
                .collect(),
        };
        // Only maps with keys that are no strings, and failing implementations, make this fail.
        serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
    }

    /// Reads what [`to_json`](Self::to_json) has written, such as to make a [`matrix`](crate::matrix)
    /// of several backends.
    ///
    /// # Errors
    /// The text is no such report, or it is of another version of the suite and names checks that
    /// this one does not have.
    pub fn from_json(text: &str) -> Result<Self, ReportError> {
        let document: Document =
            serde_json::from_str(text).map_err(|error| ReportError(error.to_string()))?;
        if document.format != FORMAT {
            return Err(ReportError(format!("its format is {:?}", document.format)));
        }
        let outcome = |entry: Entry| {
            let unknown = || ReportError(format!("{:?} is no check", entry.name));
            let verdict = Verdict::from_word(&entry.verdict, entry.message.clone())
                .ok_or_else(|| ReportError(format!("{:?} is no verdict", entry.verdict)))?;
            Ok(Outcome {
                check: checks().find(|check| check.name() == entry.name).ok_or_else(unknown)?,
                verdict,
                took: Duration::from_millis(entry.milliseconds),
            })
        };
        Ok(Self {
            backend: document.backend,
            claims: document.claims,
            seed: document.seed,
            outcomes: document.checks.into_iter().map(outcome).collect::<Result<_, _>>()?,
        })
    }
}

fn entry(outcome: &Outcome) -> Entry {
    Entry {
        name: outcome.check.name().to_owned(),
        clauses: outcome.check.clauses().iter().map(|clause| clause.id().to_owned()).collect(),
        level: Level::of(outcome.check).to_string(),
        verdict: outcome.verdict.word().to_owned(),
        message: outcome.verdict.message().map(str::to_owned),
        milliseconds: u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
    }
}
