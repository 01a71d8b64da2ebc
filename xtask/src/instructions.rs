//! `cargo xtask instructions`: counts what the fan-out's operations take, and holds it against what
//! is checked in.
//!
//! Time depends on the machine, and on what else it does; the number of instructions does not.
//! Callgrind counts, started by the program of gungraun. That is not a library, so cargo does not
//! bring it: the version that goes with the library is built once, and kept in the folder that
//! cargo builds in.

use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use crate::command::Command;
use crate::counts::{Counts, Verdict};
use crate::machine::{self, Machine};
use crate::needs::{PROGRAMS, Program};
use crate::style::{BOLD, GREEN, RED, YELLOW};
use crate::{run, target};

/// The counts that are checked in.
const FILE: &str = "backend-fanout/benches/instructions.json";

/// What brings them up to date.
const REFRESH: &str = "cargo xtask instructions --refresh";

/// What a person can ask for.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Check in what is counted now, in place of what is there.
    #[arg(long)]
    refresh: bool,
}

/// Runs the chore; says whether no count is above what is checked in.
pub(crate) fn instructions(
    options: &Options,
    folder: &Path,
    out: &mut impl Write,
) -> io::Result<bool> {
    let counted = match count(folder, out)? {
        Ok(counted) => counted,
        Err(reason) => {
            writeln!(out, "{RED}Not counted{RED:#}  {reason}.")?;
            return Ok(false);
        }
    };
    if options.refresh {
        let text = serde_json::to_string_pretty(&counted)?;
        fs::write(folder.join(FILE), text + "\n")?;
        writeln!(out, "{BOLD}{FILE}{BOLD:#} has the new counts.")?;
        return Ok(true);
    }
    match checked_in(folder)? {
        Some(checked_in) if checked_in.architecture == counted.architecture => {
            tell(&counted, &checked_in, out)
        }
        _ => {
            writeln!(out, "{RED}Nothing to compare with{RED:#}  {FILE} has no counts of {ARCH};")?;
            writeln!(out, "`{REFRESH}` puts them there.")?;
            Ok(false)
        }
    }
}

/// Why nothing can be compared on this machine, if so.
pub(crate) fn lack(folder: &Path) -> Option<String> {
    let checked_in = checked_in(folder).ok()??;
    (checked_in.architecture != ARCH)
        .then(|| format!("the counts that are checked in are of {}", checked_in.architecture))
}

