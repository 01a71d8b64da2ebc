//! The in-process backend: instances made by [`fork`](MemoryBackend::fork) share one bus.
//!
//! Use it in a service that runs as a single process, and in the tests of a service that does not:
//! what holds here holds over an engine, since one suite checks every backend of the family. It is
//! a thin layer over `backend-fanout` and needs no runtime.
//!
//! ```
//! use backend_core::{Backend, Event, MessageEnvelope};
//! use backend_memory::MemoryBackend;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> backend_core::Result<()> {
//! let here = MemoryBackend::new();
//! let there = here.fork();
//!
//! let mut orders = there.subscribe("orders").await?;
//! here.publish(MessageEnvelope::new("orders", "one coffee")).await?;
//!
//! let Some(Event::Message(order)) = orders.recv().await else { panic!("it was just published") };
//! assert_eq!(order.data(), "one coffee");
//! # Ok(())
//! # }
//! ```
//!
//! # Faults on purpose
//!
//! A service has to cope with an outage, so the backend that its tests use can have one:
//! [`partition`](MemoryBackend::partition) really cuts an instance off, and
//! [`heal`](MemoryBackend::heal) brings it back, with a gap in every stream.
//! [`set_healthy`](MemoryBackend::set_healthy) changes only what the instance says of itself.
//!
//! # Guarantees
//!
//! Every clause of the [contract](backend_core#the-contract), and those that a backend may choose
//! to claim: one total order per topic (O2), exact numbers in gaps after an overflow (L2), all
//! that was accepted before `close` is handed out (C1).

mod backend;
mod builder;

pub use backend::MemoryBackend;
pub use builder::Builder;

/// Runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
