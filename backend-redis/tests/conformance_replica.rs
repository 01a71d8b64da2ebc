//! The whole suite over a master with a replica, which every instance is told of first.

mod support;

use std::process::ExitCode;

use support::harness::OnServer;

fn main() -> ExitCode {
    if let Some(left_out) = engine_harness::left_out("redis-replica", "redis-server") {
        return left_out;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    let (master, replica) = runtime.block_on(support::pair()).expect("the servers start");
    let harness = OnServer::new("redis-replica", master.server.address);
    backend_testkit::run(harness.besides(replica.server.address))
}
