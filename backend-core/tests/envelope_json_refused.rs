//! The JSON that is no envelope: each text is refused, and the error says what is wrong with it.
#![cfg(feature = "serde")]

use backend_core::MessageEnvelope;
use serde_json::{from_str, json};

/// Refused from borrowed text and from a reader; the error holds every one of the `words`.
#[track_caller]
fn assert_refused(text: &str, words: &[&str]) {
    let borrowed = from_str::<MessageEnvelope>(text).expect_err(text).to_string();
    let read =
        serde_json::from_reader::<_, MessageEnvelope>(text.as_bytes()).expect_err(text).to_string();
    for error in [borrowed, read] {
        for word in words {
            assert!(error.contains(word), "{text}\ngives {error:?}\nwithout {word:?}");
        }
    }
}

#[test]
fn a_missing_field() {
    assert_refused(r#"{"data":"x"}"#, &["missing field `topic`"]);
    assert_refused(r#"{"Topic":"t","data":"x"}"#, &["missing field `topic`"]);
    assert_refused(r#"{"topic":"t"}"#, &["missing field `data`", "`data_base64`"]);
    assert_refused(r#"{"topic":"t","scope":"s","ttl":1,"id":"i"}"#, &["missing field `data`"]);
    assert_refused("{}", &["missing field `topic`"]);
}

#[test]
fn both_kinds_of_data() {
    let words = ["both `data` and `data_base64`"];
    assert_refused(r#"{"topic":"t","data":"hi","data_base64":"aGk="}"#, &words);
    assert_refused(r#"{"data_base64":"","topic":"t","data":""}"#, &words);
}

#[test]
fn a_field_given_twice() {
    let twice = |first: &str, second: &str| {
        format!(r#"{{"topic":"t","data":"x",{first},"unknown":0,"unknown":0,{second}}}"#)
    };
    assert_refused(r#"{"topic":"t","data":"x","topic":"t"}"#, &["duplicate field `topic`"]);
    assert_refused(r#"{"topic":"t","data":"x","data":"x"}"#, &["duplicate field `data`"]);
    assert_refused(
        r#"{"topic":"t","data_base64":"","data_base64":""}"#,
        &["duplicate field `data_base64`"],
    );
    assert_refused(&twice(r#""scope":"s""#, r#""scope":"s""#), &["duplicate field `scope`"]);
    assert_refused(&twice(r#""scope":null"#, r#""scope":"s""#), &["duplicate field `scope`"]);
    assert_refused(&twice(r#""ttl":1"#, r#""ttl":null"#), &["duplicate field `ttl`"]);
    assert_refused(&twice(r#""id":"i""#, r#""id":"i""#), &["duplicate field `id`"]);
}

#[test]
fn a_value_of_the_wrong_type_in_any_field() {
    let wrong = |name: &str, value: &str| {
        let mut fields = vec![r#""topic":"t""#.to_owned(), r#""data":"x""#.to_owned()];
        match name {
            "topic" => drop(fields.remove(0)),
            "data" | "data_base64" => drop(fields.remove(1)),
            _ => {}
        }
        fields.push(format!(r#""{name}":{value}"#));
        format!("{{{}}}", fields.join(","))
    };

    for name in ["topic", "data", "data_base64", "scope", "id"] {
        let quoted = format!("`{name}`");
        for (value, kind) in [
            ("5", "integer `5`"),
            ("1.5", "floating point `1.5`"),
            ("true", "boolean `true`"),
            ("[\"x\"]", "sequence"),
            ("{\"x\":1}", "map"),
        ] {
            assert_refused(&wrong(name, value), &[&quoted, kind, "a string"]);
        }
    }
    for name in ["topic", "data", "data_base64"] {
        assert_refused(&wrong(name, "null"), &[&format!("`{name}`"), "null"]);
    }
    for (value, kind) in [
        ("\"30\"", "string \"30\""),
        ("true", "boolean `true`"),
        ("[1]", "sequence"),
        ("{\"secs\":1,\"nanos\":0}", "map"),
    ] {
        assert_refused(&wrong("ttl", value), &["`ttl`", kind, "whole milliseconds"]);
    }
}

#[test]
fn a_ttl_that_is_no_whole_number_of_milliseconds_in_range() {
    let with_ttl = |number: &str| format!(r#"{{"topic":"t","data":"x","ttl":{number}}}"#);
    for number in [
        "-1",
        "-0",
        "-9223372036854775808",
        "-9223372036854775809",
        "1.5",
        "1.0",
        "1e3",
        "1E3",
        "0.0001",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "1e300",
    ] {
        assert_refused(
            &with_ttl(number),
            &["`ttl`", "whole milliseconds from 0 to 9223372036854775807"],
        );
    }
    // Not a number in JSON at all.
    for number in ["+1", "01", "0x10", "NaN", "1e999"] {
        assert_refused(&with_ttl(number), &["line 1 column"]);
    }
}

#[test]
fn base64_that_is_not_base64() {
    let with = |text: &str| format!(r#"{{"topic":"t","data_base64":"{text}"}}"#);
    for text in [
        "a",        // no number of bytes takes one symbol
        "aGk",      // the padding is missing
        "aGk==",    // too much of it
        "aGk=aGk=", // padding in the middle
        "a-_k",     // the alphabet of URLs
        "aG k",     // white space
        "aGl=",     // bits behind the end
        "ä", "!!!!",
    ] {
        assert_refused(&with(text), &["invalid base64", "`data_base64`"]);
    }
}

#[test]
fn half_of_a_surrogate_pair() {
    for half in
        [r"\ud800", r"\udc00", r"\ud800x", r"\ud800\u0041", r"\ud800\ud800", r"\ude00\ud83d"]
    {
        for text in [
            format!(r#"{{"topic":"t","data":"{half}"}}"#),
            format!(r#"{{"topic":"{half}","data":"x"}}"#),
            format!(r#"{{"topic":"t","data":"x","scope":"{half}"}}"#),
            format!(r#"{{"topic":"t","data":"x","id":"{half}"}}"#),
        ] {
            assert_refused(&text, &["hex escape", "line 1 column"]);
        }
    }
}

#[test]
fn text_that_json_does_not_allow() {
    // A bare control character within a string.
    assert_refused("{\"topic\":\"t\",\"data\":\"a\0b\"}", &["control character"]);
    assert_refused("{\"topic\":\"t\",\"data\":\"a\nb\"}", &["control character"]);
    assert_refused(r#"{"topic":"t","data":"x""#, &["EOF"]);
    assert_refused(r#"{"topic":"t","data":"x"},"#, &["trailing characters"]);
    assert_refused("", &["EOF"]);

    let not_utf8 = b"{\"topic\":\"t\",\"data\":\"\xff\"}";
    let error = serde_json::from_slice::<MessageEnvelope>(not_utf8).unwrap_err().to_string();
    assert!(error.contains("invalid unicode"), "{error}");
}

#[test]
fn json_that_is_no_object() {
    for (text, kind) in [
        (r#"["t","x",null,null,null]"#, "sequence"),
        (r#""topic""#, "string"),
        ("5", "integer"),
        ("null", "null"),
    ] {
        assert_refused(text, &[kind, "a message envelope: an object with `topic` and `data`"]);
    }
}

#[test]
fn values_are_refused_for_the_same_reasons() {
    for (value, words) in [
        (json!({ "data": "x" }), ["`topic`", "missing"]),
        (json!({ "topic": "t" }), ["`data`", "missing"]),
        (json!({ "topic": null, "data": "x" }), ["`topic`", "null"]),
        (json!({ "topic": "t", "data": ["x"] }), ["`data`", "sequence"]),
        (json!({ "topic": "t", "data_base64": "?" }), ["`data_base64`", "invalid base64"]),
        (json!({ "topic": "t", "data": "", "data_base64": "" }), ["`data_base64`", "both"]),
        (json!({ "topic": "t", "data": "x", "scope": 1 }), ["`scope`", "integer `1`"]),
        (json!({ "topic": "t", "data": "x", "id": {} }), ["`id`", "map"]),
        (json!({ "topic": "t", "data": "x", "ttl": -1 }), ["`ttl`", "integer `-1`"]),
        (json!({ "topic": "t", "data": "x", "ttl": 1.5 }), ["`ttl`", "floating point `1.5`"]),
        (json!({ "topic": "t", "data": "x", "ttl": u64::MAX }), ["`ttl`", "18446744073709551615"]),
    ] {
        let error = serde_json::from_value::<MessageEnvelope>(value).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{error:?} without {word:?}");
        }
    }
}
