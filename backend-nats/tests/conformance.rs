//! The whole suite, over a server of its own.

mod support;

use std::process::ExitCode;
use std::time::Duration;

use support::Nats;
use support::harness::conform;

fn main() -> ExitCode {
    conform("nats", Duration::ZERO, async || Ok(vec![Nats::start().await?]))
}
