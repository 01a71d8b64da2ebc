//! `cargo xtask bench`: measures, and brings the page with the figures up to date.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;
use std::{fs, iter};

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::command::Command;
use crate::machine::Machine;
use crate::needs::{PROGRAMS, Program};
use crate::style::{BOLD, YELLOW};
use crate::{page, report, run, target};

/// The page that the figures are in.
const PAGE: &str = "docs/performance.md";

/// Where its pictures are.
const IMAGES: &str = "docs/images";

/// Where benches leave what goes onto it, within the folder that cargo builds in.
const REPORTS: &str = "bench-reports";

/// Rounds that count with `--quick`. The benches know how many do otherwise.
const QUICK: &str = "3";

/// What a person can ask for.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Run few rounds: to see that a bench works, or a change that is large.
    #[arg(long)]
    quick: bool,

    /// Run only this bench; may be given several times.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(names()))]
    only: Vec<String>,

    /// Show the benches and their commands, and run nothing.
    #[arg(long)]
    list: bool,
}

/// A bench, which writes a report of its own name into the folder `BENCH_REPORTS`.
///
/// To add one, add a row to [`BENCHES`], and its two markers to the page.
#[derive(Debug)]
struct Bench {
    name: &'static str,
    package: &'static str,
    /// No two have the same.
    target: &'static str,
    /// The program that it cannot be run without, as in [`PROGRAMS`].
    program: Option<&'static str>,
    /// Crates that the figures depend on as well.
    crates: &'static [&'static str],
    /// Pictures that it leaves beside its report, by their names, and what they show.
    plots: &'static [(&'static str, &'static str)],
    /// Whether it leaves a report, which goes onto the page. One that does not says all it has to say
    /// while it runs.
    has_report: bool,
}

/// Every bench.
const BENCHES: &[Bench] = &[
    Bench {
        name: "operations",
        package: "backend-fanout",
        target: "operations",
        program: None,
        crates: &[],
        plots: &[],
        has_report: false,
    },
    Bench {
        name: "memory",
        package: "backend-memory",
        target: "compare",
        program: None,
        crates: &["tokio", "async-broadcast", "flume"],
        plots: &[
            ("delivery-by-readers", "Nanoseconds for each delivery, by the number of readers"),
            ("delivery-by-topics", "Nanoseconds for each delivery, by the number of topics"),
        ],
        has_report: true,
    },
    Bench {
        name: "heap",
        package: "backend-memory",
        target: "memory",
        program: None,
        crates: &["dhat"],
        plots: &[("heap-by-topics", "Bytes of the heap for each topic, by the number of topics")],
        has_report: true,
    },
    Bench {
        name: "nats",
        package: "backend-nats",
        target: "nats",
        program: Some("nats-server"),
        crates: &["async-nats", "tokio"],
        plots: &[],
        has_report: true,
    },
    Bench {
        name: "redis",
        package: "backend-redis",
        target: "redis",
        program: Some("redis-server"),
        crates: &["redis", "tokio"],
        plots: &[],
        has_report: true,
    },
];

fn names() -> impl Iterator<Item = &'static str> {
    BENCHES.iter().map(|bench| bench.name)
}

impl Bench {
    fn command(&self, options: &Options, reports: &Path) -> Command {
        // The packages of all benches, whichever this one is of: cargo would build what they share
        // anew for each, with other features.
        let mut command = Command::cargo(&["bench"]);
        let packages: BTreeSet<_> = BENCHES.iter().map(|bench| bench.package).collect();
        for package in packages {
            command = command.with_argument("--package").with_argument(package);
        }
        let command = command
            .with_argument("--bench")
            .with_argument(self.target)
            .with_environment("BENCH_REPORTS", &reports.to_string_lossy());
        if options.quick { command.with_environment("ROUNDS", QUICK) } else { command }
    }

    fn program(&self) -> Option<&'static Program> {
        PROGRAMS.iter().find(|program| self.program == Some(program.name))
    }
}

