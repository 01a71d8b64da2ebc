//! One endpoint that publishes, and some that read.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use backend_core::{Event, MessageEnvelope, Subscription};
use backend_fanout::{Bus, Endpoint};
use bytes::Bytes;

pub(crate) const TOPIC: &str = "bench";

/// One endpoint that publishes, and some with a subscription each.
pub(crate) struct Parties {
    pub(crate) publisher: Endpoint,
    pub(crate) readers: Vec<Subscription>,
    _others: Vec<Endpoint>,
    envelope: MessageEnvelope,
}

impl Parties {
    pub(crate) fn new(capacity: usize, readers: usize) -> Self {
        let bus = Bus::with_capacity(capacity);
        let others: Vec<_> = (0..readers).map(|_| bus.attach()).collect();
        let subscribe = |endpoint: &Endpoint| endpoint.subscribe(TOPIC).expect("it is open");
        Self {
            publisher: bus.attach(),
            readers: others.iter().map(subscribe).collect(),
            _others: others,
            envelope: MessageEnvelope::new(TOPIC, Bytes::from_static(b"hello hello hello hello")),
        }
    }

    /// With a reader that has long stopped to read.
    pub(crate) fn with_stalled_reader() -> Self {
        let parties = Self::new(64, 1);
        parties.publish(1_000);
        parties
    }

    /// Clones: to build one takes longer than to publish it.
    #[inline]
    pub(crate) fn publish(&self, times: usize) {
        for _ in 0..times {
            self.publisher.publish(black_box(&self.envelope).clone()).expect("it is open");
        }
    }

    /// Every reader takes all that there is.
    #[inline]
    pub(crate) fn drain(&mut self) {
        for reader in &mut self.readers {
            while let Ok(event) = reader.try_recv() {
                drop(black_box(event));
            }
        }
    }

    /// The one reader parks, is woken, and gets it.
    #[inline]
    pub(crate) fn wake(&mut self) {
        assert!(poll(&mut self.readers[0]).is_pending());
        self.publish(1);
        assert!(poll(&mut self.readers[0]).is_ready());
    }
}

fn poll(reader: &mut Subscription) -> Poll<Option<Event>> {
    pin!(reader.recv()).poll(&mut Context::from_waker(Waker::noop()))
}
