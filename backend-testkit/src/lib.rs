//! The conformance suite for publish/subscribe backends.
//!
//! `backend-core` says what a backend promises, clause by clause. This crate shows whether one
//! keeps it: more than two hundred small checks, each with a name and the clauses that it holds a
//! backend to, run through `cargo test` and reported one by one.
//!
//! # Run it over your backend
//!
//! In the manifest:
//!
//! ```toml
//! [dev-dependencies]
//! backend-testkit = { path = "../backend/backend-testkit" }
//!
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! In `tests/conformance.rs`, with the memory backend in the place of yours:
//!
//! ```no_run
//! use std::process::ExitCode;
//! use std::sync::Arc;
//! use backend_core::Backend;
//! use backend_memory::MemoryBackend;
//! use backend_testkit::{BoxError, Claims, Cluster, Harness, async_trait};
//!
//! struct Memory;
//!
//! #[async_trait]
//! impl Harness for Memory {
//!     fn name(&self) -> &str {
//!         "memory"
//!     }
//!
//!     fn claims(&self) -> Claims {
//!         Claims::new().with_health().with_counters().with_capacity(64).with_exact_gaps()
//!     }
//!
//!     async fn cluster(&self, instances: usize) -> Result<Cluster, BoxError> {
//!         let bus = MemoryBackend::builder().capacity(64).build();
//!         let one = |_| Arc::new(bus.fork()) as Arc<dyn Backend>;
//!         Ok(Cluster::new((0..instances).map(one).collect()))
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     backend_testkit::run(Memory)
//! }
//! ```
//!
//! `cargo test --test conformance` runs everything, `… -- overflow::` one group, `… -- --list`
//! lists the checks. A harness that can cut an instance off its bus gives its clusters
//! [`Faults`], claims [`Claims::with_faults`], and is held to the clauses on outages too.
//!
//! # What to make of it
//!
//! * **Claims** are checked. What is not claimed is shown as ignored, with that reason, and never
//!   as passed.
//! * **A check passes on a positive observation only**, and is [inconclusive](Verdict::Inconclusive)
//!   until then. That something does *not* arrive is shown with a witness and a sentinel: somebody
//!   else receives the forbidden envelope, something permitted is sent behind it, and the subject
//!   sees the second without the first. No check waits for a while and takes silence for an answer.
//!   Where a backend claims [no order](Claims::without_order), a sentinel proves little: there are
//!   many then, and the verdict says that it is [statistical](Evidence::Statistical).
//! * **The checks go by the backend's pace.** [`Claims::with_deadline`] is a limit that costs
//!   nothing on a good day; a slow backend is no broken one.
//! * **Chance has a seed.** The `model::` checks do random things to several instances, and compare
//!   with a small model of what every subscription must, may and must not receive. What fails is
//!   made shorter until nothing can be left out, and comes again with `BACKEND_TESTKIT_SEED`.
//! * **A failure tells** what was expected by which clause, what was seen, step by step, and the
//!   command that runs just this check again. A backend that hangs, blocks its thread or panics
//!   fails the check in which it does, and the run goes on.
//! * **A [`Report`]** says how far a backend goes, by [`Level`]; [`run`] leaves one as JSON, JUnit and
//!   Markdown on request, and a [`matrix`] puts several side by side.
//! * **Known failures** are listed by the [harness](Harness::known_failures), and have to fail.
//! * **The checks can fail**: [`broken`] has backends with one fault each. Every one is caught by the
//!   check that names its fault, every check catches at least one, and what is honest passes.
//!
//! Programs get the verdicts from a [`Suite`].
//!
//! # Test your application against a bad day
//!
//! [`Faulty`] wraps any backend for an *application's* tests: messages are lost, delayed, held,
//! doubled and swapped, calls fail and hang, and outages come and go, as the test says and without
//! sleeps. The page of [`faulty`] shows how.

mod bench;
pub mod broken;
mod check;
mod checks;
mod claims;
mod clause;
mod failure;
pub mod faulty;
mod harness;
mod instance;
mod known;
mod level;
mod message;
mod model;
mod notes;
mod panics;
mod poll;
mod reader;
mod registry;
mod report;
mod runner;
mod seed;
mod show;
mod story;
mod suite;
mod verdict;

pub use backend_core::{BoxError, async_trait};
pub use check::Check;
pub use claims::{Claims, Need, Order};
pub use clause::Clause;
pub use faulty::{Controls, Faulty, Gate, Rule};
pub use harness::{Cluster, Faults, Harness, Probe};
pub use level::Level;
pub use registry::{checks, checks_of};
pub use report::{Report, ReportError, Tally, matrix};
pub use suite::{Suite, run};
pub use verdict::{Evidence, Outcome, Verdict};

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
