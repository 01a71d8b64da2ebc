//! The whole suite, over a server of its own that is far away: everything takes 20 ms, each way.

mod support;

use std::process::ExitCode;
use std::time::Duration;

use support::Nats;
use support::harness::OnServers;

fn main() -> ExitCode {
    if let Some(left_out) = engine_harness::left_out("nats-far", "nats-server") {
        return left_out;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    let nats = runtime.block_on(Nats::start()).expect("the server starts");
    let far = OnServers::new("nats-far", [nats.address()]);
    backend_testkit::run(far.with_delay(Duration::from_millis(20)))
}
