//! Whatever the bytes, a frame or a reason comes of it, and no panic.

use backend_engine::wire::{self, Frame, Refused};
use backend_engine::{Ledger, Origin, Stamp};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::{Index, select};

const GOLDEN: [&[u8]; 12] = [
    include_bytes!("golden/v1-plain.bin"),
    include_bytes!("golden/v1-full.bin"),
    include_bytes!("golden/v1-empty.bin"),
    include_bytes!("golden/v1-bytes.bin"),
    include_bytes!("golden/v1-largest.bin"),
    include_bytes!("golden/v1-plain.json"),
    include_bytes!("golden/v1-full.json"),
    include_bytes!("golden/v1-empty.json"),
    include_bytes!("golden/v1-bytes.json"),
    include_bytes!("golden/v1-largest.json"),
    include_bytes!("golden/tavern-plain.json"),
    include_bytes!("golden/tavern-full.json"),
];

const FULL: &[u8] = GOLDEN[1];

/// Reads it, and holds what must hold of all that can be read.
fn read(bytes: &[u8]) -> Result<wire::Frame, Refused> {
    let peeked = wire::peek_origin(bytes);
    let decoded = wire::decode(Bytes::copy_from_slice(bytes));
    match &decoded {
        Ok(frame) => {
            let origin = frame.stamp.map(|stamp| stamp.origin);
            assert!(peeked.is_none() || peeked == origin, "peeked {peeked:?}, read {origin:?}");
            let envelope = &frame.envelope;
            let texts = envelope.topic().len() + envelope.data().len();
            assert!(texts <= bytes.len(), "{texts} bytes of {}", bytes.len());
            assert!(frame.stamp.is_none_or(|stamp| stamp.sequence > 0));
        }
        Err(refused) => {
            assert!(refused.to_string().len() < 1_000, "{refused}");
            assert!(!refused.reason().is_empty());
        }
    }
    decoded
}

#[track_caller]
fn refused(bytes: &[u8], because: Refused) {
    assert_eq!(read(bytes), Err(because));
}

/// `FULL` with these bytes at this place.
fn full_with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = FULL.to_vec();
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

#[test]
fn no_beginning_of_a_frame_is_a_frame() {
    for golden in GOLDEN {
        assert!(read(golden).is_ok());
        for length in 0..golden.len() {
            let decoded = read(&golden[..length]);
            assert!(decoded.is_err(), "{length} bytes of {}", golden.len());
        }
    }
    refused(&FULL[..20], Refused::Truncated { needed: 26, actual: 20 });
    refused(&FULL[..FULL.len() - 1], Refused::Truncated { needed: 97, actual: 96 });
}

#[test]
fn any_change_of_a_byte_gives_a_frame_or_a_reason() {
    for golden in GOLDEN {
        let mut frame = golden.to_vec();
        for place in 0..frame.len() {
            for byte in 0..=255 {
                frame[place] = byte;
                let _ = read(&frame);
            }
            frame[place] = golden[place];
        }
    }
}

#[test]
fn nothing_may_follow_a_frame() {
    for golden in GOLDEN {
        let two = [golden, golden].concat();
        match read(&two) {
            Err(Refused::Trailing { extra }) => assert_eq!(extra, golden.len() as u64),
            Err(Refused::Json(_)) => assert_eq!(golden[0], b'{'),
            other => panic!("{other:?}"),
        }
    }
}

/// What comes out of it as a message of this topic.
fn read_all(topic: &str, message: &[u8]) -> Vec<Result<Frame, Refused>> {
    wire::frames(&topic.into(), Bytes::copy_from_slice(message)).collect()
}

#[test]
fn with_what_is_refused_goes_the_rest_of_its_message() {
    let [plain, full] = [GOLDEN[0], GOLDEN[1]];
    let foreign = [plain, b"hello", plain].concat();
    let [Ok(_), Err(Refused::Foreign { first: b'h' })] = read_all("orders", &foreign)[..] else {
        panic!("the first one is read, and the rest is refused as one");
    };
    let cut = [plain, full, &plain[..58]].concat();
    let truncated = Refused::Truncated { needed: 59, actual: 58 };
    assert!(matches!(&read_all("orders", &cut)[..], [Ok(_), Ok(_), Err(why)] if *why == truncated));
    assert!(matches!(read_all("prices", &[plain, plain].concat())[..], [Err(Refused::Topic)]));
    assert!(matches!(read_all("orders", b"")[..], [Err(Refused::Empty)]));
}

