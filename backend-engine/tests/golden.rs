//! The golden frames are read, and written byte for byte.

use std::time::Duration;

use backend_core::MessageEnvelope;
use backend_engine::wire::{self, Format, Frame};
use backend_engine::{Origin, Stamp};
use bytes::{Bytes, BytesMut};

macro_rules! golden {
    ($name:literal) => {
        Bytes::from_static(include_bytes!(concat!("golden/", $name)))
    };
}

const COUNTING: Origin = Origin::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
const ONES: Origin = Origin::from_bytes([0xff; 16]);

fn stamp(origin: Origin, epoch: u64, sequence: u64) -> Stamp {
    Stamp { origin, epoch, sequence }
}

fn plain() -> (Stamp, MessageEnvelope) {
    (stamp(COUNTING, 0, 7), MessageEnvelope::new("orders", "one coffee"))
}

fn full() -> (Stamp, MessageEnvelope) {
    let envelope = MessageEnvelope::new("orders", r#"{"table":7}"#)
        .with_scope("user:42")
        .with_ttl(Duration::new(30, 1))
        .with_id("order-1001");
    (stamp(COUNTING, 3, 1001), envelope)
}

fn empty() -> (Stamp, MessageEnvelope) {
    let envelope = MessageEnvelope::new("", "").with_scope("").with_ttl(Duration::ZERO).with_id("");
    (stamp(COUNTING, 0, 1), envelope)
}

fn bytes() -> (Stamp, MessageEnvelope) {
    let envelope = MessageEnvelope::new("a.b\r\n\0 *>käse", (0..=255).collect::<Vec<u8>>())
        .with_scope("ß")
        .with_id("💧");
    (stamp(COUNTING, 1, 2), envelope)
}

fn largest(ttl: Duration) -> (Stamp, MessageEnvelope) {
    (stamp(ONES, u64::MAX, u64::MAX), MessageEnvelope::new("t", "d").with_ttl(ttl))
}

#[track_caller]
fn holds(format: Format, golden: Bytes, (stamp, envelope): (Stamp, MessageEnvelope)) {
    let mut written = BytesMut::new();
    wire::encode(format, &stamp, &envelope, &mut written).expect("the format has a form for it");
    assert_eq!(written, golden);
    assert_eq!(wire::peek_origin(&golden), Some(stamp.origin));
    assert_eq!(wire::decode(golden), Ok(Frame { stamp: Some(stamp), envelope, is_tally: false }));
}

#[test]
fn version_1_in_binary_is_what_it_always_was() {
    holds(Format::Binary, golden!("v1-plain.bin"), plain());
    holds(Format::Binary, golden!("v1-full.bin"), full());
    holds(Format::Binary, golden!("v1-empty.bin"), empty());
    holds(Format::Binary, golden!("v1-bytes.bin"), bytes());
    holds(Format::Binary, golden!("v1-largest.bin"), largest(Duration::MAX));
}

#[test]
fn version_1_in_json_is_what_it_always_was() {
    holds(Format::Json, golden!("v1-plain.json"), plain());
    holds(Format::Json, golden!("v1-empty.json"), empty());
    holds(Format::Json, golden!("v1-bytes.json"), bytes());
    let longest = Duration::from_millis(i64::MAX as u64);
    holds(Format::Json, golden!("v1-largest.json"), largest(longest));
}

#[test]
fn json_rounds_a_ttl_up_to_whole_milliseconds() {
    let (stamp, envelope) = full();
    let mut written = BytesMut::new();
    wire::encode(Format::Json, &stamp, &envelope, &mut written).expect("JSON has a form for it");
    assert_eq!(written, golden!("v1-full.json"));

    let envelope = envelope.with_ttl(Duration::from_millis(30_001));
    assert_eq!(
        wire::decode(golden!("v1-full.json")),
        Ok(Frame { stamp: Some(stamp), envelope, is_tally: false })
    );
}

#[test]
fn what_go_writes_is_read() {
    let (_, envelope) = plain();
    assert_eq!(
        wire::decode(golden!("tavern-plain.json")),
        Ok(Frame { stamp: None, envelope, is_tally: false })
    );

    // Go escapes what might be markup.
    let envelope = MessageEnvelope::new("orders", "<p>one & two</p>")
        .with_scope("user:42")
        .with_ttl(Duration::from_secs(30))
        .with_id("order-1001");
    assert_eq!(
        wire::decode(golden!("tavern-full.json")),
        Ok(Frame { stamp: None, envelope, is_tally: false })
    );
    assert_eq!(wire::peek_origin(&golden!("tavern-full.json")), None);
}

#[test]
fn a_tally_is_what_it_always_was() {
    let (stamp, _) = plain();
    let mut written = BytesMut::new();
    wire::encode_tally(&stamp, "orders", &mut written).expect("the topic is short");
    assert_eq!(written, golden!("v1-tally.bin"));
    let envelope = MessageEnvelope::new("orders", "");
    let tally = Frame { stamp: Some(stamp), envelope, is_tally: true };
    assert_eq!(wire::decode(golden!("v1-tally.bin")), Ok(tally));
}

#[test]
fn two_frames_in_one_message_are_what_they_always_were() {
    let (first, coffee) = plain();
    let second = stamp(COUNTING, 0, 8);
    let tea = MessageEnvelope::new("orders", "one tea");
    let mut written = BytesMut::new();
    for (stamp, envelope) in [(&first, &coffee), (&second, &tea)] {
        wire::encode(Format::Binary, stamp, envelope, &mut written).expect("there is a form");
    }
    assert_eq!(written, golden!("v1-two.bin"));
    assert_eq!(wire::peek_origin(&written), Some(COUNTING));
    let frame = |stamp, envelope| Ok(Frame { stamp: Some(stamp), envelope, is_tally: false });
    let read: Vec<_> = wire::frames(&"orders".into(), written.freeze()).collect();
    assert_eq!(read, [frame(first, coffee), frame(second, tea)]);
}
