//! D8: every field arrives exactly as it was published.

use std::time::Duration;

use backend_core::{Error, MessageEnvelope};

use crate::Check;
use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Failure, Verified, ensure};

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "fidelity",
        plain_envelopes_stay_plain,
        [D8],
        [],
        "Fields that were not set are absent on arrival."
    ),
    check!(
        "fidelity",
        scope_arrives_exactly,
        [D8],
        [],
        "A scope arrives as it was published; an empty one is not an absent one."
    ),
    check!(
        "fidelity",
        id_arrives_exactly,
        [D8],
        [],
        "An id arrives as it was published; an empty one is not an absent one."
    ),
    check!(
        "fidelity",
        ttl_arrives_exactly,
        [D8],
        [],
        "A ttl arrives to the nanosecond; zero is not absent."
    ),
    check!(
        "fidelity",
        all_fields_together_arrive_exactly,
        [D8],
        [],
        "All fields at once do not disturb one another."
    ),
    check!(
        "fidelity",
        every_combination_of_fields_arrives,
        [D8],
        [],
        "Each of scope, ttl and id may be absent, empty or set, whatever the others are."
    ),
    check!(
        "fidelity",
        fields_do_not_run_into_one_another,
        [D8],
        [],
        "Fields that hold separators, quotes or look like other fields stay apart."
    ),
    check!(
        "fidelity",
        every_byte_value_arrives,
        [D8],
        [],
        "Data may hold every byte value, and need not be text."
    ),
    check!(
        "fidelity",
        empty_data_arrives,
        [D8],
        [],
        "Data may be empty; such an envelope is delivered all the same."
    ),
    check!(
        "fidelity",
        data_is_not_trimmed_or_parsed,
        [D8],
        [],
        "Whitespace, line ends, JSON and look-alikes of a wire format stay what they are."
    ),
    check!(
        "fidelity",
        every_reader_gets_the_same,
        [D8, U3],
        [],
        "All subscriptions and instances get the same fields."
    ),
    check!(
        "fidelity",
        a_subscription_knows_its_topic,
        [D8],
        [],
        "Subscription::topic is what was subscribed to."
    ),
    check!(
        "fidelity",
        data_of_many_sizes_arrives,
        [D8],
        [MaxData],
        "Data of sizes around powers of two, up to 64 KiB, arrives byte for byte."
    ),
    check!(
        "fidelity",
        data_of_the_claimed_size_arrives,
        [D8],
        [MaxData],
        "Data of the claimed largest size arrives byte for byte."
    ),
    check!(
        "fidelity",
        larger_data_is_refused_or_arrives,
        [D8, L2],
        [MaxData],
        "One byte more arrives or is refused with the true figures, and the backend goes on."
    ),
];

/// Publishes each, and gets each exactly.
async fn arrive(bench: &Bench, envelopes: impl IntoIterator<Item = MessageEnvelope>) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut readers = Vec::new();
    for envelope in envelopes {
        // One reader for each topic that comes up.
        let found = readers.iter().position(|(topic, _)| topic == envelope.topic());
        let index = match found {
            Some(index) => index,
            None => {
                readers.push((envelope.topic().to_owned(), b.subscribe(envelope.topic()).await?));
                readers.len() - 1
            }
        };
        a.send(envelope.clone()).await?;
        readers[index].1.expect_envelope(&envelope).await?;
    }
    Ok(())
}

fn envelope(data: &str) -> MessageEnvelope {
    MessageEnvelope::new("news", data.to_owned())
}

const AWKWARD: [&str; 12] = [
    "",
    " ",
    "a",
    "user:42",
    "None",
    "null",
    "Ünicode ☕\u{301}",
    "a\r\nb\0c",
    "\"quoted\"",
    "a,b;c=d&e",
    "trailing ",
    "{\"id\":1}",
];

async fn plain_envelopes_stay_plain(bench: Bench) -> Verified {
    arrive(&bench, [envelope("plain"), envelope("plain again"), MessageEnvelope::new("", "plain")])
        .await
}

async fn scope_arrives_exactly(bench: Bench) -> Verified {
    arrive(&bench, AWKWARD.map(|scope| envelope("scoped").with_scope(scope))).await
}

async fn id_arrives_exactly(bench: Bench) -> Verified {
    let long = "i".repeat(300);
    let ids = AWKWARD.into_iter().chain([long.as_str()]);
    arrive(&bench, ids.map(|id| envelope("with an id").with_id(id)).collect::<Vec<_>>()).await
}

async fn ttl_arrives_exactly(bench: Bench) -> Verified {
    // All of these are long enough, or for ever: none runs out while it is being read.
    let ttls = [
        Duration::ZERO,
        Duration::from_secs(3_600),
        Duration::new(3_600, 1),
        Duration::new(3_600, 999_999_999),
        Duration::new(3_600, 1_500),
        Duration::from_millis(3_600_001),
        Duration::from_secs(u64::from(u32::MAX) + 1),
        Duration::from_millis(u64::MAX),
        Duration::MAX,
    ];
    arrive(&bench, ttls.map(|ttl| envelope("with a ttl").with_ttl(ttl))).await
}

async fn all_fields_together_arrive_exactly(bench: Bench) -> Verified {
    let full = MessageEnvelope::new("orders", "{\"table\":7}")
        .with_scope("user:42")
        .with_ttl(Duration::new(3_600, 7))
        .with_id("order-1001");
    let empty = MessageEnvelope::new("", "").with_scope("").with_ttl(Duration::ZERO).with_id("");
    arrive(&bench, [full.clone(), empty, full]).await
}

