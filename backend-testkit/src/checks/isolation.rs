//! D7: topics match byte for byte, buses never meet, and nobody filters by scope.
//!
//! Strangers are topics that look alike. Every one of a family is subscribed to and published to,
//! so each is subject and witness at once: when its own reader has got an envelope, no other one
//! may get it any more.

use backend_core::{Error, MessageEnvelope};

use crate::Check;
use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Failure, Verified};
use crate::{Clause, show};

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "isolation",
        prefixes_and_suffixes_are_strangers,
        [D7],
        [],
        "A topic that is a part of another one is another one."
    ),
    check!(
        "isolation",
        case_matters,
        [D7],
        [],
        "Upper and lower case are different topics, beyond ASCII too."
    ),
    check!(
        "isolation",
        spaces_matter,
        [D7],
        [],
        "Spaces before, after and inside a topic belong to it."
    ),
    check!(
        "isolation",
        unicode_is_not_normalized,
        [D7],
        [],
        "Composed and decomposed characters, and look-alikes, are different topics."
    ),
    check!(
        "isolation",
        wildcards_are_ordinary,
        [D7],
        [],
        "* > # ? + and [a] match themselves alone, when subscribing and when publishing."
    ),
    check!(
        "isolation",
        dots_and_slashes_are_ordinary,
        [D7],
        [],
        "Dots and slashes, doubled, leading or trailing, are no hierarchy."
    ),
    check!(
        "isolation",
        control_characters_are_ordinary,
        [D7],
        [],
        "CR, LF, TAB, NUL and other control characters are parts of a topic."
    ),
    check!(
        "isolation",
        the_empty_string_is_a_topic,
        [D7],
        [],
        "The empty topic is an ordinary one, and not all topics."
    ),
    check!(
        "isolation",
        reserved_names_are_ordinary,
        [D7],
        [],
        "Names with a meaning to some engine, such as $SYS, are ordinary."
    ),
    check!(
        "isolation",
        escapes_are_ordinary,
        [D7],
        [],
        "What looks like an escape of another topic is not that topic."
    ),
    check!(
        "isolation",
        a_topic_may_have_1_kib,
        [D7],
        [],
        "A topic of 1 KiB works, and two that differ in the last byte alone are strangers."
    ),
    check!(
        "isolation",
        a_unicode_topic_may_have_1_kib,
        [D7, D8],
        [],
        "So does one of 1 KiB that is no ASCII."
    ),
    check!(
        "isolation",
        a_longer_topic_is_refused_or_works,
        [D7, D4],
        [],
        "A topic of more than 1 KiB is refused as InvalidTopic, or works like any other."
    ),
    check!(
        "isolation",
        unlinked_instances_never_meet,
        [D7],
        [],
        "Instances on another bus get nothing."
    ),
    check!(
        "isolation",
        nothing_is_filtered_by_scope,
        [D7, D8],
        [],
        "Envelopes of all scopes, and of none, reach every subscription."
    ),
];

/// Every topic of the family gets its own, twice, and nothing of its relatives.
async fn strangers(bench: &Bench, family: &[&str]) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut readers = Vec::new();
    for topic in family {
        readers.push(b.subscribe(topic).await?);
    }
    for round in 1..=bench.sentinels(2) {
        for topic in family {
            a.publish(topic, &format!("number {round} to {}", show::quoted(topic))).await?;
        }
        for (topic, reader) in family.iter().zip(&mut readers) {
            let own = format!("number {round} to {}", show::quoted(topic));
            reader.expect(&own).await.because("its own topic's alone, byte for byte")?;
        }
    }
    Ok(())
}

async fn prefixes_and_suffixes_are_strangers(bench: Bench) -> Verified {
    strangers(&bench, &["news", "new", "newsroom", "n", "ews", "news:1", "the news", "newsnews"])
        .await
}

async fn case_matters(bench: Bench) -> Verified {
    strangers(
        &bench,
        &["news", "News", "NEWS", "nEWS", "straße", "STRASSE", "strasse", "ı", "i", "İ", "I"],
    )
    .await
}

async fn spaces_matter(bench: Bench) -> Verified {
    strangers(
        &bench,
        &["news", "news ", " news", " news ", "news  ", "ne ws", "ne  ws", " ", "  ", "news\u{a0}"],
    )
    .await
}

async fn unicode_is_not_normalized(bench: Bench) -> Verified {
    let family = [
        "caf\u{e9}",
        "cafe\u{301}",
        "cafe",
        "ﬁne",
        "fine",
        "\u{212b}",
        "\u{c5}",
        "A\u{30a}",
        "a\u{200b}",
        "a",
        "\u{feff}a",
        "\u{430}",
        "①",
        "1",
    ];
    strangers(&bench, &family).await
}

async fn wildcards_are_ordinary(bench: Bench) -> Verified {
    let family = [
        "a.b", "a.*", "a.>", "a.#", "a.?", "a.+", "a.[b]", "a.[a-c]", "a.{b}", "*", ">", "#", "?",
        "+", "a", "a*", "*.b", "*.*", "**", "%", "_", "a.%", ".*", "a.c", "a/b", "a/+", "a/#",
        "^a", "a$",
    ];
    strangers(&bench, &family).await
}

