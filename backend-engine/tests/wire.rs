//! What was written is read, in both formats, for any envelope; and its length is known before.

use std::sync::Arc;
use std::time::Duration;

use backend_core::{Error, MessageEnvelope};
use backend_engine::wire::{self, Format, Frame, Refused};
use backend_engine::{Origin, Stamp};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

const FORMATS: [Format; 2] = [Format::Binary, Format::Json];

fn stamps() -> impl Strategy<Value = Stamp> {
    let number = || prop_oneof![0..10_u64, any::<u64>()];
    (any::<[u8; 16]>(), number(), number()).prop_map(|(origin, epoch, sequence)| Stamp {
        origin: Origin::from_bytes(origin),
        epoch,
        sequence: sequence.max(1),
    })
}

/// Any characters, also those that JSON escapes.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[\\x00-\\x7f]{0,40}", "[a-z.]{0,300}"]
}

fn ttls() -> impl Strategy<Value = Duration> {
    let any = (any::<u64>(), 0..1_000_000_000_u32);
    prop_oneof![
        any.prop_map(|(seconds, nanoseconds)| Duration::new(seconds, nanoseconds)),
        Just(Duration::ZERO),
        Just(Duration::MAX),
        (0..100_000_u64).prop_map(Duration::from_millis),
    ]
}

fn envelopes() -> impl Strategy<Value = MessageEnvelope> {
    let data = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..600),
        texts().prop_map(String::into_bytes),
    ];
    let options = (
        proptest::option::of(texts()),
        proptest::option::of(ttls()),
        proptest::option::of(texts()),
    );
    (texts(), data, options).prop_map(|(topic, data, (scope, ttl, id))| {
        let mut envelope = MessageEnvelope::new(topic, data);
        if let Some(scope) = scope {
            envelope = envelope.with_scope(scope);
        }
        if let Some(ttl) = ttl {
            envelope = envelope.with_ttl(ttl);
        }
        if let Some(id) = id {
            envelope = envelope.with_id(id);
        }
        envelope
    })
}

fn encoded(format: Format, stamp: &Stamp, envelope: &MessageEnvelope) -> Result<Bytes, Error> {
    let mut frame = BytesMut::new();
    wire::encode(format, stamp, envelope, &mut frame)?;
    Ok(frame.freeze())
}

