//! O1 and O2: first in, first out; and one order for all where it is claimed.

use backend_core::{Event, MessageEnvelope};

use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Failure, Verified, ensure};
use crate::instance::Instance;
use crate::reader::Reader;
use crate::{Check, Clause};

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "order",
        first_in_first_out,
        [O1],
        [Order],
        "A burst of one publisher arrives in its order, at readers early and late."
    ),
    check!(
        "order",
        first_in_first_out_while_being_read,
        [O1],
        [Order],
        "So it does while a reader takes it as it comes."
    ),
    check!(
        "order",
        first_in_first_out_on_interleaved_topics,
        [O1],
        [Order],
        "Publishing to several topics in turn keeps the order of each."
    ),
    check!(
        "order",
        first_in_first_out_across_tasks,
        [O1],
        [Order],
        "The instance counts, and not the task that publishes."
    ),
    check!(
        "order",
        first_in_first_out_of_each_task,
        [O1],
        [Order],
        "Tasks that publish at once through one instance each keep their own order."
    ),
    check!(
        "order",
        first_in_first_out_of_each_publisher,
        [O1],
        [Order],
        "Publishers that are active at once each keep their own order."
    ),
    check!(
        "order",
        first_in_first_out_with_mixed_fields,
        [O1],
        [Order],
        "Scope, id and ttl do not let an envelope overtake another."
    ),
    check!(
        "order",
        first_in_first_out_with_mixed_sizes,
        [O1],
        [Order, MaxData],
        "Small envelopes do not overtake large ones."
    ),
    check!(
        "order",
        one_order_for_all,
        [O2],
        [TotalOrder],
        "All subscriptions on all instances see all publishers' envelopes in one order."
    ),
    check!(
        "order",
        one_order_for_publishers_too,
        [O2, D2],
        [TotalOrder],
        "An instance that publishes sees the others' envelopes in that order too."
    ),
];

async fn first_in_first_out(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut readers = Vec::new();
    for instance in [&b, &b, &c] {
        let name = format!("number {}", readers.len());
        readers.push(instance.subscribe("news").await?.named(&name));
    }
    for round in bench.rounds(10) {
        let burst: Vec<String> =
            (0..bench.burst(60)).map(|number| format!("{round}/{number}")).collect();
        for data in &burst {
            a.publish("news", data).await?;
        }
        for reader in &mut readers {
            reader.expect_all(&burst).await.because("in the order of publishing")?;
        }
    }
    Ok(())
}

async fn first_in_first_out_while_being_read(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    let burst = bench.burst(32);
    let (begin, mut begun) = tokio::sync::mpsc::channel::<usize>(1);
    let (ready, mut go) = tokio::sync::mpsc::channel::<()>(1);
    let reading = bench.spawn(async move {
        while let Some(round) = begun.recv().await {
            for number in 0..burst {
                reader
                    .expect(&format!("{round}/{number}"))
                    .await
                    .because("in the order of publishing")?;
            }
            if ready.send(()).await.is_err() {
                break;
            }
        }
        Ok(())
    });
    for round in bench.rounds(20) {
        if begin.send(round).await.is_err() {
            break;
        }
        for number in 0..burst {
            a.publish("news", &format!("{round}/{number}")).await?;
        }
        // The next burst only when this one was read: no reader is to overflow here.
        if go.recv().await.is_none() {
            break;
        }
    }
    drop((begin, go));
    reading.done().await
}

async fn first_in_first_out_on_interleaved_topics(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let topics = ["north", "south", "east", "west"];
    let mut readers = Vec::new();
    for topic in topics {
        readers.push(b.subscribe(topic).await?);
    }
    let numbers: Vec<String> = (0..bench.burst(40)).map(|number| number.to_string()).collect();
    for number in &numbers {
        for topic in topics {
            a.publish(topic, number).await?;
        }
    }
    for reader in &mut readers {
        reader.expect_all(&numbers).await.because("in the order of publishing")?;
    }
    Ok(())
}

async fn first_in_first_out_across_tasks(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    let numbers: Vec<String> = (0..bench.burst(40)).map(|number| number.to_string()).collect();
    for number in &numbers {
        // One task after the other, so there is an order to keep.
        let (a, number) = (a.clone(), number.clone());
        bench.spawn(async move { a.publish("news", &number).await }).done().await?;
    }
    reader.expect_all(&numbers).await.because("in the order of publishing")
}

/// All of these, by their names, publish `each` envelopes at the same time.
async fn publish_at_once(bench: &Bench, publishers: &[(&str, &Instance)], each: usize) -> Verified {
    let start = std::sync::Arc::new(tokio::sync::Barrier::new(publishers.len()));
    let mut parts = Vec::new();
    for (name, instance) in publishers {
        let (name, instance) = ((*name).to_owned(), (*instance).clone());
        let start = std::sync::Arc::clone(&start);
        parts.push(bench.spawn(async move {
            start.wait().await;
            for number in 0..each {
                instance.publish("news", &format!("{name} {number}")).await?;
                tokio::task::yield_now().await;
            }
            Ok(())
        }));
    }
    for part in parts {
        part.done().await?;
    }
    Ok(())
}

