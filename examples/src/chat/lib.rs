//! The chat's service: all of the chat but the process that `main.rs` makes of it.
//!
//! It is a library so that tests can run it over a backend of their choice: `tests/chat_faults.rs`
//! does, over one that has a bad day. `main.rs` says in which order to read the files.

mod body;
mod events;
mod instance;
mod message;
mod metrics;
mod page;
mod readers;
mod refusal;
mod room;
mod server;

pub use instance::Instance;
pub use server::{Peer, Service, router};
