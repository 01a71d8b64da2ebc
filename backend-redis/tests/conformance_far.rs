//! The whole suite over a server of its own that is far away: everything takes 20 ms, each way.

mod support;

use std::process::ExitCode;
use std::time::Duration;

use support::Redis;
use support::harness::OnServer;

fn main() -> ExitCode {
    if let Some(left_out) = engine_harness::left_out("redis-far", "redis-server") {
        return left_out;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    let redis = runtime.block_on(Redis::start()).expect("the server starts");
    let far = OnServer::new("redis-far", redis.server.address);
    backend_testkit::run(far.with_delay(Duration::from_millis(20)))
}
