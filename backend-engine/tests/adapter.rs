//! The whole suite over the smallest adapter, which is `switchboard/driver.rs`.

mod switchboard;

use std::process::ExitCode;

use switchboard::Switchboard;
use switchboard::harness::Switchboards;

fn main() -> ExitCode {
    backend_testkit::run(Switchboards {
        name: "switchboard",
        namespace: "tavern",
        new: Switchboard::default,
    })
}
