//! Puts conformance reports of several backends side by side, as a table for a README.
//!
//! ```sh
//! BACKEND_TESTKIT_REPORTS=$PWD/target/conformance cargo test --test conformance
//! cargo run -p backend-testkit --example matrix -- --into README.md target/conformance/*.json
//! ```
//!
//! Without `--into` the table is printed. With it, it replaces what stands between the lines
//! `<!-- conformance -->` and `<!-- /conformance -->` of that file; with `--check` besides, nothing
//! is written, and a table that is out of date is an error.

use std::process::ExitCode;

use backend_testkit::{Report, matrix};

const BEGIN: &str = "<!-- conformance -->\n";
const END: &str = "<!-- /conformance -->\n";

const USAGE: &str = "\
usage: matrix [--into FILE.md [--check]] REPORT.json …

Makes a Markdown table of conformance reports, one column for each.

  --into FILE.md   replaces what stands between <!-- conformance --> and
                   <!-- /conformance --> in that file, instead of printing
  --check          writes nothing, and fails if the file has another table";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<(), String> {
    let (mut into, mut check, mut reports) = (None, false, Vec::new());
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--into" => into = Some(arguments.next().ok_or("--into needs a file")?),
            "--check" => check = true,
            option if option.starts_with('-') => {
                return Err(format!("{option} is no option\n\n{USAGE}"));
            }
            path => reports.push(read(path)?),
        }
    }
    if reports.is_empty() {
        return Err(format!("no report is named\n\n{USAGE}"));
    }
    let table = matrix(&reports);
    let Some(path) = into else {
        print!("{table}");
        return Ok(());
    };
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let fresh = replaced(&text, &table).ok_or_else(|| {
        format!("{path} has no line {} with a line {} after it", BEGIN.trim(), END.trim())
    })?;
    if fresh == text {
        return Ok(());
    }
    if check {
        return Err(format!("the table in {path} is out of date; it has to be:\n\n{table}"));
    }
    std::fs::write(&path, fresh).map_err(|error| format!("{path}: {error}"))
}

fn read(path: &str) -> Result<Report, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    Report::from_json(&text).map_err(|error| format!("{path}: {error}"))
}

fn replaced(text: &str, table: &str) -> Option<String> {
    let begin = text.find(BEGIN)? + BEGIN.len();
    let end = begin + text[begin..].find(END)?;
    Some(format!("{}{table}{}", &text[..begin], &text[end..]))
}
