//! Makes connections: to the first server that can be used.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backend_core::BoxError;
use backend_engine::name::EngineName;
use backend_engine::{Driver, Inbox};
use redis::{ProtocolVersion, RedisConnectionInfo};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::link::RedisLink;
use crate::refusal::{silent, tell};
use crate::server::{Credentials, Server};
use crate::tls::Tls;

/// Connects to one of the servers.
#[derive(Debug)]
pub(crate) struct RedisDriver {
    /// At least one.
    pub(crate) servers: Vec<Server>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) client_name: Option<String>,
    pub(crate) tls: Tls,
    pub(crate) max_message: usize,
    pub(crate) probe: EngineName,
    pub(crate) operation_timeout: Duration,
    /// The server that was connected to last, which is tried first.
    pub(crate) last: AtomicUsize,
}

#[async_trait]
impl Driver for RedisDriver {
    type Link = RedisLink;

    fn client_name(&self) -> Option<&str> {
        self.client_name.as_deref()
    }

    async fn connect(&self, inbox: Inbox) -> Result<RedisLink, BoxError> {
        let servers = self.servers.len();
        // Each gets its part of the time that there is for all, less a little, so that it can be
        // told which of them has not answered.
        let each = u32::try_from(servers).unwrap_or(u32::MAX);
        let patience = self.operation_timeout / 10 * 9 / each;
        // Relaxed: a hint.
        let last = self.last.load(Ordering::Relaxed);
        let mut refusals = vec![String::new(); servers];
        for index in (0..servers).map(|next| (last + next) % servers) {
            let server = &self.servers[index];
            let why = match timeout(patience, self.connect_to(server, inbox.clone())).await {
                Ok(Ok(link)) => {
                    self.last.store(index, Ordering::Relaxed);
                    return Ok(link);
                }
                Ok(Err(error)) => tell(&*error, self.credentials.is_some()),
                Err(_) => silent(patience, server.tls),
            };
            // In the order in which they were named.
            refusals[index] = format!("{server}: {why}");
        }
        Err(refusals.join("; ").into())
    }
}

impl RedisDriver {
    async fn connect_to(&self, server: &Server, inbox: Inbox) -> Result<RedisLink, BoxError> {
        let socket = TcpStream::connect((server.host.as_str(), server.port)).await?;
        // A publish waits for its answer: it must not wait to be sent.
        socket.set_nodelay(true)?;
        let introduction = self.introduction();
        let (name, probe) = (self.client_name.as_deref(), self.probe.clone());
        let place = server.to_string();
        let most = self.max_message;
        if server.tls {
            let socket = self.tls.connect(&server.host, socket).await?;
            RedisLink::start(socket, place, &introduction, name, most, probe, inbox).await
        } else {
            RedisLink::start(socket, place, &introduction, name, most, probe, inbox).await
        }
    }

    /// What the client says when it has connected.
    fn introduction(&self) -> RedisConnectionInfo {
        let mut introduction = RedisConnectionInfo::default()
            // Messages and replies come over one connection.
            .set_protocol(ProtocolVersion::RESP3)
            // An optional command, which a user with few rights is denied, and which is then in the
            // server's log.
            .set_skip_set_lib_name();
        if let Some(Credentials { user, password }) = &self.credentials {
            introduction = introduction.set_password(password);
            if let Some(user) = user {
                introduction = introduction.set_username(user);
            }
        }
        introduction
    }
}
