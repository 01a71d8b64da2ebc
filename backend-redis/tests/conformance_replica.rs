//! The whole suite over a master with a replica, which every instance is told of first.

mod support;

use std::process::ExitCode;

use support::harness::OnServer;

fn main() -> ExitCode {
    if !support::can_run() {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    let (master, replica) = runtime.block_on(support::pair()).expect("the servers start");
    let (server, besides) = (master.server.address, vec![replica.server.address]);
    backend_testkit::run(OnServer { name: "redis_replica", server, besides })
}
