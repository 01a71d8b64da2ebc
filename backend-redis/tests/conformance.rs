//! The whole suite over a server of its own, each instance behind a wire that can be cut.

mod support;

use std::process::ExitCode;

use support::Redis;
use support::harness::{Servers, conform};

fn main() -> ExitCode {
    conform(async || Ok(Servers { master: Redis::start().await?, besides: Vec::new() }), "redis")
}
