//! Publishers that do not stop for anything, and remember what was accepted, and what was refused.

use std::sync::Arc;
use std::time::Duration;

use backend_core::{Backend, Error, HealthAwareBackend};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::wait::{PATIENCE, until};
use crate::{Account, Attempts, Result};

/// Where a publish waits for nobody, publishers would outrun any reader, who would be cut off.
const AT_ONCE: u64 = 4;

/// How long a task pauses after so many.
const PAUSE: Duration = Duration::from_millis(1);

/// Tasks that publish to one topic, on one instance, at the same time.
#[derive(Debug)]
pub struct Load {
    stop: CancellationToken,
    tasks: JoinSet<Result<(String, Attempts)>>,
}

impl Load {
    /// So many tasks, each of which publishes its own [numbered](Account::numbered) envelopes. Their
    /// names begin with this one.
    pub fn start<B>(backend: &Arc<B>, topic: &str, name: &str, tasks: usize) -> Self
    where
        B: HealthAwareBackend + 'static,
    {
        let mut load = Self { stop: CancellationToken::new(), tasks: JoinSet::new() };
        for task in 0..tasks {
            let (backend, topic) = (Arc::clone(backend), topic.to_owned());
            let (stop, name) = (load.stop.clone(), format!("{name}{task}"));
            load.tasks.spawn(async move {
                let attempts = publish(&*backend, &topic, &name, stop).await?;
                Ok((name, attempts))
            });
        }
        load
    }

    /// Stops them: their names, and what became of their numbers.
    ///
    /// # Errors
    /// A publish has failed with something other than an outage.
    pub async fn stop(mut self) -> Result<Vec<(String, Attempts)>> {
        self.stop.cancel();
        let mut attempts = Vec::new();
        let stopped = async {
            while let Some(task) = self.tasks.join_next().await {
                attempts.push(task??);
            }
            Ok::<_, crate::Error>(())
        };
        timeout(PATIENCE, stopped).await.map_err(|_| "a publisher hangs")??;
        Ok(attempts)
    }
}

async fn publish<B: HealthAwareBackend + ?Sized>(
    backend: &B,
    topic: &str,
    name: &str,
    stop: CancellationToken,
) -> Result<Attempts> {
    let mut attempts = Attempts::default();
    for number in 1.. {
        if stop.is_cancelled() {
            break;
        }
        if number % AT_ONCE == 0 {
            tokio::time::sleep(PAUSE).await;
        }
        match Backend::publish(backend, Account::numbered(topic, name, number)).await {
            Ok(()) => drop(attempts.accepted.insert(number)),
            Err(Error::Unavailable(_)) => {
                attempts.refused.insert(number);
                // Trying again at once would count to a million during an outage.
                until("healthy", || backend.is_healthy()).await?;
            }
            // It may have arrived.
            Err(Error::Unconfirmed(_)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(attempts)
}
