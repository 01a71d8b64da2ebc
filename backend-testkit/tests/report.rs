//! What a run says as a whole: levels, known failures, and the three forms of a report.

mod support;

use std::time::Duration;

use backend_testkit::{
    BoxError, Claims, Cluster, Evidence, Harness, Level, Report, Suite, Verdict, async_trait,
    broken, checks, matrix,
};
use support::{Memory, all_claims};

fn report_with(claims: Claims) -> Report {
    Suite::new(Memory { claims, ..Memory::new() }).report()
}

#[test]
fn a_level_asks_for_its_claims() {
    let plain = report_with(Claims::new());
    assert!(plain.passed(), "what is not claimed is no failure");
    assert_eq!(plain.level(), Some(Level::Ordered));
    assert_eq!(plain.tally(Level::FaultTested).passed, 0);
    assert!(plain.tally(Level::FaultTested).not_claimed > 30);

    let health = report_with(Claims::new().with_health());
    assert_eq!(health.level(), Some(Level::Health));

    assert_eq!(report_with(Claims::new().without_order()).level(), Some(Level::Core));
    assert_eq!(report_with(all_claims()).level(), Some(Level::FaultTested));
}

#[test]
fn a_failure_costs_the_level_it_belongs_to() {
    let echo = Suite::new(named("echo", "").harness).report();
    assert!(!echo.passed());
    assert_eq!(echo.level(), None);
    let twice = Suite::new(named("callback_twice", "").harness).report();
    assert_eq!(twice.level(), Some(Level::Health), "callbacks fire only where faults are tested");
}

#[test]
fn what_was_not_run_counts_as_a_failure() {
    let part = Suite::new(Memory::new()).report_of(|check| check.name() != "echo::never_echoed");
    assert_eq!(part.failures().count(), 0);
    assert_eq!(part.tally(Level::Core).not_run, 1);
    assert!(!part.passed());
    assert_eq!(part.level(), None);
}

/// A broken backend with a list of known failures.
struct Known {
    harness: Box<dyn Harness>,
    list: &'static str,
}

fn named(name: &str, list: &'static str) -> Known {
    let specimen = broken::specimens().find(|one| one.name() == name).expect("there is such a one");
    Known { harness: specimen.harness(Duration::from_secs(1)), list }
}

#[async_trait]
impl Harness for Known {
    fn name(&self) -> &str {
        self.harness.name()
    }

    fn claims(&self) -> Claims {
        self.harness.claims()
    }

    async fn cluster(&self, instances: usize) -> Result<Cluster, BoxError> {
        self.harness.cluster(instances).await
    }

    fn known_failures(&self) -> &str {
        self.list
    }
}

#[test]
fn a_known_failure_is_shown_and_does_not_fail_the_run() {
    let list = "isolation::wildcards_are_ordinary # the engine has them\n";
    let report = Suite::new(named("wildcards", list)).report();
    let known: Vec<_> = report
        .outcomes
        .iter()
        .filter(|outcome| matches!(outcome.verdict, Verdict::KnownFailure(_)))
        .collect();
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].check.name(), "isolation::wildcards_are_ordinary");
    let message = known[0].verdict.message().expect("it has a message");
    assert!(message.starts_with("known: the engine has them\n"), "{message}");
    assert!(message.contains("expected: "), "{message}");
    assert!(report.passed());
    assert_eq!(report.level(), None, "a level is not given for it all the same");
}

#[test]
fn a_known_failure_that_passes_fails_the_run() {
    let suite = Suite::new(Memory { known_failures: "echo::never_echoed", ..Memory::new() });
    let outcome = suite.outcome_of("echo::never_echoed").expect("there is such a check");
    let message = outcome.verdict.message().expect("it has a message");
    assert!(outcome.verdict.is_failure() && message.contains("take it off the list"), "{message}");
}

/// Cannot make any instance.
struct NoServer;

#[async_trait]
impl Harness for NoServer {
    fn name(&self) -> &str {
        "no server"
    }

    fn claims(&self) -> Claims {
        Claims::new()
    }

    async fn cluster(&self, _: usize) -> Result<Cluster, BoxError> {
        Err("the server is not installed".into())
    }
}

#[test]
fn a_harness_that_fails_is_an_error_and_says_nothing_of_the_backend() {
    let report = Suite::new(NoServer).report();
    assert!(!report.passed());
    assert_eq!(report.level(), None);
    for outcome in &report.outcomes {
        match &outcome.verdict {
            Verdict::Errored(message) => assert!(message.contains("the server is not installed")),
            Verdict::NotClaimed(_) => {}
            other => panic!("{}: {other}", outcome.check.name()),
        }
    }
}

/// A backend that throws unread messages away when it closes, and says so.
struct Undrained(Known);

#[async_trait]
impl Harness for Undrained {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn claims(&self) -> Claims {
        self.0.claims().without_drained_close()
    }

