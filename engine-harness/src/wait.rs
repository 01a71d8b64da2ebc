//! Waiting for what has to come, and for nothing else.

use std::time::Duration;

use backend_core::{Event, Gap, GapCause, HealthAwareBackend, Subscription};
use tokio::sync::mpsc;
use tokio::time::{interval, timeout};

use crate::Result;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is asked.
const AGAIN: Duration = Duration::from_millis(1);

/// Waits until it is so. Nothing tells when an instance notices something: so it is asked.
///
/// # Errors
/// It never is.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) -> Result {
    let asked = async {
        let mut again = interval(AGAIN);
        while !so() {
            again.tick().await;
        }
    };
    Ok(timeout(PATIENCE, asked).await.map_err(|_| format!("never: {what}"))?)
}

/// Waits until somebody who has to be asked says that it is so, such as a server.
///
/// # Errors
/// It never is, or there is no answer.
pub async fn until_it_says(what: &str, mut so: impl AsyncFnMut() -> Result<bool>) -> Result {
    let asked = async {
        let mut again = interval(AGAIN);
        while !so().await? {
            again.tick().await;
        }
        Ok(())
    };
    timeout(PATIENCE, asked).await.map_err(|_| format!("never: {what}"))?
}

/// Word of each recovery of an instance.
pub fn recoveries(backend: &dyn HealthAwareBackend) -> mpsc::UnboundedReceiver<()> {
    let (recovered, recoveries) = mpsc::unbounded_channel();
    backend.on_reconnect(Box::new(move || {
        // Who does not wait for it does not want to know.
        let _ = recovered.send(());
    }));
    recoveries
}

/// Waits for the next one.
///
/// # Errors
/// There is none.
pub async fn recovery(recoveries: &mut mpsc::UnboundedReceiver<()>) -> Result {
    let recovered = timeout(PATIENCE, recoveries.recv()).await.map_err(|_| "no recovery")?;
    Ok(recovered.ok_or("the instance has gone")?)
}

/// The next event of a stream.
///
/// # Errors
/// Nothing arrives, or the stream ends.
pub async fn next(subscription: &mut Subscription) -> Result<Event> {
    let event = timeout(PATIENCE, subscription.recv()).await.map_err(|_| "nothing arrives")?;
    Ok(event.ok_or("the stream has ended")?)
}

/// The next one, which is to be an envelope with this data.
///
/// # Errors
/// It is something else.
pub async fn expect(subscription: &mut Subscription, data: &str) -> Result {
    match next(subscription).await? {
        Event::Message(envelope) if envelope.data() == data => Ok(()),
        other => Err(format!("{other:?} in place of {data}").into()),
    }
}

/// The next one, which is to be the gap after an outage.
///
/// # Errors
/// It is something else.
pub async fn expect_outage(subscription: &mut Subscription) -> Result {
    match next(subscription).await? {
        Event::Gap(Gap { cause: GapCause::Reconnected, missed: None, .. }) => Ok(()),
        other => Err(format!("{other:?} in place of a gap").into()),
    }
}
