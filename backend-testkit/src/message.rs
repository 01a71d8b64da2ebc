//! The text of a failure: what was expected by which clause, what was seen, how it came to that,
//! and how to run just this check again.

use std::fmt::Write;

use crate::failure::Failure;
use crate::seed::SEED;
use crate::story::Story;
use crate::{Check, Harness, Need};

pub(crate) fn failure(
    harness: &dyn Harness,
    check: &Check,
    seed: u64,
    failure: &Failure,
    story: &Story,
    panicked: &[String],
) -> String {
    let clause = failure.clause.unwrap_or(check.clauses[0]);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", check.summary);
    let _ = writeln!(text);
    let _ = writeln!(text, "expected: {}", failure.expected);
    let _ = writeln!(text, "seen:     {}", failure.seen);
    let _ = writeln!(text, "clause:   {clause}. {}", clause.text());
    let _ = writeln!(text, "          {}", clause.url());
    for panic in panicked {
        let _ = writeln!(text, "panicked: {panic}");
    }
    let _ = writeln!(text, "steps:");
    for line in story.lines() {
        let _ = writeln!(text, "{line}");
    }
    let name = format!("{}::{}", harness.name(), check.name);
    let _ = write!(text, "again:    {SEED}={seed} {}", again(&name));
    text
}

pub(crate) fn not_claimed(missing: &[Need]) -> String {
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    format!("not claimed: {}", missing.join(", "))
}

/// The command that runs one check, as far as the environment tells.
fn again(name: &str) -> String {
    let target = std::env::current_exe().ok().and_then(|path| {
        let stem = path.file_stem()?.to_str()?;
        // Cargo names a test's executable by its target and a hash.
        let (target, hash) = stem.rsplit_once('-')?;
        let is_hash = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then(|| target.to_owned())
    });
    match (std::env::var("CARGO_PKG_NAME"), target) {
        (Ok(package), Some(target)) => {
            format!("cargo test -p {package} --test {target} -- --exact {name}")
        }
        (_, Some(target)) => format!("cargo test --test {target} -- --exact {name}"),
        (_, None) => format!("-- --exact {name}"),
    }
}
