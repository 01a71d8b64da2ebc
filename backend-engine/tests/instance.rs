//! What an instance does in events that the suite cannot bring about.

mod switchboard;

use std::sync::Arc;
use std::time::Duration;

use backend_core::{
    Backend, Error, Event, Gap, HealthAwareBackend, MessageEnvelope, ObservableBackend,
    Subscription, TryRecvError,
};
use backend_engine::wire::{self, Format};
use backend_engine::{EngineBackend, Options, Stamp};
use bytes::BytesMut;
use tokio::sync::mpsc;
use tokio::time::timeout;

use switchboard::driver::SwitchboardDriver;
use switchboard::{Received, Refused, Switchboard};

type Instance = EngineBackend<SwitchboardDriver>;

const PATIENCE: Duration = Duration::from_secs(20);

fn options() -> Options {
    let mut options = Options::default();
    options.ping_interval = Duration::from_millis(20);
    options.backoff = (Duration::from_millis(1), Duration::from_millis(5));
    options
}

async fn connect(switchboard: &Arc<Switchboard>, caller: usize, options: Options) -> Instance {
    let driver = SwitchboardDriver { switchboard: Arc::clone(switchboard), caller };
    EngineBackend::connect(driver, options).await.expect("the switchboard answers")
}

async fn next(stream: &mut Subscription) -> Option<Event> {
    timeout(PATIENCE, stream.recv()).await.expect("something comes")
}

fn message(topic: &str, data: &'static str) -> MessageEnvelope {
    MessageEnvelope::new(topic, data)
}

/// Word of each recovery.
fn recoveries(instance: &Instance) -> mpsc::UnboundedReceiver<()> {
    let (recovered, recoveries) = mpsc::unbounded_channel();
    instance.on_reconnect(Box::new(move || {
        // Who does not wait for it does not want to know.
        let _ = recovered.send(());
    }));
    recoveries
}

async fn recovery(recoveries: &mut mpsc::UnboundedReceiver<()>) {
    timeout(PATIENCE, recoveries.recv()).await.expect("it recovers").expect("it is there");
}

#[tokio::test]
async fn the_last_ones_are_told_as_missing_though_nothing_follows() {
    let switchboard = Arc::new(Switchboard::default());
    let (here, there) =
        (connect(&switchboard, 0, options()).await, connect(&switchboard, 1, options()).await);
    let mut orders = there.subscribe("orders").await.unwrap();
    here.publish(message("orders", "first")).await.unwrap();
    assert_eq!(next(&mut orders).await, Some(Event::Message(message("orders", "first"))));

    switchboard.lose(2);
    for data in ["second", "third"] {
        here.publish(message("orders", data)).await.unwrap();
    }
    assert_eq!(next(&mut orders).await, Some(Event::Gap(Gap::lagged(2))));
    assert_eq!(there.stats().lost, 2);

    // Told once, and nothing is missing from then on.
    here.publish(message("orders", "fourth")).await.unwrap();
    assert_eq!(next(&mut orders).await, Some(Event::Message(message("orders", "fourth"))));
}

#[tokio::test]
async fn the_last_ones_before_an_outage_of_their_publisher_are_told_after_it() {
    let switchboard = Arc::new(Switchboard::default());
    let mut slow = options();
    slow.ping_interval = Duration::from_secs(600);
    let (here, there) =
        (connect(&switchboard, 0, slow).await, connect(&switchboard, 1, options()).await);
    let mut again = recoveries(&here);
    let mut orders = there.subscribe("orders").await.unwrap();
    here.publish(message("orders", "first")).await.unwrap();
    assert_eq!(next(&mut orders).await, Some(Event::Message(message("orders", "first"))));

    switchboard.lose(1);
    here.publish(message("orders", "second")).await.unwrap();
    switchboard.cut(0);
    switchboard.restore(0);
    recovery(&mut again).await;
    assert_eq!(next(&mut orders).await, Some(Event::Gap(Gap::lagged(1))));
}

#[tokio::test]
async fn a_forged_number_silences_nobody() {
    let switchboard = Arc::new(Switchboard::default());
    let (here, there) =
        (connect(&switchboard, 0, options()).await, connect(&switchboard, 1, options()).await);
    let mut orders = there.subscribe("orders").await.unwrap();
    let (stranger, mut overheard) = switchboard.call(2).unwrap();
    stranger.listen("tavern.orders").unwrap();
    here.publish(message("orders", "first")).await.unwrap();
    let Some(Received::Message { name, data }) = overheard.recv().await else { panic!("nothing") };
    let stamp = wire::decode(data).unwrap().stamp.expect("it has a number");

    for (epoch, sequence) in [(stamp.epoch, u64::MAX), (u64::MAX, 1), (stamp.epoch, 1 << 40)] {
        let forged = Stamp { origin: stamp.origin, epoch, sequence };
        let mut frame = BytesMut::new();
        wire::encode(Format::Binary, &forged, &message("orders", "forged"), &mut frame).unwrap();
        stranger.send(&name, frame.freeze()).unwrap();
    }
    here.publish(message("orders", "second")).await.unwrap();
    assert_eq!(next(&mut orders).await, Some(Event::Message(message("orders", "first"))));
    assert_eq!(next(&mut orders).await, Some(Event::Message(message("orders", "second"))));
    assert_eq!((there.stats().refused, there.stats().lost), (3, 0));
}

