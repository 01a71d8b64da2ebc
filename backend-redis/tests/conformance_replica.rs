//! The whole suite over a master with a replica, which every instance is told of first.

mod support;

use std::process::ExitCode;
use std::time::Duration;

use support::harness::{Servers, conform};

fn main() -> ExitCode {
    conform("redis-replica", Duration::ZERO, async || {
        let (master, replica) = support::pair().await?;
        Ok(Servers { master, besides: vec![replica] })
    })
}
