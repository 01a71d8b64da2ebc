//! From one connection to the next, as long as the instance lives.
//!
//! One task owns the connection. When it is lost the task says so at once, and then tries to get
//! another one until it has one: an instance never gives up by itself (clause H5).

use std::sync::Arc;
use std::time::Duration;

use backend_fanout::{Endpoint, Health};
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::connection::{Connection, Link};
use crate::released::Released;

/// What the handle of an instance and its task share.
pub(crate) struct Shared {
    /// Where the instance's users subscribe.
    pub(crate) users: Endpoint,
    /// Where what the relay sends is published, on the same bus.
    pub(crate) engine: Endpoint,
    pub(crate) released: Arc<Released>,
    pub(crate) health: Health,
    /// Where requests go; `None` during an outage.
    pub(crate) link: watch::Sender<Option<Link>>,
    pub(crate) stop: CancellationToken,
    pub(crate) heartbeat: Duration,
}

impl Shared {
    /// Everything works, both ways: every topic is live. The order matters: the gap is told when
    /// its topic is live (H5), and the callbacks run last and may use the instance (H3, H4).
    pub(crate) fn live(&self, link: Link) {
        self.users.resume();
        self.link.send_replace(Some(link));
        self.health.set(true);
    }

    fn lost(&self) {
        self.link.send_replace(None);
        self.users.suspend();
        self.health.set(false);
    }
}

/// Carries on from this connection until the instance closes.
pub(crate) async fn supervise(
    shared: Arc<Shared>,
    address: String,
    instance: Uuid,
    mut connection: Connection,
) {
    let life = async {
        loop {
            let Err(_why) = connection.carry(&shared).await;
            shared.lost();
            connection = reconnect(&address, instance, shared.heartbeat).await;
        }
    };
    shared.stop.run_until_cancelled(life).await;
    shared.lost();
}

/// Tries until it works, a little less often each time.
async fn reconnect(address: &str, instance: Uuid, heartbeat: Duration) -> Connection {
    // With jitter, so that the instances of a service do not come back all at once.
    let mut delays = ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(10))
        .with_max_delay(Duration::from_secs(1))
        .with_jitter()
        .without_max_times()
        .build();
    loop {
        tokio::time::sleep(delays.next().unwrap_or(Duration::from_secs(1))).await;
        if let Ok(connection) = Connection::open(address, instance, heartbeat).await {
            return connection;
        }
    }
}