/// Runs the chore; says whether all that could be run has succeeded.
pub(crate) fn bench(options: &Options, folder: &Path, out: &mut impl Write) -> io::Result<bool> {
    let reports = target(folder).join(REPORTS);
    let wanted = BENCHES.iter().filter(|bench| {
        options.only.is_empty() || options.only.iter().any(|name| name == bench.name)
    });
    // Once, before anything is built or measured: the load is that of the last minute, and a bench
    // is not to be told that the one before it was at work.
    let machine = Machine::here();
    if machine.is_busy() && !options.list {
        writeln!(out, "{YELLOW}Busy{YELLOW:#}  The figures will be those of a busy machine.")?;
    }
    let (mut left_out, mut failed) = (Vec::new(), Vec::new());
    for bench in wanted {
        let command = bench.command(options, &reports);
        writeln!(out, "{BOLD}$ {command}{BOLD:#}")?;
        if options.list {
            continue;
        }
        if let Some(program) = bench.program().filter(|program| !program.is_installed()) {
            writeln!(out, "{YELLOW}Left out{YELLOW:#}  {} is not installed.\n", program.name)?;
            left_out.push(format!("{} (no {})", bench.name, program.name));
            continue;
        }
        // An old one is not to pass for this one.
        let table = reports.join(format!("{}.md", bench.name));
        if table.exists() {
            fs::remove_file(&table)?;
        }
        let start = Instant::now();
        let ended = run::run(&command, folder, out)?;
        let table = ended.and_then(|()| match bench.has_report {
            true => fs::read_to_string(&table).map(Some).map_err(|error| error.to_string()),
            false => Ok(None),
        });
        match table {
            Ok(table) => {
                writeln!(out, "{}: done after {}", bench.name, report::shown(start.elapsed()))?;
                if let Some(table) = table {
                    // At once: the next one may be given up by whoever waits.
                    enter(bench, &section(bench, options, &machine, &table, folder), folder)?;
                    writeln!(out, "{BOLD}{PAGE}{BOLD:#} has the new figures.")?;
                }
                writeln!(out)?;
            }
            Err(reason) => failed.push(format!("{} ({reason})", bench.name)),
        }
    }
    for (word, names) in [("Left out", &left_out), ("Failed", &failed)] {
        if !names.is_empty() {
            writeln!(out, "{YELLOW}{word}{YELLOW:#}  {}", names.join(", "))?;
        }
    }
    out.flush()?;
    Ok(failed.is_empty())
}

/// Puts the figures, and pictures, of one bench onto the page.
fn enter(bench: &Bench, section: &str, folder: &Path) -> io::Result<()> {
    for (name, _) in bench.plots {
        let picture = format!("{name}.svg");
        fs::copy(target(folder).join(REPORTS).join(&picture), folder.join(IMAGES).join(&picture))?;
    }
    let file = folder.join(PAGE);
    let text = page::replace(&fs::read_to_string(&file)?, bench.name, section)?;
    fs::write(&file, text)
}

/// What the page says of one bench: the figures, and what they are figures of.
fn section(
    bench: &Bench,
    options: &Options,
    machine: &Machine,
    table: &str,
    folder: &Path,
) -> String {
    let server = bench.program().and_then(Program::version);
    let crates = bench.crates.iter().filter_map(|name| machine.version_of_crate(name, folder));
    let with: Vec<_> = iter::once(machine.rustc.clone()).chain(server).chain(crates).collect();
    let quick = if options.quick { " --quick" } else { "" };
    let rough = if options.quick { " Few rounds: rough figures." } else { "" };
    let picture = |(name, what): &(&str, &str)| format!("\n\n![{what}](images/{name}.svg)");
    let pictures: String = bench.plots.iter().map(picture).collect();
    format!(
        "{}{pictures}\n\nOn {}, by `cargo xtask bench{quick} --only {}`.{rough}\n{machine}.\n{}.\n",
        table.trim_end(),
        machine.date,
        bench.name,
        with.join("; "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bench_names_a_program_that_is_known_and_has_a_place_on_the_page() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = fs::read_to_string(root.join(PAGE)).unwrap();
        for bench in BENCHES {
            assert_eq!(bench.program().map(|program| program.name), bench.program);
            let has_place = page::replace(&text, bench.name, "new").is_ok();
            assert_eq!(has_place, bench.has_report, "{}", bench.name);
            let manifest = fs::read_to_string(root.join(bench.package).join("Cargo.toml")).unwrap();
            let entry = format!("[[bench]]\nname = \"{}\"\nharness = false", bench.target);
            assert!(manifest.contains(&entry), "{}", bench.name);
        }
        let targets: BTreeSet<_> = BENCHES.iter().map(|bench| bench.target).collect();
        assert_eq!(targets.len(), BENCHES.len());
    }

    #[test]
    fn few_rounds_are_asked_for_in_the_environment() {
        let shown = |quick| {
            let options = Options { quick, only: Vec::new(), list: false };
            BENCHES[1].command(&options, Path::new("target/reports")).to_string()
        };
        let command = "cargo bench --package backend-fanout --package backend-memory \
                       --package backend-nats \
                       --package backend-redis --bench compare";
        assert_eq!(shown(false), format!("BENCH_REPORTS=target/reports {command}"));
        assert_eq!(shown(true), format!("BENCH_REPORTS=target/reports ROUNDS=3 {command}"));
    }
}
