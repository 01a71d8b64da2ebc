//! `cargo xtask test`: the one command that checks everything.

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::needs::{self, Component, Program};
use crate::report::{self, Outcome, StepReport};
use crate::steps::{self, Kind, Step};
use crate::style::BOLD;
use crate::system::{self, System};
use crate::tally::Reader;
use crate::{install, instructions, run, target, unpacked};

/// What a person can ask for.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Install nothing; tests that miss something are then shown as ignored.
    #[arg(long)]
    no_install: bool,

    /// Run only this step; may be given several times.
    #[arg(long, value_name = "STEP", value_parser = PossibleValuesParser::new(steps::names()))]
    only: Vec<String>,

    /// Show the steps and their commands, and run nothing.
    #[arg(long)]
    list: bool,
}

impl Options {
    fn wants(&self, step: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == step)
    }
}

/// Runs the chore; says whether everything passed.
pub(crate) fn test(options: &Options, folder: &Path, out: &mut impl Write) -> io::Result<bool> {
    if options.list {
        list(&wanted_steps(options, folder, &[]), out)?;
        return Ok(true);
    }
    let is_ci = system::is_ci();
    let missing = provide_programs(options, folder, out)?;
    let missing_components = provide_components(options, folder, out)?;

    let is_there = |program: &Program| !missing.iter().any(|other| other.name == program.name);
    let required = needs::required(needs::PROGRAMS, is_ci, is_there);
    let mut reports = Vec::new();
    for step in wanted_steps(options, folder, &required) {
        let lack = lack(step.name, &missing_components, &missing)
            .or_else(|| instructions::lack(folder).filter(|_| step.name == steps::INSTRUCTIONS));
        reports.push(match lack {
            None => run_step(&step, folder, out)?,
            Some(reason) => StepReport::not_run(&step, left_out(reason, is_ci)),
        });
    }
    report::summary(&reports, out)
}

fn wanted_steps(options: &Options, folder: &Path, required: &[&str]) -> Vec<Step> {
    let mut steps = steps::all(&target(folder), required);
    steps.retain(|step| options.wants(step.name));
    steps
}

fn list(steps: &[Step], out: &mut impl Write) -> io::Result<()> {
    for step in steps {
        writeln!(out, "{BOLD}{}{BOLD:#}: {}", step.name, step.about)?;
        for command in &step.commands {
            writeln!(out, "  $ {command}")?;
        }
    }
    Ok(())
}

/// Installs the programs that the wanted steps need; gives those that are missing all the same.
fn provide_programs(
    options: &Options,
    folder: &Path,
    out: &mut impl Write,
) -> io::Result<Vec<&'static Program>> {
    let wanted: Vec<_> = needs::PROGRAMS
        .iter()
        .filter(|program| program.steps().any(|step| options.wants(step)))
        .collect();
    for program in wanted.iter().filter(|program| program.is_installed()) {
        writeln!(out, "Found    {}, for {}.", program.name, program.tests)?;
    }
    let mut missing = wanted;
    missing.retain(|program| !program.is_installed());
    if !missing.is_empty() {
        install::programs(&missing, System::here(), !options.no_install, folder, out)?;
        missing.retain(|program| !program.is_installed());
        for program in &missing {
            writeln!(
                out,
                "Without {}: {} are left out, or fail in CI.",
                program.name, program.tests
            )?;
        }
    }
    Ok(missing)
}

/// The same for parts of the toolchain.
fn provide_components(
    options: &Options,
    folder: &Path,
    out: &mut impl Write,
) -> io::Result<Vec<&'static Component>> {
    let mut missing = Vec::new();
    for component in needs::COMPONENTS {
        let is_wanted = component.steps.iter().any(|step| options.wants(step));
        if is_wanted && !component.is_installed() {
            install::component(component, !options.no_install, folder, out)?;
            missing.push(component);
        }
    }
    missing.retain(|component| !component.is_installed());
    Ok(missing)
}

