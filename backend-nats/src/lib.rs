//! The contract of `backend-core` over [NATS](https://nats.io): what is published on one instance of
//! a service reaches the subscribers of all the others.

mod auth;
mod backend;
mod builder;
mod driver;
mod events;
mod forward;
mod link;
mod marks;
mod peers;
mod rights;
mod subjects;

pub use backend::NatsBackend;
pub use backend_engine::wire::Format;
pub use builder::Builder;
