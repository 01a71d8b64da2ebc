//! A backend of another make, over `backend-fanout`: every instance has a bus of its own, and a
//! publish goes to one after the other, with a pause in between.
//!
//! That pause is its fault twice over: two publishers can pass each other there, so there is no
//! total order, and a publish that is dropped there has reached some and not others.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use backend_core::{Backend, BoxError, Error, MessageEnvelope, Result, Subscription};
use backend_fanout::{Bus, Endpoint};

use super::Specimen;
use super::twist::lock;
use crate::{Claims, Cluster, Harness};

pub(super) const SPECIMENS: &[Specimen] = &[
    Specimen::new(
        "no_total_order",
        "Publishers can pass each other, though a total order is claimed.",
        "order::one_order_for_all",
        |deadline| Box::new(Mesh { deadline }),
    ),
    Specimen::new(
        "a_dropped_publish_reaches_some",
        "A publish that is dropped half-way reached some.",
        "cancel::a_dropped_publish_reaches_all_or_none",
        |deadline| Box::new(Mesh { deadline }),
    ),
];

struct Mesh {
    deadline: Duration,
}

struct Node {
    /// Where this instance's users subscribe.
    users: Endpoint,
    /// Where others' publishes come in. Gone after close.
    engine: Mutex<Option<Arc<Endpoint>>>,
    others: Arc<Mutex<Vec<Weak<Node>>>>,
    index: usize,
}

#[async_trait]
impl Backend for Node {
    async fn publish(&self, envelope: MessageEnvelope) -> Result<()> {
        if self.users.is_closed() {
            return Err(Error::Closed);
        }
        let mut nodes: Vec<Arc<Self>> =
            lock(&self.others).iter().filter_map(Weak::upgrade).collect();
        // Each begins somewhere else, as connections of different length would.
        let start = self.index % nodes.len().max(1);
        nodes.rotate_left(start);
        for node in nodes.iter().filter(|node| node.index != self.index) {
            let engine = lock(&node.engine).clone();
            if let Some(engine) = engine {
                engine.publish(envelope.clone())?;
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        self.users.subscribe(topic)
    }

    async fn unsubscribe(&self, topic: &str) -> Result<()> {
        self.users.unsubscribe(topic)
    }

    async fn close(&self) -> Result<()> {
        self.users.close();
        *lock(&self.engine) = None;
        Ok(())
    }
}

#[async_trait]
impl Harness for Mesh {
    fn name(&self) -> &str {
        "broken"
    }

    fn claims(&self) -> Claims {
        Claims::new().with_total_order().with_capacity(32).with_deadline(self.deadline)
    }

    async fn cluster(&self, instances: usize) -> Result<Cluster, BoxError> {
        let others = Arc::new(Mutex::new(Vec::new()));
        let mut nodes: Vec<Arc<dyn Backend>> = Vec::new();
        for index in 0..instances {
            let bus = Bus::with_capacity(32);
            let node = Arc::new(Node {
                users: bus.attach(),
                engine: Mutex::new(Some(Arc::new(bus.attach()))),
                others: Arc::clone(&others),
                index,
            });
            lock(&others).push(Arc::downgrade(&node));
            nodes.push(node);
        }
        Ok(Cluster::new(nodes))
    }
}
