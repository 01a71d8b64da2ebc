//! The whole suite over an engine that takes short names only, and denies any other; in a namespace that
//! leaves no room, so that every name is a digest.

mod switchboard;

use std::process::ExitCode;

use switchboard::Switchboard;
use switchboard::harness::Switchboards;

/// As many bytes as a name of PostgreSQL has.
const LONGEST: usize = 63;

fn main() -> ExitCode {
    backend_testkit::run(Switchboards {
        name: "switchboard-short-names",
        namespace: "a-namespace-of-sixty-three-bytes-is-too-long-for-a-topic-behind",
        new: || Switchboard::with_names_of(LONGEST),
    })
}
