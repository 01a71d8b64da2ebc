//! The repository's own chores, as programs: `cargo xtask --help` lists them.
//!
//! The path through `cargo xtask test`, file by file:
//!
//! 1. [`mod@test`] holds the chore together.
//! 2. [`needs`] knows what the tests want to find on a machine, [`install`] gets it.
//! 3. [`steps`] is the table of what is run, [`command`] one command of it.
//! 4. [`run`] runs a command and shows its output live; [`tally`] reads the numbers out of it.
//! 5. [`report`] prints the summary.
//!
//! [`unpacked`] takes out of cargo's way what would make the step `package` verify yesterday's code.
//!
//! Through `cargo xtask instructions`: [`mod@instructions`] counts, [`counts`] compares.
//!
//! And through `cargo xtask bench`: [`mod@bench`] has the list and runs it, [`machine`] says on what,
//! [`page`] puts it into the documentation.

mod bench;
mod command;
mod counts;
mod install;
mod instructions;
mod links;
mod machine;
mod needs;
mod page;
mod report;
mod run;
mod steps;
mod style;
mod system;
mod tally;
mod test;
mod unpacked;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The repository's own chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Run every check of the repository and print a summary.
    ///
    /// Says first what is missing on this machine, and installs it on Debian and Ubuntu. A failed
    /// step does not stop the others. The last line is always `N passed, N failed, N skipped`:
    /// of tests, and of steps that have none, such as the formatting.
    Test(test::Options),

    /// Run the benches, and put their figures into docs/performance.md.
    ///
    /// Each compares in turns, within one process, and takes some minutes; do nothing else on the
    /// machine meanwhile. What needs a server that is not installed is left out, and its figures
    /// stay as they are.
    Bench(bench::Options),

    /// Count the instructions that the fan-out takes, and compare with what is checked in.
    ///
    /// The counts do not depend on how busy the machine is. A count above the margin is a failure.
    /// It takes valgrind, and gungraun-runner, which is built once and kept in the folder `target`.
    Instructions(instructions::Options),

    /// See that every link in the documentation, as `cargo doc` left it, leads to a file.
    ///
    /// A page that is left of what is not there any more may have dead links: remove target/doc, and
    /// document everything again.
    Links,
}

fn main() -> ExitCode {
    let Arguments { chore } = Arguments::parse();
    let mut out = anstream::stdout();
    let done = match chore {
        Chore::Test(options) => test::test(&options, &repository(), &mut out),
        Chore::Bench(options) => bench::bench(&options, &repository(), &mut out),
        Chore::Instructions(options) => {
            instructions::instructions(&options, &repository(), &mut out)
        }
        Chore::Links => links::links(&repository(), &target(&repository()).join("doc"), &mut out),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever read the output has gone, as in `cargo xtask test | head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(error) => complain(&error),
    }
}

fn complain(error: &io::Error) -> ExitCode {
    // Standard error may be gone as well; then nobody is left to tell.
    let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("cargo xtask: {error}\n"));
    ExitCode::FAILURE
}

/// The folder of the workspace, wherever in it the command was given.
fn repository() -> PathBuf {
    // Cargo sets it for `cargo run`; what was compiled in is for those who call the binary itself.
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or_else(|| package.clone(), Path::to_path_buf)
}

/// The folder that cargo builds in.
fn target(folder: &Path) -> PathBuf {
    // An absolute path stays what it is when it is joined.
    folder.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
