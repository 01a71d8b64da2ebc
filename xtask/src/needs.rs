//! What the tests want to find on a machine.

use std::process::{self, Stdio};

use crate::command::Command;
use crate::machine;
use crate::system::System;

/// A program outside the repository that some tests drive.
///
/// To add one, add a row to [`PROGRAMS`].
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// The names that its binary goes by; the first that answers `--version` is it. Servers are
    /// where the path of most people does not lead.
    pub(crate) binaries: &'static [&'static str],
    /// Its package on Debian.
    pub(crate) debian: &'static str,
    /// Its package on Ubuntu.
    pub(crate) ubuntu: &'static str,
    /// The service that its package would start, now and whenever the machine starts.
    pub(crate) service: Option<&'static str>,
    /// The tests that are left out without it.
    pub(crate) tests: &'static str,
    /// The step that these tests are in.
    pub(crate) step: &'static str,
    /// The steps that are left out as a whole without it.
    pub(crate) whole_steps: &'static [&'static str],
    /// The variable that forbids these tests to leave themselves out, if they would.
    pub(crate) required_by: Option<&'static str>,
}

/// Every such program.
pub(crate) const PROGRAMS: &[Program] = &[
    Program {
        name: "Chromium",
        binaries: &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
        debian: "chromium",
        ubuntu: "chromium-browser",
        service: None,
        tests: "the browser tests of the chat example",
        step: "test",
        whole_steps: &[],
        required_by: Some("REQUIRE_BROWSER"),
    },
    Program {
        name: "ChromeDriver",
        binaries: &["chromedriver"],
        debian: "chromium-driver",
        ubuntu: "chromium-chromedriver",
        service: None,
        tests: "the browser tests of the chat example",
        step: "test",
        whole_steps: &[],
        required_by: Some("REQUIRE_BROWSER"),
    },
    Program {
        name: "nats-server",
        binaries: &["nats-server", "/usr/local/sbin/nats-server", "/usr/sbin/nats-server"],
        debian: "nats-server",
        ubuntu: "nats-server",
        service: Some("nats-server.service"),
        tests: "the tests over NATS",
        step: "test",
        whole_steps: &["matrix"],
        required_by: Some("REQUIRE_ENGINES"),
    },
    Program {
        name: "redis-server",
        binaries: &["redis-server", "/usr/local/sbin/redis-server", "/usr/sbin/redis-server"],
        debian: "redis-server",
        ubuntu: "redis-server",
        service: Some("redis-server.service"),
        tests: "the tests over Redis",
        step: "test",
        whole_steps: &["matrix"],
        required_by: Some("REQUIRE_ENGINES"),
    },
    Program {
        name: "valgrind",
        binaries: &["valgrind"],
        debian: "valgrind",
        ubuntu: "valgrind",
        service: None,
        tests: "the counts of instructions",
        step: "instructions",
        whole_steps: &["instructions"],
        required_by: None,
    },
];

impl Program {
    /// Every step that has a use for it.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.step).chain(self.whole_steps.iter().copied())
    }

    /// Its package on `system`, where that is known.
    pub(crate) fn package(&self, system: System) -> Option<&'static str> {
        match system {
            System::Debian => Some(self.debian),
            System::Ubuntu => Some(self.ubuntu),
            System::Other => None,
        }
    }

    /// Whether this machine has it.
    ///
    /// It is run, not only looked for: on Ubuntu `chromium-browser` may be a script that says that
    /// a snap is missing.
    pub(crate) fn is_installed(&self) -> bool {
        self.binaries.iter().any(|binary| answers(binary, &["--version"]))
    }

    /// What it says of itself.
    pub(crate) fn version(&self) -> Option<String> {
        self.binaries
            .iter()
            .find_map(|binary| machine::first_line(&Command::new(binary, &["--version"])))
    }
}

/// A part of the Rust toolchain without which a step cannot run.
#[derive(Debug)]
pub(crate) struct Component {
    /// As rustup calls it.
    pub(crate) name: &'static str,
    /// The subcommand of cargo that it brings.
    pub(crate) subcommand: &'static str,
    /// The steps that use it.
    pub(crate) steps: &'static [&'static str],
}

/// Every such part.
pub(crate) const COMPONENTS: &[Component] = &[
    Component { name: "rustfmt", subcommand: "fmt", steps: &["format"] },
    Component { name: "clippy", subcommand: "clippy", steps: &["clippy", "features"] },
];

impl Component {
    /// Whether this machine has it.
    pub(crate) fn is_installed(&self) -> bool {
        answers("cargo", &[self.subcommand, "--version"])
    }
}

/// The variables to set so that tests whose programs must be there fail without them.
///
/// In CI that is all of them: a test that leaves itself out there would be missed by nobody.
/// Elsewhere it is those whose programs are all there: what can run must run.
pub(crate) fn required(
    programs: &'static [Program],
    is_ci: bool,
    is_installed: impl Fn(&Program) -> bool,
) -> Vec<&'static str> {
    let mut variables = Vec::new();
    for variable in programs.iter().filter_map(|program| program.required_by) {
        let mut group = programs.iter().filter(|program| program.required_by == Some(variable));
        if !variables.contains(&variable) && (is_ci || group.all(&is_installed)) {
            variables.push(variable);
        }
    }
    variables
}

/// Whether `program` starts and succeeds.
pub(crate) fn answers(program: &str, arguments: &[&str]) -> bool {
    process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps;

    #[test]
    fn tests_are_required_only_where_all_they_need_is_there() {
        let with =
            |names: &[&str]| required(PROGRAMS, false, |program| names.contains(&program.name));
        assert_eq!(required(PROGRAMS, false, |_| true), ["REQUIRE_BROWSER", "REQUIRE_ENGINES"]);
        assert!(with(&[]).is_empty());
        assert!(with(&["Chromium"]).is_empty() && with(&["ChromeDriver"]).is_empty());
        assert!(with(&["nats-server"]).is_empty() && with(&["redis-server"]).is_empty());
        assert_eq!(with(&["nats-server", "redis-server", "Chromium"]), ["REQUIRE_ENGINES"]);
    }

    #[test]
    fn in_ci_every_test_is_required() {
        assert_eq!(required(PROGRAMS, true, |_| false), ["REQUIRE_BROWSER", "REQUIRE_ENGINES"]);
    }

    #[test]
    fn a_program_that_is_not_there_does_not_answer() {
        assert!(answers("cargo", &["--version"]));
        assert!(!answers("cargo", &["no-such-subcommand"]));
        assert!(!answers("no-such-program-anywhere", &["--version"]));
    }

    #[test]
    fn every_need_names_a_step_that_exists() {
        let programs = PROGRAMS.iter().flat_map(Program::steps);
        let components = COMPONENTS.iter().flat_map(|component| component.steps.iter().copied());
        for step in programs.chain(components) {
            assert!(steps::names().any(|name| name == step), "{step}");
        }
    }
}
