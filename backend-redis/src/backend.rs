//! The public type.

use std::fmt;

use backend_core::{Result, forward_backend};
use backend_engine::EngineBackend;

use crate::Builder;
use crate::driver::RedisDriver;

/// One instance of a service, on Redis. Instances of one namespace on one server are linked.
///
/// [The crate's page](crate) says what it guarantees. Dropping it closes it, without waiting for
/// what is on its way out; [`close`](backend_core::Backend::close) waits.
pub struct RedisBackend(EngineBackend<RedisDriver>);

impl RedisBackend {
    /// A new instance with the default options, connected to this server or to one of these, with
    /// commas between them; see [`Builder::servers`].
    ///
    /// Its namespace is `tavern`, and it hears no instance of another one: services that share a server
    /// need a [`Builder::namespace`] each.
    ///
    /// # Errors
    /// As [`Builder::connect`].
    ///
    /// # Panics
    /// As [`Builder::connect`]: outside a tokio runtime.
    pub async fn connect(urls: impl AsRef<str>) -> Result<Self> {
        Self::builder().servers(urls).connect().await
    }

    /// A new instance with other options.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn over(engine: EngineBackend<RedisDriver>) -> Self {
        Self(engine)
    }
}

forward_backend!(RedisBackend => 0);

impl fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisBackend").field(&self.0).finish()
    }
}
