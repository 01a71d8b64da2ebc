//! Binary serde formats: every field exactly as it is, the data as bytes.
#![cfg(feature = "serde")]

use std::time::Duration;

use backend_core::MessageEnvelope;

#[track_caller]
fn assert_round_trip(envelope: &MessageEnvelope) {
    let bytes = postcard::to_stdvec(envelope).unwrap();
    let (read, rest) = postcard::take_from_bytes::<MessageEnvelope>(&bytes).unwrap();
    assert_eq!(&read, envelope);
    assert!(rest.is_empty(), "{rest:?} is left over");
}

/// The layout is part of the contract between two versions of a service.
#[test]
fn five_fields_in_a_fixed_order() {
    let full = MessageEnvelope::new("to", vec![0xff_u8, 0x00])
        .with_scope("s")
        .with_ttl(Duration::new(3, 5))
        .with_id("");
    #[rustfmt::skip]
    let expected = [
        2, b't', b'o',
        2, 0xff, 0x00,
        1, 1, b's',
        1, 3, 5,
        1, 0,
    ];
    assert_eq!(postcard::to_stdvec(&full).unwrap(), expected);

    let plain = MessageEnvelope::new("", "");
    assert_eq!(postcard::to_stdvec(&plain).unwrap(), [0, 0, 0, 0, 0]);
}

#[test]
fn every_combination_of_fields_goes_both_ways() {
    for scope in [None, Some(""), Some("user:42"), Some("\0😀")] {
        for ttl in [
            None,
            Some(Duration::ZERO),
            Some(Duration::from_nanos(1)),
            Some(Duration::from_nanos(1_000_001)),
            Some(Duration::MAX),
        ] {
            for id in [None, Some(""), Some("7")] {
                for data in [&b""[..], b"text", &[0xff, 0x00, 0xfe]] {
                    let mut envelope = MessageEnvelope::new("orders", data.to_vec());
                    if let Some(scope) = scope {
                        envelope = envelope.with_scope(scope);
                    }
                    if let Some(ttl) = ttl {
                        envelope = envelope.with_ttl(ttl);
                    }
                    if let Some(id) = id {
                        envelope = envelope.with_id(id);
                    }
                    assert_round_trip(&envelope);
                }
            }
        }
    }
}

#[test]
fn every_byte_and_a_mebibyte_go_both_ways() {
    assert_round_trip(&MessageEnvelope::new("t", (0..=u8::MAX).collect::<Vec<_>>()));
    assert_round_trip(&MessageEnvelope::new("t", vec![0x80_u8; 1 << 20]));
}

#[test]
fn bytes_are_bytes_and_nothing_is_put_around_them() {
    let envelope = MessageEnvelope::new("t", vec![0xff_u8; 1 << 20]);
    let length = postcard::to_stdvec(&envelope).unwrap().len();
    // Topic with its length, three for the length of the data, one for each absent field.
    assert_eq!(length, 2 + 3 + (1 << 20) + 3);
}

#[test]
fn what_was_cut_short_is_refused() {
    let envelope = MessageEnvelope::new("topic", "data").with_scope("s").with_id("i");
    let bytes = postcard::to_stdvec(&envelope).unwrap();
    for length in 0..bytes.len() {
        postcard::from_bytes::<MessageEnvelope>(&bytes[..length]).expect_err("cut short");
    }
}

#[test]
fn a_topic_that_is_not_utf8_is_refused() {
    postcard::from_bytes::<MessageEnvelope>(&[1, 0xff, 0, 0, 0, 0]).expect_err("not UTF-8");
    postcard::from_bytes::<MessageEnvelope>(&[1, b't', 0, 0, 0, 0]).expect("the same with UTF-8");
}
