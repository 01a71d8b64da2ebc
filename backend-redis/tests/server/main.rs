//! What the engine can do to an instance, case by case, each over a server of its own.

#[path = "../support/mod.rs"]
mod support;

mod denied;
mod outages;
mod refusals;
mod replica;
mod restart;
mod secrets;
mod strangers;
mod tls;

use std::process::ExitCode;

fn main() -> ExitCode {
    let tests = [
        denied::tests(),
        outages::tests(),
        replica::tests(),
        refusals::tests(),
        restart::tests(),
        secrets::tests(),
        strangers::tests(),
        tls::tests(),
    ];
    engine_harness::run(support::PROGRAM, tests.into_iter().flatten())
}