/// Why a step cannot be run with all this missing, if it cannot.
fn lack(step: &str, components: &[&Component], programs: &[&Program]) -> Option<String> {
    let component = components.iter().find(|component| component.steps.contains(&step));
    let component = component.map(|component| {
        format!("{0} is not installed; with rustup: `rustup component add {0}`", component.name)
    });
    let programs = programs.iter().filter(|program| program.whole_steps.contains(&step));
    let programs: Vec<_> = programs.map(|program| program.name).collect();
    component.or_else(|| {
        (!programs.is_empty()).then(|| format!("not installed: {}", programs.join(", ")))
    })
}

/// What becomes of a step that cannot be run.
fn left_out(reason: String, is_ci: bool) -> Outcome {
    if is_ci { Outcome::Failed(reason) } else { Outcome::Skipped(reason) }
}

fn run_step(step: &Step, folder: &Path, out: &mut impl Write) -> io::Result<StepReport> {
    writeln!(out, "\n{BOLD}{}{BOLD:#}: {}", step.name, step.about)?;
    let start = Instant::now();
    let mut reader = Reader::default();
    let mut ending = Ok(());
    if step.name == steps::PACKAGE
        && let Err(error) = unpacked::forget(folder, &steps::package_target(&target(folder)))
    {
        writeln!(out, "What cargo has kept of older packages stays: {error}")?;
    }
    for command in &step.commands {
        writeln!(out, "{BOLD}$ {command}{BOLD:#}")?;
        let ended = match step.kind {
            Kind::Check => run::run(command, folder, out)?,
            Kind::Tests => run::watch(command, folder, out, |line| reader.line(line))?,
        };
        ending = ending.and(ended);
    }
    let time = start.elapsed();
    let word = if ending.is_ok() { "done" } else { "failed" };
    writeln!(out, "{}: {word} after {}", step.name, report::shown(time))?;
    Ok(StepReport::ran(step, ending, time, reader.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_choice_every_step_is_wanted() {
        let every = Options { no_install: false, only: Vec::new(), list: false };
        let all = wanted_steps(&every, Path::new("."), &[]);
        assert_eq!(all.len(), steps::names().count());
    }

    #[test]
    fn chosen_steps_run_in_the_order_of_the_table() {
        let only = vec!["test".into(), "format".into()];
        let some = Options { no_install: false, only, list: false };
        let names: Vec<_> =
            wanted_steps(&some, Path::new("."), &[]).iter().map(|step| step.name).collect();
        assert_eq!(names, ["format", "test"]);
    }

    #[test]
    fn a_step_that_cannot_be_run_is_a_failure_only_in_ci() {
        assert!(matches!(left_out("a reason".into(), true), Outcome::Failed(_)));
        assert!(matches!(left_out("a reason".into(), false), Outcome::Skipped(_)));
    }

    #[test]
    fn a_step_is_left_out_for_what_it_needs_as_a_whole() {
        let components: Vec<_> = needs::COMPONENTS.iter().collect();
        let programs: Vec<_> = needs::PROGRAMS.iter().collect();
        let reason = |step| lack(step, &components, &programs);
        assert!(reason("format").is_some_and(|reason| reason.contains("component add rustfmt")));
        // A table without these columns would be a lie.
        assert_eq!(reason("matrix").as_deref(), Some("not installed: nats-server, redis-server"));
        // Its tests leave themselves out, one by one.
        assert_eq!(reason("test"), None);
        assert_eq!(lack("matrix", &[], &[]), None);
    }

    #[test]
    fn what_the_matrix_needs_is_looked_for_when_it_alone_is_wanted() {
        let only = vec!["matrix".into()];
        let options = Options { no_install: true, only, list: false };
        let mut out = Vec::new();
        provide_programs(&options, Path::new("."), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("redis-server") && !text.contains("Chromium"), "{text}");
    }

    #[test]
    fn the_list_shows_every_command() {
        let mut out = Vec::new();
        list(&steps::all(Path::new("target"), &[]), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("  $ cargo fmt --all --check\n"), "{text}");
        assert!(steps::names().all(|name| text.contains(name)), "{text}");
    }
}
