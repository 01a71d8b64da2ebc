//! Options.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::ServerAddr;
use backend_core::Result;
use backend_engine::name::Names;
use backend_engine::wire::Format;
use backend_engine::{EngineBackend, Options};
use uuid::Uuid;

use crate::NatsBackend;
use crate::auth::{self, Auth, Wrong};
use crate::driver::NatsDriver;
use crate::subjects::Subjects;

/// Options of a [`NatsBackend`]; made by [`NatsBackend::builder`].
///
/// ```no_run
/// use std::time::Duration;
/// use backend_nats::NatsBackend;
///
/// # async fn example() -> backend_core::Result<()> {
/// let backend = NatsBackend::builder()
///     .servers("nats://nats-1:4222,nats://nats-2:4222")
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
    /// As they were given; an error is told when connecting.
    servers: Servers,
    auth: Option<Auth>,
    client_name: Option<String>,
    require_tls: bool,
    roots: Option<PathBuf>,
    client_certificate: Option<(PathBuf, PathBuf)>,
    options: Options,
}

/// The servers, with the first credentials that a URL has; or what was wrong with a URL.
#[derive(Clone, Debug, Default)]
struct Servers {
    addresses: Vec<ServerAddr>,
    auth: Auth,
    /// What, and the URL's number.
    wrong: Option<(Wrong, usize)>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let mut options = Options::default();
        // A server stops a healthy publisher for as long as it waits for a reader who does not read:
        // up to its `write_deadline`, which is 10 s unless set. So long a ping may stay without an
        // answer, which is twice this.
        options.ping_interval = Duration::from_secs(5);
        Self {
            servers: Servers::default(),
            auth: None,
            client_name: None,
            require_tls: false,
            roots: None,
            client_certificate: None,
            options,
        }
    }

    /// Adds servers of one cluster: URLs, with commas between them.
    ///
    /// `nats://host:port`, or `tls://host:port` where the connection has to be encrypted; the port is
    /// 4222 unless given. With `user:password@`, or `token@`, before the host, these are the
    /// credentials, for all servers; what is special in a URL is in percent form there. Without any
    /// server, it is `nats://localhost:4222`.
    ///
    /// The instance connects to any of them, and to another one when that is lost.
    pub fn servers(mut self, urls: impl AsRef<str>) -> Self {
        for url in urls.as_ref().split(',') {
            match auth::split(url) {
                Ok((address, auth)) => {
                    self.servers.addresses.push(address);
                    if self.servers.auth.is_none() {
                        self.servers.auth = auth;
                    }
                }
                Err(wrong) => {
                    let number = self.servers.addresses.len() + 1;
                    self.servers.wrong.get_or_insert((wrong, number));
                }
            }
        }
        self
    }

    /// Instances hear each other only within one namespace; `tavern` unless set.
    ///
    /// Any string is one. It is the first token of every subject (in percent form), so a permission
    /// for `chat.>` covers the namespace `chat` and no other.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.options.namespace = namespace.into();
        self
    }

    /// The credentials; they go before those in a URL.
    pub fn user_and_password(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        self.auth = Some(Auth::User { name: user.into(), password: password.into() });
        self
    }

    /// A token in place of user and password; it goes before credentials in a URL.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.auth = Some(Auth::Token(token.into()));
        self
    }

    /// The seed of a user's nkey, which begins with `SU`, in place of user and password; it goes before
    /// credentials in a URL. The seed stays here: the server is shown a signature.
    pub fn nkey(mut self, seed: impl Into<String>) -> Self {
        self.auth = Some(Auth::Nkey(seed.into().trim().to_owned()));
        self
    }

    /// A credentials file, as `nsc` writes it (`.creds`: a user's JWT and the seed of its nkey), in place
    /// of user and password; it goes before credentials in a URL. The file is read at every connection,
    /// so that a new one can take the place of one that is about to expire.
    pub fn credentials_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.auth = Some(Auth::File(file.into()));
        self
    }

    /// What the server shows as this connection's name, in `/connz` for example.
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.client_name = Some(name.into());
        self
    }

    /// Insists on an encrypted connection, for all servers. A server that insists on it gets one
    /// anyway.
    ///
    /// Where other crates of the program bring rustls a second provider of cryptography, the program
    /// has to choose one first, with rustls's `CryptoProvider::install_default`.
    pub fn require_tls(mut self) -> Self {
        self.require_tls = true;
        self
    }

    /// Trusts the certificates of this PEM file, and no longer those of the system. The connection
    /// has to be encrypted then. The file is read at every connection, and may hold several
    /// certificates; of two calls, the second counts.
    pub fn root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.roots = Some(file.into());
        self.require_tls = true;
        self
    }

    /// Shows this certificate to a server that asks for one (`verify` in its configuration): PEM files
    /// with the certificate chain and its private key. The connection has to be encrypted then. The
    /// files are read at every connection.
    pub fn client_certificate(
        mut self,
        chain: impl Into<PathBuf>,
        private_key: impl Into<PathBuf>,
    ) -> Self {
        self.client_certificate = Some((chain.into(), private_key.into()));
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

    /// How often the server is asked for a sign of life; 5 seconds unless set.
    ///
    /// A connection that breaks is noticed at once. One that falls silent is noticed after one
    /// interval, and then two more. A server lets a publisher wait while it waits for a reader that
    /// does not read, up to its `write_deadline` (10 seconds unless set): with less than half of that
    /// here, a healthy instance may be taken for a lost one. To notice silence sooner, set both
    /// lower: `write_deadline: "2s"`, and one second here.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.options.ping_interval = interval;
        self
    }

    /// How long an operation, or an attempt to connect, may take; 5 seconds unless set.
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
    /// takes the instance, for a wrong password [too](crate#security): it names each of them, with its
    /// reason. [`Error::Backend`](backend_core::Error::Backend) or
    /// [`Error::Unsupported`](backend_core::Error::Unsupported) for a URL that is none, or another
    /// engine's, or for a seed that is none. None of them quotes credentials.
    ///
    /// # Panics
    /// Outside a tokio runtime, or in one whose time or IO is not enabled.
    pub async fn connect(self) -> Result<NatsBackend> {
        let Servers { mut addresses, auth, wrong } = self.servers;
        if let Some((wrong, number)) = wrong {
            return Err(wrong.error(number));
        }
        if addresses.is_empty() {
            let (server, _) = auth::split("nats://localhost:4222").map_err(|why| why.error(1))?;
            addresses.push(server);
        }
        let auth = self.auth.unwrap_or(auth);
        auth.check()?;
        let driver = NatsDriver {
            servers: addresses,
            auth,
            client_name: self.client_name,
            require_tls: self.require_tls,
            roots: self.roots,
            client_certificate: self.client_certificate,
            subjects: Subjects::new(&Names::new(&self.options.namespace)),
            instance: Uuid::new_v4().into_bytes(),
            // None at all would be a panic.
            ping_interval: self.options.ping_interval.max(Duration::from_millis(1)),
            operation_timeout: self.options.operation_timeout,
        };
        Ok(NatsBackend::over(EngineBackend::connect(driver, self.options).await?))
    }
}
