//! What the tests want to find on a machine.

use std::process::{Command, Stdio};

use crate::system::System;

/// A program outside the repository that some tests drive.
///
/// To add one, add a row to [`PROGRAMS`].
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// The names that its binary goes by; the first that answers `--version` is it.
    pub(crate) binaries: &'static [&'static str],
    /// Its package on Debian.
    pub(crate) debian: &'static str,
    /// Its package on Ubuntu.
    pub(crate) ubuntu: &'static str,
    /// The tests that are left out without it.
    pub(crate) tests: &'static str,
    /// The step that these tests are in.
    pub(crate) step: &'static str,
    /// The variable that forbids these tests to leave themselves out.
    pub(crate) required_by: &'static str,
}

/// Every such program.
pub(crate) const PROGRAMS: &[Program] = &[
    Program {
        name: "Chromium",
        binaries: &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
        debian: "chromium",
        ubuntu: "chromium-browser",
        tests: "the browser tests of the chat example",
        step: "test",
        required_by: "REQUIRE_BROWSER",
    },
    Program {
        name: "ChromeDriver",
        binaries: &["chromedriver"],
        debian: "chromium-driver",
        ubuntu: "chromium-chromedriver",
        tests: "the browser tests of the chat example",
        step: "test",
        required_by: "REQUIRE_BROWSER",
    },
];

impl Program {
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
    for variable in programs.iter().map(|program| program.required_by) {
        let mut group = programs.iter().filter(|program| program.required_by == variable);
        if !variables.contains(&variable) && (is_ci || group.all(&is_installed)) {
            variables.push(variable);
        }
    }
    variables
}

/// Whether `program` starts and succeeds.
pub(crate) fn answers(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
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
        assert_eq!(required(PROGRAMS, false, |_| true), ["REQUIRE_BROWSER"]);
        assert!(required(PROGRAMS, false, |_| false).is_empty());
        assert!(required(PROGRAMS, false, |program| program.name == "Chromium").is_empty());
        assert!(required(PROGRAMS, false, |program| program.name == "ChromeDriver").is_empty());
    }

    #[test]
    fn in_ci_every_test_is_required() {
        assert_eq!(required(PROGRAMS, true, |_| false), ["REQUIRE_BROWSER"]);
    }

    #[test]
    fn a_program_that_is_not_there_does_not_answer() {
        assert!(answers("cargo", &["--version"]));
        assert!(!answers("cargo", &["no-such-subcommand"]));
        assert!(!answers("no-such-program-anywhere", &["--version"]));
    }

    #[test]
    fn every_need_names_a_step_that_exists() {
        let programs = PROGRAMS.iter().map(|program| program.step);
        let components = COMPONENTS.iter().flat_map(|component| component.steps.iter().copied());
        for step in programs.chain(components) {
            assert!(steps::names().any(|name| name == step), "{step}");
        }
    }
}
