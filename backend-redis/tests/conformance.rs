//! The whole suite over a server of its own, each instance behind a wire that can be cut.

mod support;

use std::process::ExitCode;

use support::Redis;
use support::harness::OnServer;

fn main() -> ExitCode {
    if !support::can_run() {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    let redis = runtime.block_on(Redis::start()).expect("the server starts");
    let server = redis.server.address;
    backend_testkit::run(OnServer { name: "redis", server, besides: Vec::new() })
}