#[tokio::test]
async fn what_passes_by_itself_ends_no_stream() {
    let switchboard = Arc::new(Switchboard::default());
    let (here, there) =
        (connect(&switchboard, 0, options()).await, connect(&switchboard, 1, options()).await);
    let mut again = recoveries(&there);
    let mut orders = there.subscribe("orders").await.unwrap();

    switchboard.cut(1);
    switchboard.refuse([Refused::Busy; 3]);
    switchboard.restore(1);
    recovery(&mut again).await;
    assert_eq!(next(&mut orders).await, Some(Event::Gap(Gap::reconnected())));
    here.publish(message("orders", "after")).await.unwrap();
    assert_eq!(next(&mut orders).await, Some(Event::Message(message("orders", "after"))));
}

#[tokio::test]
async fn a_topic_that_is_denied_after_an_outage_ends_alone() {
    let switchboard = Arc::new(Switchboard::default());
    let (here, there) =
        (connect(&switchboard, 0, options()).await, connect(&switchboard, 1, options()).await);
    let mut again = recoveries(&there);
    let mut streams = [there.subscribe("a").await.unwrap(), there.subscribe("b").await.unwrap()];

    switchboard.cut(1);
    switchboard.refuse([Refused::Denied]);
    switchboard.restore(1);
    recovery(&mut again).await;
    let mut ended = 0;
    for stream in &mut streams {
        match next(stream).await {
            None => ended += 1,
            event => assert_eq!(event, Some(Event::Gap(Gap::reconnected()))),
        }
        here.publish(message(stream.topic(), "after")).await.unwrap();
    }
    assert_eq!((ended, there.stats().topics), (1, 1));
    assert!(there.is_healthy());
}

#[tokio::test]
async fn a_denied_unsubscribe_costs_nothing_else() {
    let switchboard = Arc::new(Switchboard::default());
    let (here, there) =
        (connect(&switchboard, 0, options()).await, connect(&switchboard, 1, options()).await);
    let mut orders = there.subscribe("orders").await.unwrap();
    let calls = switchboard.calls();
    switchboard.refuse([Refused::Denied]);
    drop(there.subscribe("prices").await.unwrap_err());
    switchboard.refuse([]);
    let prices = there.subscribe("prices").await.unwrap();
    switchboard.refuse([Refused::Denied]);
    drop(prices);

    here.publish(message("prices", "nobody listens")).await.unwrap();
    here.publish(message("orders", "all is well")).await.unwrap();
    assert_eq!(next(&mut orders).await, Some(Event::Message(message("orders", "all is well"))));
    // The topic can be subscribed to again, and starts afresh.
    let mut prices = there.subscribe("prices").await.unwrap();
    assert_eq!(prices.try_recv(), Err(TryRecvError::Empty));
    here.publish(message("prices", "again")).await.unwrap();
    assert_eq!(next(&mut prices).await, Some(Event::Message(message("prices", "again"))));
    assert_eq!(switchboard.calls(), calls, "nobody has connected again");
}

#[tokio::test]
async fn no_time_is_too_short_or_too_long() {
    let switchboard = Arc::new(Switchboard::default());
    for (caller, time) in [Duration::ZERO, Duration::MAX].into_iter().enumerate() {
        let mut odd = options();
        (odd.ping_interval, odd.backoff) = (time, (time, Duration::ZERO));
        odd.operation_timeout = time.max(Duration::from_secs(5));
        let instance = connect(&switchboard, caller, odd).await;
        let _orders = instance.subscribe("orders").await.unwrap();
        instance.publish(message("orders", "here")).await.unwrap();
        assert!(instance.is_healthy(), "{time:?}");
        timeout(PATIENCE, instance.close()).await.expect("it closes").unwrap();
    }
}

#[test]
fn an_instance_ends_with_its_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let switchboard = Arc::new(Switchboard::default());
    let (instance, mut orders) = runtime.block_on(async {
        let instance = connect(&switchboard, 0, options()).await;
        let orders = instance.subscribe("orders").await.unwrap();
        (instance, orders)
    });
    drop(runtime);
    assert!(!instance.is_healthy());
    assert_eq!(orders.try_recv(), Err(TryRecvError::Closed));
    let another = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    another.block_on(async {
        let refused = instance.publish(message("orders", "too late")).await;
        assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
        timeout(PATIENCE, instance.close()).await.expect("it closes").unwrap();
    });
}