/// The data of the next `count` messages.
async fn read(reader: &mut Reader, count: usize) -> Verified<Vec<String>> {
    let mut seen = Vec::with_capacity(count);
    for _ in 0..count {
        let envelope = reader.message("the next message").await?;
        seen.push(String::from_utf8_lossy(envelope.data()).into_owned());
    }
    Ok(seen)
}

async fn first_in_first_out_of_each_publisher(bench: Bench) -> Verified {
    let [a, b, c, d] = bench.cluster().await?;
    each_keeps_its_order(&bench, &[("A", &a), ("B", &b), ("C", &c)], &d).await
}

async fn first_in_first_out_of_each_task(bench: Bench) -> Verified {
    let [a, d] = bench.cluster().await?;
    each_keeps_its_order(&bench, &[("one", &a), ("two", &a), ("three", &a)], &d).await
}

async fn each_keeps_its_order(
    bench: &Bench,
    publishers: &[(&str, &Instance)],
    at: &Instance,
) -> Verified {
    let each = (bench.burst(60) / publishers.len()).max(1);
    let mut readers = [at.subscribe("news").await?.named("first"), at.subscribe("news").await?];
    for _ in bench.rounds(20) {
        publish_at_once(bench, publishers, each).await?;
        for reader in &mut readers {
            let seen = read(reader, each * publishers.len()).await?;
            for (name, _) in publishers {
                let of_one: Vec<&String> =
                    seen.iter().filter(|data| data.starts_with(name)).collect();
                let in_order: Vec<String> =
                    (0..each).map(|number| format!("{name} {number}")).collect();
                ensure(
                    of_one.iter().copied().eq(&in_order),
                    format!("{} gets what {name} published in order", reader.name()),
                    format!("{of_one:?}"),
                )?;
            }
        }
    }
    Ok(())
}

async fn first_in_first_out_with_mixed_fields(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    let hour = std::time::Duration::from_secs(3_600);
    let envelopes: Vec<MessageEnvelope> = (0..bench.burst(32))
        .map(|number| {
            let plain = MessageEnvelope::new("news", number.to_string());
            match number % 4 {
                0 => plain,
                1 => plain.with_scope("user:42"),
                2 => plain.with_ttl(hour),
                _ => plain.with_id(format!("{}", 100 - number)),
            }
        })
        .collect();
    for envelope in &envelopes {
        a.send(envelope.clone()).await?;
    }
    for envelope in &envelopes {
        reader.expect_envelope(envelope).await.because("in the order of publishing")?;
    }
    Ok(())
}

async fn first_in_first_out_with_mixed_sizes(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    let large = bench.claims().max_data().unwrap_or(0).min(64 * 1024);
    let envelopes: Vec<MessageEnvelope> = (0..bench.burst(32))
        .map(|number: usize| {
            let size = if number.is_multiple_of(2) { large } else { 1 };
            MessageEnvelope::new("news", vec![b'x'; size]).with_id(number.to_string())
        })
        .collect();
    for envelope in &envelopes {
        a.send(envelope.clone()).await?;
    }
    for envelope in &envelopes {
        reader.expect_envelope(envelope).await.because("in the order of publishing")?;
    }
    Ok(())
}

async fn one_order_for_all(bench: Bench) -> Verified {
    let [a, b, c, d, e] = bench.cluster().await?;
    let publishers = [("A", &a), ("B", &b), ("C", &c)];
    let each = (bench.burst(60) / publishers.len()).max(1);
    let mut readers = Vec::new();
    for instance in [&d, &d, &e, &e] {
        let name = format!("number {}", readers.len());
        readers.push(instance.subscribe("news").await?.named(&name));
    }
    for _ in bench.rounds(20) {
        publish_at_once(&bench, &publishers, each).await?;
        let mut orders = Vec::new();
        for reader in &mut readers {
            orders.push(read(reader, each * publishers.len()).await?);
        }
        for (reader, order) in readers.iter().zip(&orders) {
            same_order(&orders[0], order, reader)?;
        }
    }
    Ok(())
}

async fn one_order_for_publishers_too(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let publishers = [("A", &a), ("B", &b)];
    let each = (bench.burst(60) / publishers.len()).max(1);
    let mut at_a = a.subscribe("news").await?;
    let mut at_c = c.subscribe("news").await?;
    for _ in bench.rounds(20) {
        publish_at_once(&bench, &publishers, each).await?;
        let all = read(&mut at_c, each * 2).await?;
        let others: Vec<String> = all.into_iter().filter(|data| data.starts_with('B')).collect();
        same_order(&others, &read(&mut at_a, each).await?, &at_a)?;
    }
    // Nothing of A's own was hidden behind what A has read so far.
    match at_a.poll(std::task::Waker::noop()) {
        std::task::Poll::Ready(Some(Event::Message(own))) => {
            Err(Failure::new("A gets what B published, and not its own", crate::show::shown(&own))
                .of(Clause::D2))
        }
        _ => Ok(()),
    }
}

fn same_order(expected: &[String], seen: &[String], reader: &Reader) -> Verified {
    let first = expected.iter().zip(seen).position(|(one, other)| one != other);
    match first {
        None => Ok(()),
        Some(index) => Err(Failure::new(
            format!("{} gets the envelopes in the order that the first reader saw", reader.name()),
            format!("number {index} is {:?} in place of {:?}", seen[index], expected[index]),
        )),
    }
}
