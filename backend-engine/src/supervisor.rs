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
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use backend_core::{BoxError, Error};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{MissedTickBehavior, timeout};

use crate::core::{Core, Live};
use crate::driver::{Driver, Link};
use crate::inbox::Inbox;
use crate::outage::Outage;
use crate::outbox::Outbox;
use crate::registry::Held;

/// Topics that are asked for, or given up, at the same time.
const AT_ONCE: usize = 512;

/// How long a lost connection has to say of each frame whether it took it.
const GRACE: Duration = Duration::from_millis(100);

/// How long a ping waits for the tallies before it.
const AHEAD: Duration = Duration::from_millis(100);

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
    let patience = core.options.operation_timeout;
    let in_time = timeout(patience, driver.connect(inbox)).await;
    let link = in_time.map_err(|_| format!("no connection within {patience:?}"))?;
    let link = link.map_err(cause)?;
    Ok(Connected { link: Arc::new(link), era })
}

/// Carries on from this connection until the instance closes.
pub(crate) async fn supervise<D: Driver>(
    driver: D,
    core: Arc<Core<D::Link>>,
    first: Connected<D::Link>,
) {
    // However this ends, also with its runtime, nobody is to wait for it (C1).
    let all_sent = Err(Error::unavailable("its tasks have ended"));
    let mut ended = Ended { core: Arc::clone(&core), all_sent };
    let mut connected = first;
    let mut outage = Outage::of(driver.client_name());
    loop {
        let link = Arc::clone(&connected.link);
        outage.is_on(link.server());
        let (outbox, writer) = Outbox::new(Arc::clone(&core), Arc::clone(&link));
        let mut writer = tokio::spawn(writer.run());
        let carried = async {
            tokio::select! {
                carried = carry(&core, connected, outbox.clone(), &mut outage) => carried,
                // Nothing would be handed over any more, and nothing would say so.
                () = outbox.is_written() => Err("what hands over to the engine has failed".into()),
            }
        };
        let carried = core.stop.run_until_cancelled(carried).await;
        let Some(Err(why)) = carried else {
            // Closed. What was acknowledged is sent first (D1), and behind it the tallies, where there is
            // room for them: later nobody tells who misses some of it.
            let patience = core.options.operation_timeout;
            outbox.tally_once_more(&core);
            outbox.close(&core);
            let written = timeout(patience, &mut writer).await;
            let closed =
                timeout(patience, link.close()).await.unwrap_or(Err(Error::Timeout(patience)));
            let written = match written {
                Ok(ended) => ended.map_err(Error::backend),
                Err(_) => {
                    // It holds the connection.
                    writer.abort();
                    let _ = writer.await;
                    Err(Error::Timeout(patience))
                }
            };
            ended.all_sent = written.and(closed);
            break;
        };
        outbox.close(&core);
        core.lose();
        outage.goes_on(&core, &*cause(why));
        // Aborted at once, it would leave unconfirmed what it knows: what was taken, and what never left.
        if timeout(GRACE, &mut writer).await.is_err() {
            writer.abort();
        }
        drop(link);
        let next = core.stop.run_until_cancelled(reconnect(&driver, &core, &mut outage)).await;
        let Some(next) = next else {
            ended.all_sent = Err(Error::unavailable("there is no connection"));
            break;
        };
        connected = next;
    }
}

/// Why there is no connection, without the words that [`Error::Unavailable`] puts before it: whoever is
/// told of it gets them, or knows.
fn cause(why: BoxError) -> BoxError {
    match why.downcast::<Error>().map(|error| *error) {
        Ok(Error::Unavailable(cause)) => cause,
        Ok(other) => other.into(),
        Err(other) => other,
    }
}

/// Without its supervisor an instance is closed.
struct Ended<L: Link> {
    core: Arc<Core<L>>,
    all_sent: Result<(), Error>,
}

