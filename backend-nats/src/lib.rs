//! The contract of `backend-core` over [NATS](https://nats.io): what is published on one instance of
//! a service reaches the subscribers of all the others.
//!
//! ```no_run
//! use backend_core::{Backend, Event, MessageEnvelope};
//! use backend_nats::NatsBackend;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> backend_core::Result<()> {
//! let here = NatsBackend::connect("nats://chat:s3cret@nats.internal:4222").await?;
//! let there = NatsBackend::connect("nats://chat:s3cret@nats.internal:4222").await?;
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
//! Instances with one namespace on one server, or on the servers of one cluster, are linked. An
//! instance is one connection, over which everything goes; it uses core NATS, without JetStream.
//!
//! # What it keeps
//!
//! All clauses of the [contract](backend_core#the-contract), and what it claims besides:
//!
//! | claim | |
//! |---|---|
//! | health and counters | both are kept |
//! | total order (O2) | no: two publishers may be seen in another order by another instance |
//! | exact gaps | where a reader is too slow, where more has arrived than can be read, and where a publisher's connection loses something |
//! | largest data | the server's `max_payload`, 1 MiB, less the head (43 bytes in binary), topic, scope and id |
//!
//! How some of it comes about:
//!
//! - **Ready on return** (D4): a server confirms no subscription. So the instance says hello to all
//!   others, behind its subscription, and waits until that has come back to itself, and for the
//!   answer of every instance that it knows. Subscribes at the same time share one such round. Who
//!   does not answer costs one wait of a quarter of [`Builder::operation_timeout`], a second at most,
//!   and is not waited for again.
//! - **Nothing older** (D3): the answers come behind all that those instances had published before.
//! - **Never echoed** (D2): what comes back of the instance's own is dropped here, by an id that
//!   outlives connections.
//! - **`Ok` of a publish** says that the envelope has its number, and its place in the queue to the
//!   server. The first one to a topic, on each connection, waits until the server has had a chance to
//!   deny it; the next ones wait for nothing, as long as there is room (1,024 envelopes or 1 MiB, and
//!   the client's queue behind that). What waits there for one topic is sent as one message, of up to
//!   16 KiB.
//! - **An error of a publish or subscribe** is its own. [`Error::Backend`](backend_core::Error::Backend):
//!   the server denies it. [`Error::Unavailable`](backend_core::Error::Unavailable): there was no
//!   connection, and nobody got it. [`Error::Unconfirmed`](backend_core::Error::Unconfirmed), of the
//!   first publishes to a topic: the connection broke before it was known whether the server denies
//!   them, or its settings changed in their midst, so that it has denied some.
//! - **Losses** (L2): each envelope is numbered, so what is lost between two instances is told by
//!   number: as soon as something later arrives, which is at the latest with the publisher's next
//!   ping, or when it is closed (in binary, and of up to 1,024 topics that it has just published to, of
//!   up to 200 bytes each). Where a publisher can say nothing of what it published since its last ping,
//!   [`close`](backend_core::Backend::close) is [`Error::Unconfirmed`](backend_core::Error::Unconfirmed);
//!   one that dies tells nothing. An outage of the instance itself is told by a gap of unknown size; what
//!   others lose until they are heard again is not told besides.
//! - **Outages** (H5, H6): a connection that is lost stays lost, with all that waits in it. The
//!   instance makes another one, and never gives up. Nothing is queued meanwhile, and nothing stale
//!   comes out afterwards.
//!
//! # What the engine cannot do
//!
//! - It keeps nothing. What is published while an instance has no connection does not reach it.
//! - It closes the connection of a subscriber that does not read for `write_deadline`. To the
//!   instance that is an outage, and to its streams a gap. Until then, its publishers may have to wait.
//! - **Withdrawn rights.** Where the rights of a user change while it is connected, the first publish
//!   that is denied has been `Ok`; it is lost, and the next one is an error. A subscription that is
//!   taken away is noticed: its streams end, and all others have an outage.
//! - **A changed `max_payload`** is noticed with the next connection, which the first publish that is
//!   too large for the new one brings about.
//! - **Between the servers of a cluster** nobody tells an instance that a route has broken. What got
//!   lost there is told by number when something later arrives.
//!
//! # A cluster
//!
//! Name several servers of it to [`Builder::servers`]: the instance goes to another one when it has
//! lost its own. Those that servers tell of by themselves are not used.
//!
//! D4 holds across servers for the instances that know each other, for it is their answers that are
//! waited for. They do when both are connected, and a connection that has just been made has heard
//! all that are not much farther from their server than it is from its own. It does not hold for publishers that are no
//! instances, such as another language's client which answers no hello, on *another* server than the
//! subscriber's: that server hears of the subscription a few milliseconds later. Nor does it while a
//! route between servers is broken, nor, for the first subscribe, where servers are more than 20
//! milliseconds apart. What is lost so is told by number, if the subscriber had heard that publisher
//! before.
//!
//! # What to set on the server
//!
//! | setting | default | |
//! |---|---|---|
//! | `write_deadline` | `"10s"` | how long a reader that does not read may keep its publishers waiting: shorter, such as `"2s"`, and the others feel it less. Keep it below twice the [`Builder::ping_interval`], which is 5 seconds unless set: an instance that is kept waiting for longer takes its server for dead |
//! | `max_pending` | `64MB` | what may wait for one connection |
//! | `max_payload` | `1MB` | the largest frame. The instance asks the server, and refuses what is larger with [`Error::PayloadTooLarge`](backend_core::Error::PayloadTooLarge) |
//! | `max_connections` | `65536` | one for each instance |
//! | `max_subscriptions` | none | for each connection: two, one for each topic that it is subscribed to, and one that stays free |
//! | `max_control_line` | `4KB` | not less than 512 bytes; no subject is longer than 250 |
//!
//! A user needs the subjects of its namespace. All of them, for the namespace `chat`:
//!
//! ```text
//! authorization {
//!     users = [{ user: chat, password: "…", permissions: { publish: "chat.>", subscribe: "chat.>" } }]
//! }
//! ```
//!
//! Or some topics only, to publish or to subscribe; and in any case, both ways, the adapter's own:
//!
//! ```text
//! permissions: {
//!     publish: ["chat.orders", "chat.~~nats.>"]
//!     subscribe: ["chat.orders", "chat.~~nats.>"]
//! }
//! ```
//!
//! A subject is the namespace and the topic in percent form with a dot between them, such as
//! `chat.orders`; [`backend_engine::name`] has the whole of it. What is no envelope there is counted
//! in [`BackendStats::refused`](backend_core::BackendStats) and dropped. At the beginning of a
//! connection and at each first use of a topic, the instance sends a subject that is none,
//! `chat.~~nats.>.refused`, to hear the server refuse it, behind all denials. Servers do not log it.
//!
//! # The log
//!
//! The instance tells of its outages, of losses and of what it dropped through `tracing`, as
//! [`backend_engine`] says, under the targets `backend_engine` and `backend_nats`. The client below it,
//! `async_nats`, tells the same in other words, and worse: an `error` for each outage, for it knows
//! nothing of the next connection, and an `info`, *invalid subject*, for each topic that is new on a
//! connection, which is how this adapter asks (see above). So switch it off. For the `EnvFilter` of
//! `tracing-subscriber`:
//!
//! ```text
//! warn,backend_engine=info,backend_nats=info,async_nats=off
//! ```
//!
//! # Security
//!
//! Credentials are shown to the server, and never in an error or in `Debug`. They cross the network
//! in clear text unless the connection is encrypted: `tls://`, or [`Builder::require_tls`]. The seed of an
//! nkey ([`Builder::nkey`], [`Builder::credentials_file`]) does not cross it at all: the server is shown a
//! signature.
//!
//! **A wrong password is [`Error::Unavailable`](backend_core::Error::Unavailable), and so retryable**, like
//! a server that cannot be reached: passwords are changed while services run, and servers learn of it
//! sooner or later than the services do. So an instance that is turned away after an outage tries again
//! until it is let in, and its streams live. Who would rather end at the start, where a wrong password is
//! likely a mistake, ends when `connect` fails, whatever the error, and shows it: it names each server
//! and what it said.
//!
//! Whoever may publish under `chat.>` can pass for an instance of `chat`. It can also cut off, again
//! and again, those who subscribe to a topic, by a message with a header that is none: their client
//! cannot read on behind it. They connect again, and their streams have a gap. So let nobody publish
//! there who is not trusted.
//!
//! # The way of one envelope
//!
//! `builder` (`auth`: URLs) → `driver` (servers, in turn; `refusal`: why not) → `link` (one
//! connection): `rights` (what the server denies), `rounds` (what the server and the others are asked:
//! `marks`, what has arrived, and `peers`, who has answered), `publisher` (the client's queue), `forward`
//! and `backlog` (a task for each topic), `events` (what the client tells besides). Above it is `backend-engine`: names, numbers, frames, and
//! the supervisor.

mod auth;
mod backend;
mod backlog;
mod builder;
mod driver;
mod events;
mod forward;
mod link;
mod marks;
mod peers;
mod publisher;
mod refusal;
mod rights;
mod rounds;
mod subjects;

pub use backend::NatsBackend;
pub use backend_engine::wire::Format;
pub use builder::Builder;

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
