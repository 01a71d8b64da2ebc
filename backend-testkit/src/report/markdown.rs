//! The report as Markdown, for READMEs and for people.

use std::fmt::Write;

use super::{Report, Tally};
use crate::{Claims, Clause, Level, Verdict, checks_of};

/// A table of several backends, side by side: levels, then claims. For a README.
///
/// It holds no times and no seeds, so it changes only when a backend does.
///
/// ```
/// use std::time::Duration;
/// use backend_testkit::{Suite, broken, matrix};
///
/// let report = Suite::new(broken::honest(Duration::from_secs(5))).report_of(|_| false);
/// assert!(matrix(&[report]).contains("| core |"));
/// ```
#[must_use]
pub fn matrix(reports: &[Report]) -> String {
    let mut table = String::new();
    let mut row = |head: &str, cells: Vec<String>| {
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {head} | {} |", cells.join(" | "));
    };
    let each = |cell: &dyn Fn(&Report) -> String| reports.iter().map(cell).collect::<Vec<_>>();
    row("", each(&|report| format!("**{}**", report.backend)));
    row("---", each(&|_| "---".to_owned()));
    row("level", each(&|report| format!("**{}**", level(report))));
    for level in Level::ALL {
        row(&level.to_string(), each(&|report| tally(&report.tally(*level))));
    }
    for (index, (name, _)) in Claims::new().in_words().into_iter().enumerate() {
        let claim = |report: &Report| report.claims.in_words()[index].1.clone();
        row(&format!("claims {name}"), each(&|report| claim(report).unwrap_or_else(|| "–".into())));
    }
    table
}

fn level(report: &Report) -> String {
    report.level().map_or_else(|| "none".to_owned(), |level| level.to_string())
}

fn tally(tally: &Tally) -> String {
    let mark = if tally.is_clean() {
        "✓ "
    } else if tally.failed + tally.known + tally.not_run > 0 {
        "✗ "
    } else {
        ""
    };
    format!("{mark}{tally}")
}

impl Report {
    /// The report as Markdown: the level, a table of the levels, the claims, a table of the
    /// clauses, and the message of each failure.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# Conformance of {}\n", self.backend);
        let verdict = if self.passed() { "passed" } else { "**not passed**" };
        let _ = writeln!(text, "The run has {verdict}. Level: **{}**.\n", level(self));
        let _ = writeln!(text, "| level | checks |\n| --- | --- |");
        for level in Level::ALL {
            let _ = writeln!(text, "| {level} | {} |", tally(&self.tally(*level)));
        }
        let _ = writeln!(text, "\n| claim | |\n| --- | --- |");
        for (name, claimed) in self.claims.in_words() {
            let _ = writeln!(text, "| {name} | {} |", claimed.as_deref().unwrap_or("not claimed"));
        }
        let _ = writeln!(text, "\n| clause | | checks |\n| --- | --- | --- |");
        for clause in Clause::ALL {
            let _ = writeln!(
                text,
                "| {} | {} | {} |",
                clause.id(),
                clause.title(),
                tally(&self.tally_of(checks_of(*clause)))
            );
        }
        self.write_messages(&mut text);
        text
    }

    fn write_messages(&self, text: &mut String) {
        for outcome in &self.outcomes {
            let known = matches!(outcome.verdict, Verdict::KnownFailure(_));
            let (true, Some(message)) =
                (outcome.verdict.is_failure() || known, outcome.verdict.message())
            else {
                continue;
            };
            let word = outcome.verdict.word();
            let _ = writeln!(text, "\n## `{}`: {word}\n", outcome.check.name());
            // A message may quote anything, so its fence is longer than any in it.
            let longest = message.split(|c| c != '`').map(str::len).max().unwrap_or(0);
            let fence = "`".repeat(longest.max(2) + 1);
            let _ = writeln!(text, "{fence}text\n{message}\n{fence}");
        }
    }
}
