//! The summary that a person reads, and the last line that a program reads.

use std::io::{self, Write};
use std::time::Duration;

use anstyle::Style;

use crate::steps::{Kind, Step};
use crate::style::{BOLD, GREEN, RED, YELLOW};
use crate::tally::Tally;

/// How one step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// What is told about one step.
#[derive(Debug)]
pub(crate) struct StepReport {
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) time: Duration,
    /// For steps that run tests.
    pub(crate) tests: Option<Tally>,
}

impl StepReport {
    /// The report of a step that was run.
    pub(crate) fn ran(
        step: &Step,
        ending: Result<(), String>,
        time: Duration,
        tests: Tally,
    ) -> Self {
        let outcome = match (ending, step.kind) {
            // Cargo is content when it finds nothing to run; we would miss it.
            (Ok(()), Kind::Tests) if tests.total() == 0 => {
                Outcome::Failed("not one test was found".into())
            }
            (Ok(()), _) => Outcome::Passed,
            (Err(reason), _) => Outcome::Failed(reason),
        };
        let tests = (step.kind == Kind::Tests).then_some(tests);
        Self { name: step.name, outcome, time, tests }
    }

    /// The report of a step that could not be run here.
    pub(crate) fn not_run(step: &Step, outcome: Outcome) -> Self {
        Self { name: step.name, outcome, time: Duration::ZERO, tests: None }
    }

    fn has_failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }
}

/// The numbers of the last line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Totals {
    /// Counts tests; a step that has none counts as one, and so does one that failed without a failed
    /// test.
    fn of(reports: &[StepReport]) -> Self {
        let mut totals = Self::default();
        for report in reports {
            let mut failed = 0;
            if let Some(tests) = &report.tests {
                totals.passed += tests.passed;
                totals.skipped += tests.ignored;
                failed = tests.failed;
            }
            match report.outcome {
                Outcome::Passed => totals.passed += u64::from(report.tests.is_none()),
                Outcome::Failed(_) => failed = failed.max(1),
                Outcome::Skipped(_) => totals.skipped += 1,
            }
            totals.failed += failed;
        }
        totals
    }
}

/// Prints the summary; says whether everything passed.
pub(crate) fn summary(reports: &[StepReport], out: &mut impl Write) -> io::Result<bool> {
    let totals = Totals::of(reports);
    writeln!(out, "\n{BOLD}Summary{BOLD:#}")?;
    for report in reports {
        step(report, out)?;
    }
    failed_tests(reports, out)?;
    ignored_tests(reports, out)?;
    if reports.iter().any(StepReport::has_failed) {
        writeln!(out, "\n{BOLD}To run only what failed{BOLD:#}")?;
        write!(out, "  cargo xtask test")?;
        for report in reports.iter().filter(|report| report.has_failed()) {
            write!(out, " --only {}", report.name)?;
        }
        writeln!(out)?;
    }
    let Totals { passed, failed, skipped } = totals;
    writeln!(out, "\n{passed} passed, {failed} failed, {skipped} skipped")?;
    out.flush()?;
    Ok(failed == 0)
}

fn step(report: &StepReport, out: &mut impl Write) -> io::Result<()> {
    let (word, style, reason): (_, Style, _) = match &report.outcome {
        Outcome::Passed => ("passed", GREEN, None),
        Outcome::Failed(reason) => ("FAILED", RED, Some(reason)),
        Outcome::Skipped(reason) => ("skipped", YELLOW, Some(reason)),
    };
    write!(out, "  {style}{word:<7}{style:#}  {:<12}  {:>11}", report.name, shown(report.time))?;
    if let Some(tests) = &report.tests {
        let Tally { passed, failed, ignored, .. } = tests;
        write!(out, "   tests: {passed} passed, {failed} failed, {ignored} ignored")?;
    }
    if let Some(reason) = reason {
        write!(out, "   {reason}")?;
    }
    writeln!(out)
}

fn failed_tests(reports: &[StepReport], out: &mut impl Write) -> io::Result<()> {
    let tests = tallies(reports).flat_map(|tally| &tally.failed_tests);
    list("Failed tests", tests.map(|test| (&*test.binary, test.name.clone())), out)
}

fn ignored_tests(reports: &[StepReport], out: &mut impl Write) -> io::Result<()> {
    let tests = tallies(reports).flat_map(|tally| &tally.ignored_tests);
    let lines = tests.map(|test| match &test.reason {
        Some(reason) => (&*test.binary, format!("{}: {reason}", test.name)),
        None => (&*test.binary, test.name.clone()),
    });
    list("Ignored tests", lines, out)
}

fn tallies(reports: &[StepReport]) -> impl Iterator<Item = &Tally> {
    reports.iter().filter_map(|report| report.tests.as_ref())
}

