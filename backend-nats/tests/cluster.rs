//! The whole suite, over a cluster of three servers: linked instances are on different ones.

mod support;

use std::process::ExitCode;

use support::Nats;
use support::harness::OnServers;

fn main() -> ExitCode {
    if let Some(left_out) = engine_harness::left_out("nats-cluster", "nats-server") {
        return left_out;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    let cluster = runtime.block_on(Nats::start_cluster()).expect("the servers start");
    backend_testkit::run(OnServers::new("nats-cluster", cluster.each_ref().map(Nats::address)))
}
