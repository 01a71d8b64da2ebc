//! The whole suite over a server of its own, each instance behind a wire that can be cut.

mod support;

use std::process::ExitCode;

use support::Redis;
use support::harness::OnServer;

fn main() -> ExitCode {
    if let Some(left_out) = engine_harness::left_out("redis", "redis-server") {
        return left_out;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    let redis = runtime.block_on(Redis::start()).expect("the server starts");
    backend_testkit::run(OnServer::new("redis", redis.server.address))
}
