//! What strangers send fills no memory. In a process of its own, so that the memory is its own.

mod support;

use std::process::ExitCode;

use backend_core::{Backend, HealthAwareBackend, MessageEnvelope, ObservableBackend, TryRecvError};
use backend_engine::wire::{self, Format};
use backend_engine::{Origin, Stamp};
use bytes::BytesMut;
use engine_harness::Result;
use engine_harness::wait::expect;

use support::garbage::Garbage;
use support::{Nats, quick, subjects};

engine_harness::tests![strangers_fill_no_memory];

fn main() -> ExitCode {
    engine_harness::run(support::PROGRAM, tests())
}

/// The memory that this process has now, in MiB, where the system says so.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? / 1024)
}

/// A frame as ours are, of an instance that nobody has heard of.
fn forged(sequence: u64) -> Result<BytesMut> {
    let stamp = Stamp { origin: Origin::random(), epoch: sequence, sequence };
    let mut frame = BytesMut::new();
    wire::encode(Format::Binary, &stamp, &MessageEnvelope::new("orders", "forged"), &mut frame)?;
    Ok(frame)
}

async fn strangers_fill_no_memory() -> Result {
    const ROUNDS: u64 = 10;
    const FRAMES: u64 = 40_000;
    /// In MiB. What the first round has needed is not counted.
    const MORE: u64 = 48;
    let nats = Nats::start().await?;
    let here = quick(nats.url()).namespace("chat").connect().await?;
    let there = quick(nats.url()).namespace("chat").client_name("there").connect().await?;
    let mut orders = there.subscribe("orders").await?;
    let mut prices = there.subscribe("prices").await?;
    let own = subjects(nats.monitor, "there").await?;
    let own: Vec<_> = own.into_iter().filter(|subject| subject.contains("~~")).collect();
    let (client, mut garbage) = (nats.client().await?, Garbage::default());
    let mut before = None;
    for round in 0..ROUNDS {
        for number in 0..FRAMES {
            let subject = own[number as usize % own.len()].clone();
            match number % 4 {
                0 => client.publish("chat.orders", garbage.frame().into()).await?,
                1 => client.publish("chat.orders", forged(number + 1)?.freeze()).await?,
                2 => client.publish(subject, garbage.word().into()).await?,
                _ => {
                    client.publish(format!("chat.unheard{number}"), garbage.frame().into()).await?
                }
            }
        }
        // Instances that are none, each of which would be waited for.
        for number in 0..1_000 {
            let id = (round * 1_000 + number).to_be_bytes();
            let hello = [&[1][..], &id, &[9; 8], &[7; 32]].concat();
            client.publish("chat.~~nats.hello", hello.into()).await?;
        }
        client.flush().await?;
        // Behind all of it.
        drop(there.subscribe("orders").await?);
        here.publish(MessageEnvelope::new("prices", round.to_string())).await?;
        expect(&mut prices, &round.to_string()).await?;
        loop {
            match orders.try_recv() {
                Ok(_) => {}
                Err(TryRecvError::Empty) => break,
                other => panic!("{other:?}"),
            }
        }
        before = before.or_else(memory);
    }
    assert_eq!(there.stats().refused, ROUNDS * FRAMES / 4);
    assert!(here.is_healthy() && there.is_healthy());
    assert_eq!((here.stats().reconnects, there.stats().reconnects), (0, 0));
    if let (Some(before), Some(after)) = (before, memory()) {
        println!("{before} MiB after the first round, {after} MiB after the last one");
        assert!(after < before + MORE, "{before} MiB have become {after} MiB");
    }
    Ok(())
}
