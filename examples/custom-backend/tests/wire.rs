//! The adapter seen from the relay's side of the wire: the test is the relay, and reads what it is
//! asked and when.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use backend_core::{
    Backend, Error, Event, HealthAwareBackend, MessageEnvelope, Result, Subscription,
};
use custom_backend::frame::{self, Incoming, MAX_DATA, MAX_FRAME, Outgoing, Reply, Request};
use custom_backend::{Options, RelayBackend};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

/// What a test waits for comes within this time, or never.
const DEADLINE: Duration = Duration::from_secs(20);

async fn soon<T>(event: impl Future<Output = T>) -> T {
    timeout(DEADLINE, event).await.expect("it comes before the deadline")
}

/// The relay's end of one connection. It answers when the test says so.
struct Wire {
    incoming: Incoming,
    outgoing: Outgoing,
}

impl Wire {
    /// The next request that is no sign of life; those are answered on the way.
    async fn request(&mut self) -> Request {
        soon(async {
            loop {
                match frame::receive(&mut self.incoming).await.expect("a frame") {
                    Some(Request::Ping) => self.answer(&Reply::Done).await,
                    Some(request) => return request,
                    None => panic!("the instance has hung up"),
                }
            }
        })
        .await
    }

    async fn answer(&mut self, reply: &Reply) {
        let frame = frame::encode(reply).expect("a reply");
        frame::send(&mut self.outgoing, [frame]).await.expect("the instance is there");
    }

    async fn expect_subscribe(&mut self, topic: &str) {
        let request = self.request().await;
        assert!(matches!(&request, Request::Subscribe(t) if t == topic), "{request:?}");
    }

    async fn expect_unsubscribe(&mut self, topic: &str) {
        let request = self.request().await;
        assert!(matches!(&request, Request::Unsubscribe(t) if t == topic), "{request:?}");
        self.answer(&Reply::Done).await;
    }
}

struct Relay(TcpListener);

impl Relay {
    async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.expect("a port"))
    }

    /// The next connection, and who says hello on it.
    async fn accept(&self) -> (Wire, Uuid) {
        let (socket, _) = soon(self.0.accept()).await.expect("a connection");
        let (incoming, outgoing) = frame::split(socket);
        let mut wire = Wire { incoming, outgoing };
        let Request::Hello { instance, .. } = wire.request().await else {
            panic!("a hello comes first")
        };
        wire.answer(&Reply::Done).await;
        (wire, instance)
    }

    /// An instance and its first connection.
    async fn instance(&self) -> (Arc<RelayBackend>, Wire, Uuid) {
        let address = self.0.local_addr().expect("an address").to_string();
        // A connection is lost for another reason than silence, or not before the deadline.
        let options = Options { heartbeat: DEADLINE, ..Options::default() };
        let (backend, (wire, id)) =
            tokio::join!(RelayBackend::connect_with(address, options), self.accept());
        (Arc::new(backend.expect("connected")), wire, id)
    }
}

/// Hears of every recovery of the instance.
fn recoveries(backend: &RelayBackend) -> UnboundedReceiver<()> {
    let (heard, recoveries) = unbounded_channel();
    backend.on_reconnect(Box::new(move || heard.send(()).unwrap_or_default()));
    recoveries
}

type Subscribing = JoinHandle<Result<Subscription>>;

fn subscribe(backend: &Arc<RelayBackend>, topic: &'static str) -> Subscribing {
    let backend = Arc::clone(backend);
    tokio::spawn(async move { backend.subscribe(topic).await })
}

fn message(data: &'static str) -> MessageEnvelope {
    MessageEnvelope::new("news", data)
}

#[tokio::test]
async fn a_subscription_begins_at_its_answer() {
    let (backend, mut wire, _) = Relay::new().await.instance().await;
    let first = subscribe(&backend, "news");
    wire.expect_subscribe("news").await;
    wire.answer(&Reply::Message(message("before"))).await;
    wire.answer(&Reply::Done).await;
    let mut first = first.await.unwrap().unwrap();

    let second = subscribe(&backend, "news");
    wire.expect_subscribe("news").await;
    wire.answer(&Reply::Message(message("between"))).await;
    wire.answer(&Reply::Done).await;
    let mut second = second.await.unwrap().unwrap();

    wire.answer(&Reply::Message(message("after"))).await;
    assert_eq!(soon(second.recv()).await, Some(Event::Message(message("after"))));
    assert_eq!(soon(first.recv()).await, Some(Event::Message(message("between"))));
    assert_eq!(soon(first.recv()).await, Some(Event::Message(message("after"))));
}

