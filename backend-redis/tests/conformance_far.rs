//! The whole suite over a server of its own that is far away: everything takes 20 ms, each way.

mod support;

use std::process::ExitCode;
use std::time::Duration;

use support::Redis;
use support::harness::{Servers, conform};

fn main() -> ExitCode {
    conform("redis-far", Duration::from_millis(20), async || {
        Ok(Servers { master: Redis::start().await?, besides: Vec::new() })
    })
}