#[test]
fn json_is_a_message_of_its_own() {
    let [binary, json] = [GOLDEN[0], GOLDEN[5]];
    assert!(matches!(read_all("orders", json)[..], [Ok(_)]));
    assert!(matches!(read_all("orders", &[json, json].concat())[..], [Err(Refused::Json(_))]));
    let behind = read_all("orders", &[binary, json].concat());
    assert!(matches!(behind[..], [Ok(_), Err(Refused::Foreign { first: b'{' })]));
}

#[test]
fn each_fault_has_its_reason() {
    refused(b"", Refused::Empty);
    refused(b"\xf7", Refused::Truncated { needed: 2, actual: 1 });
    refused(b"hello", Refused::Foreign { first: b'h' });
    refused(b" {\"topic\":\"t\",\"data\":\"\"}", Refused::Foreign { first: b' ' });
    refused(&full_with(1, &[0]), Refused::Version { version: 0 });
    refused(&full_with(1, &[2]), Refused::Version { version: 2 });
    refused(b"\xf7\x02", Refused::Version { version: 2 });
    refused(&full_with(26, &[0; 8]), Refused::Sequence);
    refused(&full_with(34, &[0b1111]), Refused::Flags { flags: 0b1111 });
    refused(&full_with(34, &[0b1000_0111]), Refused::Flags { flags: 0b1000_0111 });
    // Lengths beyond the frame: of the topic, the data, the scope, the id, and of all together.
    let longest = u64::from(u32::MAX);
    let truncated = |needed| Refused::Truncated { needed, actual: 97 };
    refused(&full_with(35, &[0xff; 4]), truncated(97 - 6 + longest));
    refused(&full_with(39, &[0xff; 4]), truncated(97 - 11 + longest));
    refused(&full_with(43, &[0xff; 4]), truncated(97 - 7 + longest));
    refused(&full_with(59, &[0xff; 4]), truncated(97 - 10 + longest));
    let mut all = full_with(35, &[0xff; 12]);
    all[59..63].copy_from_slice(&[0xff; 4]);
    refused(&all, truncated(63 + 4 * longest));
    refused(&full_with(39, &[0, 0, 0, 10]), Refused::Trailing { extra: 1 });
    // A whole second of nanoseconds.
    let nanoseconds = 1_000_000_000;
    refused(&full_with(55, &1_000_000_000_u32.to_be_bytes()), Refused::Ttl { nanoseconds });
    refused(&full_with(63, b"\xff"), Refused::Text { field: "topic" });
    refused(&full_with(69, b"\xc3"), Refused::Text { field: "scope" });
    refused(&full_with(85, b"\xed"), Refused::Text { field: "id" });
}