    async fn cluster(&self, instances: usize) -> Result<Cluster, BoxError> {
        self.0.cluster(instances).await
    }
}

#[test]
fn what_is_taken_back_is_not_held_against_a_backend() {
    let undrained = || named("close_drops_the_backlog", "");
    assert!(!Suite::new(undrained()).report().passed());
    let report = Suite::new(Undrained(undrained())).report();
    let failed: Vec<_> = report.failures().map(|outcome| outcome.check.name()).collect();
    assert!(report.passed(), "{failed:?}");
}

#[test]
fn json_comes_back_as_it_was() {
    let report = Suite::new(named("echo", "")).with_seed(7).report();
    let back = Report::from_json(&report.to_json()).expect("it reads its own");
    assert_eq!((back.backend.as_str(), back.seed, &back.claims), ("broken", 7, &report.claims));
    assert_eq!(back.outcomes.len(), report.outcomes.len());
    for (back, outcome) in back.outcomes.iter().zip(&report.outcomes) {
        assert_eq!(back.check.name(), outcome.check.name());
        assert_eq!(back.verdict, outcome.verdict);
    }
    assert!(report.failures().count() > 0);
}

#[test]
fn what_is_no_report_is_refused() {
    let of_another_version = report_with(Claims::new()).to_json().replace("never_echoed", "gone");
    for (text, part) in [
        ("", "EOF"),
        ("{}", "missing field"),
        (&of_another_version.replace("backend-testkit/1", "backend-testkit/0"), "its format"),
        (&of_another_version, "is no check"),
    ] {
        let error = Report::from_json(text).expect_err("it is no report").to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn junit_has_every_check_with_its_status() {
    let report = Suite::new(named("wildcards", "")).report();
    let xml = quick_junit::Report::deserialize_from_str(&report.to_junit()).expect("JUnit's XML");
    assert_eq!(xml.tests, checks().count());
    let failed = xml.test_suites[0]
        .test_cases
        .iter()
        .filter(|case| !matches!(case.status, quick_junit::TestCaseStatus::Success { .. }));
    let failed: Vec<_> = failed.map(|case| case.name.to_string()).collect();
    assert_eq!(failed, ["isolation::wildcards_are_ordinary"]);
}

#[test]
fn markdown_shows_levels_clauses_and_messages() {
    let report = Suite::new(named("wildcards", "")).report();
    let text = report.to_markdown();
    assert!(text.contains("# Conformance of broken\n"), "{text}");
    assert!(text.contains("**not passed**"), "{text}");
    assert!(text.contains("| D7 | isolation | ✗ "), "{text}");
    assert!(text.contains("| D2 | never echoed | ✓ "), "{text}");
    assert!(text.contains("## `isolation::wildcards_are_ordinary`: failed"), "{text}");
}

#[test]
fn the_matrix_puts_backends_side_by_side() {
    let (all, plain) = (report_with(all_claims()), report_with(Claims::new()));
    let table = matrix(&[all.clone(), plain]);
    let row = |head: &str| {
        let line = table.lines().find(|line| line.starts_with(&format!("| {head} |")));
        line.unwrap_or_else(|| panic!("no row {head} in\n{table}")).to_owned()
    };
    assert_eq!(row("level"), "| level | **fault-tested** | **ordered** |");
    assert_eq!(row("claims capacity"), "| claims capacity | 32 | – |");
    let core = all.tally(Level::Core);
    assert!(row("core").starts_with(&format!("| core | ✓ {} passed |", core.passed)), "{table}");
}

#[test]
fn a_report_is_left_in_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let deep = folder.path().join("made/for it");
    let report = report_with(Claims::new());
    report.write_to(&deep).expect("it is written");
    for (file, start) in
        [("memory.json", "{"), ("memory.xml", "<?xml"), ("memory.md", "# Conformance of memory")]
    {
        let text = std::fs::read_to_string(deep.join(file)).expect("it is there");
        assert!(text.starts_with(start), "{file}: {text}");
    }
    let blocked = folder.path().join("a file");
    std::fs::write(&blocked, "in the way").expect("it is written");
    let error = report.write_to(&blocked).expect_err("a file is no folder").to_string();
    assert!(error.contains("a file"), "{error}");
}

#[test]
fn chance_is_in_the_seed_alone() {
    let run = |seed| {
        let suite = Suite::new(named("duplicates", "")).with_seed(seed);
        let outcome = suite.outcome_of("model::random_operations").expect("there is such a check");
        assert_ne!(outcome.verdict, Verdict::Passed(Evidence::Certain));
        outcome.verdict.message().expect("it has a message").to_owned()
    };
    assert_eq!(run(3), run(3));
    assert!(run(3).contains("BACKEND_TESTKIT_SEED=3 "));
}
