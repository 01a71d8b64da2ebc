//! The whole suite over a server of its own, each instance behind a wire that can be cut.

mod support;

use std::process::ExitCode;

use support::Nats;
use support::harness::conform;

fn main() -> ExitCode {
    conform(async || Ok(vec![Nats::start().await?]), "nats")
}
