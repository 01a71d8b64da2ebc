//! The steps of `cargo xtask test`, in the order in which they run.

use std::path::{Path, PathBuf};

use crate::command::Command;
use crate::system;

/// One step: a name, and the commands that must all succeed.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) kind: Kind,
    pub(crate) commands: Vec<Command>,
}

/// What a step's output says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It succeeds or fails as a whole.
    Check,
    /// It runs tests, which are counted.
    Tests,
}

/// The step whose counts are those of one kind of processor.
pub(crate) const INSTRUCTIONS: &str = "instructions";

/// The step before which cargo has to forget what it has [unpacked](crate::unpacked).
pub(crate) const PACKAGE: &str = "package";

/// Packages that are not published, and so need not be fit for it: their names and folders.
const UNPUBLISHED: [(&str, &str); 5] = [
    ("bench-harness", "bench-harness"),
    ("examples", "examples"),
    ("custom-backend", "examples/custom-backend"),
    ("engine-harness", "engine-harness"),
    ("xtask", "xtask"),
];

/// Every step.
///
/// `target` is the folder that cargo builds in. `required` are the variables that forbid tests to
/// leave themselves out.
pub(crate) fn all(target: &Path, required: &[&str]) -> Vec<Step> {
    vec![
        Step {
            name: "format",
            about: "the source is formatted as rustfmt would",
            kind: Kind::Check,
            commands: vec![Command::cargo(&["fmt", "--all", "--check"])],
        },
        Step {
            name: "clippy",
            about: "no warning from the compiler or from clippy, in any target",
            kind: Kind::Check,
            commands: vec![clippy(&["--workspace", "--all-targets", "--all-features"])],
        },
        Step {
            name: "features",
            about: "backend-core compiles with each choice of its features",
            kind: Kind::Check,
            commands: vec![
                clippy(&["--package", "backend-core", "--no-default-features"]),
                clippy(&["--package", "backend-core"]),
                clippy(&["--package", "backend-core", "--no-default-features", "--features=json"]),
            ],
        },
        Step {
            name: "test",
            about: "all unit tests, integration tests and conformance suites",
            kind: Kind::Tests,
            commands: vec![test(required)],
        },
        Step {
            name: "doctest",
            about: "the examples in the documentation do what they say",
            kind: Kind::Tests,
            commands: vec![Command::cargo(&[
                "test",
                "--doc",
                "--workspace",
                "--all-features",
                "--no-fail-fast",
            ])],
        },
        Step {
            name: "matrix",
            about: "the README's conformance table is what the suite says",
            kind: Kind::Check,
            commands: matrix(target),
        },
        Step {
            name: "loom",
            about: "the fan-out is right under every interleaving that loom can make",
            kind: Kind::Tests,
            commands: vec![loom(target)],
        },
        Step {
            name: INSTRUCTIONS,
            about: "the fan-out takes no more instructions than are checked in",
            kind: Kind::Check,
            commands: vec![Command::cargo(&["xtask", "instructions"])],
        },
        Step {
            name: "doc",
            about: "the documentation builds, and every link in it leads somewhere",
            kind: Kind::Check,
            commands: doc(),
        },
        Step {
            name: PACKAGE,
            about: "what would be published builds by itself; nothing is uploaded",
            kind: Kind::Check,
            commands: vec![package(target)],
        },
    ]
}

/// The names of all steps.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    all(Path::new("target"), &[]).into_iter().map(|step| step.name)
}

fn clippy(scope: &[&str]) -> Command {
    let mut command = Command::cargo(&["clippy"]);
    for &argument in scope {
        command = command.with_argument(argument);
    }
    command.with_argument("--").with_argument("-Dwarnings")
}

fn test(required: &[&str]) -> Command {
    // Every target but the benches, which would take minutes to say nothing.
    let command = Command::cargo(&[
        "test",
        "--workspace",
        "--all-features",
        "--lib",
        "--bins",
        "--examples",
        "--tests",
        "--no-fail-fast",
    ]);
    required.iter().fold(command, |command, variable| command.with_environment(variable, "1"))
}

