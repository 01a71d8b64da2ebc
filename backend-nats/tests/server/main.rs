//! What the engine can do to an instance, case by case, each over a server of its own.

#[path = "../support/mod.rs"]
mod support;

mod bursts;
mod denied;
mod limits;
mod nkeys;
mod outages;
mod ready;
mod refusals;
mod restart;
mod secrets;
mod several;
mod strangers;
mod tls;
mod topics;

use std::process::ExitCode;

fn main() -> ExitCode {
    let tests = [
        bursts::tests(),
        denied::tests(),
        limits::tests(),
        nkeys::tests(),
        outages::tests(),
        ready::tests(),
        refusals::tests(),
        restart::tests(),
        secrets::tests(),
        several::tests(),
        strangers::tests(),
        tls::tests(),
        topics::tests(),
    ];
    engine_harness::run(support::PROGRAM, tests.into_iter().flatten())
}
