//! What the engine can do to an instance, case by case, each over a server of its own.

#[path = "../support/mod.rs"]
mod support;

mod denied;
mod restart;

use std::process::ExitCode;

fn main() -> ExitCode {
    let tests = [denied::tests(), restart::tests()];
    engine_harness::run(support::PROGRAM, tests.into_iter().flatten())
}
