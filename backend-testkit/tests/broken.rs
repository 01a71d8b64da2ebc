//! Every broken backend fails at the check that names its fault, and what is not broken passes.

use std::time::Duration;

use backend_testkit::{Suite, Verdict, broken, checks};

/// A fault that shows as a hang takes this long to find.
const DEADLINE: Duration = Duration::from_secs(1);

#[test]
fn every_broken_backend_fails_at_the_check_that_names_its_fault() {
    let mut uncaught = Vec::new();
    for specimen in broken::specimens() {
        let suite = Suite::new(specimen.harness(DEADLINE));
        let verdict = suite.outcome_of(specimen.caught_by()).map(|outcome| outcome.verdict);
        match verdict {
            Some(Verdict::Failed(message) | Verdict::TimedOut(message)) => {
                let check = specimen.caught_by();
                assert!(message.contains(check), "{check} is not named in: {message}");
            }
            other => uncaught.push(format!(
                "{} ({}) is not caught by {}: {other:?}",
                specimen.name(),
                specimen.fault(),
                specimen.caught_by()
            )),
        }
    }
    assert!(uncaught.is_empty(), "{}", uncaught.join("\n"));
}

#[test]
fn every_broken_backend_has_a_name_of_its_own_and_there_are_many() {
    let mut names: Vec<_> = broken::specimens().map(broken::Specimen::name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    assert!(all >= 50, "{all}");
}

#[test]
fn what_the_broken_backends_are_made_of_passes_everything() {
    passes_everything(&Suite::new(broken::honest(Duration::from_secs(5))));
}

#[test]
fn a_slow_backend_passes_everything() {
    passes_everything(&Suite::new(broken::honest_but_slow(Duration::from_secs(5))).with_threads(8));
}

#[test]
fn a_jittery_backend_passes_everything() {
    passes_everything(
        &Suite::new(broken::honest_but_jittery(Duration::from_secs(5))).with_threads(8),
    );
}

fn passes_everything(suite: &Suite) {
    let report = suite.report();
    assert_eq!(report.outcomes.len(), checks().count());
    let failed: Vec<_> = report
        .outcomes
        .iter()
        .filter(|outcome| !outcome.verdict.is_passed())
        .map(|outcome| format!("{}: {}", outcome.check.name(), outcome.verdict))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}
