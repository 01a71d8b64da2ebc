//! The page *Write a backend* shows this crate's files, whole and as they are.
//!
//! A block of the page that comes right after `<!-- path -->` is a piece of that file. All pieces of
//! a file, one after the other, are the file. A piece begins at its first line, which the test looks
//! for, and ends where the next one begins.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/write-a-backend.md");

/// What a reader needs, all of it. The relay itself is the engine, which a reader has.
const SHOWN: &[&str] = &[
    "Cargo.toml",
    "src/backend.rs",
    "src/connection.rs",
    "src/frame.rs",
    "src/lib.rs",
    "src/released.rs",
    "src/supervisor.rs",
    "tests/conformance.rs",
    "tests/support/client.rs",
    "tests/support/mod.rs",
    "tests/support/proxy.rs",
    "tests/support/relay.rs",
];

/// A piece of a file, and where it stands on the page.
struct Piece<'a> {
    file: &'a str,
    lines: std::ops::Range<usize>,
}

/// The pieces in the order of the page.
fn pieces<'a>(page: &[&'a str]) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    for (number, pair) in page.windows(2).enumerate() {
        let file = pair[0].strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
        if let (Some(file), true) = (file, pair[1].starts_with("```")) {
            let start = number + 2;
            let length = page[start..].iter().position(|line| *line == "```");
            let length = length.unwrap_or_else(|| panic!("the block of line {start} has no end"));
            pieces.push(Piece { file, lines: start..start + length });
        }
    }
    pieces
}

/// Cuts a file where pieces with these first lines begin.
fn cut<'a>(file: &str, text: &'a str, first_lines: &[&str]) -> Vec<Vec<&'a str>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut starts = Vec::new();
    for first in first_lines {
        let from = starts.last().map_or(0, |start| start + 1);
        let found = lines[from..].iter().position(|line| line == first);
        let found = found.unwrap_or_else(|| {
            panic!("a piece of {file} on the page begins with a line that is not there: {first}")
        });
        starts.push(from + found);
    }
    assert_eq!(starts.first(), Some(&0), "the first piece of {file} is not its beginning");
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    let pieces = starts.iter().zip(ends).map(|(&start, end)| {
        let blank = lines[start..end].iter().rev().take_while(|line| line.is_empty()).count();
        lines[start..end - blank].to_vec()
    });
    pieces.collect()
}

#[test]
fn the_page_has_the_same_text() {
    let page = fs::read_to_string(PAGE).expect("the page is there");
    let mut lines: Vec<&str> = page.lines().collect();
    let pieces = pieces(&lines);
    let mut by_file = BTreeMap::<&str, Vec<&Piece<'_>>>::new();
    for piece in &pieces {
        by_file.entry(piece.file).or_default().push(piece);
    }
    assert!(by_file.keys().copied().eq(SHOWN.iter().copied()), "{:?}", by_file.keys());

    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let texts: BTreeMap<&str, String> = by_file
        .keys()
        .map(|file| (*file, fs::read_to_string(folder.join(file)).expect("a file of this crate")))
        .collect();
    let mut right = Vec::new();
    for (file, pieces) in &by_file {
        let first_lines: Vec<&str> = pieces.iter().map(|piece| lines[piece.lines.start]).collect();
        let cut = cut(file, &texts[file], &first_lines);
        right.extend(pieces.iter().map(|piece| piece.lines.clone()).zip(cut));
    }
    right.sort_by_key(|(at, _)| at.start);
    let wrong = right.iter().find(|(at, text)| lines[at.clone()] != text[..]);
    let Some((at, _)) = wrong else { return };
    let line = at.start + 1;
    if std::env::var_os("UPDATE_DOCS").is_none_or(|value| value != "1") {
        panic!(
            "the block in line {line} of docs/write-a-backend.md is not what the file has.\n\
             To copy the files there: UPDATE_DOCS=1 cargo test -p custom-backend --test page"
        );
    }
    // From the end, so that the places before stay where they are.
    for (at, text) in right.into_iter().rev() {
        lines.splice(at, text);
    }
    fs::write(PAGE, lines.join("\n") + "\n").expect("the page can be written");
}
