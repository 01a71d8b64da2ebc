//! One contract for publish/subscribe backends.
//!
//! A realtime service runs as several instances, and what is published on one of them must reach
//! the subscribers of all the others. This crate says what a *backend* for that job promises, in
//! traits that applications hold and authors of backends implement. It contains no transport and
//! no runtime; libraries and applications depend on it alone.
//!
//! | to | use |
//! |---|---|
//! | publish and subscribe | [`Backend`], [`MessageEnvelope`], [`Subscription`], [`Event`] |
//! | know whether a publish would be delivered | [`HealthAwareBackend`], through [`Backend::as_health_aware`] |
//! | read counters | [`ObservableBackend`], through [`Backend::as_observable`] |
//! | run in one process, or in tests | the crate `backend-memory` |
//! | give an application's own subscribers their copy too | the crate `backend-hub` |
//! | write a backend | the crate `backend-fanout`, and the suite of `backend-testkit` to prove it |
//!
//! # A first look
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
//! match orders.recv().await {
//!     Some(Event::Message(envelope)) => assert_eq!(envelope.data(), "one coffee"),
//!     Some(Event::Gap(gap)) => println!("messages are missing here: {gap}"),
//!     Some(_) => {}                          // events that later versions may add
//!     None => println!("closed or unsubscribed"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `serde` | yes | `Serialize` and `Deserialize` for [`MessageEnvelope`], in a JSON form that Go services read |
//! | `json` | no | `MessageEnvelope::from_json` and `MessageEnvelope::json`, for payloads that are JSON |
//!
#![doc = include_str!("contract.md")]

mod backend;
mod envelope;
#[cfg(feature = "serde")]
mod envelope_serde;
mod error;
mod event;
#[doc(hidden)]
pub mod forward;
mod health;
#[cfg(feature = "json")]
mod json;
mod observe;
mod source;
mod subscription;

pub use async_trait::async_trait;
pub use backend::Backend;
pub use bytes::Bytes;
pub use envelope::MessageEnvelope;
pub use error::{BoxError, Error, Result};
pub use event::{Event, Gap, GapCause};
pub use health::{HealthAwareBackend, ReconnectCallback};
pub use observe::{BackendStats, ObservableBackend};
pub use source::{Ready, Source};
pub use subscription::{Messages, Subscription, TryRecvError};

/// Keeps the example of the README running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
