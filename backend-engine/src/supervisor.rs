//! From one connection to the next, as long as the instance lives.
//!
//! ```text
//!            ┌────────────────────────────── wait, a little longer each time ◄─┐
//!            ▼                                                                 │
//!        connect ──► subscribe to every topic again ──► ping ──► LIVE ──► lost ┘
//! ```
//!
//! One task owns the connection. When it is lost the task says so at once, and then tries to get
//! another one until it has one: an instance never gives up by itself (clause H5).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use backend_core::BoxError;
use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{MissedTickBehavior, timeout};

use crate::core::{Core, Live};
use crate::driver::{Driver, Link};
use crate::inbox::Inbox;
use crate::outage::Outage;
use crate::outbox::Outbox;
use crate::registry::Held;

/// Topics that are asked for at the same time after an outage.
const AT_ONCE: usize = 512;

/// Nobody waits longer for a server; jitter on the longest of all durations would be a panic.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a lost connection has to say of each frame whether it took it.
const GRACE: Duration = Duration::from_millis(100);

/// A connection that has been accepted, and is not in use yet.
pub(crate) struct Connected<L> {
    pub(crate) link: Arc<L>,
    pub(crate) era: u64,
}

/// Connects once.
pub(crate) async fn connect<D: Driver>(
    driver: &D,
    core: &Arc<Core<D::Link>>,
    era: u64,
) -> Result<Connected<D::Link>, BoxError> {
    let weak = Arc::downgrade(core);
    let inbox = Inbox::new(weak, era);
    let link = timeout(core.options.operation_timeout, driver.connect(inbox)).await??;
    Ok(Connected { link: Arc::new(link), era })
}

/// Carries on from this connection until the instance closes.
pub(crate) async fn supervise<D: Driver>(
    driver: D,
    core: Arc<Core<D::Link>>,
    first: Connected<D::Link>,
) {
    let mut connected = first;
    let mut outage = Outage::default();
    loop {
        let link = Arc::clone(&connected.link);
        let (outbox, writer) = Outbox::new(Arc::clone(&core), Arc::clone(&link));
        let mut writer = tokio::spawn(writer.run());
        let carried = carry(&core, connected, outbox.clone(), &mut outage);
        let carried = core.stop.run_until_cancelled(carried).await;
        outbox.close(&core);
        let Some(Err(why)) = carried else {
            // Closed. What was acknowledged is sent first (D1).
            let _ = timeout(core.options.operation_timeout, writer).await;
            let _ = timeout(core.options.operation_timeout, link.close()).await;
            break;
        };
        core.lose();
        outage.goes_on(&*why);
        // Aborted at once, it would call refused what it has handed over, and what may arrive.
        if timeout(GRACE, &mut writer).await.is_err() {
            writer.abort();
        }
        drop(link);
        let next = core.stop.run_until_cancelled(reconnect(&driver, &core, &mut outage)).await;
        let Some(next) = next else { break };
        connected = next;
    }
    core.live.send_replace(None);
}

/// Tries until it works, a little less often each time.
async fn reconnect<D: Driver>(
    driver: &D,
    core: &Arc<Core<D::Link>>,
    outage: &mut Outage,
) -> Connected<D::Link> {
    let (least, most) = core.options.backoff;
    let (least, most) = (least.min(A_DAY), most.min(A_DAY));
    let mut delays = ExponentialBuilder::new()
        .with_min_delay(least)
        .with_max_delay(most)
        .with_jitter()
        .without_max_times()
        .build();
    loop {
        tokio::time::sleep(delays.next().unwrap_or(most)).await;
        let era = core.next_era();
        match connect(driver, core, era).await {
            Ok(connected) => return connected,
            Err(error) => outage.goes_on(&*error),
        }
    }
}

/// Brings every topic back to life, says so, and looks after the connection until it is lost.
async fn carry<L: Link>(
    core: &Core<L>,
    connected: Connected<L>,
    outbox: Outbox,
    outage: &mut Outage,
) -> Result<Infallible, BoxError> {
    let Connected { link, era } = connected;
    let patience = core.options.operation_timeout;
    core.registry.start_again();
    let back = timeout(patience, bring_back(core, &*link));
    tokio::select! {
        back = back => back??,
        why = link.lost() => return Err(why),
    }
    outage.ends(core);
    core.go_live(Live { link: Arc::clone(&link), era, outbox });
    tokio::select! {
        why = link.lost() => Err(why),
        why = outlive_pings(&*link, core.options.ping_interval, patience) => Err(why),
        why = give_up_released(core, &*link, patience) => Err(why),
    }
}

async fn bring_back<L: Link>(core: &Core<L>, link: &L) -> Result<(), BoxError> {
    let topics = stream::iter(core.users.topics().into_iter().map(Ok::<_, BoxError>));
    topics
        .try_for_each_concurrent(AT_ONCE, |topic| async move {
            let mut held = core.registry.enter(&topic).await;
            // Unsubscribed meanwhile: it stays so (H7).
            if core.users.is_subscribed(&topic) {
                *held = Held::Perhaps;
                let name = core.names.name(&topic);
                core.topics.listen(&name, &topic);
                match link.subscribe(&name).await {
                    Ok(()) => *held = Held::Yes,
                    Err(error) if error.is_retryable() => return Err(error.into()),
                    // The engine was reached, and denies this topic now. Its streams end, for they
                    // will get nothing more; the others go on.
                    Err(error) => {
                        tracing::error!(%topic, %error, "the engine gives this topic no more");
                        let _ = core.users.unsubscribe(&topic);
                    }
                }
            }
            Ok(())
        })
        .await?;
    link.ping().await?;
    Ok(())
}

/// Pings; returns when one is not answered.
async fn outlive_pings<L: Link>(link: &L, every: Duration, patience: Duration) -> BoxError {
    // None at all would be a panic.
    let every = every.max(Duration::from_millis(1));
    let patience = patience.min(every.saturating_mul(2));
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        match timeout(patience, link.ping()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error.into(),
            Err(_) => return format!("no answer to a ping within {patience:?}").into(),
        }
    }
}

/// Gives up what nobody here subscribes to any more.
async fn give_up_released<L: Link>(core: &Core<L>, link: &L, patience: Duration) -> BoxError {
    loop {
        core.released.some().await;
        let topics = stream::iter(core.released.take());
        let given_up = topics.map(Ok).try_for_each_concurrent(AT_ONCE, |topic| async move {
            let mut held = core.registry.enter(&topic).await;
            if core.users.is_subscribed(&topic) {
                return Ok::<_, BoxError>(());
            }
            if *held != Held::No {
                *held = Held::Perhaps;
                timeout(patience, link.unsubscribe(&core.names.name(&topic))).await??;
                *held = Held::No;
            }
            core.topics.forget(&core.names.name(&topic));
            core.registry.forget(&topic, held);
            Ok(())
        });
        if let Err(error) = given_up.await {
            return error;
        }
    }
}