#[test]
fn what_is_no_envelope_in_json_is_refused() {
    let origin = "000102030405060708090a0b0c0d0e0f";
    let envelope = r#""topic":"t","data":"d""#;
    let numbered = |numbering: &str| format!(r#"{{{envelope},"numbering":{numbering}}}"#);
    let frames = [
        "{".to_owned(),
        "{}".to_owned(),
        "{\"topic\":\"t\"}".to_owned(),
        format!("{{{envelope}}} {{"),
        "{\"x\":".repeat(100_000),
        numbered("7"),
        numbered("{}"),
        numbered(r#"{"origin":7,"epoch":0,"sequence":1}"#),
        numbered(r#"{"origin":"7","epoch":0,"sequence":1}"#),
        numbered(&format!(r#"{{"origin":"{origin}","epoch":-1,"sequence":1}}"#)),
        numbered(&format!(r#"{{"origin":"{origin}","epoch":0}}"#)),
        numbered(&format!(r#"{{"origin":"{origin}","epoch":0,"sequence":18446744073709551616}}"#)),
        format!(r#"{{"numbering":null,{envelope},"numbering":null}}"#),
    ];
    for frame in frames {
        let read = read(frame.as_bytes());
        assert!(matches!(read, Err(Refused::Json(_))), "{read:?}");
    }
    let zero = numbered(&format!(r#"{{"origin":"{origin}","epoch":0,"sequence":0}}"#));
    refused(zero.as_bytes(), Refused::Sequence);
    refused(
        b"{\"topic\":\"\xff\",\"data\":\"\"}",
        Refused::Json("invalid unicode code point at line 1 column 11".to_owned()),
    );
}

#[test]
fn a_refusal_quotes_a_short_piece_at_most() {
    let frame = format!(r#"{{"topic":"t","data":"d","ttl":"{}"}}"#, "ä".repeat(100_000));
    let Err(Refused::Json(text)) = read(frame.as_bytes()) else { panic!("a ttl is a number") };
    assert!(text.ends_with('…') && text.chars().count() == 161, "{text}");
}

/// As many as `PROPTEST_CASES` says, or as a second or two allows.
fn many() -> ProptestConfig {
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => default,
        None => ProptestConfig { cases: 10_000, ..default },
    }
}

/// Bytes that get past the first checks more often than random ones do.
fn nearly_frames() -> impl Strategy<Value = Vec<u8>> {
    let noise = || proptest::collection::vec(any::<u8>(), 0..120);
    let small = || prop_oneof![Just([0; 4]), any::<u8>().prop_map(|n| [0, 0, 0, n])];
    let headed = (any::<[u8; 32]>(), 0..9_u8, small(), small(), noise()).prop_map(
        |(stamp, flags, topic, data, noise)| {
            [&[0xf7, 1], &stamp[..], &[flags], &topic, &data, &noise].concat()
        },
    );
    let edits = proptest::collection::vec((any::<Index>(), any::<u8>()), 0..8);
    let edited = (select(&GOLDEN[..]), edits, any::<Index>(), noise()).prop_map(
        |(golden, edits, cut, noise)| {
            let mut frame = golden.to_vec();
            for (place, byte) in edits {
                *place.get_mut(&mut frame) = byte;
            }
            if noise.len().is_multiple_of(2) {
                frame.truncate(cut.index(frame.len()) + 1);
                frame.extend(noise);
            }
            frame
        },
    );
    let json = "\\{(\"(topic|data|data_base64|scope|ttl|id|numbering)\":(\"[a-z=\\\\u0-9]{0,9}\"|[0-9]{1,22}|null|\\{\\}|\\[\\]),?){0,6}\\}";
    prop_oneof![noise(), headed, edited, json.prop_map(String::into_bytes)]
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn any_bytes_give_a_frame_or_a_reason(bytes in nearly_frames()) {
        let _ = read(&bytes);
    }

    #[test]
    fn any_message_gives_frames_and_then_perhaps_a_reason(
        parts in proptest::collection::vec(nearly_frames(), 0..5),
    ) {
        let message = parts.concat();
        let frames = read_all("orders", &message);
        prop_assert!(!frames.is_empty() && frames.len() <= 1 + message.len() / 43, "{frames:?}");
        let data: usize = frames.iter().flatten().map(|frame| frame.envelope.data().len()).sum();
        prop_assert!(data <= message.len());
        let is_read = |frame: &Result<Frame, _>| {
            frame.as_ref().is_ok_and(|frame| frame.envelope.topic() == "orders")
        };
        prop_assert!(frames[..frames.len() - 1].iter().all(is_read), "{frames:?}");
        if let Some(one) = parts.first().filter(|_| parts.len() == 1)
            && let Ok(frame) = read(one)
            && frame.envelope.topic() == "orders"
        {
            prop_assert_eq!(frames, [Ok(frame)]);
        }
    }

    #[test]
    fn any_stamps_give_a_verdict(stamps in proptest::collection::vec((0..3_u8, any::<u64>(), any::<u64>()), 0..20)) {
        let mut ledger = Ledger::with_capacity(1);
        for (origin, epoch, sequence) in stamps {
            let origin = Origin::from_bytes([origin; 16]);
            let _ = ledger.observe(&Stamp { origin, epoch: epoch % 3, sequence });
            prop_assert!(ledger.publishers() <= 2);
        }
    }
}
