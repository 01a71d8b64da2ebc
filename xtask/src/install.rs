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
    let services: Vec<_> = missing.iter().filter_map(|program| program.service).collect();
    let services = if system::has_systemd() { &services[..] } else { &[] };
    let plan = apt(&packages, services, system::is_root(), io::stdin().is_terminal());
    if !may_install {
        writeln!(out, "         Not installed, as you asked. These commands would:")?;
        for command in plan.commands() {
            writeln!(out, "           {command}")?;
        }
        return writeln!(out);
    }
    writeln!(out, "         Installing it now; --no-install leaves that out.\n")?;
    let mut installed = Ok(());
    for (index, command) in plan.commands().enumerate() {
        // Old lists of packages are often good enough: only the end of this one counts.
        let ended = show_and_run(command, folder, out)?;
        if index == plan.before.len() {
            installed = ended;
        }
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

/// Commands that install something.
struct Plan {
    before: Vec<Command>,
    install: Command,
    after: Vec<Command>,
}

impl Plan {
    fn commands(&self) -> impl Iterator<Item = &Command> {
        self.before.iter().chain([&self.install]).chain(&self.after)
    }
}

/// Installs `packages` without asking anything but, perhaps, for a password, and without starting
/// their `services`: tests want the programs, and nobody asked for servers on this machine's ports.
fn apt(packages: &[&str], services: &[&str], is_root: bool, is_terminal: bool) -> Plan {
    let command = |words: &[&str], further: &[&str]| {
        let rights: &[&str] = match (is_root, is_terminal) {
            (true, _) => &[],
            (false, true) => &["sudo"],
            // With nobody there to type a password, sudo should fail and not wait.
            (false, false) => &["sudo", "-n"],
        };
        let words = [rights, words, further].concat();
        Command::new(words[0], &words[1..])
    };
    let apt_get = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
    let mut plan = Plan {
        before: vec![command(&apt_get, &["update"])],
        install: command(
            &[&apt_get[..], &["install", "-y", "--no-install-recommends"]].concat(),
            packages,
        ),
        after: Vec::new(),
    };
    if !services.is_empty() {
        plan.before.push(command(&["systemctl", "mask", "--runtime"], services));
        // In this order: what is masked cannot be disabled.
        plan.after.push(command(&["systemctl", "unmask", "--runtime"], services));
        plan.after.push(command(&["systemctl", "disable"], services));
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(services: &[&str], is_root: bool, is_terminal: bool) -> Vec<String> {
        let plan = apt(&["chromium", "chromium-driver"], services, is_root, is_terminal);
        plan.commands().map(ToString::to_string).collect()
    }

    const UPDATE: &str = "env DEBIAN_FRONTEND=noninteractive apt-get update";
    const INSTALL: &str = "env DEBIAN_FRONTEND=noninteractive apt-get install -y \
                           --no-install-recommends chromium chromium-driver";

    #[test]
    fn root_installs_without_sudo() {
        assert_eq!(lines(&[], true, true), [UPDATE, INSTALL]);
    }

    #[test]
    fn services_are_not_started_now_and_not_later() {
        let expected = [
            UPDATE,
            "systemctl mask --runtime a.service b.service",
            INSTALL,
            "systemctl unmask --runtime a.service b.service",
            "systemctl disable a.service b.service",
        ];
        assert_eq!(lines(&["a.service", "b.service"], true, true), expected);
    }

    #[test]
    fn others_use_sudo_which_asks_only_where_somebody_can_answer() {
        let services = ["a.service"];
        for (is_terminal, start) in [(true, "sudo "), (false, "sudo -n ")] {
            let with_sudo = lines(&services, false, is_terminal);
            let expected = lines(&services, true, is_terminal);
            let expected: Vec<_> = expected.iter().map(|line| format!("{start}{line}")).collect();
            assert_eq!(with_sudo, expected);
        }
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
                       chromium-browser chromium-chromedriver nats-server redis-server valgrind\n";
        assert!(text.contains(install), "{text}");
    }
}
