//! A backend over a small TCP relay, written from nothing.
//!
//! The relay is a process of its own, the binary `relay`: every instance of a service connects to
//! it, says which topics it wants, and gets what the others publish to them. It stands for any
//! engine. [`RelayBackend`] keeps the contract of `backend-core` over it, and the suite of
//! `backend-testkit` proves that in `tests/conformance.rs`. The page *Write a backend* in `docs/`
//! walks through every line of this crate.
//!
//! # The way of one envelope
//!
//! `backend` (encodes, hands over, waits for the answer) → `connection` (writes the request) →
//! the relay: `relay` (passes it on to the other instances) → `connection` (reads it) → the
//! fan-out of `backend-fanout` (rings, gaps, ttl) → the subscriptions.
//!
//! | module | what it has |
//! |---|---|
//! | [`frame`] | what goes over the wire, and how large it may be |
//! | [`relay`] | the engine: topics, instances, bounded queues |
//! | `connection` | one connection: requests go out in order, and are answered in order |
//! | `released` | topics that nobody subscribes to any more, on their way to the relay |
//! | `supervisor` | from one connection to the next, as long as the instance lives |
//! | `backend` | the contract's methods |

mod backend;
mod connection;
pub mod frame;
pub mod relay;
mod released;
mod supervisor;

pub use backend::{Options, RelayBackend};
