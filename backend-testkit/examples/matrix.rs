//! Puts reports of several backends side by side, as a table for a README.
//!
//! ```sh
//! BACKEND_TESTKIT_REPORTS=$PWD/target/conformance cargo test --test conformance
//! cargo run -p backend-testkit --example matrix -- target/conformance/*.json
//! ```

use std::process::ExitCode;

use backend_testkit::{Report, matrix};

fn main() -> ExitCode {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    if paths.is_empty() || paths.iter().any(|path| path == "--help" || path == "-h") {
        eprintln!("usage: matrix REPORT.json …");
        eprintln!("Prints a Markdown table of the conformance reports, one column for each.");
        return ExitCode::from(2);
    }
    match paths.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>() {
        Ok(reports) => {
            print!("{}", matrix(&reports));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read(path: &str) -> Result<Report, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    Report::from_json(&text).map_err(|error| format!("{path}: {error}"))
}