/// The columns of the table, each with the package and the test that say what is in it. The report
/// of a test goes by the name of the column.
const BACKENDS: [(&str, &str, &str); 6] = [
    ("memory", "backend-memory", "conformance"),
    ("nats", "backend-nats", "conformance"),
    ("nats-cluster", "backend-nats", "cluster"),
    ("redis", "backend-redis", "conformance"),
    ("redis-replica", "backend-redis", "conformance_replica"),
    ("custom", "custom-backend", "conformance"),
];

/// Runs the suites once more, for their reports, and puts these into the README. On CI, where
/// nobody would commit it, a table that has changed is an error.
fn matrix(target: &Path) -> Vec<Command> {
    let folder = target.join("conformance");
    let reports = folder.to_string_lossy();
    let tests = BACKENDS.iter().map(|(_, package, test)| {
        Command::cargo(&["test", "--quiet", "--package", package, "--test", test])
            .with_environment("BACKEND_TESTKIT_REPORTS", &reports)
    });
    let mut table = Command::cargo(&[
        "run",
        "--quiet",
        "--package",
        "backend-testkit",
        "--example",
        "matrix",
        "--",
        "--into",
        "README.md",
    ]);
    if system::is_ci() {
        table = table.with_argument("--check");
    }
    for (backend, ..) in BACKENDS {
        let report = folder.join(format!("{backend}.json"));
        table = table.with_argument(report.to_string_lossy());
    }
    tests.chain([table]).collect()
}

/// Those to which others link are documented first, in this order: see [`crate::links`].
const LINKED_TO: [&str; 4] = ["backend-core", "backend-fanout", "backend-engine", "backend-memory"];

fn doc() -> Vec<Command> {
    let document = |scope: &[&str]| {
        let command = Command::cargo(&[&["doc"], scope, &["--all-features", "--no-deps"]].concat());
        command.with_environment("RUSTDOCFLAGS", "-Dwarnings")
    };
    let mut commands: Vec<_> = LINKED_TO.map(|name| document(&["--package", name])).into();
    commands.extend([document(&["--workspace"]), Command::cargo(&["xtask", "links"])]);
    commands
}

fn loom(target: &Path) -> Command {
    // With other compiler flags everything is another build. In a folder of its own it does not
    // push out the one of every day.
    let target = target.join("loom");
    let command = Command::cargo(&[
        "test",
        "--package",
        "backend-fanout",
        "--release",
        "--test",
        "loom",
        "--target-dir",
    ])
    .with_argument(target.to_string_lossy());
    let flags = match std::env::var("RUSTFLAGS") {
        Ok(flags) if !flags.is_empty() => format!("{flags} --cfg backend_loom"),
        _ => "--cfg backend_loom".into(),
    };
    command.with_environment("RUSTFLAGS", &flags)
}

/// Where packages are built. Not where everything else is: part of it is removed each time.
pub(crate) fn package_target(target: &Path) -> PathBuf {
    target.join("packages")
}

fn package(target: &Path) -> Command {
    // Uncommitted changes are the ordinary state of a tree that somebody tests.
    let command = Command::cargo(&["package", "--workspace", "--allow-dirty", "--target-dir"])
        .with_argument(package_target(target).to_string_lossy());
    UNPUBLISHED
        .iter()
        .fold(command, |command, (name, _)| command.with_argument("--exclude").with_argument(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_a_name_of_its_own() {
        let mut names: Vec<_> = names().collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn required_tests_are_named_in_the_environment_of_the_test_step_alone() {
        for step in all(Path::new("target"), &["REQUIRE_BROWSER"]) {
            let shown = step.commands.iter().any(|c| c.to_string().contains("REQUIRE_BROWSER=1"));
            assert_eq!(shown, step.name == "test", "{}", step.name);
        }
    }

    #[test]
    fn what_is_not_published_says_so_in_its_manifest() {
        for (name, folder) in UNPUBLISHED {
            let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
            let text = std::fs::read_to_string(manifest.join("Cargo.toml")).unwrap();
            assert!(text.lines().any(|line| line == "publish = false"), "{name}");
        }
    }
}