/// What JSON keeps of a ttl; `None` if it has no form for it.
fn in_milliseconds(envelope: MessageEnvelope) -> Option<MessageEnvelope> {
    let Some(ttl) = envelope.ttl() else { return Some(envelope) };
    let whole = u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).ok()?;
    (whole <= i64::MAX as u64).then(|| envelope.with_ttl(Duration::from_millis(whole)))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn binary_carries_everything_exactly(stamp in stamps(), envelope in envelopes()) {
        let frame = encoded(Format::Binary, &stamp, &envelope).unwrap();
        prop_assert_eq!(wire::peek_origin(&frame), Some(stamp.origin));
        let overhead = wire::overhead(Format::Binary, &envelope).unwrap();
        prop_assert_eq!(frame.len(), overhead + envelope.data().len());

        let decoded = wire::decode(frame.clone()).unwrap();
        // Not a copy: the data lies where the frame ends.
        prop_assert_eq!(decoded.envelope.data().as_ptr_range().end, frame.as_ptr_range().end);
        prop_assert_eq!(decoded, Frame { stamp: Some(stamp), envelope, is_tally: false });
    }

    #[test]
    fn json_carries_everything_but_parts_of_milliseconds(stamp in stamps(), envelope in envelopes()) {
        let Some(expected) = in_milliseconds(envelope.clone()) else {
            prop_assert!(matches!(encoded(Format::Json, &stamp, &envelope), Err(Error::Codec(_))));
            return Ok(());
        };
        let frame = encoded(Format::Json, &stamp, &envelope).unwrap();
        prop_assert_eq!(wire::peek_origin(&frame), Some(stamp.origin));
        let overhead = wire::overhead(Format::Json, &envelope).unwrap();
        let length = frame.len() - envelope.data().len();
        prop_assert!((overhead - 38..=overhead).contains(&length), "{} of {}", length, overhead);
        prop_assert_eq!(wire::decode(frame).unwrap(), Frame { stamp: Some(stamp), envelope: expected, is_tally: false });
    }

    #[test]
    fn an_envelope_in_json_of_any_writer_is_read(envelope in envelopes()) {
        let Some(expected) = in_milliseconds(envelope.clone()) else { return Ok(()) };
        let frame = Bytes::from(serde_json::to_vec(&envelope).unwrap());
        prop_assert_eq!(wire::peek_origin(&frame), None);
        prop_assert_eq!(wire::decode(frame).unwrap(), Frame { stamp: None, envelope: expected, is_tally: false });
    }

    #[test]
    fn a_message_has_all_its_frames(
        topic in texts(),
        all in proptest::collection::vec((stamps(), envelopes()), 1..8),
    ) {
        let (mut message, mut expected) = (BytesMut::new(), Vec::new());
        for (stamp, other) in all {
            let mut envelope = MessageEnvelope::new(topic.clone(), other.data().clone());
            if let Some(scope) = other.scope() {
                envelope = envelope.with_scope(scope);
            }
            wire::encode(Format::Binary, &stamp, &envelope, &mut message).unwrap();
            expected.push(Ok(Frame { stamp: Some(stamp), envelope, is_tally: false }));
        }
        let topic: Arc<str> = topic.into();
        prop_assert_eq!(wire::frames(&topic, message.freeze()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_passes_the_check_of_the_size_fits(
        stamp in stamps(),
        envelope in envelopes(),
        largest in 0_usize..2_000,
    ) {
        for format in FORMATS {
            let Ok(frame) = encoded(format, &stamp, &envelope) else { continue };
            match wire::check_size(format, &envelope, largest) {
                Ok(()) => prop_assert!(frame.len() <= largest),
                Err(Error::PayloadTooLarge { actual, limit }) => {
                    prop_assert_eq!(actual, envelope.data().len());
                    prop_assert!(actual > limit || limit == 0);
                    if format == Format::Binary {
                        prop_assert!(frame.len() > largest);
                        prop_assert_eq!(limit, largest.saturating_sub(frame.len() - actual));
                    } else {
                        prop_assert!(frame.len() + 38 > largest);
                    }
                }
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }
}

#[test]
fn json_that_passes_the_check_fits_with_any_stamp() {
    let most = Stamp { origin: Origin::random(), epoch: u64::MAX, sequence: u64::MAX };
    let plain = MessageEnvelope::new("", "");
    let full =
        plain.clone().with_scope("\0").with_ttl(Duration::from_millis(1 << 62)).with_id("\0");
    for envelope in [plain, full] {
        let frame = encoded(Format::Json, &most, &envelope).unwrap();
        for largest in 0..1_000 {
            let fits = wire::check_size(Format::Json, &envelope, largest).is_ok();
            assert_eq!(fits, frame.len() <= largest, "{} bytes of {largest}", frame.len());
        }
    }
}

#[test]
fn only_a_whole_origin_at_its_place_is_peeked() {
    let digits = "0".repeat(32);
    let json = |digits: &str| format!(r#"{{"numbering":{{"origin":"{digits}"#);
    let whole = json(&format!("{digits}\""));
    assert_eq!(wire::peek_origin(whole.as_bytes()), Some(Origin::from_bytes([0; 16])));
    let others =
        [json(&digits), json(&format!("{digits}0\"")), json(&format!("{}\"", &digits[1..]))];
    for other in &others {
        assert_eq!(wire::peek_origin(other.as_bytes()), None, "{other}");
    }

    let binary = [&[0xf7, 1], &[9; 16][..]].concat();
    assert_eq!(wire::peek_origin(&binary), Some(Origin::from_bytes([9; 16])));
    for length in 0..binary.len() {
        assert_eq!(wire::peek_origin(&binary[..length]), None, "{length} bytes");
    }
    assert_eq!(wire::peek_origin(&[&[0xf7, 2], &[9; 16][..]].concat()), None);
}

#[test]
fn frames_that_share_a_buffer_do_not_disturb_each_other() {
    let stamp = Stamp { origin: Origin::random(), epoch: 0, sequence: 1 };
    let mut buffer = BytesMut::with_capacity(64);
    let mut frames = Vec::new();
    for number in 0..100 {
        let envelope = MessageEnvelope::new("orders", format!("order {number}"));
        let format = FORMATS[number % 2];
        wire::encode(format, &stamp, &envelope, &mut buffer).unwrap();
        // A ttl that JSON has no form for leaves no trace in the buffer.
        let impossible = envelope.clone().with_ttl(Duration::MAX);
        assert!(wire::encode(Format::Json, &stamp, &impossible, &mut buffer).is_err());
        frames.push((buffer.split().freeze(), envelope));
    }
    for (frame, envelope) in frames {
        assert_eq!(
            wire::decode(frame),
            Ok(Frame { stamp: Some(stamp), envelope, is_tally: false })
        );
    }
}

#[test]
fn the_stamp_may_stand_anywhere_in_json_and_be_null() {
    let numbering =
        r#""numbering":{"origin":"000102030405060708090A0B0C0D0E0F","epoch":1,"sequence":2}"#;
    let last = format!(r#"{{"topic":"t","data":"d",{numbering}}}"#);
    let stamp = wire::decode(last.into()).unwrap().stamp.unwrap();
    assert_eq!((stamp.epoch, stamp.sequence), (1, 2));
    assert_eq!(stamp.origin.to_string(), "000102030405060708090a0b0c0d0e0f");

    let null = wire::decode(r#"{"topic":"t","data":"d","numbering":null,"more":[{}]}"#.into());
    assert_eq!(null.unwrap().stamp, None);
}

#[test]
fn a_topic_is_compared_byte_by_byte() {
    let frame =
        Frame { stamp: None, envelope: MessageEnvelope::new("orders", ""), is_tally: false };
    assert_eq!(frame.expect_topic("orders"), Ok(()));
    for other in ["", "order", "orders ", "Orders", "orders\0"] {
        assert_eq!(frame.expect_topic(other), Err(Refused::Topic), "{other:?}");
    }
}
