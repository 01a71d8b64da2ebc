//! The whole suite over a cluster of three servers: linked instances are on different ones.

mod support;

use std::process::ExitCode;

use support::Nats;
use support::harness::conform;

fn main() -> ExitCode {
    conform(async || Ok(Nats::start_cluster().await?.into()), "nats-cluster")
}
