//! The conformance suite for publish/subscribe backends.

mod bench;
pub mod broken;
mod check;
mod checks;
mod claims;
mod clause;
mod failure;
mod harness;
mod instance;
mod message;
mod notes;
mod panics;
mod poll;
mod reader;
mod registry;
mod runner;
mod show;
mod story;
mod suite;
mod verdict;

pub use backend_core::{BoxError, async_trait};
pub use check::Check;
pub use claims::{Claims, Need};
pub use clause::Clause;
pub use harness::{Cluster, Faults, Harness};
pub use registry::{checks, checks_of};
pub use suite::{Suite, run};
pub use verdict::{Report, Verdict};
