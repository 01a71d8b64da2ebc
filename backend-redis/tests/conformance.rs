//! The whole suite, over a server of its own.

mod support;

use std::process::ExitCode;
use std::time::Duration;

use support::Redis;
use support::harness::{Servers, conform};

fn main() -> ExitCode {
    conform("redis", Duration::ZERO, async || {
        Ok(Servers { master: Redis::start().await?, besides: Vec::new() })
    })
}
