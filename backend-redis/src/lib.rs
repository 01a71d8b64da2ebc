//! The contract of `backend-core` over [Redis](https://redis.io) and what speaks its protocol, such
//! as Valkey: what is published on one instance of a service reaches the subscribers of all the
//! others.

mod backend;
mod builder;
mod driver;
mod hello;
mod link;
mod server;
mod tls;

pub use backend::RedisBackend;
pub use backend_engine::wire::Format;
pub use builder::Builder;
