//! The whole suite, over a server of its own that is far away: everything takes 10 ms, each way.

mod support;

use std::process::ExitCode;
use std::time::Duration;

use support::Nats;
use support::harness::conform;

fn main() -> ExitCode {
    conform("nats-far", Duration::from_millis(10), async || Ok(vec![Nats::start().await?]))
}
