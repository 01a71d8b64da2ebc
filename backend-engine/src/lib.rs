//! What every backend over an engine shares.
//!
//! An engine is a server that people already run and that passes messages on: NATS, Redis,
//! PostgreSQL. This crate is for authors of adapters to one; applications take a finished backend.
//! It has what is the same for all engines, and easily got wrong when it is written again.
//!
//! | module | what it has |
//! |---|---|
//! | [`wire`] | an envelope as bytes and back, for any bytes that a stranger may send |
//! | [`name`] | what the engine calls a topic |
//! | [`ledger`] | numbers given to what is published, and what is missing where it is received |
//!
//! # The way of one envelope
//!
//! Publishing: [`Names::name`](name::Names::name) → [`wire::check_size`] → [`Sequencer::take`] →
//! [`wire::encode`] → the engine's client. Receiving: [`wire::peek_origin`] (an own echo ends
//! here) → [`wire::decode`] → [`Frame::expect_topic`](wire::Frame::expect_topic) →
//! [`Ledger::observe`] → the fan-out of `backend-fanout`.

mod backend;
mod core;
mod counters;
pub mod driver;
mod inbox;
pub mod ledger;
pub mod name;
mod options;
mod outage;
mod outbox;
mod receive;
mod recent;
mod registry;
mod released;
mod seldom;
mod sequencer;
mod stamp;
mod supervisor;
mod topics;
pub mod wire;

pub use backend::EngineBackend;
pub use driver::{Driver, Handover, Link, Outgoing};
pub use inbox::Inbox;
pub use ledger::{Ledger, Verdict};
pub use options::Options;
pub use sequencer::Sequencer;
pub use stamp::{NotAnOrigin, Origin, Stamp};

/// Runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
