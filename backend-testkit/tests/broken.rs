//! What is not broken passes everything that it claims, however slow, far, uneven or busy.
//!
//! `RUNS=20 cargo test -p backend-testkit --test broken` takes that many runs in a row of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backend_testkit::{Evidence, Harness, Level, Order, Suite, Verdict, broken, checks};

/// Costs nothing unless something hangs.
const DEADLINE: Duration = Duration::from_secs(10);

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
    passes_everything(broken::honest, 4);
}

#[test]
fn a_slow_backend_passes_everything() {
    passes_everything(broken::honest_but_slow, 16);
}

#[test]
fn a_jittery_backend_passes_everything() {
    passes_everything(broken::honest_but_jittery, 16);
}

#[test]
fn a_backend_that_is_150_ms_away_passes_everything() {
    // It waits, nearly all of the time.
    passes_everything(broken::honest_but_far, 256);
}

#[test]
fn a_backend_without_an_order_passes_everything_that_it_claims() {
    passes_everything(broken::honest_but_unordered, 64);
}

#[test]
fn a_backend_on_a_loaded_machine_passes_everything() {
    let stop = Arc::new(AtomicBool::new(false));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let busy: Vec<_> = (0..cores * 2)
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let checked = std::panic::catch_unwind(|| passes_everything(broken::honest, cores));
    stop.store(true, Ordering::Relaxed);
    for thread in busy {
        thread.join().expect("a busy thread ends");
    }
    if let Err(panic) = checked {
        std::panic::resume_unwind(panic);
    }
}

fn passes_everything(harness: fn(Duration) -> Box<dyn Harness>, at_once: usize) {
    let runs = std::env::var("RUNS").map_or(1, |runs| runs.parse().expect("RUNS is a number"));
    for run in 1..=runs {
        let report = Suite::new(harness(DEADLINE)).with_threads(at_once).report();
        assert_eq!(report.outcomes.len(), checks().count());
        let failed: Vec<_> = report
            .failures()
            .map(|outcome| format!("{}: {}", outcome.check.name(), outcome.verdict))
            .collect();
        assert!(failed.is_empty(), "run {run} of {runs}:\n{}", failed.join("\n\n"));
        assert!(report.passed());
        let ordered = report.claims.order() != Order::None;
        let level = if ordered { Level::FaultTested } else { Level::Core };
        assert_eq!(report.level(), Some(level));
        // Only without an order is a verdict a matter of chance, and then it says so.
        let by_chance = |name: &str| {
            let outcome = report.outcomes.iter().find(|outcome| outcome.check.name() == name);
            outcome.map(|outcome| outcome.verdict == Verdict::Passed(Evidence::Statistical))
        };
        assert_eq!(by_chance("echo::never_echoed"), Some(!ordered));
        assert_eq!(by_chance("health::healthy_when_fresh"), Some(false));
    }
}