async fn every_combination_of_fields_arrives(bench: Bench) -> Verified {
    let texts = [None, Some(""), Some("set")];
    let ttls = [None, Some(Duration::ZERO), Some(Duration::from_secs(3_600))];
    let mut envelopes = Vec::new();
    for scope in texts {
        for ttl in ttls {
            for id in texts {
                // Every second one without data.
                let data = if envelopes.len() % 2 == 0 { "data" } else { "" };
                let mut envelope = envelope(data);
                if let Some(scope) = scope {
                    envelope = envelope.with_scope(scope);
                }
                if let Some(ttl) = ttl {
                    envelope = envelope.with_ttl(ttl);
                }
                if let Some(id) = id {
                    envelope = envelope.with_id(id);
                }
                envelopes.push(envelope);
            }
        }
    }
    arrive(&bench, envelopes).await
}

async fn fields_do_not_run_into_one_another(bench: Bench) -> Verified {
    let mut envelopes = Vec::new();
    for (scope, id) in [("a", "b"), ("b", "a"), ("ab", ""), ("", "ab"), ("a\0b", "\n"), ("\"", ",")]
    {
        envelopes.push(envelope("a\0b\"c").with_scope(scope).with_id(id));
        envelopes.push(envelope("a").with_scope(scope));
        envelopes.push(envelope("a").with_id(id));
    }
    arrive(&bench, envelopes).await
}

async fn every_byte_value_arrives(bench: Bench) -> Verified {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let backwards: Vec<u8> = (0..=u8::MAX).rev().collect();
    let mut envelopes = vec![
        MessageEnvelope::new("news", all),
        MessageEnvelope::new("news", backwards),
        MessageEnvelope::new("news", vec![0xff_u8, 0xfe, 0xc0, 0x80, 0xed, 0xa0, 0x80]),
    ];
    envelopes.extend((0..=u8::MAX).map(|byte| MessageEnvelope::new("news", vec![byte])));
    arrive(&bench, envelopes).await
}

async fn empty_data_arrives(bench: Bench) -> Verified {
    arrive(&bench, [envelope(""), envelope("not empty"), envelope(""), envelope("").with_id("1")])
        .await
}

async fn data_is_not_trimmed_or_parsed(bench: Bench) -> Verified {
    let data = [
        " padded ",
        "\n",
        "\r\n",
        "line\n",
        "\0",
        "a\0",
        "\u{feff}bom",
        "{\"topic\":\"x\",\"data\":\"y\"}",
        "null",
        "\"text\"",
        "aGVsbG8=",
        "+OK\r\n",
        "PING\r\n",
        "$5\r\nhello\r\n",
        "é",
        "e\u{301}",
        "\\u003c",
        "<script>",
        "%20",
    ];
    arrive(&bench, data.map(envelope)).await
}

async fn every_reader_gets_the_same(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut readers = Vec::new();
    for instance in [&b, &b, &c, &c] {
        let name = format!("number {}", readers.len());
        readers.push(instance.subscribe("news").await?.named(&name));
    }
    let full = envelope("data").with_scope("").with_id("1").with_ttl(Duration::from_secs(3_600));
    for envelope in [full, envelope("plain")] {
        a.send(envelope.clone()).await?;
        for reader in &mut readers {
            reader.expect_envelope(&envelope).await?;
        }
    }
    Ok(())
}

async fn a_subscription_knows_its_topic(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    for topic in ["news", "", " News ", "a.*", "☕\r\n"] {
        let mut reader = b.subscribe(topic).await?;
        let seen = reader.subscription().topic().to_owned();
        ensure(
            seen == topic,
            format!("the subscription's topic is {topic:?}"),
            format!("{seen:?}"),
        )?;
        a.publish(topic, "hello").await?;
        reader.expect("hello").await?;
    }
    Ok(())
}

/// Bytes without a pattern that a chunk size could hide in.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ length as u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

async fn data_of_many_sizes_arrives(bench: Bench) -> Verified {
    let limit = bench.claims().max_data().unwrap_or(0).min(64 * 1024);
    let mut sizes: Vec<usize> = [127_usize, 255, 1_023, 4_095, 8_191, 32_767, 65_535]
        .into_iter()
        .flat_map(|size| [size, size + 1, size + 2])
        .filter(|size| *size <= limit)
        .collect();
    sizes.push(limit);
    arrive(&bench, sizes.into_iter().map(|size| MessageEnvelope::new("news", noise(size)))).await
}

async fn data_of_the_claimed_size_arrives(bench: Bench) -> Verified {
    let limit = bench.claims().max_data().unwrap_or(0);
    let large = MessageEnvelope::new("news", noise(limit));
    arrive(&bench, [large.clone(), envelope("small"), large]).await
}

async fn larger_data_is_refused_or_arrives(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    let size = bench.claims().max_data().unwrap_or(0) + 1;
    let large = MessageEnvelope::new("news", noise(size));
    match a.try_send(large.clone()).await? {
        Ok(()) => reader.expect_envelope(&large).await.because("publish had said Ok")?,
        Err(Error::PayloadTooLarge { actual, limit }) => ensure(
            actual == size && limit < size,
            format!("PayloadTooLarge names {size} bytes and a limit below"),
            format!("actual {actual}, limit {limit}"),
        )?,
        Err(error) => {
            let expected =
                format!("data of {size} bytes arrives, or is refused as PayloadTooLarge");
            return Err(Failure::new(expected, format!("the error {error:?}")));
        }
    }
    a.publish("news", "small").await?;
    reader.expect("small").await.because("the backend goes on after large data")
}
