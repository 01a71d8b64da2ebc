//! Several that publish at once: to one topic, and to topics of their own.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Instant;

use backend_core::MessageEnvelope;
use backend_memory::MemoryBackend;
use bench_harness::{Better, Report};
use tokio::runtime::Runtime;
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use crate::peers::{CAPACITY, OurReader, Reader, envelope};

/// How many are published before their readers are waited for: none is lost.
const WINDOW: usize = CAPACITY / 4;

const PUBLISHERS: usize = 4;
const READERS: usize = 64;
const TOPICS: usize = 64;

/// How many deliveries a round has.
const DELIVERIES: usize = 131_072;

pub(crate) fn run(report: &mut Report, runtime: &Runtime, rounds: usize) {
    report.set_target(Some(1.5));
    let one = vec!["bench".to_owned()];
    let many: Vec<_> = (0..TOPICS).map(|number| format!("bench/{number}")).collect();
    let works = [
        ("4 publishers, 1 topic, 64 readers", one, PUBLISHERS, READERS),
        ("64 topics, a publisher and a reader each", many, 1, 1),
    ];
    for (name, topics, publishers, readers) in works {
        report.compare(
            name,
            "ns",
            Better::Less,
            rounds,
            &mut [
                ("backend-memory", &mut || {
                    let bus = MemoryBackend::builder().capacity(CAPACITY).build();
                    let read = |topic: &str| OurReader::new(bus.fork(), topic);
                    let here = Arc::new(bus.fork());
                    let publish = move |envelope| here.publish_now(envelope).expect("it is open");
                    work(runtime, &topics, publishers, readers, publish, read)
                }),
                ("tokio broadcast", &mut || {
                    let map: Map = Arc::default();
                    let read = |topic: &str| {
                        let mut map = map.write().expect("nobody panics");
                        let sender = map.entry(topic.to_owned());
                        sender.or_insert_with(|| broadcast::Sender::new(CAPACITY)).subscribe()
                    };
                    let there = Arc::clone(&map);
                    let publish = move |envelope: MessageEnvelope| {
                        let sender =
                            there.read().expect("nobody panics").get(envelope.topic()).cloned();
                        let _ = sender.expect("somebody reads").send(envelope);
                    };
                    work(runtime, &topics, publishers, readers, publish, read)
                }),
            ],
        );
    }
}

/// A channel for each topic.
type Map = Arc<RwLock<HashMap<String, broadcast::Sender<MessageEnvelope>>>>;

/// Nanoseconds for each delivery.
fn work<R: Reader>(
    runtime: &Runtime,
    topics: &[String],
    publishers: usize,
    readers: usize,
    publish: impl Fn(MessageEnvelope) + Clone + Send + 'static,
    read: impl Fn(&str) -> R,
) -> f64 {
    let each = DELIVERIES / (topics.len() * publishers * readers);
    let mut tasks = JoinSet::new();
    let mut starts = Vec::new();
    for topic in topics {
        // Every reader tells every publisher of the topic when it has got a window of all of them.
        let window = WINDOW / publishers;
        let gates: Vec<_> =
            (0..publishers).map(|_| Arc::new(tokio::sync::Semaphore::new(0))).collect();
        for _ in 0..readers {
            let (mut reader, gates) = (read(topic), gates.clone());
            tasks.spawn_on(
                async move {
                    for got in 1..=each * publishers {
                        drop(reader.next().await);
                        if got % (window * publishers) == 0 {
                            gates.iter().for_each(|gate| gate.add_permits(1));
                        }
                    }
                },
                runtime.handle(),
            );
        }
        for gate in gates {
            let (publish, topic) = (publish.clone(), topic.clone());
            starts.push(async move {
                for sent in 1..=each {
                    publish(envelope(&topic));
                    if sent % window == 0 {
                        let all = gate.acquire_many(readers as u32).await;
                        all.expect("it stays open").forget();
                    }
                }
            });
        }
    }
    let since = Instant::now();
    for start in starts {
        tasks.spawn_on(start, runtime.handle());
    }
    runtime.block_on(tasks.join_all());
    since.elapsed().as_nanos() as f64 / DELIVERIES as f64
}
