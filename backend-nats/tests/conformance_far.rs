//! The whole suite, over a server of its own that is far away: everything takes 20 ms, each way.

mod support;

use std::process::ExitCode;
use std::time::Duration;

use support::Nats;
use support::harness::conform;

fn main() -> ExitCode {
    conform("nats-far", Duration::from_millis(20), async || Ok(vec![Nats::start().await?]))
}
