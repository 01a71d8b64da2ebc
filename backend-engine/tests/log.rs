//! What the log tells: an operator learns from it what happened, when, and why; and nobody fills it.

mod switchboard;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backend_core::{Backend, BoxError, HealthAwareBackend, MessageEnvelope, Result};
use backend_engine::name::EngineName;
use backend_engine::{Driver, EngineBackend, Handover, Inbox, Link, Options, Outgoing};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing_subscriber::filter::LevelFilter;

use switchboard::Switchboard;
use switchboard::driver::{SwitchboardDriver, SwitchboardLink};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The lines with this text.
    fn lines(&self, with: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(with)).map(str::to_owned).collect()
    }
}

/// The switchboard, with what the log calls both ends.
struct Named {
    driver: SwitchboardDriver,
    client_name: String,
}

struct NamedLink(SwitchboardLink);

#[async_trait]
impl Driver for Named {
    type Link = NamedLink;

    async fn connect(&self, inbox: Inbox) -> Result<NamedLink, BoxError> {
        self.driver.connect(inbox).await.map(NamedLink)
    }

    fn client_name(&self) -> Option<&str> {
        Some(&self.client_name)
    }
}

#[async_trait]
impl Link for NamedLink {
    fn server(&self) -> Option<&str> {
        Some("the switchboard")
    }

    fn max_message(&self) -> Option<usize> {
        self.0.max_message()
    }

    async fn subscribe(&self, name: &EngineName) -> Result<()> {
        self.0.subscribe(name).await
    }

    async fn unsubscribe(&self, name: &EngineName) -> Result<()> {
        self.0.unsubscribe(name).await
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Vec<Handover> {
        self.0.publish(messages).await
    }

    async fn ping(&self) -> Result<()> {
        self.0.ping().await
    }

    async fn lost(&self) -> BoxError {
        self.0.lost().await
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}

async fn connect(switchboard: &Arc<Switchboard>, caller: usize) -> EngineBackend<Named> {
    let driver = SwitchboardDriver { switchboard: Arc::clone(switchboard), caller };
    let driver = Named { driver, client_name: format!("caller {caller}") };
    let mut options = Options::default();
    options.ping_interval = Duration::from_millis(20);
    options.backoff = (Duration::from_millis(1), Duration::from_millis(5));
    EngineBackend::connect(driver, options).await.expect("the switchboard answers")
}

// On one thread, for the log is one thread's.
#[tokio::test(flavor = "current_thread")]
async fn an_outage_a_loss_and_a_flood_are_told() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::INFO)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let switchboard = Arc::new(Switchboard::default());
    let (here, there) = (connect(&switchboard, 0).await, connect(&switchboard, 1).await);
    assert_eq!(log.lines("connected to the engine").len(), 2);
    for caller in ["caller 0", "caller 1"] {
        let [line] = &log.lines(caller)[..] else { panic!("one line: {:?}", log.lines("")) };
        assert!(line.contains("server=\"the switchboard\""), "{line}");
    }
    let (recovered, mut recoveries) = mpsc::unbounded_channel();
    there.on_reconnect(Box::new(move || {
        let _ = recovered.send(());
    }));
    let mut orders = there.subscribe("orders").await.unwrap();
    let secret = || MessageEnvelope::new("orders", "s3cret");

    switchboard.cut(1);
    while log.lines("no connection to the engine yet").is_empty() {
        tokio::task::yield_now().await;
    }
    switchboard.restore(1);
    timeout(PATIENCE, recoveries.recv()).await.expect("it recovers");
    let [lost] = &log.lines("is lost")[..] else { panic!("one line: {:?}", log.lines("")) };
    assert!(lost.contains("WARN") && lost.contains("the switchboard has hung up"), "{lost}");
    let attempts = log.lines("no connection to the engine yet");
    let [attempt] = &attempts[..] else { panic!("once for one cause: {attempts:?}") };
    assert!(attempt.contains("WARN") && attempt.contains("no answer"), "{attempt}");
    let [again] = &log.lines("connected to the engine again")[..] else { panic!("one line") };
    assert!(again.contains("INFO") && again.contains("topics=1"), "{again}");
    assert!(again.contains("after=") && again.contains("attempts="), "{again}");
    for line in [lost, again] {
        assert!(line.contains("client_name=\"caller 1\"") && line.contains("server="), "{line}");
    }
    let instance = |line: &str| line.split("instance=").nth(1).map(|rest| rest[..32].to_owned());
    assert_eq!(instance(lost), instance(again));

    here.publish(secret()).await.unwrap();
    switchboard.lose(3);
    for _ in 0..4 {
        here.publish(secret()).await.unwrap();
    }
    let (stranger, _overheard) = switchboard.call(2).unwrap();
    for _ in 0..1_000 {
        stranger.send("tavern.orders", "s3cret garbage".into()).unwrap();
    }
    here.publish(MessageEnvelope::new("orders", "the end")).await.unwrap();
    loop {
        let event = timeout(PATIENCE, orders.recv()).await.expect("something comes").unwrap();
        if event.message().is_some_and(|envelope| envelope.data() == "the end") {
            break;
        }
    }
    let [losses] = &log.lines("lost on their way")[..] else { panic!("one line") };
    assert!(losses.contains("missed=3") && losses.contains("topic=\"orders\""), "{losses}");
    let refusals = log.lines("was dropped");
    assert!((1..=3).contains(&refusals.len()), "of a thousand: {refusals:?}");
    assert!(refusals[0].contains("tavern.orders"), "{refusals:?}");
    assert!(log.lines("s3cret").is_empty(), "{:?}", log.lines("s3cret"));
}
