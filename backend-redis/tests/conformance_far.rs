//! The whole suite over a server of its own that is far away: everything takes 10 ms, each way.

mod support;

use std::process::ExitCode;
use std::time::Duration;

use support::Redis;
use support::harness::{Servers, conform};

fn main() -> ExitCode {
    conform("redis-far", Duration::from_millis(10), async || {
        Ok(Servers { master: Redis::start().await?, besides: Vec::new() })
    })
}
