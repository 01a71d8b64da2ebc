//! Makes connections: one client of NATS for each.

use std::future::ready;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};
use async_trait::async_trait;
use backend_core::BoxError;
use backend_engine::{Driver, Inbox};

use crate::auth::Auth;
use crate::events::Events;
use crate::forward;
use crate::link::NatsLink;
use crate::peers::Id;
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
    pub(crate) roots: Vec<PathBuf>,
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

    async fn connect(&self, inbox: Inbox) -> Result<NatsLink, BoxError> {
        let events = Arc::new(Events::new(self.subjects.clone()));
        let options = self.options().event_callback({
            let events = Arc::clone(&events);
            move |event| {
                events.hear(&event);
                ready(())
            }
        });
        let client = options.connect(&self.servers[..]).await?;
        // A client that has lost its connection makes another one by itself, subscribes again, and
        // sends what it has in its queue, however old; and it goes on with that when nobody holds
        // it any more. Here, a connection that is lost stays lost. There is no option for that: the
        // client gets a number of attempts, and nothing to attempt.
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
}

impl NatsDriver {
    fn options(&self) -> ConnectOptions {
        let servers = self.servers.len().max(1);
        let mut options = ConnectOptions::new()
            .max_reconnects(servers)
            .reconnect_delay_callback(|_| Duration::ZERO)
            .ignore_discovered_servers()
            // Each server gets its part of the time that there is for all.
            .connection_timeout(self.operation_timeout / u32::try_from(servers).unwrap_or(u32::MAX))
            .ping_interval(self.ping_interval)
            .subscription_capacity(forward::QUEUE)
            // Names are legal for every engine.
            .skip_subject_validation(true)
            .require_tls(self.require_tls);
        if let Some(name) = &self.client_name {
            options = options.name(name);
        }
        for roots in &self.roots {
            options = options.add_root_certificates(roots.clone());
        }
        if let Some((chain, key)) = &self.client_certificate {
            options = options.add_client_certificate(chain.clone(), key.clone());
        }
        self.auth.apply(options)
    }
}
