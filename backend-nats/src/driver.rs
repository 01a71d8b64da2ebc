//! Makes connections: one client of NATS for each.

use std::future::ready;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, ServerAddr};
use async_trait::async_trait;
use backend_core::BoxError;
use backend_engine::{Driver, Inbox};
use tokio::time::timeout;

use crate::auth::Auth;
use crate::events::Events;
use crate::forward;
use crate::link::NatsLink;
use crate::peers::Id;
use crate::refusal::{place, silent, tell};
use crate::subjects::Subjects;

/// Nobody listens on port 0, and nothing is sent to find that out.
const NOWHERE: &str = "nats://127.0.0.1:0";

/// How long to wait for the answers of other instances, at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// Connects to one of the servers.
#[derive(Debug)]
pub(crate) struct NatsDriver {
    /// Without credentials.
    pub(crate) servers: Vec<ServerAddr>,
    pub(crate) auth: Auth,
    pub(crate) client_name: Option<String>,
    pub(crate) require_tls: bool,
    pub(crate) roots: Option<PathBuf>,
    /// The chain, and its private key.
    pub(crate) client_certificate: Option<(PathBuf, PathBuf)>,
    pub(crate) subjects: Subjects,
    /// The same for all connections.
    pub(crate) instance: Id,
    pub(crate) ping_interval: Duration,
    pub(crate) operation_timeout: Duration,
}

#[async_trait]
impl Driver for NatsDriver {
    type Link = NatsLink;

    fn client_name(&self) -> Option<&str> {
        self.client_name.as_deref()
    }

    async fn connect(&self, inbox: Inbox) -> Result<NatsLink, BoxError> {
        let options = self.options().await?;
        // In another order each time, so that instances spread over a cluster.
        let mut order: Vec<_> = (0..self.servers.len()).collect();
        fastrand::shuffle(&mut order);
        let mut refusals = Vec::new();
        for index in order {
            let server = &self.servers[index];
            let refused = |why: BoxError| BoxError::from(format!("{}: {why}", place(server)));
            match self.greet(server, options.clone()).await {
                Ok((client, events)) => {
                    return self.start(client, events, inbox).await.map_err(refused);
                }
                Err(why) => refusals.push((index, refused(why.into()).to_string())),
            }
        }
        // In the order in which they were named: the same refusals are the same text.
        refusals.sort_unstable();
        let refusals: Vec<_> = refusals.into_iter().map(|(_, refusal)| refusal).collect();
        Err(refusals.join("; ").into())
    }
}

impl NatsDriver {
    /// A client that one server has taken.
    async fn greet(
        &self,
        server: &ServerAddr,
        options: ConnectOptions,
    ) -> Result<(Client, Arc<Events>), String> {
        let events = Arc::new(Events::new(place(server), self.subjects.clone()));
        let options = options.event_callback({
            let events = Arc::clone(&events);
            move |event| {
                events.hear(&event);
                ready(())
            }
        });
        let patience = self.patience();
        match timeout(patience, options.connect(server.clone())).await {
            Ok(Ok(client)) => Ok((client, events)),
            Ok(Err(error)) => Err(tell(&error, !self.auth.is_none(), patience)),
            Err(_) => Err(silent(patience)),
        }
    }

    /// How long one server may take to greet: its part of the time that there is for all, less a
    /// little, so that it can be told which of them has not.
    fn patience(&self) -> Duration {
        let servers = u32::try_from(self.servers.len().max(1)).unwrap_or(u32::MAX);
        self.operation_timeout / 10 * 9 / servers
    }

    async fn start(
        &self,
        client: Client,
        events: Arc<Events>,
        inbox: Inbox,
    ) -> Result<NatsLink, BoxError> {
        // A client that has lost its connection makes another one by itself, subscribes again, and
        // sends what it has in its queue, however old; and it goes on with that when nobody holds
        // it any more. Here, a connection that is lost stays lost. There is no option for that: the
        // client gets one attempt, and nothing to attempt.
        tokio::select! {
            set = client.set_server_pool(NOWHERE) => set?,
            // Its task answers no more, then, as long as it tries.
            why = events.lost() => return Err(why),
        }
        // Part of the time that a subscribe has: who does not answer must not make it fail.
        let patience = (self.operation_timeout / 4).min(PATIENCE);
        let subjects = self.subjects.clone();
        NatsLink::start(client, inbox, events, subjects, self.instance, patience).await
    }

    /// The same for all servers.
    async fn options(&self) -> Result<ConnectOptions, String> {
        let mut options = ConnectOptions::new()
            .max_reconnects(1)
            .reconnect_delay_callback(|_| Duration::ZERO)
            .ignore_discovered_servers()
            .connection_timeout(self.patience())
            .ping_interval(self.ping_interval)
            .subscription_capacity(forward::QUEUE)
            // Names are legal for every engine.
            .skip_subject_validation(true)
            .require_tls(self.require_tls);
        if let Some(name) = &self.client_name {
            options = options.name(name);
        }
        if let Some(roots) = &self.roots {
            options = options.add_root_certificates(roots.clone());
        }
        if let Some((chain, key)) = &self.client_certificate {
            options = options.add_client_certificate(chain.clone(), key.clone());
        }
        self.auth.apply(options).await
    }
}
