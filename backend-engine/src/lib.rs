//! What every backend over an engine shares.
//!
//! An engine is a server that people already run and that passes messages on: NATS, Redis,
//! PostgreSQL. This crate is for authors of adapters to one; applications take a finished backend.
//! It has what is the same for all engines, and easily got wrong when it is written again.
//!
//! | | what it has |
//! |---|---|
//! | [`EngineBackend`] | the contract's methods, for any engine: who is subscribed, what is told after a loss, who connects again |
//! | [`driver`] | what an engine has to offer for that: **all that an adapter writes** |
//! | [`wire`] | an envelope as bytes and back, for any bytes that a stranger may send |
//! | [`name`] | what the engine calls a topic |
//! | [`ledger`] | numbers given to what is published, and what is missing where it is received |
//!
//! # How to write an adapter
//!
//! An adapter is a public type around an [`EngineBackend`], a builder for its [`Options`] and the
//! engine's own, and two traits: a [`Driver`] connects, and a [`Link`] is one connection. The type gets
//! the contract's traits by one line, [`forward_backend!`](backend_core::forward_backend). The smallest
//! whole one has 100 lines: `tests/switchboard/driver.rs` of this crate, which passes the whole suite in
//! `tests/adapter.rs`. `backend-redis` and `backend-nats` are the ones to look at next. In this order:
//!
//! 1. **`Driver::connect`**: connect with the engine's client, its own reconnecting switched off, for
//!    what it would send again is stale. Give everything that arrives to the [`Inbox`], in order, from
//!    wherever the client hands it out; that never blocks.
//! 2. **`Link::lost`**: when does the client know that a connection is gone? And the drop of the link has
//!    to end every task and socket of it.
//! 3. **`Link::subscribe`**: when is it *true* that whatever is published from now on will arrive? The
//!    engine's own reply, if that says so (Redis); else whatever has to be sent behind the request, and
//!    come back (NATS). This is where adapters go wrong, and the suite looks hardest (clause D4).
//! 4. **`Link::publish`**: write all, then await all answers. What was refused, what may have been sent all
//!    the same? See [`Handover`]. Does the engine answer at all? If not, see [`Link::IS_UNANSWERED`].
//! 5. **`Link::ping`**: over the path that messages take.
//! 6. **The suite**: a `Harness` with a private server, a wire that can be cut, and a `Probe` that asks
//!    the server what it holds. Then kill the server in the middle of everything. The repository's
//!    `engine-harness` has the servers, the wires, and the accounts of what was sent and has arrived.
//!
//! A third engine such as PostgreSQL, with LISTEN and NOTIFY, differs in three things:
//!
//! - Its names have 63 bytes at most, and what is longer is cut without an error: that is its
//!   [`Driver::longest_name`].
//! - Its messages are text, for which there is [`Format::Json`](wire::Format::Json) in the
//!   [`Options`]; data that are no UTF-8 are in base64 there.
//! - They are shorter than 8,000 bytes. So its [`Link::max_message`] is `Some(7_999)`: a larger frame is
//!   refused with [`Error::PayloadTooLarge`](backend_core::Error::PayloadTooLarge) before the link sees
//!   it, and none is joined with others beyond that. The limit is that of the whole frame, topic and
//!   base64 included; an adapter that encodes frames once more gives what then still fits.
//!
//! Everything else is here.
//!
//! # The way of one envelope
//!
//! Out: `backend.rs` (`publish`) → `core.rs` (is there a connection?) → `outbox.rs`, with
//! `short_way.rs`, `alone.rs` and `writer.rs` (the ways out), `press.rs` (a number, and a frame),
//! `bundle.rs` (a message) → the adapter's [`Link`]. With [`name`], [`Sequencer`] and [`wire`].
//!
//! In: the adapter → `inbox.rs` → `receive.rs` (an own echo? an envelope of this topic? the next one?)
//! → the fan-out of `backend-fanout`, where the users subscribe. With [`wire`], `topics.rs` and
//! [`ledger`].
//!
//! And from one connection to the next: `supervisor.rs`, with `registry.rs` (what the engine has been
//! asked for), `released.rs` (what nobody wants any more) and `outage.rs` (when to try again, and what
//! the log tells of it).
//!
//! # What the log tells
//!
//! Events of [`tracing`]: `info` for a connection, and for the end of an outage with its duration, the
//! number of topics and of attempts; `warn` for the beginning of an outage with its cause, for each new
//! cause while it lasts, for what was published and then not taken by the engine's client, for envelopes
//! lost on their way, and for messages that were dropped, the last two at most once a second; `error`
//! for a topic that the engine denies after an outage. `instance` is the instance's [`Origin`];
//! those of connections and outages have the instance's [`client_name`](Driver::client_name), if it has
//! one, and the [`server`](Link::server) that it is or was connected to. None of them holds data, nor a
//! password.

mod alone;
mod backend;
mod bundle;
mod core;
mod counters;
pub mod driver;
mod inbox;
pub mod ledger;
pub mod name;
mod options;
mod outage;
mod outbox;
mod press;
mod receive;
mod recent;
mod registry;
mod released;
mod seldom;
mod sequencer;
mod short_way;
mod stamp;
mod supervisor;
mod topics;
pub mod wire;
mod writer;

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
