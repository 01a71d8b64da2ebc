//! The kill matrix: every broken backend against every check.
//!
//! Every broken backend fails at the check that names its fault, and every check fails for at least
//! one of them. `docs/kill-matrix.md` is the page of it; `UPDATE_KILL_MATRIX=1 cargo test -p
//! backend-testkit --test kills` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use backend_testkit::broken::{self, Specimen};
use backend_testkit::{Suite, checks};

/// A fault that shows as a hang takes this long to find.
const DEADLINE: Duration = Duration::from_secs(1);

/// Time for a check that has not failed within that, though it should.
const ENOUGH: Duration = Duration::from_secs(20);

/// Most of what takes time is waiting: so many broken backends at once, and of each so many checks.
const AT_ONCE: (usize, usize) = (4, 16);

/// A broken backend, and the checks that it fails.
struct Row {
    specimen: &'static Specimen,
    fails: BTreeSet<&'static str>,
}

#[test]
fn every_broken_backend_is_caught_and_every_check_can_fail() {
    let rows = run_all();

    let uncaught: Vec<String> = rows
        .iter()
        .filter(|row| !row.fails.contains(row.specimen.caught_by()))
        .map(|row| {
            let Row { specimen, fails } = row;
            let (name, fault, check) = (specimen.name(), specimen.fault(), specimen.caught_by());
            format!("{name} ({fault}) is not caught by {check}, but by {fails:?}")
        })
        .collect();
    assert!(uncaught.is_empty(), "{}", uncaught.join("\n"));

    let mut killed: BTreeMap<&str, Vec<&Specimen>> = BTreeMap::new();
    for Row { specimen, fails } in &rows {
        for check in fails {
            killed.entry(check).or_default().push(specimen);
        }
    }
    let idle: Vec<&str> =
        checks().map(|check| check.name()).filter(|name| !killed.contains_key(name)).collect();
    assert!(idle.is_empty(), "no broken backend fails these: {idle:?}");

    hold_the_page(&rows, &killed);
}

fn run_all() -> Vec<Row> {
    let specimens: Vec<&'static Specimen> = broken::specimens().collect();
    let next = AtomicUsize::new(0);
    let mut rows: Vec<(usize, Row)> = thread::scope(|scope| {
        let worker = || {
            let mut rows = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(specimen) = specimens.get(index) else { return rows };
                rows.push((index, run(specimen)));
            }
        };
        let workers: Vec<_> = (0..AT_ONCE.0).map(|_| scope.spawn(worker)).collect();
        let done = workers.into_iter().map(|worker| worker.join().expect("a worker ends"));
        done.flatten().collect()
    });
    rows.sort_by_key(|(index, _)| *index);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn run(specimen: &'static Specimen) -> Row {
    let report = Suite::new(specimen.harness(DEADLINE)).with_threads(AT_ONCE.1).report();
    for outcome in report.failures() {
        // Whoever reads it has to learn the clause, and how to run the check again.
        let message = outcome.verdict.message().unwrap_or_default();
        for part in ["expected: ", "seen: ", "clause: ", "again: ", outcome.check.name()] {
            assert!(message.contains(part), "{part:?} is missing in: {message}");
        }
    }
    let mut fails: BTreeSet<_> = report.failures().map(|outcome| outcome.check.name()).collect();
    // Checks that do a thing many times do it as often as there is time for: beside all this, a busy
    // machine may not come to the thousandth.
    let its = specimen.caught_by();
    if !fails.contains(its) {
        let again = Suite::new(specimen.harness(ENOUGH)).report_of(|check| check.name() == its);
        fails.extend(again.failures().map(|outcome| outcome.check.name()));
    }
    Row { specimen, fails }
}

/// The page names every broken backend and every check as they are.
///
/// Which further checks a broken backend fails is chance in a few cases, so those are not compared.
fn hold_the_page(rows: &[Row], killed: &BTreeMap<&str, Vec<&Specimen>>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/kill-matrix.md");
    if std::env::var_os("UPDATE_KILL_MATRIX").is_some() {
        std::fs::write(&path, page(rows, killed)).expect("the page can be written");
    }
    // Outside of the repository, as in a published package, there is no page.
    let Ok(page) = std::fs::read_to_string(path) else { return };
    for Row { specimen, .. } in rows {
        let line = broken_line(specimen);
        assert!(page.contains(&line), "UPDATE_KILL_MATRIX=1 is needed: no line {line:?}");
    }
    for check in checks() {
        let line = format!("| `{}` |", check.name());
        assert!(page.contains(&line), "UPDATE_KILL_MATRIX=1 is needed: no line {line:?}");
    }
    let lines = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(lines, rows.len() + checks().count(), "UPDATE_KILL_MATRIX=1 is needed");
}

fn broken_line(specimen: &Specimen) -> String {
    format!("| `{}` | {} | `{}` |", specimen.name(), specimen.fault(), specimen.caught_by())
}

fn page(rows: &[Row], killed: &BTreeMap<&str, Vec<&Specimen>>) -> String {
    let mut page = format!(
        "# The kill matrix\n\n\
         A check that cannot fail proves nothing. So `backend_testkit::broken` has {} backends with \
         one fault each in an otherwise correct backend, and every one of them is run against all \
         {} checks:\n\n\
         * every broken backend fails at the check that names its fault;\n\
         * every check fails for at least one broken backend;\n\
         * what is honest passes: slow, jittery, far away, on a loaded machine, without an order.\n\n\
         This page is written by `UPDATE_KILL_MATRIX=1 cargo test -p backend-testkit --test kills`, \
         and that test, without the variable, holds it to be complete.\n\n\
         ## Broken backends\n\n\
         | broken backend | its fault | the check that names it | checks that fail |\n\
         | --- | --- | --- | ---: |\n",
        rows.len(),
        checks().count(),
    );
    // Writing to a string cannot fail.
    for Row { specimen, fails } in rows {
        let _ = writeln!(page, "{} {} |", broken_line(specimen), fails.len());
    }
    page += "\n## Checks\n\n\
             | check | clauses | broken backends that it catches |\n| --- | --- | --- |\n";
    for check in checks() {
        let clauses: Vec<&str> = check.clauses().iter().map(|clause| clause.id()).collect();
        let all = &killed[check.name()];
        // Those that it was written for first, then those that fail the least besides.
        let mut all: Vec<&Specimen> = all.clone();
        let also = |one: &Specimen| rows.iter().find(|row| row.specimen.name() == one.name());
        all.sort_by_key(|one| {
            (one.caught_by() != check.name(), also(one).map_or(0, |row| row.fails.len()))
        });
        let mut names: Vec<String> =
            all.iter().take(4).map(|one| format!("`{}`", one.name())).collect();
        if all.len() > names.len() {
            names.push(format!("{} more", all.len() - names.len()));
        }
        let _ =
            writeln!(page, "| `{}` | {} | {} |", check.name(), clauses.join(" "), names.join(", "));
    }
    page
}
