//! An honest backend of another make: a server some way off, and lines to it.
//!
//! Everything takes its time. An operation goes to the server and back; the server registers or
//! routes in between; an envelope then goes down the line of *each subscription*, and each line has
//! delays of its own. So two subscriptions of one instance do not get an envelope at the same time,
//! and what one of them has got says nothing of the other. Nothing here breaks a clause that is
//! claimed: a check that fails here is a wrong check.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use backend_core::{
    Backend, BackendStats, BoxError, Error, HealthAwareBackend, MessageEnvelope, ObservableBackend,
    ReconnectCallback, Result, Subscription,
};
use backend_fanout::{Bus, Endpoint, Health};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Specimen;
use super::twist::{CAPACITY, lock};
use crate::{Claims, Cluster, Faults, Harness};

/// How long the ways are.
#[derive(Clone, Copy)]
pub(super) struct Ways {
    /// From an instance to the server, and back: at least and at most.
    pub(super) operations: (Duration, Duration),
    /// From the server to a subscription: at least and at most.
    pub(super) deliveries: (Duration, Duration),
    /// Whether a line keeps the order of what goes down it.
    pub(super) in_order: bool,
}

pub(super) struct Remote {
    pub(super) deadline: Duration,
    pub(super) ways: Ways,
    pub(super) fault: Option<Fault>,
}

/// What the server does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A publisher hears itself.
    Echo,
    /// Every seventh envelope goes down a line twice.
    Twice,
    /// Every ninth envelope goes down no line.
    Loses,
}

pub(super) const SPECIMENS: &[Specimen] = &[
    Specimen::new(
        "echo_without_order",
        "An instance hears what it publishes itself, at some time, in a backend without an order.",
        "echo::never_echoed",
        |deadline| unordered(deadline, Some(Fault::Echo)),
    ),
    Specimen::new(
        "duplicates_without_order",
        "Every seventh message comes twice, at some time, in a backend without an order.",
        "once::never_twice",
        |deadline| unordered(deadline, Some(Fault::Twice)),
    ),
    Specimen::new(
        "loses_without_order",
        "Every ninth message is lost, in a backend without an order.",
        "deliver::goes_on_over_many_messages",
        |deadline| unordered(deadline, Some(Fault::Loses)),
    ),
];

/// With its server next door, and with no order.
pub(super) fn unordered(deadline: Duration, fault: Option<Fault>) -> Box<dyn Harness> {
    let operations = (Duration::ZERO, Duration::from_millis(4));
    let deliveries = (Duration::ZERO, Duration::from_millis(20));
    let ways = Ways { operations, deliveries, in_order: false };
    Box::new(Remote { deadline, ways, fault })
}

/// With its server 150 ms away.
pub(super) fn far(deadline: Duration) -> Box<dyn Harness> {
    let way = (Duration::from_millis(100), Duration::from_millis(200));
    let ways = Ways { operations: way, deliveries: way, in_order: true };
    Box::new(Remote { deadline, ways, fault: None })
}

/// One end of the connection, and what the server knows of it.
struct Node {
    number: usize,
    ways: Ways,
    server: Arc<Server>,
    state: Mutex<State>,
    health: Health,
}

struct State {
    link: Link,
    /// Counts the cuts, so that what was on its way through one can be told.
    era: u64,
    lines: Vec<Line>,
    /// Of lines that have gone.
    expired: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    Up,
    Cut,
    Closed,
}

/// A subscription: a bus of its own, with its user at one end and the server's queue at the other.
struct Line {
    topic: String,
    user: Endpoint,
    queue: mpsc::UnboundedSender<(Instant, u64, MessageEnvelope)>,
}

struct Server {
    nodes: Mutex<Vec<Weak<Node>>>,
    dice: AtomicU64,
    fault: Option<Fault>,
    routed: AtomicU64,
}

impl Server {
    /// Some time between the two.
    fn delay(&self, (least, most): (Duration, Duration)) -> Duration {
        // SplitMix64: enough for uneven delays.
        let mut z = self.dice.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let thousandths = u32::try_from((z ^ (z >> 31)) % 1_001).unwrap_or(0);
        least + (most - least) * thousandths / 1_000
    }

