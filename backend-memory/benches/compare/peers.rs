//! The contenders: one topic, many readers, the same envelopes.

use std::sync::Arc;

use backend_core::{Backend, Event, MessageEnvelope, Subscription};
use backend_memory::MemoryBackend;
use bench_harness::{Better, Report};
use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::broadcast;

/// The topic of everything that has one topic.
pub(crate) const TOPIC: &str = "bench";

/// How many messages each keeps for a slow reader. A power of two, so that all keep as many.
pub(crate) const CAPACITY: usize = 64;

/// What everybody publishes.
pub(crate) fn envelope(topic: &str) -> MessageEnvelope {
    MessageEnvelope::new(topic, Bytes::from_static(b"hello hello hello hello"))
}

/// Adds a row: all of them, in turns. The target is against the last one.
pub(crate) fn compare(
    report: &mut Report,
    what: &str,
    rounds: usize,
    [ours, broadcast, queues, tokio]: [&mut dyn FnMut() -> f64; 4],
) {
    let contenders = &mut [
        (Ours::NAME, ours),
        (AsyncBroadcast::NAME, broadcast),
        (Queues::NAME, queues),
        (Tokio::NAME, tokio),
    ];
    report.compare(what, "ns", Better::Less, rounds, contenders);
}

/// Delivers what is sent to all readers. A clone sends to the same ones.
pub(crate) trait Peer: Clone + Send + Sync + 'static {
    const NAME: &'static str;

    type Reader: Reader;

    fn start(readers: usize) -> (Self, Vec<Self::Reader>);

    fn send(&self, envelope: MessageEnvelope);
}

pub(crate) trait Reader: Send + 'static {
    fn try_next(&mut self) -> Option<MessageEnvelope>;

    fn next(&mut self) -> impl Future<Output = MessageEnvelope> + Send;
}

/// This workspace's, with every reader on an instance of its own.
#[derive(Clone)]
pub(crate) struct Ours(Arc<MemoryBackend>);

/// A subscription, and the instance that it is of, if that is nobody else's.
pub(crate) struct OurReader {
    subscription: Subscription,
    _instance: Option<MemoryBackend>,
}

impl OurReader {
    pub(crate) fn new(instance: MemoryBackend, topic: &str) -> Self {
        let Self { subscription, .. } = Self::of(&instance, topic);
        Self { subscription, _instance: Some(instance) }
    }

    pub(crate) fn of(instance: &MemoryBackend, topic: &str) -> Self {
        let subscribed = instance.subscribe(topic).now_or_never();
        let subscription = subscribed.expect("nothing waits").expect("it is open");
        Self { subscription, _instance: None }
    }
}

impl Peer for Ours {
    const NAME: &'static str = "backend-memory";

    type Reader = OurReader;

    fn start(readers: usize) -> (Self, Vec<OurReader>) {
        let publisher = MemoryBackend::builder().capacity(CAPACITY).build();
        let readers = (0..readers).map(|_| OurReader::new(publisher.fork(), TOPIC)).collect();
        (Self(Arc::new(publisher)), readers)
    }

    fn send(&self, envelope: MessageEnvelope) {
        self.0.publish_now(envelope).expect("it is open");
    }
}

impl Reader for OurReader {
    fn try_next(&mut self) -> Option<MessageEnvelope> {
        match self.subscription.try_recv() {
            Ok(Event::Message(envelope)) => Some(envelope),
            Ok(other) => panic!("nothing is lost: {other:?}"),
            Err(_) => None,
        }
    }

    async fn next(&mut self) -> MessageEnvelope {
        match self.subscription.recv().await {
            Some(Event::Message(envelope)) => envelope,
            other => panic!("nothing is lost, and nothing ends: {other:?}"),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Tokio(broadcast::Sender<MessageEnvelope>);

impl Peer for Tokio {
    const NAME: &'static str = "tokio broadcast";

    type Reader = broadcast::Receiver<MessageEnvelope>;

    fn start(readers: usize) -> (Self, Vec<Self::Reader>) {
        let sender = broadcast::Sender::new(CAPACITY);
        let readers = (0..readers).map(|_| sender.subscribe()).collect();
        (Self(sender), readers)
    }

    fn send(&self, envelope: MessageEnvelope) {
        // Fails without readers.
        let _ = self.0.send(envelope);
    }
}

impl Reader for broadcast::Receiver<MessageEnvelope> {
    fn try_next(&mut self) -> Option<MessageEnvelope> {
        self.try_recv().ok()
    }

    async fn next(&mut self) -> MessageEnvelope {
        self.recv().await.expect("nothing is lost, and nothing ends")
    }
}

#[derive(Clone)]
pub(crate) struct AsyncBroadcast {
    sender: async_broadcast::Sender<MessageEnvelope>,
    /// Without one it is closed.
    _open: async_broadcast::InactiveReceiver<MessageEnvelope>,
}

impl Peer for AsyncBroadcast {
    const NAME: &'static str = "async-broadcast";

    type Reader = async_broadcast::Receiver<MessageEnvelope>;

    fn start(readers: usize) -> (Self, Vec<Self::Reader>) {
        let (mut sender, receiver) = async_broadcast::broadcast(CAPACITY);
        sender.set_overflow(true);
        let inactive = receiver.deactivate();
        let readers = (0..readers).map(|_| inactive.activate_cloned()).collect();
        (Self { sender, _open: inactive }, readers)
    }

    fn send(&self, envelope: MessageEnvelope) {
        let _ = self.sender.try_broadcast(envelope);
    }
}

impl Reader for async_broadcast::Receiver<MessageEnvelope> {
    fn try_next(&mut self) -> Option<MessageEnvelope> {
        self.try_recv().ok()
    }

    async fn next(&mut self) -> MessageEnvelope {
        self.recv_direct().await.expect("nothing is lost, and nothing ends")
    }
}

/// What is most often written by hand: a bounded queue for each reader.
#[derive(Clone)]
pub(crate) struct Queues(Arc<[flume::Sender<MessageEnvelope>]>);

impl Peer for Queues {
    const NAME: &'static str = "a flume queue each";

    type Reader = flume::Receiver<MessageEnvelope>;

    fn start(readers: usize) -> (Self, Vec<Self::Reader>) {
        let (senders, readers): (Vec<_>, _) =
            (0..readers).map(|_| flume::bounded(CAPACITY)).unzip();
        (Self(senders.into()), readers)
    }

    fn send(&self, envelope: MessageEnvelope) {
        for queue in &*self.0 {
            let _ = queue.try_send(envelope.clone());
        }
    }
}

impl Reader for flume::Receiver<MessageEnvelope> {
    fn try_next(&mut self) -> Option<MessageEnvelope> {
        self.try_recv().ok()
    }

    async fn next(&mut self) -> MessageEnvelope {
        self.recv_async().await.expect("nothing ends")
    }
}
