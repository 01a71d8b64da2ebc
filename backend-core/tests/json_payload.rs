//! `from_json` and `json`: payloads that are JSON.
#![cfg(feature = "json")]

use std::collections::BTreeMap;

use backend_core::{Error, MessageEnvelope};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Order {
    table: u32,
    drinks: Vec<String>,
    note: Option<String>,
}

#[test]
fn a_value_goes_in_and_comes_out() {
    let order = Order { table: 7, drinks: vec!["coffee".into(), "<té>\0".into()], note: None };
    let envelope = MessageEnvelope::from_json("orders", &order).unwrap();

    assert_eq!(envelope.topic(), "orders");
    assert_eq!(envelope.data(), r#"{"table":7,"drinks":["coffee","<té>\u0000"],"note":null}"#);
    assert_eq!((envelope.scope(), envelope.ttl(), envelope.id()), (None, None, None));
    assert_eq!(envelope.json::<Order>().unwrap(), order);
}

#[test]
fn unsized_values_go_in() {
    assert_eq!(MessageEnvelope::from_json("t", "text").unwrap().data(), r#""text""#);
    assert_eq!(MessageEnvelope::from_json("t", [1, 2].as_slice()).unwrap().data(), "[1,2]");
}

#[test]
fn the_value_outlives_the_envelope() {
    let text: String = {
        let envelope = MessageEnvelope::new("t", " \"kept\"\n");
        envelope.json().unwrap()
    };
    assert_eq!(text, "kept");
}

#[test]
fn data_that_is_no_such_value_is_a_codec_error() {
    for data in [
        &b""[..],
        b"{",
        b"not json",
        b"{\"table\":\"seven\",\"drinks\":[]}",
        b"{\"table\":7,\"drinks\":[]} {}",
        b"{\"table\":7,\"drinks\":[\"\xff\"]}",
    ] {
        let envelope = MessageEnvelope::new("t", data.to_vec());
        let error = envelope.json::<Order>().unwrap_err();
        assert!(matches!(error, Error::Codec(_)), "{error:?}");
        assert!(!error.is_retryable());
    }

    let error = MessageEnvelope::new("t", r#"{"drinks":[]}"#).json::<Order>().unwrap_err();
    assert!(error.to_string().contains("missing field `table`"), "{error}");
}

#[test]
fn a_value_without_a_json_form_is_a_codec_error() {
    let keys_that_are_no_strings = BTreeMap::from([(vec![1], 2)]);
    let error = MessageEnvelope::from_json("t", &keys_that_are_no_strings).unwrap_err();
    assert!(matches!(error, Error::Codec(_)), "{error:?}");
    assert!(error.to_string().contains("key must be a string"), "{error}");
}

#[test]
fn an_error_does_not_repeat_a_whole_payload() {
    let payload = format!("\"{}\"", "long ".repeat(100_000));
    let error = MessageEnvelope::new("t", payload).json::<u32>().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("invalid type: string \"long long"), "{text}");
    assert!(text.len() < 400, "{} bytes", text.len());
}
