//! How long an instance is away after its server was killed and started again.

use std::time::{Duration, Instant};

use backend_core::{Event, MessageEnvelope, Subscription};
use bench_harness::Samples;
use tokio::time::{interval, sleep, timeout};

use super::adapter::Instance;
use super::{Bench, Engine};
use crate::Result;
use crate::wait::{PATIENCE, until};

/// How often an instance is asked, and a message is published, until it is back.
const AGAIN: Duration = Duration::from_millis(1);

/// Rounds cost a kill each.
const ROUNDS: usize = 10;

/// Long enough to wait for the longest pause between two attempts.
const LONG: Duration = Duration::from_secs(3);

struct Case {
    what: &'static str,
    /// For how long the server is dead.
    away: Duration,
    topics: usize,
    /// What the way back may take, in milliseconds.
    at_most: Option<f64>,
}

const CASES: [Case; 3] = [
    Case {
        what: "10 topics, restarted at once",
        away: Duration::ZERO,
        topics: 10,
        at_most: Some(250.0),
    },
    Case {
        what: "10,000 topics, restarted at once",
        away: Duration::ZERO,
        topics: 10_000,
        at_most: Some(1_000.0),
    },
    // The instance finds the server at its next attempt.
    Case { what: "10 topics, 3 s dead", away: LONG, topics: 10, at_most: None },
];

impl<E: Engine> Bench<E> {
    pub(super) fn recoveries(&mut self) -> Result {
        for Case { what, away, topics, at_most } in CASES {
            let rounds = self.rounds.min(if away.is_zero() { ROUNDS } else { ROUNDS / 2 });
            let mut found = [Samples::default(), Samples::default()];
            let recovering = recoveries(&mut self.engine, away, topics, rounds, &mut found);
            self.runtime.block_on(recovering)?;
            for (samples, until) in found.iter().zip(["healthy", "a message arrives"]) {
                self.report.figure(&format!("{what}, until {until}"), "ms", samples, at_most);
            }
        }
        Ok(())
    }
}

async fn recoveries(
    engine: &mut impl Engine,
    away: Duration,
    topics: usize,
    rounds: usize,
    [healthy, arrived]: &mut [Samples; 2],
) -> Result {
    let publishing = Instance::of(engine).await?;
    let receiving = Instance::of(engine).await?;
    let name = |number| format!("orders.{number}");
    let mut subscriptions = Vec::with_capacity(topics);
    for number in 0..topics {
        subscriptions.push(receiving.0.subscribe(&name(number)).await?);
    }
    let Some(last) = subscriptions.last_mut() else { return Ok(()) };
    for round in 1..=rounds {
        engine.server().kill();
        until("the outage is noticed", || !receiving.0.is_healthy()).await?;
        sleep(away).await;
        engine.start_again().await?;
        let since = Instant::now();
        let back =
            async { tokio::join!(is_healthy(&receiving), arrives(&publishing, last, round)) };
        let (at_health, at_arrival) =
            timeout(PATIENCE, back).await.map_err(|_| "the instance does not come back")?;
        let millis = |at: Instant| (at - since).as_secs_f64() * 1e3;
        healthy.push(millis(at_health));
        arrived.push(millis(at_arrival?));
    }
    Ok(())
}

/// When the instance says that all is well.
async fn is_healthy(instance: &Instance) -> Instant {
    let mut again = interval(AGAIN);
    while !instance.0.is_healthy() {
        again.tick().await;
    }
    Instant::now()
}

/// When something arrives that was published after the kill.
async fn arrives(
    publishing: &Instance,
    subscription: &mut Subscription,
    round: usize,
) -> Result<Instant> {
    let topic = subscription.topic().to_owned();
    let id = round.to_string();
    let publish = async {
        let mut again = interval(AGAIN);
        loop {
            again.tick().await;
            // It fails until that instance is back as well.
            let _ = publishing.0.publish(MessageEnvelope::new(&topic, "").with_id(&id)).await;
        }
    };
    let receive = async {
        loop {
            match subscription.recv().await {
                Some(Event::Message(envelope)) if envelope.id() == Some(&id) => {
                    return Ok(Instant::now());
                }
                // The gap, or one more of the round before.
                Some(_) => {}
                None => return Err("the stream has ended".into()),
            }
        }
    };
    tokio::select! {
        arrived = receive => arrived,
        () = publish => Err("publishing has ended".into()),
    }
}
