//! The contract of `backend-core` over [Redis](https://redis.io) and what speaks its protocol, such
//! as Valkey: what is published on one instance of a service reaches the subscribers of all the
//! others.
//!
//! ```no_run
//! use backend_core::{Backend, Event, MessageEnvelope};
//! use backend_redis::RedisBackend;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> backend_core::Result<()> {
//! let here = RedisBackend::connect("redis://:s3cret@redis.internal:6379").await?;
//! let there = RedisBackend::connect("redis://:s3cret@redis.internal:6379").await?;
//!
//! let mut orders = there.subscribe("orders").await?;
//! here.publish(MessageEnvelope::new("orders", "coffee")).await?;
//! match orders.recv().await {
//!     Some(Event::Message(envelope)) => assert_eq!(envelope.data(), "coffee"),
//!     other => panic!("{other:?}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Instances with one namespace on one server are linked. An instance is one connection, over which
//! everything goes; it needs Redis 6 or later, for RESP3.
//!
//! # What it keeps
//!
//! All clauses of the [contract](backend_core#the-contract), and what it claims besides:
//!
//! | claim | |
//! |---|---|
//! | health and counters | both are kept |
//! | total order (O2) | on one server; not among the nodes of a cluster |
//! | exact gaps | where a reader is too slow, and where a publisher's connection loses something |
//! | largest data | [`Builder::max_message`], 8 MiB, less the head, topic, scope and id |
//!
//! How some of it comes about:
//!
//! - **Ready on return** (D4): the server's answer to SUBSCRIBE is waited for, and is true.
//! - **Never echoed** (D2): the server sends an instance what it publishes itself to a topic that it
//!   also subscribes to. It is dropped here, by an id that outlives connections.
//! - **`Ok` of a publish** says that the server has answered: it has passed the envelope on to the
//!   connections of that moment. Publishes that are on their way at the same time go out together,
//!   so a task that awaits each one waits for the network each time, and many tasks do not.
//! - **An error of a publish** is its own. [`Error::Backend`](backend_core::Error::Backend): the
//!   server has refused this one, for lack of rights for example, and it went to nobody.
//!   [`Error::Unavailable`](backend_core::Error::Unavailable): there was no connection, or the server
//!   could not do it just then, and it went to nobody either.
//!   [`Error::Unconfirmed`](backend_core::Error::Unconfirmed): the connection broke before the answer,
//!   so that the envelope may have arrived all the same.
//! - **Losses** (L2): each envelope is numbered, so what another instance's broken connection loses
//!   is told by number: as soon as something later arrives, which is at the latest with that
//!   instance's next ping, or when it is closed (in binary, and of up to 1,024 topics that it has just
//!   published to, of up to 200 bytes each). It tells of what was `Unconfirmed`, too, if that has not
//!   arrived. One that dies tells nothing. An outage of the instance itself is told by a gap of unknown
//!   size; what others lose until they are heard again is not told besides.
//! - **Outages** (H5, H6): the instance connects again by itself and never gives up. Nothing is
//!   queued meanwhile, and nothing stale comes out afterwards.
//!
//! # What the engine cannot do
//!
//! - It keeps nothing. What is published while an instance has no connection does not reach it.
//! - It closes the connection of a subscriber for which too much waits. To the instance that is an
//!   outage, and to its streams a gap.
//! - A **replica** takes a PUBLISH, and it reaches nobody but the replica's own subscribers. So an
//!   instance connects to masters only, and asks at every ping whether its server is still one.
//!   Name master and replicas to [`Builder::servers`], and it follows a failover. Between the
//!   failover and the next ping, what it publishes to the former master is lost; the numbers tell
//!   those who heard the instance before, unless they had an outage themselves.
//! - In a **cluster** any node will do: each passes every message on to all. Sharded pub/sub is not
//!   used.
//! - A **sentinel** passes nothing on and is refused; name the servers themselves.
//!
//! # What to set on the server
//!
//! | setting | default | |
//! |---|---|---|
//! | `client-output-buffer-limit pubsub` | `32mb 8mb 60` | what may wait for one subscriber: more lets it survive longer pauses, and costs the server memory. Keep it well above the largest frame |
//! | `proto-max-bulk-len` | `512mb` | a larger frame costs its publisher the connection; keep [`Builder::max_message`] below |
//! | `tcp-keepalive` | `300` | when the server lets go of an instance that has vanished; until then it keeps messages for it |
//! | `maxclients` | `10000` | one for each instance |
//! | `timeout` | `0` | never, or longer than [`Builder::ping_interval`]: an instance that publishes nothing is silent in between |
//!
//! An ACL user needs the channels of its namespace and three commands:
//!
//! ```text
//! ACL SETUSER chat on >s3cret resetchannels &chat.* -@all +publish +subscribe +unsubscribe
//! ```
//!
//! Or the channels of some topics only. What a user is denied is an error of the call; one that may
//! publish or subscribe, and not both, is connected, for some only listen. One that may use neither command
//! is not connected, which is [`Error::Unavailable`](backend_core::Error::Unavailable) and says what is
//! missing; the server would let it in, deaf and mute. The same is tried with each ping, at a channel of the
//! adapter's own. So a user that is left without both commands while it is connected has an outage, until
//! it has them again. One that loses a part of its rights stays healthy (H2): the connection carries what
//! it may carry, and what is denied is told to who asks for it. Where the channel of an open subscription
//! is taken away, the server closes the connection, and the topic's streams end.
//!
//! **A user without any channel**, which is what Redis 7 makes of `+@all` alone, cannot be told from one
//! that has those of some topics. It is connected, each call is an error, and the log has a warning.
//!
//! A channel is the namespace and the topic in percent form with a dot between them, such as
//! `chat.orders`; [`backend_engine::name`] has the whole of it. Anybody who may publish there can
//! send anything: what is no envelope is counted and dropped.
//!
//! # Security
//!
//! Credentials are shown to the server, and never in an error, in `Debug` or in a log. They cross the
//! network in clear text unless the connection is encrypted: `rediss://`, or
//! [`Builder::require_tls`].
//!
//! **A wrong password is [`Error::Unavailable`](backend_core::Error::Unavailable), and so retryable**, like
//! a server that cannot be reached: passwords are changed while services run, and servers learn of it
//! sooner or later than the services do. So an instance that is turned away after an outage tries again
//! until it is let in, and its streams live. Who would rather end at the start, where a wrong password is
//! likely a mistake, ends when `connect` fails, whatever the error, and shows it: it names each server
//! and what it said.
//!
//! # The way of one envelope
//!
//! `builder` → `driver` (servers, in turn: `server`, `tls`, `hello`; `refusal`: why not) → `link` (one connection).
//! Above it is `backend-engine`: names, numbers, frames, and the supervisor.

mod backend;
mod builder;
mod driver;
mod hello;
mod link;
mod refusal;
mod server;
mod tls;

pub use backend::RedisBackend;
pub use backend_engine::wire::Format;
pub use builder::Builder;

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
