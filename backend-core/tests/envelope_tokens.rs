//! Both forms of the envelope as a serde format sees them, token by token: what any other format is
//! asked to write, and may hand in.
#![cfg(feature = "serde")]

use std::time::Duration;

use backend_core::MessageEnvelope;
use serde_test::{
    Configure, Token, assert_de_tokens, assert_de_tokens_error, assert_ser_tokens,
    assert_ser_tokens_error, assert_tokens,
};

const NAME: &str = "MessageEnvelope";

fn full() -> MessageEnvelope {
    MessageEnvelope::new("t", "x").with_scope("s").with_ttl(Duration::from_millis(5)).with_id("i")
}

fn binary() -> MessageEnvelope {
    MessageEnvelope::new("t", vec![0xff_u8])
}

#[test]
fn a_human_readable_format_gets_the_fields_that_are_there() {
    assert_tokens(
        &full().readable(),
        &[
            Token::Struct { name: NAME, len: 5 },
            Token::Str("topic"),
            Token::Str("t"),
            Token::Str("data"),
            Token::Str("x"),
            Token::Str("scope"),
            Token::Some,
            Token::Str("s"),
            Token::Str("ttl"),
            Token::Some,
            Token::I64(5),
            Token::Str("id"),
            Token::Some,
            Token::Str("i"),
            Token::StructEnd,
        ],
    );
    assert_tokens(
        &binary().readable(),
        &[
            Token::Struct { name: NAME, len: 2 },
            Token::Str("topic"),
            Token::Str("t"),
            Token::Str("data_base64"),
            Token::Str("/w=="),
            Token::StructEnd,
        ],
    );
    assert_ser_tokens_error(
        &binary().with_ttl(Duration::MAX).readable(),
        &[],
        "`ttl` of 18446744073709551615.999999999s is longer than 9223372036854775807 milliseconds",
    );
}

#[test]
fn a_human_readable_format_may_hand_in_its_strings_and_numbers_as_it_likes() {
    for text in [Token::Str, Token::BorrowedStr, Token::String] {
        for number in [Token::I64(5), Token::U64(5), Token::U8(5), Token::I32(5)] {
            assert_de_tokens(
                &full().readable(),
                &[
                    Token::Map { len: None },
                    text("id"),
                    Token::Some,
                    text("i"),
                    text("ttl"),
                    Token::Some,
                    number,
                    text("unknown"),
                    Token::Seq { len: None },
                    Token::SeqEnd,
                    text("scope"),
                    Token::Some,
                    text("s"),
                    text("data_base64"),
                    text("eA=="),
                    text("topic"),
                    text("t"),
                    Token::MapEnd,
                ],
            );
        }
    }
    for nothing in [Token::None, Token::Unit] {
        assert_de_tokens(
            &MessageEnvelope::new("t", "x").readable(),
            &[
                Token::Map { len: None },
                Token::Str("topic"),
                Token::Str("t"),
                Token::Str("data"),
                Token::Str("x"),
                Token::Str("scope"),
                nothing,
                Token::Str("ttl"),
                nothing,
                Token::Str("id"),
                nothing,
                Token::MapEnd,
            ],
        );
    }
}

#[test]
fn nothing_is_no_topic() {
    for nothing in [Token::None, Token::Unit] {
        let tokens = [Token::Map { len: None }, Token::Str("topic"), nothing];
        let word = if nothing == Token::None { "Option value" } else { "unit value" };
        assert_de_tokens_error::<serde_test::Readable<MessageEnvelope>>(
            &tokens,
            &format!("invalid type: {word}, expected a string as `topic`"),
        );
    }
}

#[test]
fn a_binary_format_gets_five_fields() {
    let ttl = Duration::new(3, 5);
    assert_tokens(
        &binary().with_ttl(ttl).compact(),
        &[
            Token::Struct { name: NAME, len: 5 },
            Token::Str("topic"),
            Token::Str("t"),
            Token::Str("data"),
            Token::Bytes(&[0xff]),
            Token::Str("scope"),
            Token::None,
            Token::Str("ttl"),
            Token::Some,
            Token::Struct { name: "Duration", len: 2 },
            Token::Str("secs"),
            Token::U64(3),
            Token::Str("nanos"),
            Token::U32(5),
            Token::StructEnd,
            Token::Str("id"),
            Token::None,
            Token::StructEnd,
        ],
    );
}

#[test]
fn a_binary_format_may_hand_in_a_sequence_and_its_bytes_as_it_likes() {
    for bytes in [Token::Bytes(&[0xff]), Token::BorrowedBytes(&[0xff]), Token::ByteBuf(&[0xff])] {
        assert_de_tokens(
            &binary().with_scope("").compact(),
            &[
                Token::Seq { len: Some(5) },
                Token::Str("t"),
                bytes,
                Token::Some,
                Token::Str(""),
                Token::None,
                Token::None,
                Token::SeqEnd,
            ],
        );
    }
    // What is UTF-8 is written as bytes there as well.
    assert_ser_tokens(
        &MessageEnvelope::new("", "x").compact(),
        &[
            Token::Struct { name: NAME, len: 5 },
            Token::Str("topic"),
            Token::Str(""),
            Token::Str("data"),
            Token::Bytes(b"x"),
            Token::Str("scope"),
            Token::None,
            Token::Str("ttl"),
            Token::None,
            Token::Str("id"),
            Token::None,
            Token::StructEnd,
        ],
    );
}