async fn dots_and_slashes_are_ordinary(bench: Bench) -> Verified {
    let family = [
        ".", "..", "...", "a", "a.", ".a", "a..b", "a.b", "a.b.", "ab", "/", "//", "/a", "a/",
        "a//b", "a/b", "a/../b", "b", "./a", "a:b", "a::b",
    ];
    strangers(&bench, &family).await
}

async fn control_characters_are_ordinary(bench: Bench) -> Verified {
    let family = [
        "a",
        "a\0",
        "a\0b",
        "\0",
        "a\n",
        "a\r\n",
        "a\r\nb",
        "\r\n",
        "\n",
        "a\t",
        "a\tb",
        "a b",
        "a\u{7f}",
        "\u{1}",
        "\u{1b}[0m",
        "a\u{85}",
        "a\u{2028}b",
        "a\r\nPUB b 1\r\nx\r\n",
    ];
    strangers(&bench, &family).await
}

async fn the_empty_string_is_a_topic(bench: Bench) -> Verified {
    strangers(&bench, &["", "a", " ", "\0", "\"\"", "null", "empty", "default"]).await
}

async fn reserved_names_are_ordinary(bench: Bench) -> Verified {
    let family = [
        "$SYS",
        "$SYS.>",
        "$JS.API",
        "_INBOX",
        "_INBOX.a",
        "__keyspace@0__:a",
        "__sentinel__:hello",
        "amq.topic",
        "$share/a/b",
        "-inf",
        "true",
        "0",
        "-1",
        "SELECT",
        "drop table",
        "topic",
        "undefined",
    ];
    strangers(&bench, &family).await
}

async fn escapes_are_ordinary(bench: Bench) -> Verified {
    let family = [
        "a b",
        "a%20b",
        "a%2520b",
        "a+b",
        "a\\x20b",
        "a&amp;b",
        "a&b",
        "\\n",
        "\n",
        "\\",
        "\\\\",
        "a%00",
        "a",
        "=20",
        "YQ==",
        "1",
        "01",
        "1.0",
        "+1",
        "\"a\"",
        "'a'",
        "a,b",
        "a;b",
        "a|b",
        "{\"a\":1}",
    ];
    strangers(&bench, &family).await
}

async fn a_topic_may_have_1_kib(bench: Bench) -> Verified {
    let long = "t".repeat(1_023);
    let family = [
        format!("{long}x"),
        format!("{long}y"),
        long[..200].to_owned(),
        long[..255].to_owned(),
        long[..256].to_owned(),
        format!("x{long}"),
        long,
    ];
    let family: Vec<&str> = family.iter().map(String::as_str).collect();
    strangers(&bench, &family).await
}

async fn a_unicode_topic_may_have_1_kib(bench: Bench) -> Verified {
    let long = "☕".repeat(340);
    let family = [format!("{long}aaaa"), format!("{long}aaab"), format!("\r\n\0 {long}")];
    let family: Vec<&str> = family.iter().map(String::as_str).collect();
    strangers(&bench, &family).await
}

async fn a_longer_topic_is_refused_or_works(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut short = b.subscribe("short").await?;
    for length in [1_025, 4_096, 65_536] {
        let topic = "t".repeat(length);
        let mut reader = match b.try_subscribe(&topic).await? {
            Ok(reader) => Some(reader),
            Err(Error::InvalidTopic { .. }) => None,
            Err(error) => return refused(length, "subscribe", &error),
        };
        match (a.try_send(MessageEnvelope::new(topic, "hello")).await?, &mut reader) {
            (Ok(()), Some(reader)) => {
                reader.expect("hello").await.because("subscribe and publish had said Ok")?;
            }
            (Ok(()), None) | (Err(Error::InvalidTopic { .. }), _) => {}
            (Err(error), _) => return refused(length, "publish", &error),
        }
        a.publish("short", "goes on").await?;
        short.expect("goes on").await.because("a long topic harms no other one")?;
    }
    Ok(())
}

fn refused(length: usize, operation: &str, error: &Error) -> Verified {
    let expected = format!("{operation} with a topic of {length} bytes: Ok or InvalidTopic");
    Err(Failure::new(expected, format!("the error {error:?}")))
}

async fn unlinked_instances_never_meet(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let [a2, b2] = bench.cluster().await?;
    let mut here = b.subscribe("news").await?;
    let mut there = b2.subscribe("news").await?;
    for round in 0..bench.sentinels(4) {
        let (ours, theirs) = (format!("this bus {round}"), format!("the other bus {round}"));
        a.publish("news", &ours).await?;
        here.expect(&ours).await?;
        a2.publish("news", &theirs).await?;
        there.expect(&theirs).await.because("and nothing from a bus that it is not linked to")?;
    }
    Ok(())
}

async fn nothing_is_filtered_by_scope(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut first = b.subscribe("news").await?.named("first");
    let mut second = b.subscribe("news").await?.named("second");
    let plain = MessageEnvelope::new("news", "for all");
    let scoped = ["user:42", "", "user:43", "*", " ", "none", "user:42"]
        .map(|scope| MessageEnvelope::new("news", "for some").with_scope(scope));
    for envelope in [plain.clone()].into_iter().chain(scoped).chain([plain]) {
        a.send(envelope.clone()).await?;
        for reader in [&mut first, &mut second] {
            reader
                .expect_envelope(&envelope)
                .await
                .because("scopes are compared by the application alone")
                .of(Clause::D7)?;
        }
    }
    Ok(())
}
