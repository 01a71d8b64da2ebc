//! The quickstart does what it says, and the README shows the same text.

use std::process::Command;

/// The README's block starts after this and ends at the end of the code.
const START: &str = "<!-- quickstart -->\n```rust\n";
const END: &str = "```\n";

/// The program as the README has it: without the module's doc comment.
fn program() -> String {
    let source = include_str!("../src/quickstart.rs");
    let lines = source.lines().skip_while(|line| line.starts_with("//!") || line.is_empty());
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn the_readme_has_the_same_text() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(path).expect("the repository has a README.md");
    let (before, rest) = readme.split_once(START).expect("the README marks the block's start");
    let (shown, after) = rest.split_once(END).expect("the block has an end");
    if shown == program() {
        return;
    }
    if std::env::var_os("UPDATE_README").is_some_and(|value| value == "1") {
        let updated = [before, START, &program(), END, after].concat();
        std::fs::write(path, updated).expect("the README can be written");
        return;
    }
    panic!(
        "the block of README.md after <!-- quickstart --> is not the program in \
         examples/src/quickstart.rs.\n\
         To copy it there: UPDATE_README=1 cargo test --package examples --test quickstart"
    );
}

/// The lines to depend on name crates that are there, as they are found beside a project.
#[test]
fn the_readme_s_dependencies_are_there() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let read = |file: &str| std::fs::read_to_string(format!("{root}/{file}")).expect("a file");
    let (readme, workspace) = (read("README.md"), read("Cargo.toml"));
    let (_, shown) = readme.split_once("<!-- dependencies -->\n").expect("the README marks them");
    let (shown, after) = shown.split_once("\n```\n").expect("the block has an end");
    let mut names = Vec::new();
    for line in shown.lines().filter(|line| line.starts_with("backend-")) {
        let (name, rest) = line.split_once(" = { path = \"../backend/").expect("a path");
        let folder = rest.split('"').next().expect("what comes before an end");
        assert!(read(&format!("{folder}/Cargo.toml")).contains(&format!("name = \"{name}\"\n")));
        names.push(name);
    }
    let wanted = ["core", "hub", "memory", "nats", "redis"].map(|name| format!("backend-{name}"));
    assert_eq!(names, wanted);
    let tokio = shown.lines().find(|line| line.starts_with("tokio = ")).expect("a runtime");
    let version = |text: &str| text.split('"').nth(1).map(str::to_owned);
    let ours = workspace.lines().find(|line| line.starts_with("tokio = ")).expect("a version");
    assert_eq!(version(tokio), version(ours));
    let rust = workspace.lines().find(|line| line.starts_with("rust-version")).expect("a version");
    let rust = version(rust).expect("in quotes");
    assert!(after.trim_start().starts_with(&format!("It takes Rust {rust} or later.")));
}

#[test]
fn it_shows_messages_a_counted_gap_an_outage_and_the_end() {
    let output = Command::new(env!("CARGO_BIN_EXE_quickstart")).output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let output = String::from_utf8(output.stdout).expect("it prints text");
    let lines: Vec<&str> = output.lines().collect();
    let [tea, lagged, kept @ .., refused, reconnected, water, end] = &lines[..] else {
        panic!("{output}");
    };
    assert_eq!(*tea, "message: one tea");
    // Five coffees, of which a capacity of three keeps the newest.
    assert!(lagged.starts_with("gap: 2 messages were missed"), "{output}");
    assert_eq!(kept, ["message: coffee 3", "message: coffee 4", "message: coffee 5"]);
    assert!(refused.starts_with("not published: the backend is unavailable"), "{output}");
    assert!(refused.ends_with("(worth a retry: true)"), "{output}");
    assert!(reconnected.starts_with("gap: messages may have been missed"), "{output}");
    assert_eq!([*water, *end], ["message: one water", "the end"]);
}