    /// Sends the envelope down the lines of all other nodes.
    fn route(&self, from: usize, envelope: &MessageEnvelope) {
        let turn = self.routed.fetch_add(1, Ordering::Relaxed) + 1;
        if self.fault == Some(Fault::Loses) && turn.is_multiple_of(9) {
            return;
        }
        let twice = self.fault == Some(Fault::Twice) && turn.is_multiple_of(7);
        let echo = self.fault == Some(Fault::Echo);
        let nodes: Vec<Arc<Node>> = lock(&self.nodes).iter().filter_map(Weak::upgrade).collect();
        for node in nodes.iter().filter(|node| node.number != from || echo) {
            let mut state = lock(&node.state);
            state.prune();
            let era = state.era;
            let lines = state.lines.iter().filter(|line| line.topic == envelope.topic());
            if state.link != Link::Up {
                continue;
            }
            for line in lines {
                for _ in 0..=usize::from(twice) {
                    let due = Instant::now() + self.delay(node.ways.deliveries);
                    // A line that has gone needs nothing.
                    let _ = line.queue.send((due, era, envelope.clone()));
                }
            }
        }
    }
}

impl State {
    /// Forgets the lines whose subscription was dropped.
    fn prune(&mut self) {
        let expired = &mut self.expired;
        self.lines.retain(|line| {
            let stats = line.user.stats();
            *expired += if stats.subscriptions == 0 { stats.expired } else { 0 };
            stats.subscriptions > 0
        });
    }
}

/// Hands out what comes down a line when it is due.
async fn hand_out(
    node: Weak<Node>,
    end: Arc<Endpoint>,
    mut queue: mpsc::UnboundedReceiver<(Instant, u64, MessageEnvelope)>,
    in_order: bool,
) {
    let deliver = move |node: &Weak<Node>, end: &Endpoint, era, envelope| {
        let Some(node) = node.upgrade() else { return };
        let state = lock(&node.state);
        // What was on its way when the line was cut is lost.
        if state.link == Link::Up && state.era == era {
            let _ = end.publish(envelope);
        }
    };
    while let Some((due, era, envelope)) = queue.recv().await {
        if in_order {
            tokio::time::sleep_until(due).await;
            deliver(&node, &end, era, envelope);
        } else {
            let (node, end) = (Weak::clone(&node), Arc::clone(&end));
            tokio::spawn(async move {
                tokio::time::sleep_until(due).await;
                deliver(&node, &end, era, envelope);
            });
        }
    }
}

impl Node {
    /// The way to the server, or the way back.
    async fn travel(&self) {
        let (least, most) = self.ways.operations;
        tokio::time::sleep(self.server.delay((least / 2, most / 2))).await;
    }

    fn check(&self) -> Result<()> {
        match lock(&self.state).link {
            Link::Up => Ok(()),
            Link::Cut => Err(Error::unavailable("the server is out of reach")),
            Link::Closed => Err(Error::Closed),
        }
    }

    fn end(&self) {
        let mut state = lock(&self.state);
        state.link = Link::Closed;
        for line in std::mem::take(&mut state.lines) {
            line.user.close();
            state.expired += line.user.stats().expired;
        }
        drop(state);
        self.health.close();
    }

    fn cut(self: &Arc<Self>) {
        let era = {
            let mut state = lock(&self.state);
            if state.link != Link::Up {
                return;
            }
            state.link = Link::Cut;
            state.era += 1;
            state.lines.iter().for_each(|line| line.user.suspend());
            state.era
        };
        let node = Arc::downgrade(self);
        let noticed = self.server.delay(self.ways.operations);
        tokio::spawn(async move {
            tokio::time::sleep(noticed).await;
            if let Some(node) = node.upgrade()
                && lock(&node.state).era == era
            {
                node.notice();
            }
        });
    }

    /// Comes to know how the link is.
    fn notice(&self) {
        self.health.update_part("link", || lock(&self.state).link == Link::Up);
    }

