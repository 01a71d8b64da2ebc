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
//! # How it works
//!
//! Each topic has one ring of slots that all its subscriptions share. A publish writes one slot,
//! however many readers there are; a subscription is a place in the ring.
//!
//! **A publish**
//! 1. [`Endpoint::publish`] looks the topic up in the *directory*, and keeps it there. A topic is there
//!    exactly as long as somebody subscribes to it; without it, nothing more happens.
//! 2. The *topic* takes its lock and asks its *members* how many subscriptions of others there are.
//!    Without one, nothing is stored.
//! 3. The *ring* takes the envelope into a slot, with the publisher and the number of
//!    subscriptions that want it.
//! 4. The readers that were parked are taken out, all locks are released, and they are woken.
//!
//! **A receive**
//! 1. A *reader* takes the lock once and carries off a *batch* of up to 32. It passes over slots of
//!    its own endpoint; whoever takes a slot last empties it, and slots that are empty leave the ring.
//! 2. Plain envelopes go into the hands of the `Subscription`, which gives them out without another
//!    call. From the first gap or ttl on the batch stays with the reader, which hands it out one by
//!    one, leaving out what has expired by then.
//! 3. When there is nothing, the waker is parked under that same lock, and the reader remembers how
//!    often the topic had changed. As long as it has not changed again, a look takes no lock, and a
//!    reader that comes to park does not look through the ring again.
//!
//! **An overflow**
//! 1. A push into a full ring drops the oldest slot first, whoever still wants it
//!    (`Ring::drop_oldest`). Members that have ended keep what they had accepted.
//! 2. A reader whose place has been dropped goes to the oldest slot that is there
//!    (`Cursor::fall_forward`). It has missed what lies between, less what it would have skipped: its
//!    own envelopes, which its member counts as they come and go, and those of an outage.
//! 3. Its batch starts with a gap of that size.
//!
//! | module | what it has |
//! |---|---|
//! | `bus`, `endpoint` | the front door; suspend and resume; close |
//! | `directory` | from a name to its topic, sharded |
//! | `topic` | a topic's lock; who is woken, and when |
//! | `state` | what that lock guards; the fetch of a batch |
//! | `ring` | slots and positions; **the overflow policy** |
//! | `members` | who subscribes to a topic |
//! | `member` | what an endpoint's readers skip, have missed, and are told |
//! | `batch`, `reader` | a batch, ttl at hand-out, release on drop |
//! | `expiry` | when a ttl runs out |
//! | `wakers` | to wake many, one of which may panic |
//! | `health` | the callbacks |
//!
//! # Locks and atomics
//!
//! Taken in this order, where more than one is held; none while a user's code runs.
//!
//! | | guards | why |
//! |---|---|---|
//! | `Local::topics`, a mutex | the topics that an endpoint subscribes to | close, suspend and resume see all of them, and no new one in between |
//! | a shard of the directory, a reader-writer lock | names to topics | a publish only reads, from the look-up until it has the wakers of those who wait: cheaper than to count the topic's holders; 64 of them, for those who subscribe and leave |
//! | `Topic::state`, a mutex | the topic | held for one slot, or one batch; as short as it is, a reader-writer lock costs more than it gives |
//! | `Topic::changes`, an atomic | nothing | to see without the lock that nothing is new: released under it, acquired outside |
//! | `Local::link`, an atomic | nothing | a publish sees whether it may, without `topics`: released under that, acquired outside |
//! | counters, atomics | nothing | numbers alone, all relaxed |
//!
//! # How much it holds
//!
//! A topic with capacity N holds at most N envelopes, and each reader at most a batch besides.
//! What every reader has taken is released at once; a topic that all have caught up with holds
//! nothing, and one without subscriptions does not exist. What is seldom needed (marks of gaps, an
//! index of many members, a batch with a ttl) is in boxes that most never have.

mod batch;
mod bus;
mod counters;
mod directory;
mod endpoint;
mod expiry;
mod health;
mod member;
mod members;
mod reader;
mod ring;
mod state;
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
