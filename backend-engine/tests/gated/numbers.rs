//! The numbers of what is refused now and then, while others publish and tallies are sent.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backend_core::{Backend, BoxError, Error, MessageEnvelope, Result};
use backend_engine::name::EngineName;
use backend_engine::{
    Driver, EngineBackend, Handover, Inbox, Ledger, Link, Options, Outgoing, Verdict, wire,
};
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// An engine that answers, after a while, and refuses half of what it gets.
#[derive(Clone, Default)]
struct Fickle(Arc<State>);

#[derive(Default)]
struct State {
    taken: Mutex<Vec<Outgoing>>,
    chance: Chance,
    is_asked: AtomicBool,
}

/// One number after the other, in no order.
#[derive(Default)]
struct Chance {
    hasher: RandomState,
    asked: AtomicU64,
}

impl Chance {
    fn next(&self) -> u64 {
        self.hasher.hash_one(self.asked.fetch_add(1, Relaxed))
    }
}

#[async_trait]
impl Driver for Fickle {
    type Link = Self;

    async fn connect(&self, _inbox: Inbox) -> Result<Self, BoxError> {
        Ok(self.clone())
    }
}

#[async_trait]
impl Link for Fickle {
    fn max_message(&self) -> Option<usize> {
        None
    }

    async fn subscribe(&self, _name: &EngineName) -> Result<()> {
        Ok(())
    }

    async fn unsubscribe(&self, _name: &EngineName) -> Result<()> {
        Ok(())
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Vec<Handover> {
        let State { taken, chance, is_asked } = &*self.0;
        assert!(!is_asked.swap(true, Relaxed), "it is asked for two things at a time");
        let mut handovers = Vec::with_capacity(messages.len());
        for outgoing in messages {
            let chance = chance.next();
            (0..chance % 4_000).for_each(|_| std::hint::spin_loop());
            if chance & (1 << 20) == 0 {
                yield_now().await;
            }
            if chance & (1 << 21) == 0 {
                handovers.push(Handover::Refused(Error::unavailable("not now")));
            } else {
                taken.lock().unwrap().push(outgoing);
                handovers.push(Handover::Taken);
            }
        }
        is_asked.store(false, Relaxed);
        handovers
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn lost(&self) -> BoxError {
        std::future::pending().await
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// Publishes to both topics at the same time, and reads what the engine has taken as an instance does.
async fn no_gap_is_shown(topics: [&'static str; 2], ping_interval: Duration) {
    let engine = Fickle::default();
    let mut options = Options::default();
    options.ping_interval = ping_interval;
    let instance = Arc::new(EngineBackend::connect(engine.clone(), options).await.unwrap());
    let mut publishers = JoinSet::new();
    for topic in topics {
        let instance = Arc::clone(&instance);
        publishers.spawn(async move {
            let mut taken = 0;
            for _ in 0..20_000 {
                let result = instance.publish(MessageEnvelope::new(topic, "data")).await;
                assert!(matches!(result, Ok(()) | Err(Error::Unavailable(_))), "{result:?}");
                taken += usize::from(result.is_ok());
            }
            taken
        });
    }
    let taken: usize = timeout(PATIENCE, publishers.join_all()).await.unwrap().into_iter().sum();
    instance.close().await.unwrap();

    let (mut ledgers, mut envelopes): (HashMap<_, Ledger>, _) = (HashMap::new(), 0);
    for Outgoing { name, message } in engine.0.taken.lock().unwrap().iter() {
        let topic = name.as_str().strip_prefix("tavern.").unwrap().into();
        let ledger = ledgers.entry(name.clone()).or_default();
        for frame in wire::frames(&topic, message.clone()).map(|frame| frame.unwrap()) {
            let stamp = frame.stamp.unwrap();
            if frame.is_tally {
                let verdict = ledger.observe_tally(&stamp);
                assert!(!matches!(verdict, Verdict::Missed(_)), "{verdict:?}");
            } else {
                let verdict = ledger.observe(&stamp);
                assert!(!matches!(verdict, Verdict::Missed(_) | Verdict::Old), "{verdict:?}");
                envelopes += 1;
            }
        }
    }
    assert_eq!(envelopes, taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_refused_is_in_no_tally() {
    no_gap_is_shown(["orders", "prices"], Duration::from_millis(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_refused_is_settled_before_anything_behind_it_has_a_number() {
    no_gap_is_shown(["orders", "orders"], Duration::from_secs(3_600)).await;
}
