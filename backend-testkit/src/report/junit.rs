//! The report as JUnit's XML, which build servers show.

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::Report;
use crate::{Outcome, Verdict, checks};

impl Report {
    /// The report as JUnit's XML: one suite, one case for each check.
    ///
    /// What is not claimed, and what is known to fail, is *skipped*; what could not be said
    /// (error, inconclusive, not run) is an *error*.
    #[must_use]
    pub fn to_junit(&self) -> String {
        let mut suite = TestSuite::new(self.backend.as_str());
        for check in checks() {
            let outcome = self.outcomes.iter().find(|outcome| outcome.check.name() == check.name());
            let mut case = TestCase::new(check.name(), status(outcome));
            case.set_classname(self.backend.as_str());
            if let Some(outcome) = outcome {
                case.set_time(outcome.took);
            }
            suite.add_test_case(case);
        }
        suite.add_property(("seed", self.seed.to_string().as_str()));
        let mut report = quick_junit::Report::new("conformance");
        report.add_test_suite(suite);
        // Writing to a string fails for text that XML cannot hold, and the crate leaves that out.
        report.to_string().unwrap_or_default()
    }
}

fn status(outcome: Option<&Outcome>) -> TestCaseStatus {
    let Some(outcome) = outcome else {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message("not run");
        return status;
    };
    let mut status = match &outcome.verdict {
        Verdict::Passed(_) => TestCaseStatus::success(),
        Verdict::NotClaimed(_) | Verdict::KnownFailure(_) => TestCaseStatus::skipped(),
        Verdict::Failed(_) | Verdict::TimedOut(_) => {
            TestCaseStatus::non_success(NonSuccessKind::Failure)
        }
        Verdict::Errored(_) | Verdict::Inconclusive(_) => {
            TestCaseStatus::non_success(NonSuccessKind::Error)
        }
    };
    if let Some(message) = outcome.verdict.message() {
        status.set_type(outcome.verdict.word());
        status.set_message(message.lines().next().unwrap_or_default());
        status.set_description(message);
    }
    status
}
