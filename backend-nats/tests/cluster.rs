//! The whole suite, over a cluster of three servers: linked instances are on different ones.

mod support;

use std::process::ExitCode;

use support::Nats;
use support::harness::OnServers;

fn main() -> ExitCode {
    if !support::can_run() {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    let cluster = runtime.block_on(Nats::start_cluster()).expect("the servers start");
    let servers = cluster.iter().map(Nats::address).collect();
    backend_testkit::run(OnServers { name: "nats-cluster", servers })
}
