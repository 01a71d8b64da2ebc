//! The JSON form of an envelope: what is written, byte for byte, and what is read.
//!
//! What a Go service sends is given as the literal text that Go's `encoding/json` writes: `<`, `>`,
//! `&`, U+2028 and U+2029 escaped, control characters too, everything else as it is.
#![cfg(feature = "serde")]

use std::time::Duration;

use backend_core::MessageEnvelope;
use serde_json::{from_str, json, to_string};

fn envelope(topic: &str, data: &str) -> MessageEnvelope {
    MessageEnvelope::new(topic, data.to_owned())
}

#[track_caller]
fn assert_written(envelope: &MessageEnvelope, expected: &str) {
    assert_eq!(to_string(envelope).unwrap(), expected);
}

#[track_caller]
fn assert_read(text: &str, expected: &MessageEnvelope) {
    assert_eq!(&from_str::<MessageEnvelope>(text).unwrap(), expected, "{text}");
}

#[track_caller]
fn assert_both_ways(envelope: &MessageEnvelope, text: &str) {
    assert_written(envelope, text);
    assert_read(text, envelope);
}

#[test]
fn every_combination_of_fields_has_its_exact_text() {
    let scope = |e: MessageEnvelope| e.with_scope("user:42");
    let ttl = |e: MessageEnvelope| e.with_ttl(Duration::from_secs(30));
    let id = |e: MessageEnvelope| e.with_id("7");

    let text = || envelope("orders", "one coffee");
    assert_both_ways(&text(), r#"{"topic":"orders","data":"one coffee"}"#);
    assert_both_ways(&scope(text()), r#"{"topic":"orders","data":"one coffee","scope":"user:42"}"#);
    assert_both_ways(&ttl(text()), r#"{"topic":"orders","data":"one coffee","ttl":30000}"#);
    assert_both_ways(&id(text()), r#"{"topic":"orders","data":"one coffee","id":"7"}"#);
    assert_both_ways(
        &ttl(scope(text())),
        r#"{"topic":"orders","data":"one coffee","scope":"user:42","ttl":30000}"#,
    );
    assert_both_ways(
        &id(scope(text())),
        r#"{"topic":"orders","data":"one coffee","scope":"user:42","id":"7"}"#,
    );
    assert_both_ways(
        &id(ttl(text())),
        r#"{"topic":"orders","data":"one coffee","ttl":30000,"id":"7"}"#,
    );
    assert_both_ways(
        &id(ttl(scope(text()))),
        r#"{"topic":"orders","data":"one coffee","scope":"user:42","ttl":30000,"id":"7"}"#,
    );

    let binary = || MessageEnvelope::new("orders", vec![0xff_u8, 0xfe]);
    assert_both_ways(&binary(), r#"{"topic":"orders","data_base64":"//4="}"#);
    assert_both_ways(
        &scope(binary()),
        r#"{"topic":"orders","data_base64":"//4=","scope":"user:42"}"#,
    );
    assert_both_ways(&ttl(binary()), r#"{"topic":"orders","data_base64":"//4=","ttl":30000}"#);
    assert_both_ways(&id(binary()), r#"{"topic":"orders","data_base64":"//4=","id":"7"}"#);
    assert_both_ways(
        &ttl(scope(binary())),
        r#"{"topic":"orders","data_base64":"//4=","scope":"user:42","ttl":30000}"#,
    );
    assert_both_ways(
        &id(scope(binary())),
        r#"{"topic":"orders","data_base64":"//4=","scope":"user:42","id":"7"}"#,
    );
    assert_both_ways(
        &id(ttl(binary())),
        r#"{"topic":"orders","data_base64":"//4=","ttl":30000,"id":"7"}"#,
    );
    assert_both_ways(
        &id(ttl(scope(binary()))),
        r#"{"topic":"orders","data_base64":"//4=","scope":"user:42","ttl":30000,"id":"7"}"#,
    );
}

#[test]
fn an_empty_field_is_written_and_is_not_an_absent_one() {
    assert_both_ways(&envelope("", ""), r#"{"topic":"","data":""}"#);
    assert_both_ways(
        &envelope("", "").with_scope("").with_ttl(Duration::ZERO).with_id(""),
        r#"{"topic":"","data":"","scope":"","ttl":0,"id":""}"#,
    );
}

#[test]
fn what_go_writes_is_read() {
    assert_read(
        r#"{"topic":"orders","data":"\u003cb\u003ehi \u0026 bye\u003c/b\u003e","scope":"user:42","ttl":30000,"id":"7"}"#,
        &envelope("orders", "<b>hi & bye</b>")
            .with_scope("user:42")
            .with_ttl(Duration::from_secs(30))
            .with_id("7"),
    );
    assert_read(
        r#"{"topic":"lines","data":"a\u2028b\u2029c"}"#,
        &envelope("lines", "a\u{2028}b\u{2029}c"),
    );
    assert_read(
        r#"{"topic":"stream","data":"event: tick\ndata: \"1\"\n\n","id":"C:\\temp\t1"}"#,
        &envelope("stream", "event: tick\ndata: \"1\"\n\n").with_id("C:\\temp\t1"),
    );
    assert_read(
        r#"{"topic":"control","data":"\u0000\u0001\b\f\r\u001b\u001f"}"#,
        &envelope("control", "\0\u{1}\u{8}\u{c}\r\u{1b}\u{1f}"),
    );
    assert_read(
        "{\"topic\":\"plain\",\"data\":\"grüße 日本 😀 \u{7f}\"}",
        &envelope("plain", "grüße 日本 😀 \u{7f}"),
    );
    assert_read(r#"{"topic":"","data":""}"#, &envelope("", ""));
}

/// The same string by other means: Go leaves these characters alone, other senders need not.
#[test]
fn escapes_of_other_senders_are_read() {
    let emoji = envelope("t", "😀").with_scope("😀").with_id("😀");
    let pair = r"\ud83d\ude00";
    assert_read(
        &format!(r#"{{"topic":"t","data":"{pair}","scope":"{pair}","id":"{pair}"}}"#),
        &emoji,
    );
    assert_read(r#"{"topic":"\u0074","data":"a\/b\u0022"}"#, &envelope("t", "a/b\""));
    assert_read("\t{ \"data\" :\r\n\"x\" , \"topic\":\"t\" }\n", &envelope("t", "x"));
    // The names of fields may be escaped as well.
    assert_read(r#"{"t\u006fpic":"t","\u0064ata":"x"}"#, &envelope("t", "x"));
}

#[test]
fn the_nul_character_goes_both_ways_in_every_field() {
    assert_both_ways(
        &envelope("\0", "a\0b").with_scope("\0").with_id("\0\0"),
        r#"{"topic":"\u0000","data":"a\u0000b","scope":"\u0000","id":"\u0000\u0000"}"#,
    );
}

#[test]
fn unknown_fields_are_skipped_whatever_they_hold() {
    assert_read(
        r#"{"v":2,"topic":"t","trace":{"topic":[null,1.5e300,{"data":false}]},"data":"x","Topic":"T","":"" }"#,
        &envelope("t", "x"),
    );
}

#[test]
fn null_for_an_optional_field_means_absent() {
    assert_read(
        r#"{"topic":"t","data":"x","scope":null,"ttl":null,"id":null}"#,
        &envelope("t", "x"),
    );
}

#[test]
fn a_ttl_is_rounded_up_to_whole_milliseconds() {
    let written = |ttl| to_string(&envelope("t", "x").with_ttl(ttl)).unwrap();
    let expected = |number: &str| format!(r#"{{"topic":"t","data":"x","ttl":{number}}}"#);

    assert_eq!(written(Duration::ZERO), expected("0"));
    assert_eq!(written(Duration::from_nanos(1)), expected("1"));
    assert_eq!(written(Duration::from_nanos(999_999)), expected("1"));
    assert_eq!(written(Duration::from_millis(1)), expected("1"));
    assert_eq!(written(Duration::from_nanos(1_000_001)), expected("2"));
    assert_eq!(written(Duration::new(1, 999_999_999)), expected("2000"));
}

#[test]
fn the_longest_ttl_goes_both_ways_and_a_longer_one_is_refused() {
    let longest = Duration::from_millis(9_223_372_036_854_775_807);
    assert_both_ways(
        &envelope("t", "x").with_ttl(longest),
        r#"{"topic":"t","data":"x","ttl":9223372036854775807}"#,
    );

    for too_long in [longest + Duration::from_nanos(1), Duration::MAX] {
        let error = to_string(&envelope("t", "x").with_ttl(too_long)).unwrap_err().to_string();
        assert!(error.contains("`ttl`"), "{error}");
        assert!(error.contains("9223372036854775807 milliseconds"), "{error}");
    }
}

#[test]
fn every_byte_goes_through_base64() {
    for byte in 0..=u8::MAX {
        // The lead byte keeps the data from being UTF-8, whatever follows.
        let binary = MessageEnvelope::new("t", vec![0xff, byte]);
        let text = to_string(&binary).unwrap();
        assert!(text.starts_with(r#"{"topic":"t","data_base64":""#), "{text}");
        assert_read(&text, &binary);
    }

    let all: Vec<u8> = (0..=u8::MAX).collect();
    let all = MessageEnvelope::new("t", all);
    assert_read(&to_string(&all).unwrap(), &all);
}

#[test]
fn base64_is_the_standard_alphabet_with_padding() {
    let written = |data: &[u8]| to_string(&MessageEnvelope::new("t", data.to_vec())).unwrap();
    assert_eq!(written(&[0xff]), r#"{"topic":"t","data_base64":"/w=="}"#);
    assert_eq!(written(&[0xff, 0xff]), r#"{"topic":"t","data_base64":"//8="}"#);
    assert_eq!(written(&[0xfb, 0xef, 0xbe]), r#"{"topic":"t","data_base64":"++++"}"#);
    // A text that was cut within a character is not text.
    assert_eq!(written(&"ä".as_bytes()[..1]), r#"{"topic":"t","data_base64":"ww=="}"#);
}

#[test]
fn base64_of_text_is_read_too() {
    assert_read(r#"{"topic":"t","data_base64":"aGk="}"#, &envelope("t", "hi"));
    assert_read(r#"{"topic":"t","data_base64":""}"#, &envelope("t", ""));
}

#[test]
fn a_mebibyte_goes_both_ways() {
    let text = MessageEnvelope::new("t", "<\"ä\0>".repeat((1 << 20) / 6));
    assert_read(&to_string(&text).unwrap(), &text);

    let binary: Vec<u8> =
        (0..1_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let binary = MessageEnvelope::new("t", binary);
    let written = to_string(&binary).unwrap();
    assert!(written.starts_with(r#"{"topic":"t","data_base64":""#));
    assert_read(&written, &binary);
}

#[test]
fn borrowed_and_owned_input_values_and_readers_read_alike() {
    let expected =
        envelope("t", "a\"b").with_scope("s").with_ttl(Duration::from_millis(5)).with_id("i");
    let text = r#"{"topic":"t","data":"a\"b","scope":"s","ttl":5,"id":"i"}"#;
    let value = json!({ "topic": "t", "data": "a\"b", "scope": "s", "ttl": 5, "id": "i" });

    assert_eq!(from_str::<MessageEnvelope>(text).unwrap(), expected);
    assert_eq!(serde_json::from_slice::<MessageEnvelope>(text.as_bytes()).unwrap(), expected);
    assert_eq!(serde_json::from_reader::<_, MessageEnvelope>(text.as_bytes()).unwrap(), expected);
    assert_eq!(serde_json::from_value::<MessageEnvelope>(value.clone()).unwrap(), expected);
    assert_eq!(<MessageEnvelope as serde::Deserialize>::deserialize(&value).unwrap(), expected);
    assert_eq!(serde_json::to_value(&expected).unwrap(), value);
}

#[test]
fn base64_is_read_from_values_and_readers_too() {
    let expected = MessageEnvelope::new("t", vec![0xff_u8, 0xfe]);
    let text = r#"{"topic":"t","data_base64":"\/\/4="}"#;
    let value = json!({ "topic": "t", "data_base64": "//4=" });

    assert_eq!(from_str::<MessageEnvelope>(text).unwrap(), expected);
    assert_eq!(serde_json::from_reader::<_, MessageEnvelope>(text.as_bytes()).unwrap(), expected);
    assert_eq!(serde_json::from_value::<MessageEnvelope>(value).unwrap(), expected);
}

#[test]
fn an_envelope_may_be_part_of_something_larger() {
    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    struct Logged {
        line: u32,
        #[serde(flatten)]
        envelope: MessageEnvelope,
    }

    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    #[serde(tag = "kind")]
    enum Command {
        Publish(MessageEnvelope),
    }

    let inner = || envelope("t", "x").with_ttl(Duration::from_millis(5));

    let logged = Logged { line: 3, envelope: inner() };
    let text = r#"{"line":3,"topic":"t","data":"x","ttl":5}"#;
    assert_eq!(to_string(&logged).unwrap(), text);
    assert_eq!(from_str::<Logged>(text).unwrap(), logged);
    let nulls = r#"{"line":3,"topic":"t","data":"x","scope":null,"ttl":5,"id":null}"#;
    assert_eq!(from_str::<Logged>(nulls).unwrap(), logged);

    let command = Command::Publish(inner());
    let text = r#"{"kind":"Publish","topic":"t","data":"x","ttl":5}"#;
    assert_eq!(to_string(&command).unwrap(), text);
    assert_eq!(from_str::<Command>(text).unwrap(), command);
}

/// RON is stricter than JSON: an optional value is a `Some`.
#[test]
fn another_human_readable_format_goes_both_ways() {
    let full = envelope("t", "a\"b").with_scope("").with_ttl(Duration::from_millis(5)).with_id("i");
    let text = ron::to_string(&full).unwrap();
    assert_eq!(text, r#"(topic:"t",data:"a\"b",scope:Some(""),ttl:Some(5),id:Some("i"))"#);
    assert_eq!(ron::from_str::<MessageEnvelope>(&text).unwrap(), full);

    let binary = MessageEnvelope::new("t", vec![0xff_u8, 0xfe]);
    let text = ron::to_string(&binary).unwrap();
    assert_eq!(text, r#"(topic:"t",data_base64:"//4=")"#);
    assert_eq!(ron::from_str::<MessageEnvelope>(&text).unwrap(), binary);
}
