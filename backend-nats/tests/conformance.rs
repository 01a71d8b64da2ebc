//! The whole suite, over a server of its own.

mod support;

use std::process::ExitCode;

use support::Nats;
use support::harness::OnServers;

fn main() -> ExitCode {
    if !support::can_run() {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    let nats = runtime.block_on(Nats::start()).expect("the server starts");
    backend_testkit::run(OnServers { name: "nats", servers: vec![nats.address()] })
}