#[tokio::test]
async fn the_last_subscription_gives_up_the_topic_outside_any_runtime_too() {
    let (backend, mut wire, _) = Relay::new().await.instance().await;
    let mut live = Vec::new();
    for topic in ["news", "news", "other"] {
        let subscribing = subscribe(&backend, topic);
        wire.expect_subscribe(topic).await;
        wire.answer(&Reply::Done).await;
        live.push(subscribing.await.unwrap().unwrap());
    }
    drop(live.remove(0));
    backend.unsubscribe("other").await.unwrap();
    wire.expect_unsubscribe("other").await;
    thread::spawn(move || drop(live.remove(0))).join().unwrap();
    wire.expect_unsubscribe("news").await;
}

#[tokio::test]
async fn a_release_leaves_alone_a_subscribe_that_is_on_its_way() {
    let (backend, mut wire, _) = Relay::new().await.instance().await;
    let first = subscribe(&backend, "news");
    wire.expect_subscribe("news").await;
    wire.answer(&Reply::Done).await;
    let first = first.await.unwrap().unwrap();

    let second = subscribe(&backend, "news");
    wire.expect_subscribe("news").await;
    drop(first);
    // The release has been looked at by the time that these are answered.
    for topic in ["sentinel", "another", "and another"] {
        let sentinel = subscribe(&backend, topic);
        wire.expect_subscribe(topic).await;
        std::mem::forget(sentinel);
    }
    for _ in 0..4 {
        wire.answer(&Reply::Done).await;
    }
    let mut second = second.await.unwrap().unwrap();
    wire.answer(&Reply::Message(message("after"))).await;
    assert_eq!(soon(second.recv()).await, Some(Event::Message(message("after"))));
}

#[tokio::test]
async fn a_subscribe_that_is_dropped_while_it_waits_gives_up_the_topic() {
    let (backend, mut wire, _) = Relay::new().await.instance().await;
    let subscribing = subscribe(&backend, "news");
    wire.expect_subscribe("news").await;
    subscribing.abort();
    assert!(subscribing.await.unwrap_err().is_cancelled());
    wire.answer(&Reply::Done).await;
    wire.expect_unsubscribe("news").await;
}

#[tokio::test]
async fn healthy_again_when_the_last_topic_is_answered() {
    let relay = Relay::new().await;
    let (backend, mut wire, id) = relay.instance().await;
    let mut live = Vec::new();
    for topic in ["north", "south", "given up"] {
        let subscribing = subscribe(&backend, topic);
        wire.expect_subscribe(topic).await;
        wire.answer(&Reply::Done).await;
        live.push(subscribing.await.unwrap().unwrap());
    }
    let mut recovered = recoveries(&backend);
    drop(wire);
    drop(live.pop());

    let (mut wire, again) = relay.accept().await;
    assert_eq!(again, id, "an instance keeps its id");
    let mut topics = Vec::new();
    for _ in 0..2 {
        let Request::Subscribe(topic) = wire.request().await else { panic!("a subscribe") };
        assert!(!backend.is_healthy(), "healthy before every topic is live");
        assert!(backend.publish(message("refused")).await.unwrap_err().is_retryable());
        topics.push(topic);
        if topics.len() == 1 {
            // A part of the outage still: hidden behind the gap, as all of it is.
            wire.answer(&Reply::Done).await;
            wire.answer(&Reply::Message(MessageEnvelope::new(&*topics[0], "early"))).await;
        }
    }
    topics.sort_unstable();
    assert_eq!(topics, ["north", "south"], "what was given up stays so");
    wire.answer(&Reply::Done).await;
    soon(recovered.recv()).await.unwrap();
    assert!(backend.is_healthy());
    for reader in &mut live {
        let late = MessageEnvelope::new(reader.topic(), "late");
        wire.answer(&Reply::Message(late.clone())).await;
        assert!(matches!(soon(reader.recv()).await, Some(Event::Gap(_))));
        assert_eq!(soon(reader.recv()).await, Some(Event::Message(late)));
    }
}

