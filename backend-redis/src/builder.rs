//! Options.

use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use backend_core::Result;
use backend_engine::name::Names;
use backend_engine::wire::Format;
use backend_engine::{EngineBackend, Options};

use crate::RedisBackend;
use crate::driver::RedisDriver;
use crate::server::{self, Credentials, Server, Wrong};
use crate::tls::{ClientCertificate, Tls};

/// The largest frame, unless set: as much as the server lets wait for a subscriber for long (the
/// soft limit of `client-output-buffer-limit pubsub`), and a quarter of what it lets wait at all.
const MAX_MESSAGE: usize = 8 * 1024 * 1024;

/// Options of a [`RedisBackend`]; made by [`RedisBackend::builder`].
///
/// ```no_run
/// use std::time::Duration;
/// use backend_redis::RedisBackend;
///
/// # async fn example() -> backend_core::Result<()> {
/// let backend = RedisBackend::builder()
///     .servers("redis://redis-1:6379,redis://redis-2:6379")
///     .namespace("chat")
///     .user_and_password("chat", "s3cret")
///     .operation_timeout(Duration::from_secs(2))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `connect`"]
pub struct Builder {
    servers: Vec<Server>,
    /// Those of a URL.
    found: Option<Credentials>,
    /// Those that were given by themselves.
    given: Option<Credentials>,
    /// What is wrong with a URL, and its number; it is told when connecting.
    wrong: Option<(Wrong, usize)>,
    client_name: Option<String>,
    tls: Tls,
    require_tls: bool,
    max_message: usize,
    options: Options,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            servers: Vec::new(),
            found: None,
            given: None,
            wrong: None,
            client_name: None,
            tls: Tls::default(),
            require_tls: false,
            max_message: MAX_MESSAGE,
            options: Options::default(),
        }
    }

    /// Adds servers: URLs, with commas between them.
    ///
    /// `redis://host:port`, or `rediss://host:port` for an encrypted connection; `valkey://` and
    /// `valkeys://` are the same. The port is 6379 unless given. With `user:password@`, or `:password@`, before the host, these are the
    /// credentials, for all servers; what is special in a URL is in percent form there, a comma as
    /// `%2C`. The number of a database behind the host is allowed, and changes nothing: channels
    /// are the same in all. Without any server, it is `redis://localhost:6379`.
    ///
    /// Name a master and its replicas: the instance connects to the one that is the master, and to
    /// another one when that has taken over. Or name nodes of one cluster: then any of them will do.
    pub fn servers(mut self, urls: impl AsRef<str>) -> Self {
        for url in urls.as_ref().split(',') {
            match server::split(url) {
                Ok((server, credentials)) => {
                    self.servers.push(server);
                    self.found = self.found.or(credentials);
                }
                Err(wrong) => {
                    self.wrong.get_or_insert((wrong, self.servers.len() + 1));
                }
            }
        }
        self
    }

    /// Instances hear each other only within one namespace; `tavern` unless set.
    ///
    /// Any string is one. Every channel begins with it (in percent form) and a dot, so an ACL's
    /// `&chat.*` covers the namespace `chat` and no other.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.options.namespace = namespace.into();
        self
    }

    /// The credentials of an ACL user; they go before those in a URL.
    pub fn user_and_password(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        self.given = Some(Credentials { user: Some(user.into()), password: password.into() });
        self
    }

    /// The password of the default user (`requirepass`); it goes before credentials in a URL.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.given = Some(Credentials { user: None, password: password.into() });
        self
    }

    /// What the server shows as this connection's name, in `CLIENT LIST` for example. Letters,
    /// digits and punctuation of ASCII, without spaces: the server refuses anything else.
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.client_name = Some(name.into());
        self
    }

    /// Encrypts the connection, whatever the URL says.
    pub fn require_tls(mut self) -> Self {
        self.require_tls = true;
        self
    }

    /// Trusts the certificates of this PEM file, and no longer those of the system. The connection
    /// is encrypted then. The file is read at every connection.
    pub fn root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.tls.roots.push(file.into());
        self.require_tls = true;
        self
    }

    /// Shows this certificate to the server, which asks for one unless `tls-auth-clients` is `no`:
    /// PEM files with the certificate chain and its private key. The connection is encrypted then.
    /// The files are read at every connection.
    pub fn client_certificate(
        mut self,
        chain: impl Into<PathBuf>,
        private_key: impl Into<PathBuf>,
    ) -> Self {
        let (chain, key) = (chain.into(), private_key.into());
        self.tls.client = Some(ClientCertificate { chain, key });
        self.require_tls = true;
        self
    }

    /// How many envelopes a topic keeps for readers that have not taken them; 1024 unless set.
    ///
    /// Beyond it the oldest go, and each reader that had not taken them is told how many it has
    /// missed. 0 counts as 1.
    pub fn capacity(mut self, envelopes_per_topic: usize) -> Self {
        self.options.capacity = envelopes_per_topic;
        self
    }

    /// How envelopes are written; every instance reads both. [`Format::Binary`] unless set.
    pub fn format(mut self, format: Format) -> Self {
        self.options.format = format;
        self
    }

    /// The largest frame that is published, in bytes: an envelope's data, and some 50 bytes, its
    /// topic, scope and id besides. 8 MiB unless set. What is larger is refused with
    /// [`Error::PayloadTooLarge`](backend_core::Error::PayloadTooLarge), before it is sent.
    ///
    /// The server does not tell what it takes. Two of its settings limit it: at a frame above
    /// `proto-max-bulk-len` (512 MB) it closes the publisher's connection; and with one above the
    /// hard limit of `client-output-buffer-limit pubsub` (32 MB) it closes the connections of *all
    /// subscribers*. Several that wait for the same subscriber count together.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// How often the server is asked for a sign of life, and whether it is still the master;
    /// 2 seconds unless set.
    ///
    /// A connection that breaks is noticed at once. One that falls silent is noticed after one
    /// interval, and then two more.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.options.ping_interval = interval;
        self
    }

    /// How long an operation, or an attempt to connect, may take; 5 seconds unless set. With
    /// several servers, each has its part of it when connecting.
    pub fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.options.operation_timeout = timeout;
        self
    }

    /// How long to wait before connecting again: at first, and at most. 20 ms and 2 s unless set.
    ///
    /// Each wait is about twice the one before, with jitter; there is no last one.
    pub fn backoff(mut self, least: Duration, most: Duration) -> Self {
        self.options.backoff = (least, most);
        self
    }

    /// A new instance, connected.
    ///
    /// Needs a tokio runtime, in which its tasks run until it is closed or dropped.
    ///
    /// # Errors
    /// [`Error::Unavailable`](backend_core::Error::Unavailable) when no server can be reached, or none
    /// is a master and takes the instance, for a wrong password [too](crate#security): it names each of
    /// them, with its reason. [`Error::Backend`](backend_core::Error::Backend) or
    /// [`Error::Unsupported`](backend_core::Error::Unsupported) for a URL that is none, or another
    /// engine's. None of them quotes credentials.
    ///
    /// # Panics
    /// Outside a tokio runtime, or in one whose time or IO is not enabled.
    pub async fn connect(self) -> Result<RedisBackend> {
        if let Some((wrong, number)) = self.wrong {
            return Err(wrong.error(number));
        }
        let mut servers = self.servers;
        if servers.is_empty() {
            let (server, _) = server::split("redis://localhost").map_err(|why| why.error(1))?;
            servers.push(server);
        }
        for server in &mut servers {
            server.tls |= self.require_tls;
        }
        let driver = RedisDriver {
            servers,
            credentials: self.given.or(self.found),
            client_name: self.client_name,
            tls: self.tls,
            max_message: self.max_message,
            probe: Names::new(&self.options.namespace).internal("redis"),
            operation_timeout: self.options.operation_timeout,
            last: AtomicUsize::new(0),
        };
        Ok(RedisBackend::over(EngineBackend::connect(driver, self.options).await?))
    }
}
