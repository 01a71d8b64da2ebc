//! Real outages: a relay that is killed and comes back, and a wire that falls silent.

mod support;

use std::time::Duration;

use backend_core::{Backend, Error, Event, Gap, HealthAwareBackend, MessageEnvelope};
use custom_backend::{Options, RelayBackend};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use support::proxy::{Proxy, Wire};
use support::relay::Relay;

/// What a test waits for comes within this time, or never.
const DEADLINE: Duration = Duration::from_secs(20);

async fn soon<T>(event: impl Future<Output = T>) -> T {
    timeout(DEADLINE, event).await.expect("it comes before the deadline")
}

/// Hears of every recovery of the instance.
fn recoveries(backend: &RelayBackend) -> UnboundedReceiver<()> {
    let (heard, recoveries) = unbounded_channel();
    backend.on_reconnect(Box::new(move || heard.send(()).unwrap_or_default()));
    recoveries
}

fn message(data: &str) -> Event {
    Event::Message(envelope(data))
}

fn envelope(data: &str) -> MessageEnvelope {
    MessageEnvelope::new("news", data.to_owned())
}

#[tokio::test]
async fn streams_go_on_after_the_relay_was_killed_and_started_again() {
    let mut relay = Relay::start().await.expect("a relay");
    let address = relay.address;
    let here = RelayBackend::connect(address.to_string()).await.expect("the relay is there");
    let there = RelayBackend::connect(address.to_string()).await.expect("the relay is there");
    let mut at_here = here.subscribe("news").await.expect("a subscription");
    let mut at_there = there.subscribe("news").await.expect("a subscription");
    let (mut here_again, mut there_again) = (recoveries(&here), recoveries(&there));

    for round in 0..3 {
        relay.kill();
        let error = here.publish(envelope("to nobody")).await.expect_err("the relay is gone");
        assert!(error.is_retryable(), "{error}");
        relay = soon(relay_at(address)).await;
        soon(here_again.recv()).await.expect("a recovery");
        soon(there_again.recv()).await.expect("a recovery");

        let gap = Some(Event::Gap(Gap::reconnected()));
        assert_eq!(soon(at_here.recv()).await, gap);
        assert_eq!(soon(at_there.recv()).await, gap);
        let data = format!("after outage {round}");
        here.publish(envelope(&data)).await.expect("here is back");
        assert_eq!(soon(at_there.recv()).await, Some(message(&data)));
        there.publish(envelope(&data)).await.expect("there is back");
        assert_eq!(soon(at_here.recv()).await, Some(message(&data)));
    }
}

/// A relay at an address where one was killed. Dialling instances may use its port for a moment.
async fn relay_at(address: std::net::SocketAddr) -> Relay {
    loop {
        match Relay::start_at(address).await {
            Ok(relay) => return relay,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn a_silent_wire_is_noticed_and_whoever_waits_is_told() {
    let relay = Relay::start().await.expect("a relay");
    let wire = Proxy::to(relay.address).await.expect("a proxy");
    let options = Options { heartbeat: Duration::from_millis(100), ..Options::default() };
    let backend = RelayBackend::connect_with(wire.address.to_string(), options).await;
    let backend = backend.expect("the relay is there");
    let mut news = backend.subscribe("news").await.expect("a subscription");
    let mut recoveries = recoveries(&backend);

    wire.set(Wire::Silent).await;
    // Nobody can know whether the relay has got this one.
    let error = soon(backend.publish(envelope("into silence"))).await.expect_err("no answer");
    assert!(matches!(error, Error::Unconfirmed(_)), "{error:?}");
    assert!(!backend.is_healthy());
    let error = backend.publish(envelope("refused")).await.expect_err("an outage");
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");

    wire.set(Wire::Whole).await;
    soon(recoveries.recv()).await.expect("a recovery");
    assert!(backend.is_healthy());
    assert_eq!(soon(news.recv()).await, Some(Event::Gap(Gap::reconnected())));
}

#[tokio::test]
async fn closing_ends_the_task_in_an_outage_too() {
    let mut relay = Relay::start().await.expect("a relay");
    let backend = RelayBackend::connect(relay.address.to_string()).await.expect("it is there");
    let mut news = backend.subscribe("news").await.expect("a subscription");
    relay.kill();
    backend.publish(envelope("to nobody")).await.expect_err("the relay is gone");
    soon(backend.close()).await.expect("closed");
    assert_eq!(soon(news.recv()).await, None);
    let error = backend.publish(envelope("too late")).await.expect_err("closed");
    assert!(error.is_closed());
    // The test's own task is all that is left.
    let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert_eq!(alive, 0, "tasks of the instance go on");
}

#[tokio::test]
async fn connecting_to_no_relay_is_unavailable() {
    let mut relay = Relay::start().await.expect("a relay");
    let address = relay.address.to_string();
    relay.kill();
    let error = RelayBackend::connect(address).await.expect_err("nobody is there");
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
}