#[tokio::test]
async fn what_is_given_up_while_it_is_brought_back_stays_so() {
    // So many and so long that they do not all fit into the sockets: their turn comes late.
    const TOPICS: usize = 800;
    let topic = |number: usize| format!("{number:0>30000}");
    let relay = Relay::new().await;
    let (backend, mut wire, _) = relay.instance().await;
    let mut live = Vec::new();
    for number in 0..TOPICS {
        let topic = topic(number);
        let (subscribed, ()) = tokio::join!(backend.subscribe(&topic), async {
            wire.expect_subscribe(&topic).await;
            wire.answer(&Reply::Done).await;
        });
        live.push(subscribed.unwrap());
    }
    let mut recovered = recoveries(&backend);
    drop(wire);
    let (mut wire, _) = relay.accept().await;
    let mut held = HashSet::new();
    let mut subscribed = 0;
    while subscribed < TOPICS || !held.is_empty() {
        match wire.request().await {
            Request::Subscribe(topic) => {
                subscribed += 1;
                assert!(held.insert(topic));
            }
            Request::Unsubscribe(topic) => drop(held.remove(&topic)),
            other => panic!("{other:?}"),
        }
        wire.answer(&Reply::Done).await;
        live.clear();
    }
    soon(recovered.recv()).await.unwrap();
}

#[tokio::test]
async fn what_the_relay_must_not_send_costs_the_connection_and_no_more() {
    let relay = Relay::new().await;
    let (backend, mut wire, _) = relay.instance().await;
    let long = [&frame::encode(&Reply::Message(message("news"))).unwrap()[..], &[0]].concat();
    let mut recovered = recoveries(&backend);
    let nonsense: [&[u8]; 5] = [&[], &[0xff], &long, &[1, 200], &[2, 7]];
    for bytes in nonsense {
        frame::send(&mut wire.outgoing, [bytes.to_vec().into()]).await.unwrap();
        (wire, _) = relay.accept().await;
        soon(recovered.recv()).await.unwrap();
    }
    // A frame that says it is longer than any may be.
    tokio::io::AsyncWriteExt::write_all(wire.outgoing.get_mut(), &[0xff; 4]).await.unwrap();
    (wire, _) = relay.accept().await;
    soon(recovered.recv()).await.unwrap();

    let subscribing = subscribe(&backend, "news");
    wire.expect_subscribe("news").await;
    wire.answer(&Reply::Done).await;
    subscribing.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_limit_that_is_told_is_the_limit() {
    let (backend, mut wire, _) = Relay::new().await.instance().await;
    // Plain data, and data beside a field that takes up the room that is left for all but data.
    for id in ["id".to_owned(), "i".repeat(2 * (MAX_FRAME - MAX_DATA))] {
        let of = |length| MessageEnvelope::new("news", vec![7; length]).with_id(id.clone());
        let error = backend.publish(of(MAX_FRAME)).await.unwrap_err();
        let Error::PayloadTooLarge { actual: MAX_FRAME, limit } = error else {
            panic!("{error:?}");
        };
        let (publisher, fits) = (Arc::clone(&backend), of(limit));
        let publishing = tokio::spawn(async move { publisher.publish(fits).await });
        let Request::Publish(envelope) = wire.request().await else { panic!("a publish") };
        assert_eq!(envelope, of(limit));
        wire.answer(&Reply::Done).await;
        publishing.await.unwrap().unwrap();
        let error = backend.publish(of(limit + 1)).await.unwrap_err();
        assert!(matches!(error, Error::PayloadTooLarge { .. }), "{error:?}");
    }
    let huge = MessageEnvelope::new("news", "").with_scope("s".repeat(MAX_FRAME));
    let error = backend.publish(huge).await.unwrap_err();
    assert!(matches!(error, Error::PayloadTooLarge { actual: 0, limit: 0 }), "{error:?}");

    let long = "t".repeat(MAX_FRAME);
    let error = backend.subscribe(&long).await.unwrap_err();
    assert!(matches!(error, Error::InvalidTopic { .. }), "{error:?}");
}