impl<L: Link> Drop for Ended<L> {
    fn drop(&mut self) {
        self.core.leave(mem::replace(&mut self.all_sent, Ok(())));
        self.core.end();
        self.core.live.send_replace(None);
    }
}

/// Tries until it works, a little less often each time.
async fn reconnect<D: Driver>(
    driver: &D,
    core: &Arc<Core<D::Link>>,
    outage: &mut Outage,
) -> Connected<D::Link> {
    loop {
        tokio::time::sleep(outage.pause(core.options.backoff)).await;
        let era = core.next_era();
        match connect(driver, core, era).await {
            Ok(connected) => return connected,
            Err(error) => outage.goes_on(core, &*error),
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
    // Some may have been on their way to be given up, when the last connection was lost.
    core.topics.keep(|topic| core.users.is_subscribed(topic));
    tokio::select! {
        back = bring_back(core, &*link, patience) => back?,
        why = link.lost() => return Err(why),
    }
    outage.ends(core);
    core.go_live(Live { link: Arc::clone(&link), era, outbox: outbox.clone() });
    tokio::select! {
        why = link.lost() => Err(why),
        why = outlive_pings(core, &*link, &outbox) => Err(why),
        why = give_up_released(core, &*link, patience) => Err(why),
    }
}

/// Subscribes to everything again, some hundreds at a time: however many there are, none of these
/// steps takes longer than an operation may.
async fn bring_back<L: Link>(core: &Core<L>, link: &L, patience: Duration) -> Result<(), BoxError> {
    for topics in core.users.topics().chunks(AT_ONCE) {
        timeout(patience, bring_some_back(core, link, topics)).await??;
    }
    timeout(patience, link.ping()).await??;
    Ok(())
}

async fn bring_some_back<L: Link>(
    core: &Core<L>,
    link: &L,
    topics: &[Arc<str>],
) -> Result<(), BoxError> {
    let (mut names, mut entered) = (Vec::new(), Vec::new());
    for topic in topics {
        let mut held = core.registry.enter(topic).await;
        // Unsubscribed meanwhile: it stays so (H7).
        if core.users.is_subscribed(topic) {
            *held = Held::Perhaps;
            let name = core.names.name(topic);
            core.topics.listen(&name, topic);
            names.push(name);
            entered.push((topic, held));
        }
    }
    let subscribed = link.subscribe_all(&names).await;
    for ((topic, mut held), subscribed) in entered.into_iter().zip(subscribed) {
        match subscribed {
            Ok(()) => *held = Held::Yes,
            Err(error) if error.is_retryable() => return Err(error.into()),
            // The engine was reached, and denies this topic now. Its streams end, for they will get
            // nothing more; the others go on.
            Err(error) => {
                tracing::error!(instance = %core.origin, %topic, %error, "the engine gives this topic no more");
                let _ = core.users.unsubscribe(topic);
            }
        }
    }
    Ok(())
}

/// Pings, behind tallies of what was published; returns when one is not answered.
async fn outlive_pings<L: Link>(core: &Core<L>, link: &L, outbox: &Outbox) -> BoxError {
    let every = core.options.ping_interval;
    let patience = every.saturating_mul(2);
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        // What waits to be written goes before them, and may take longer than a ping: then they
        // follow, and the next ping that is behind them tells that they have arrived.
        let tallied = timeout(AHEAD, outbox.tally(core)).await;
        match timeout(patience, link.ping()).await {
            Ok(Ok(())) => {
                if let Ok(Some(before)) = tallied {
                    core.press().tallies_arrived(before);
                }
            }
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
                match timeout(patience, link.unsubscribe(&core.names.name(&topic))).await? {
                    Ok(()) => *held = Held::No,
                    Err(error) if error.is_retryable() => return Err(error.into()),
                    // It goes on to send what is dropped here, and nothing else has come to harm.
                    Err(error) => {
                        tracing::warn!(instance = %core.origin, %topic, %error, "the engine does not end a subscription");
                        return Ok(());
                    }
                }
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
