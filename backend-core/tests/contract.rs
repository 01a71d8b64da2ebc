//! The contract's table and the documentation hold together: every clause is stated, by its id in
//! bold, in the rustdoc of each item that the table's last column names, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const CLAUSES: [&str; 34] = [
    "D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", //
    "O1", "O2", "O3", "L1", "L2", "L3", "U1", "U2", "U3", "U4", //
    "C1", "C2", "C3", "C4", "X1", "X2", "X3", //
    "H1", "H2", "H3", "H4", "H5", "H6", "H7", "T1", "T2",
];

struct Clause {
    id: String,
    bound_at: Vec<String>,
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The rows of the table, in order.
fn table() -> Vec<Clause> {
    let text = fs::read_to_string(sources().join("contract.md")).expect("src/contract.md");
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip_while(|row| !row.starts_with("| clause"));
    rows.skip(1)
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [id, in_short, in_full, bound_at] = cells[..] else {
                panic!("not four cells: {row}")
            };
            assert!(!in_short.is_empty() && !in_full.is_empty(), "an empty cell: {row}");
            let bound_at = bound_at
                .split(", ")
                .map(|link| {
                    let item = link.strip_prefix("[`").and_then(|rest| rest.strip_suffix("`]"));
                    item.unwrap_or_else(|| panic!("no link to an item: {row}")).to_owned()
                })
                .collect();
            // Each row can be linked to, by its id.
            let (anchor, id) = id.rsplit_once('>').unwrap_or_else(|| panic!("no anchor: {row}"));
            assert_eq!(anchor, format!("<a id=\"{id}\"></a"), "{row}");
            Clause { id: id.to_owned(), bound_at }
        })
        .collect()
}

/// The rustdoc of every item of the crate, by its path: `Backend`, `Backend::publish`,
/// `GapCause::Lagged`. It trusts rustfmt: what is indented once belongs to the block that was
/// opened at the margin.
fn documentation() -> BTreeMap<String, String> {
    let mut documented = BTreeMap::<String, String>::new();
    for entry in fs::read_dir(sources()).expect("src") {
        let path = entry.expect("an entry of src").path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let mut block = String::new();
        let mut doc = String::new();
        for line in fs::read_to_string(&path).expect("a source file").lines() {
            let indent = line.len() - line.trim_start().len();
            let code = line.trim_start();
            if let Some(text) = code.strip_prefix("///") {
                doc.push_str(text);
                doc.push('\n');
            } else if !code.starts_with("#[") {
                let name = name_of(code);
                if indent == 0 && !name.is_empty() {
                    block = name.to_owned();
                }
                let path = if indent == 0 { name.to_owned() } else { format!("{block}::{name}") };
                documented.entry(path).or_default().push_str(&std::mem::take(&mut doc));
            }
        }
    }
    documented
}

/// The name that a line of code declares: `Backend` of `pub trait Backend: Send`, `publish` of
/// `async fn publish(…`, `Lagged` of `Lagged,`, `Subscription` of `impl Stream for Subscription {`.
fn name_of(code: &str) -> &str {
    let mut rest = code.split_once(" for ").map_or(code, |(_, implementer)| implementer);
    for word in ["pub ", "const ", "async ", "impl ", "fn ", "struct ", "enum ", "trait ", "type "]
    {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    &rest[..end]
}

/// The ids that a text states: `**D1.**` or `**Clause D1.**`. In parentheses, `(D1)`, one is only
/// referred to.
fn stated(text: &str) -> BTreeSet<String> {
    // Every other piece is bold. A piece may go over the end of a line.
    text.split("**")
        .skip(1)
        .step_by(2)
        .filter_map(|bold| bold.trim().strip_suffix('.'))
        .map(|bold| bold.strip_prefix("Clause").unwrap_or(bold).trim().to_owned())
        .filter(|id| looks_like_a_clause(id))
        .collect()
}

fn looks_like_a_clause(id: &str) -> bool {
    matches!(id.as_bytes(), [letter, number] if letter.is_ascii_uppercase() && number.is_ascii_digit())
}

#[test]
fn the_table_lists_every_clause_once_and_in_order() {
    let listed: Vec<String> = table().into_iter().map(|clause| clause.id).collect();
    assert_eq!(listed, CLAUSES);
}

#[test]
fn every_clause_is_stated_at_the_items_that_it_binds() {
    let documented = documentation();
    let mut missing = Vec::new();
    for Clause { id, bound_at } in table() {
        for item in bound_at {
            match documented.get(&item) {
                None => missing.push(format!("{id}: there is no item {item}")),
                Some(text) if !stated(text).contains(&id) => {
                    missing.push(format!("{id}: the documentation of {item} does not state it"));
                }
                Some(_) => {}
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn no_item_states_a_clause_that_the_table_does_not_bind_to_it() {
    let table = table();
    for (item, text) in documentation() {
        for id in stated(&text) {
            let bound =
                table.iter().any(|clause| clause.id == id && clause.bound_at.contains(&item));
            assert!(bound, "{item} states {id}, and the table does not say so");
        }
    }
}

#[test]
fn a_reference_is_no_statement() {
    let text = "**D1.** It says so (D2, clause D3). **Clause D4.** A **bold word.** **D5** **X.**";
    assert_eq!(stated(text), BTreeSet::from(["D1".to_owned(), "D4".to_owned()]));
}
