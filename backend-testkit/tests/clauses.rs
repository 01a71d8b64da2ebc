//! The contract's table, the clauses of this crate, and the registry of checks agree, both ways.

use std::collections::BTreeSet;
use std::path::Path;

use backend_testkit::{Clause, checks, checks_of};

/// The rows of the table in the documentation of `backend-core`: id, title, text.
fn contract() -> Option<Vec<[String; 3]>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../backend-core/src/contract.md");
    // Outside of the repository, as in a published package, there is nothing to compare with.
    let text = std::fs::read_to_string(path).ok()?;
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix("| ")?.split(" | ").collect();
        let (anchor, id) = cells.first()?.rsplit_once('>')?;
        assert_eq!(anchor, format!("<a id=\"{id}\"></a"), "a failure's message links to it");
        Some([id, *cells.get(1)?, *cells.get(2)?].map(str::to_owned))
    });
    Some(rows.collect())
}

#[test]
fn the_clauses_are_those_of_the_contract() {
    let Some(rows) = contract() else { return };
    assert_eq!(rows.len(), 34);
    for ([id, title, text], clause) in rows.iter().zip(Clause::ALL) {
        assert_eq!(id, clause.id());
        assert_eq!(title.replace(" (*claimed*)", ""), clause.title());
        assert_eq!(title.contains("claimed"), clause.is_claimed());
        let plain = |text: &str| text.replace('`', "");
        assert_eq!(plain(text), plain(clause.text()), "{id}");
    }
    assert_eq!(rows.len(), Clause::ALL.len());
}

#[test]
fn every_clause_has_a_check() {
    for &clause in Clause::ALL {
        assert!(checks_of(clause).next().is_some(), "{clause} has no check");
    }
}

#[test]
fn every_check_has_a_clause_and_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for check in checks() {
        assert!(!check.clauses().is_empty(), "{}", check.name());
        assert!(names.insert(check.name()), "{} is there twice", check.name());
    }
}
