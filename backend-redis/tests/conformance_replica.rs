//! The whole suite over a master with a replica, which every instance is told of first.

mod support;

use std::process::ExitCode;

use support::harness::{Servers, conform};

fn main() -> ExitCode {
    let start = async || {
        let (master, replica) = support::pair().await?;
        Ok(Servers { master, besides: vec![replica] })
    };
    conform(start, "redis_replica")
}
