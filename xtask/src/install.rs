//! Gets what is missing, after saying so.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use crate::command::Command;
use crate::needs::{self, Component, Program};
use crate::run;
use crate::style::{BOLD, YELLOW};
use crate::system::{self, System};

/// Installs `missing` programs with the system's packages, or says how a person would.
pub(crate) fn programs(
    missing: &[&Program],
    system: System,
    may_install: bool,
    folder: &Path,
    out: &mut impl Write,
) -> io::Result<()> {
    for program in missing {
        writeln!(out, "{YELLOW}Missing{YELLOW:#}  {}, for {}.", program.name, program.tests)?;
    }
    let packages: Option<Vec<_>> = missing.iter().map(|program| program.package(system)).collect();
    let Some(packages) = packages else {
        writeln!(out, "         Install it with what your system has for that.\n")?;
        return Ok(());
    };
    let commands = apt(&packages, system::is_root(), io::stdin().is_terminal());
    if !may_install {
        writeln!(out, "         Not installed, as you asked. These commands would:")?;
        for command in commands {
            writeln!(out, "           {command}")?;
        }
        return writeln!(out);
    }
    writeln!(out, "         Installing it now; --no-install leaves that out.\n")?;
    let mut installed = Ok(());
    for command in commands {
        // Old lists of packages are often good enough: only the last command's end counts.
        installed = show_and_run(&command, folder, out)?;
    }
    if let Err(reason) = installed {
        writeln!(out, "\n{YELLOW}Not installed{YELLOW:#}  apt-get failed: {reason}.")?;
    }
    writeln!(out)
}

/// Adds a `missing` part of the toolchain with rustup, or says how a person would.
pub(crate) fn component(
    missing: &Component,
    may_install: bool,
    folder: &Path,
    out: &mut impl Write,
) -> io::Result<()> {
    let steps = missing.steps.join(", ");
    writeln!(out, "{YELLOW}Missing{YELLOW:#}  {}, for the steps: {steps}.", missing.name)?;
    let command = Command::new("rustup", &["component", "add", missing.name]);
    if !needs::answers("rustup", &["--version"]) {
        writeln!(out, "         With rustup it would be: {command}\n")?;
    } else if !may_install {
        writeln!(out, "         Not installed, as you asked. This command would: {command}\n")?;
    } else {
        writeln!(out, "         Installing it now; --no-install leaves that out.\n")?;
        if let Err(reason) = show_and_run(&command, folder, out)? {
            writeln!(out, "\n{YELLOW}Not installed{YELLOW:#}  rustup failed: {reason}.")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn show_and_run(command: &Command, folder: &Path, out: &mut impl Write) -> io::Result<run::Ending> {
    writeln!(out, "{BOLD}$ {command}{BOLD:#}")?;
    run::run(command, folder, out)
}

/// The commands that install `packages` without asking anything but, perhaps, for a password.
fn apt(packages: &[&str], is_root: bool, is_terminal: bool) -> [Command; 2] {
    const NO_QUESTIONS: &str = "DEBIAN_FRONTEND=noninteractive";
    let base = match (is_root, is_terminal) {
        (true, _) => Command::new("env", &[NO_QUESTIONS, "apt-get"]),
        (false, true) => Command::new("sudo", &["env", NO_QUESTIONS, "apt-get"]),
        // With nobody there to type a password, sudo should fail and not wait.
        (false, false) => Command::new("sudo", &["-n", "env", NO_QUESTIONS, "apt-get"]),
    };
    let install = ["install", "-y", "--no-install-recommends"].iter().chain(packages);
    let install = install.fold(base.clone(), |command, argument| command.with_argument(*argument));
    [base.with_argument("update"), install]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(is_root: bool, is_terminal: bool) -> [String; 2] {
        apt(&["chromium", "chromium-driver"], is_root, is_terminal).map(|c| c.to_string())
    }

    #[test]
    fn root_installs_without_sudo() {
        let [update, install] = lines(true, true);
        assert_eq!(update, "env DEBIAN_FRONTEND=noninteractive apt-get update");
        assert_eq!(
            install,
            "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
             chromium chromium-driver"
        );
    }

    #[test]
    fn others_use_sudo_which_asks_only_where_somebody_can_answer() {
        assert!(lines(false, true).iter().all(|line| line.starts_with("sudo env DEBIAN_")));
        assert!(lines(false, false).iter().all(|line| line.starts_with("sudo -n env DEBIAN_")));
    }

    fn told(system: System, may_install: bool) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        let missing: Vec<_> = needs::PROGRAMS.iter().collect();
        programs(&missing, system, may_install, Path::new("."), &mut out).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn a_system_without_known_packages_is_told_what_to_install() {
        let text = told(System::Other, true);
        let line = "Missing  Chromium, for the browser tests of the chat example.\n";
        assert!(text.contains(line), "{text}");
        assert!(!text.contains("apt-get"), "{text}");
    }

    #[test]
    fn without_leave_to_install_the_commands_are_only_told() {
        let text = told(System::Ubuntu, false);
        assert!(text.contains("Not installed, as you asked."), "{text}");
        let install = "apt-get install -y --no-install-recommends \
                       chromium-browser chromium-chromedriver\n";
        assert!(text.contains(install), "{text}");
    }
}
