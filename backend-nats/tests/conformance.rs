//! The whole suite, over a server of its own.

mod support;

use std::process::ExitCode;

use support::Nats;
use support::harness::OnServers;

fn main() -> ExitCode {
    if let Some(left_out) = engine_harness::left_out("nats", "nats-server") {
        return left_out;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    let nats = runtime.block_on(Nats::start()).expect("the server starts");
    backend_testkit::run(OnServers::new("nats", [nats.address()]))
}