    fn restore(self: &Arc<Self>) {
        let era = lock(&self.state).era;
        let node = Arc::downgrade(self);
        let there_and_back = self.server.delay(self.ways.operations);
        tokio::spawn(async move {
            tokio::time::sleep(there_and_back).await;
            let Some(node) = node.upgrade() else { return };
            node.notice();
            {
                let mut state = lock(&node.state);
                if state.link != Link::Cut || state.era != era {
                    return;
                }
                state.prune();
                state.link = Link::Up;
                state.lines.iter().for_each(|line| line.user.resume());
            }
            node.notice();
        });
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a user holds.
struct Handle(Arc<Node>);

#[async_trait]
impl Backend for Handle {
    async fn publish(&self, envelope: MessageEnvelope) -> Result<()> {
        self.0.check()?;
        self.0.travel().await;
        self.0.check()?;
        self.0.server.route(self.0.number, &envelope);
        self.0.travel().await;
        Ok(())
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        self.0.check()?;
        self.0.travel().await;
        let bus = Bus::with_capacity(CAPACITY);
        let (user, server) = (bus.attach(), Arc::new(bus.attach()));
        let (queue, due) = mpsc::unbounded_channel();
        let subscription = {
            let mut state = lock(&self.0.state);
            match state.link {
                Link::Up => {}
                Link::Cut => return Err(Error::unavailable("the server is out of reach")),
                Link::Closed => return Err(Error::Closed),
            }
            let subscription = user.subscribe(topic)?;
            let node = Arc::downgrade(&self.0);
            tokio::spawn(hand_out(node, server, due, self.0.ways.in_order));
            state.lines.push(Line { topic: topic.to_owned(), user, queue });
            subscription
        };
        self.0.travel().await;
        Ok(subscription)
    }

    async fn unsubscribe(&self, topic: &str) -> Result<()> {
        {
            let mut state = lock(&self.0.state);
            if state.link == Link::Closed {
                return Err(Error::Closed);
            }
            let (gone, kept) =
                std::mem::take(&mut state.lines).into_iter().partition(|line| line.topic == topic);
            state.lines = kept;
            let gone: Vec<Line> = gone;
            for line in gone {
                line.user.close();
                state.expired += line.user.stats().expired;
            }
        }
        self.0.travel().await;
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        self.0.end();
        self.0.travel().await;
        Ok(())
    }

    fn as_health_aware(&self) -> Option<&dyn HealthAwareBackend> {
        Some(self)
    }

    fn as_observable(&self) -> Option<&dyn ObservableBackend> {
        Some(self)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl HealthAwareBackend for Handle {
    fn is_healthy(&self) -> bool {
        self.0.health.is_healthy()
    }

    fn on_reconnect(&self, callback: ReconnectCallback) {
        self.0.health.on_reconnect(callback);
    }
}

impl ObservableBackend for Handle {
    fn stats(&self) -> BackendStats {
        let mut state = lock(&self.0.state);
        state.prune();
        let mut topics: Vec<&str> = state.lines.iter().map(|line| line.topic.as_str()).collect();
        topics.sort_unstable();
        topics.dedup();
        let mut stats = BackendStats::default();
        stats.topics = topics.len() as u64;
        stats.subscriptions = state.lines.len() as u64;
        stats.expired = state.expired;
        stats.expired += state.lines.iter().map(|line| line.user.stats().expired).sum::<u64>();
        stats
    }
}

#[async_trait]
impl Harness for Remote {
    fn name(&self) -> &str {
        "remote"
    }

    fn claims(&self) -> Claims {
        let claims = Claims::new()
            .with_health()
            .with_counters()
            .with_faults()
            .with_capacity(CAPACITY)
            .with_exact_gaps()
            .with_max_data(64 * 1024)
            .with_deadline(self.deadline);
        if self.ways.in_order { claims } else { claims.without_order() }
    }

    async fn cluster(&self, instances: usize) -> Result<Cluster, BoxError> {
        let server = Arc::new(Server {
            nodes: Mutex::default(),
            dice: AtomicU64::new(0),
            fault: self.fault,
            routed: AtomicU64::new(0),
        });
        let nodes: Vec<Arc<Node>> = (0..instances)
            .map(|number| {
                Arc::new(Node {
                    number,
                    ways: self.ways,
                    server: Arc::clone(&server),
                    state: Mutex::new(State {
                        link: Link::Up,
                        era: 0,
                        lines: Vec::new(),
                        expired: 0,
                    }),
                    health: Health::new(),
                })
            })
            .collect();
        *lock(&server.nodes) = nodes.iter().map(Arc::downgrade).collect();
        let cuts = Cuts(nodes.iter().map(Arc::downgrade).collect());
        let handles = nodes.into_iter().map(|node| Arc::new(Handle(node)) as Arc<dyn Backend>);
        Ok(Cluster::new(handles.collect()).with_faults(cuts))
    }
}

struct Cuts(Vec<Weak<Node>>);

#[async_trait]
impl Faults for Cuts {
    async fn cut(&self, instance: usize) -> Result<(), BoxError> {
        if let Some(node) = self.0[instance].upgrade() {
            node.cut();
        }
        Ok(())
    }

    async fn restore(&self, instance: usize) -> Result<(), BoxError> {
        if let Some(node) = self.0[instance].upgrade() {
            node.restore();
        }
        Ok(())
    }
}
