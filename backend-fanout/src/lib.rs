//! The fan-out under every backend: topic → bounded ring → many independent subscriptions.
//!
//! This crate is for authors of backends. It has what is easily got wrong when it is written
//! again: bounded buffers that drop the oldest and say how many, a publisher that never hears its
//! own, ttl, ends that drain first, subscriptions that are released when they are dropped, and
//! health callbacks that hold no lock. It needs no runtime.
//!
//! # Writing a backend
//!
//! * A [`Bus`] is a set of topics; an [`Endpoint`] is one participant of it. What an endpoint
//!   publishes reaches the subscriptions of all others.
//! * Inside one process, an instance *is* an endpoint: that is `backend-memory`, whole.
//! * Over an engine, each instance has a bus of its own with two endpoints: users subscribe at
//!   one, and the task that reads from the engine publishes at the other. What the engine lost is
//!   told with [`Endpoint::gap`], an outage with [`Endpoint::suspend`] and [`Endpoint::resume`];
//!   [`Bus::attach_with_release`] tells when a topic's subscription at the engine may go.
//! * [`Health`] keeps the callbacks of `HealthAwareBackend`.
//!
//! ```
//! use backend_core::{Event, MessageEnvelope};
//! use backend_fanout::Bus;
//!
//! let bus = Bus::new();
//! let (here, there) = (bus.attach(), bus.attach());
//!
//! let mut orders = there.subscribe("orders")?;
//! here.publish(MessageEnvelope::new("orders", "one coffee"))?;
//!
//! let Ok(Event::Message(order)) = orders.try_recv() else { panic!("it was just published") };
//! assert_eq!(order.data(), "one coffee");
//! # Ok::<(), backend_core::Error>(())
//! ```
//!
//! # The life of one envelope
//!
//! 1. [`Endpoint::publish`] looks the topic up in the *directory*. A topic is there exactly as
//!    long as somebody subscribes to it; without it, nothing more happens.
//! 2. The *topic* takes its lock and asks how many subscriptions of others there are. Without one,
//!    nothing is stored.
//! 3. The *ring* takes the envelope into a slot, with the publisher and the number of
//!    subscriptions that want it. A full ring drops its oldest slot.
//! 4. The readers that were parked are taken out, the lock is released, and they are woken.
//! 5. A *reader* takes the lock once and carries off a batch of up to 32. It passes over slots of
//!    its own endpoint; whoever takes a slot last empties it. A reader whose place has been
//!    dropped from the ring goes to the oldest slot there, and its batch starts with a gap that
//!    says how many envelopes it has missed, its own not counted. It hands the batch out one by
//!    one, leaving out what has expired by then.
//!
//! | module | what it has |
//! |---|---|
//! | `bus`, `endpoint` | the front door; suspend and resume; close |
//! | `directory` | from a name to its topic, sharded |
//! | `topic` | a topic's lock; who is woken, and when |
//! | `ring` | slots and positions; **the overflow policy** |
//! | `members` | who subscribes to a topic |
//! | `member` | what an endpoint's readers skip, have missed, and are told |
//! | `reader`, `batch` | a batch, ttl at hand-out, release on drop |
//! | `health` | the callbacks |
//!
//! # How much it holds
//!
//! A topic with capacity N holds at most N envelopes, and each reader at most a batch besides.
//! What every reader has taken is released at once; a topic that all have caught up with holds
//! nothing, and one without subscriptions does not exist.

mod batch;
mod bus;
mod counters;
mod directory;
mod endpoint;
mod health;
mod member;
mod members;
mod reader;
mod ring;
mod sync;
mod topic;
mod wakers;

pub use bus::{Bus, DEFAULT_CAPACITY};
pub use endpoint::Endpoint;
pub use health::Health;

/// Runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