/// Prints lines under a title, with each test program named once.
fn list<'a>(
    title: &str,
    lines: impl Iterator<Item = (&'a str, String)>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut program = None;
    for (index, (binary, line)) in lines.enumerate() {
        if index == 0 {
            writeln!(out, "\n{BOLD}{title}{BOLD:#}")?;
        }
        if program != Some(binary) {
            program = Some(binary);
            writeln!(out, "  {binary}")?;
        }
        writeln!(out, "    {line}")?;
    }
    Ok(())
}

/// A time that a person can compare.
pub(crate) fn shown(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps;
    use crate::tally::{Failed, Ignored};
    use std::path::Path;

    fn named(name: &str) -> Step {
        steps::all(Path::new("target"), &[]).into_iter().find(|step| step.name == name).unwrap()
    }

    fn ran(name: &str, ending: Result<(), &str>, tests: Tally) -> StepReport {
        let ending = ending.map_err(ToString::to_string);
        StepReport::ran(&named(name), ending, Duration::from_millis(1_234), tests)
    }

    fn tests(passed: u64, failed: u64, ignored: u64) -> Tally {
        Tally { passed, failed, ignored, ..Tally::default() }
    }

    fn print(reports: &[StepReport]) -> (bool, String) {
        let mut out = anstream::StripStream::new(Vec::new());
        let passed = summary(reports, &mut out).unwrap();
        (passed, String::from_utf8(out.into_inner()).unwrap())
    }

    #[test]
    fn the_last_line_counts_tests_and_steps_without_any() {
        let reports = [
            ran("format", Ok(()), Tally::default()),
            ran("test", Ok(()), tests(40, 0, 3)),
            ran("loom", Ok(()), tests(7, 0, 0)),
        ];
        let (passed, text) = print(&reports);
        assert!(passed);
        assert!(text.ends_with("\n48 passed, 0 failed, 3 skipped\n"), "{text}");
        assert!(!text.contains("--only"), "{text}");
    }

    #[test]
    fn a_step_without_tests_is_not_nothing() {
        let (passed, text) = print(&[ran("format", Ok(()), Tally::default())]);
        assert!(passed);
        assert!(text.ends_with("\n1 passed, 0 failed, 0 skipped\n"), "{text}");
        let (passed, text) = print(&[ran("format", Err("exit status: 1"), Tally::default())]);
        assert!(!passed);
        assert!(text.ends_with("\n0 passed, 1 failed, 0 skipped\n"), "{text}");
    }

    #[test]
    fn a_failed_step_counts_as_one_unless_its_tests_tell_more() {
        let reports = [
            ran("format", Err("exit status: 1"), Tally::default()),
            ran("test", Err("exit status: 101"), tests(40, 3, 0)),
            ran("loom", Err("exit status: 101"), tests(0, 0, 0)),
        ];
        let (passed, text) = print(&reports);
        assert!(!passed);
        assert!(text.ends_with("\n40 passed, 5 failed, 0 skipped\n"), "{text}");
        assert!(
            text.contains("cargo xtask test --only format --only test --only loom\n"),
            "{text}"
        );
    }

    #[test]
    fn a_test_step_without_tests_fails() {
        let report = ran("loom", Ok(()), Tally::default());
        assert_eq!(report.outcome, Outcome::Failed("not one test was found".into()));
    }

    #[test]
    fn a_skipped_step_is_shown_with_its_reason() {
        let outcome = Outcome::Skipped("clippy is not installed".into());
        let (passed, text) = print(&[StepReport::not_run(&named("clippy"), outcome)]);
        assert!(passed);
        assert!(text.contains("skipped  clippy"), "{text}");
        assert!(text.contains("clippy is not installed\n"), "{text}");
        assert!(text.ends_with("\n0 passed, 0 failed, 1 skipped\n"), "{text}");
    }

    #[test]
    fn failed_and_ignored_tests_are_listed_under_their_program() {
        let ignored = |name: &str, reason: Option<&str>| Ignored {
            binary: "tests/browser.rs".into(),
            name: name.into(),
            reason: reason.map(Into::into),
        };
        let mut tally = tests(1, 1, 2);
        tally.failed_tests.push(Failed { binary: "tests/ring.rs".into(), name: "order".into() });
        tally.ignored_tests.push(ignored("talk", Some("no Chromium")));
        tally.ignored_tests.push(ignored("slow", None));
        let (_, text) = print(&[ran("test", Err("exit status: 101"), tally)]);
        assert!(text.contains("Failed tests\n  tests/ring.rs\n    order\n"), "{text}");
        let listed = "Ignored tests\n  tests/browser.rs\n    talk: no Chromium\n    slow\n";
        assert!(text.contains(listed), "{text}");
    }

    #[test]
    fn times_are_short_to_read() {
        assert_eq!(shown(Duration::from_millis(40)), "0.0 s");
        assert_eq!(shown(Duration::from_millis(12_340)), "12.3 s");
        assert_eq!(shown(Duration::from_secs(125)), "2 min 05 s");
    }
}