fn checked_in(folder: &Path) -> io::Result<Option<Counts>> {
    match fs::read_to_string(folder.join(FILE)) {
        Ok(text) => Ok(Some(serde_json::from_str(&text)?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn tell(counted: &Counts, checked_in: &Counts, out: &mut impl Write) -> io::Result<bool> {
    let rows = counted.against(checked_in);
    writeln!(out)?;
    for row in &rows {
        let (word, style) = match row.verdict() {
            Verdict::Alike => ("passed", GREEN),
            Verdict::Fewer => ("FEWER", YELLOW),
            Verdict::More | Verdict::New | Verdict::Gone => ("FAILED", RED),
        };
        writeln!(out, "  {style}{word:<6}{style:#}  {row}")?;
    }
    let failed = rows.iter().any(|row| row.has_failed());
    if failed {
        writeln!(out, "\nIf that is as it should be, `{REFRESH}` checks in the new counts.")?;
    } else if rows.iter().any(|row| row.verdict() == Verdict::Fewer) {
        writeln!(out, "\n`{REFRESH}` checks in the fewer, so that they are not lost unseen.")?;
    }
    if !counted.has_tools_of(checked_in) {
        writeln!(out, "\nWhat is checked in was counted with {},", checked_in.tools.join(", "))?;
        writeln!(out, "this with {}: that alone may be a difference.", counted.tools.join(", "))?;
    }
    out.flush()?;
    Ok(!failed)
}

/// Counts, or says why it cannot.
fn count(folder: &Path, out: &mut impl Write) -> io::Result<Result<Counts, String>> {
    let machine = Machine::here();
    let Some(valgrind) = valgrind().and_then(Program::version) else {
        let step = "cargo xtask test --only instructions";
        return Ok(Err(format!("valgrind is not installed; `{step}` installs it")));
    };
    let Some(version) = machine.version_of_crate("gungraun-runner", folder) else {
        return Ok(Err("Cargo.lock does not name gungraun-runner".into()));
    };
    let version = version.trim_start_matches("gungraun-runner ");
    let root = target(folder).join(format!("gungraun-runner-{version}"));
    let runner = root.join("bin/gungraun-runner");
    let results = target(folder).join("gungraun");
    let mut commands = vec![bench(&runner, &results)];
    if !runner.exists() {
        commands.insert(0, install(version, &root));
    }
    // Old ones are not to pass for new ones.
    for summary in summaries(&results)? {
        fs::remove_file(summary)?;
    }
    for command in commands {
        writeln!(out, "{BOLD}$ {command}{BOLD:#}")?;
        if let Err(reason) = run::run(&command, folder, out)? {
            return Ok(Err(reason));
        }
    }
    let instructions = summaries(&results)?
        .iter()
        .map(|summary| read(&fs::read_to_string(summary)?))
        .collect::<io::Result<BTreeMap<_, _>>>()?;
    if instructions.is_empty() {
        return Ok(Err("the bench has left no counts behind".into()));
    }
    let libc = machine::first_line(&Command::new("getconf", &["GNU_LIBC_VERSION"]));
    let tools = [machine.rustc, valgrind].into_iter().chain(libc).collect();
    Ok(Ok(Counts { architecture: ARCH.into(), tools, instructions }))
}

fn valgrind() -> Option<&'static Program> {
    PROGRAMS.iter().find(|program| program.name == "valgrind")
}

/// Not optimised: it only starts valgrind, and to build it so takes a third of the time.
fn install(version: &str, root: &Path) -> Command {
    Command::cargo(&["install", "--locked", "--debug", "--root"])
        .with_argument(root.to_string_lossy())
        .with_argument(format!("gungraun-runner@{version}"))
}

fn bench(runner: &Path, results: &Path) -> Command {
    Command::cargo(&["bench", "--package", "backend-fanout", "--bench", "instructions"])
        .with_environment("GUNGRAUN_RUNNER", &runner.to_string_lossy())
        .with_environment("GUNGRAUN_HOME", &results.to_string_lossy())
        .with_environment("GUNGRAUN_SAVE_SUMMARY", "json")
}

/// The files, anywhere in this folder, in which gungraun says what it found.
fn summaries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(summaries(&entry.path())?);
        } else if entry.file_name() == "summary.json" {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// The name of a work and the instructions it took, from what gungraun says of it.
fn read(summary: &str) -> io::Result<(String, u64)> {
    #[derive(Deserialize)]
    struct Summary {
        function_name: String,
        id: Option<String>,
        profiles: Vec<Profile>,
    }
    #[derive(Deserialize)]
    struct Profile {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        total: Total,
    }
    #[derive(Deserialize)]
    struct Total {
        metrics: Metrics,
    }
    #[derive(Deserialize)]
    struct Metrics {
        #[serde(rename = "Ir")]
        instructions: Metric,
    }
    #[derive(Deserialize)]
    struct Metric {
        values: Values,
    }
    #[derive(Deserialize)]
    struct Values {
        new: u64,
    }

    let Summary { function_name, id, profiles } = serde_json::from_str(summary)?;
    let [Profile { data }] = &*profiles else {
        return Err(io::Error::other(format!("{function_name} was not counted once")));
    };
    let name = function_name + &id.map_or_else(String::new, |id| format!("::{id}"));
    Ok((name, data.total.metrics.instructions.values.new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_a_name_and_a_count() {
        let summary = r#"{"function_name": "publish", "id": "to_nobody", "group": "operations",
            "profiles": [{"tool": "Callgrind", "data": {"parts": [], "total": {"metrics": {
                "Dr": {"values": {"new": 7}},
                "Ir": {"change": {"factor": "1.0"}, "values": {"new": 151038, "old": 151036}}
            }}}}]}"#;
        assert_eq!(read(summary).unwrap(), ("publish::to_nobody".into(), 151_038));
        assert!(read(r#"{"function_name": "publish", "id": null, "profiles": []}"#).is_err());
        assert!(read("no JSON").is_err());
    }

    #[test]
    fn summaries_are_found_in_folders_of_folders() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("one/two");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("summary.json"), "{}").unwrap();
        fs::write(deep.join("callgrind.out"), "").unwrap();
        assert_eq!(summaries(folder.path()).unwrap(), [deep.join("summary.json")]);
        assert!(summaries(&folder.path().join("nowhere")).unwrap().is_empty());
    }

    #[test]
    fn what_is_checked_in_can_be_read_and_is_of_the_bench() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let checked_in = checked_in(&root).unwrap().unwrap();
        let bench = fs::read_to_string(root.join(FILE).with_extension("rs")).unwrap();
        for name in checked_in.instructions.keys() {
            let (function, id) = name.split_once("::").unwrap();
            assert!(bench.contains(&format!("fn {function}(")), "{name}");
            assert!(bench.contains(&format!("#[bench::{id}(")), "{name}");
        }
    }

    /// What is told where 1,000 are checked in, and whether it passes.
    fn told(tools: &str, count: u64) -> (bool, String) {
        let counts = |tools: &str, count| Counts {
            architecture: ARCH.into(),
            tools: vec![tools.into()],
            instructions: [("publish::to_nobody".to_owned(), count)].into(),
        };
        let mut out = anstream::StripStream::new(Vec::new());
        let passed = tell(&counts(tools, count), &counts("rustc 1", 1_000), &mut out).unwrap();
        (passed, String::from_utf8(out.into_inner()).unwrap())
    }

    #[test]
    fn more_fails_and_says_what_to_do() {
        let (passed, text) = told("rustc 1", 1_050);
        assert!(!passed);
        let line = "FAILED  publish::to_nobody: 1,050 instructions, 5.00 % more than the 1,000";
        assert!(text.contains(line) && text.contains(REFRESH), "{text}");
    }

    #[test]
    fn fewer_passes_and_says_what_to_do() {
        let (passed, text) = told("rustc 1", 900);
        assert!(passed);
        assert!(text.contains("FEWER") && text.contains(REFRESH), "{text}");
        let (passed, text) = told("rustc 1", 1_000);
        assert!(passed && !text.contains(REFRESH), "{text}");
    }

    #[test]
    fn other_tools_are_named() {
        let (passed, text) = told("rustc 2", 1_050);
        assert!(passed);
        assert!(text.contains("rustc 1") && text.contains("rustc 2"), "{text}");
    }
}
