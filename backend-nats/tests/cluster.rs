//! The whole suite, over a cluster of three servers: linked instances are on different ones.

mod support;

use std::process::ExitCode;
use std::time::Duration;

use support::Nats;
use support::harness::conform;

fn main() -> ExitCode {
    conform("nats-cluster", Duration::ZERO, async || Ok(Nats::start_cluster().await?.into()))
}
