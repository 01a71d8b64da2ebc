//! Different topics and namespaces have different names, and no name means anything to an engine.

use std::collections::HashMap;

use backend_engine::name::{LONGEST, Names};
use proptest::prelude::*;

fn is_legal(name: &str) -> bool {
    let literal = |c: char| c.is_ascii_alphanumeric() || "_-%~.".contains(c);
    let token = |token: &str| !token.is_empty() && !token.contains('.');
    let mut tokens = name.split('.');
    name.chars().all(literal) && tokens.by_ref().take(2).all(token) && tokens.next().is_none()
}

/// Few characters, so that namespaces and topics often resemble each other.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ab.~%_*>-]{0,4}",
        2 => any::<String>(),
        1 => "[a.]{180,210}",
        1 => "(%61|a|~|é){40,80}",
        1 => "a{190,210}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn names_are_legal_short_and_nobody_elses(
        pairs in proptest::collection::vec((texts(), texts()), 1..30),
        longest in prop_oneof![Just(LONGEST), 45_usize..70],
    ) {
        let mut known = HashMap::new();
        for (namespace, topic) in pairs {
            let names = Names::within(&namespace, longest);
            let name = names.name(&topic);
            prop_assert!(is_legal(name.as_str()), "{}", name);
            prop_assert!(name.as_str().len() <= longest, "{}", name);
            prop_assert_eq!(&name, &names.name(&topic));

            let own = names.internal(&topic);
            prop_assert!(is_legal(own.as_str()), "{}", own);
            prop_assert!(own.as_str().len() <= longest, "{}", own);
            for (name, what) in [(name, (false, &namespace, &topic)), (own, (true, &namespace, &topic))] {
                let what = (what.0, what.1.clone(), what.2.clone());
                let first = known.entry(name).or_insert_with(|| what.clone());
                prop_assert_eq!(&*first, &what);
            }
        }
    }
}

#[test]
fn a_name_is_what_the_page_says() {
    let names = Names::new("chat");
    let cases = [
        ("orders", "chat.orders"),
        ("orders.>", "chat.orders%2E%3E"),
        ("käse", "chat.k%C3%A4se"),
        ("", "chat.~"),
        ("~", "chat.%7E"),
        ("%7E", "chat.%257E"),
        ("a b\r\n\0*?[a]", "chat.a%20b%0D%0A%00%2A%3F%5Ba%5D"),
        ("$SYS", "chat.%24SYS"),
        ("Az09_-", "chat.Az09_-"),
    ];
    for (topic, name) in cases {
        assert_eq!(names.name(topic).as_str(), name, "{topic:?}");
    }
    let digest = "chat.~mDX6a_TiCpueqBJQYwLpiYJyGmz40srmevVxKb8hrpA";
    assert_eq!(names.name(&"a".repeat(300)).as_str(), digest);
}

#[test]
fn an_internal_name_is_no_topics() {
    let names = Names::new("chat");
    assert_eq!(names.internal("hello.1").as_str(), "chat.~~hello%2E1");
    // Not even where the word is a digest.
    let topic = names.name(&"a".repeat(300));
    assert_ne!(names.internal(&topic.as_str()["chat.~".len()..]), topic);
}

#[test]
fn the_last_topic_in_percent_form_is_as_long_as_a_name_may_be() {
    let names = Names::new("chat");
    let longest = "a".repeat(LONGEST - "chat.".len());
    assert_eq!(names.name(&longest).as_str(), format!("chat.{longest}"));
    let digest = names.name(&format!("{longest}a"));
    assert_eq!(digest.as_str().len(), "chat.~".len() + 43);
}

#[test]
fn a_namespace_of_any_length_leaves_room_for_a_name() {
    for length in [100, 155, 156, 199, 200, 201, 100_000] {
        let names = Names::new(&"n".repeat(length));
        for topic in ["", "t", &"t".repeat(1_000)] {
            let name = names.name(topic);
            assert!(name.as_str().len() <= LONGEST, "{name}");
            assert!(is_legal(name.as_str()), "{name}");
        }
        assert_ne!(names.name("a"), names.name("b"));
    }
}

#[test]
fn the_least_limit_has_room_for_every_name() {
    let names = Names::within(&"n".repeat(50), 45);
    assert_eq!(names.name("orders").as_str().len(), 44);
    assert_eq!(names.internal("hello").as_str().len(), 45);
}

#[test]
#[should_panic(expected = "44 bytes are too few")]
fn a_limit_below_a_digest_is_a_mistake() {
    let _ = Names::within("chat", 44);
}
