//! What an application instance holds: local delivery and a backend behind one handle.
//!
//! A backend never echoes: what an instance publishes reaches all *other* instances. An
//! application mostly wants its own subscribers to have it too. A [`Hub`] gives them their copy,
//! and each [`subscribe`](Hub::subscribe) is one stream with both.
//!
//! ```
//! use backend_core::{Event, MessageEnvelope};
//! use backend_hub::Hub;
//! use backend_memory::MemoryBackend;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> backend_core::Result<()> {
//! let memory = MemoryBackend::new();
//! let here = Hub::new(memory.fork());
//! let there = Hub::new(memory.fork());
//!
//! let mut on_this_instance = here.subscribe("room").await?;
//! let mut on_the_other = there.subscribe("room").await?;
//! let hello = MessageEnvelope::new("room", "hello");
//! here.publish(hello.clone()).await?;
//!
//! assert_eq!(on_this_instance.recv().await, Some(Event::Message(hello.clone())));
//! assert_eq!(on_the_other.recv().await, Some(Event::Message(hello)));
//! # Ok(())
//! # }
//! ```
//!
//! It needs no runtime, and works over every backend.

mod hub;
mod merged;

pub use hub::Hub;

/// Runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
