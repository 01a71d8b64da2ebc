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
}

/// Every bench.
const BENCHES: &[Bench] = &[
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
    },
    Bench {
        name: "heap",
        package: "backend-memory",
        target: "memory",
        program: None,
        crates: &["dhat"],
        plots: &[("heap-by-topics", "Bytes of the heap for each topic, by the number of topics")],
    },
    Bench {
        name: "nats",
        package: "backend-nats",
        target: "nats",
        program: Some("nats-server"),
        crates: &["async-nats", "tokio"],
        plots: &[],
    },
    Bench {
        name: "redis",
        package: "backend-redis",
        target: "redis",
        program: Some("redis-server"),
        crates: &["redis", "tokio"],
        plots: &[],
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
    let reports = target(folder).join("bench-reports");
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
        match ended.and_then(|()| fs::read_to_string(&table).map_err(|error| error.to_string())) {
            Ok(table) => {
                writeln!(out, "{}: done after {}", bench.name, report::shown(start.elapsed()))?;
                for (name, _) in bench.plots {
                    let picture = format!("{name}.svg");
                    fs::copy(reports.join(&picture), folder.join(IMAGES).join(&picture))?;
                }
                // At once: the next one may be given up by whoever waits.
                let file = folder.join(PAGE);
                let section = section(bench, options, &machine, &table, folder);
                let text = page::replace(&fs::read_to_string(&file)?, bench.name, &section)?;
                fs::write(&file, text)?;
                writeln!(out, "{BOLD}{PAGE}{BOLD:#} has the new figures.\n")?;
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
            assert!(page::replace(&text, bench.name, "new").is_ok(), "{}", bench.name);
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
            BENCHES[0].command(&options, Path::new("target/reports")).to_string()
        };
        let command = "cargo bench --package backend-memory --package backend-nats \
                       --package backend-redis --bench compare";
        assert_eq!(shown(false), format!("BENCH_REPORTS=target/reports {command}"));
        assert_eq!(shown(true), format!("BENCH_REPORTS=target/reports ROUNDS=3 {command}"));
    }
}
