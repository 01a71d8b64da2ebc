//! Short texts for envelopes and events, for messages and stories.

use std::time::Duration;

use backend_core::{Event, MessageEnvelope};

/// Longer texts are cut here.
const SHOWN: usize = 40;

/// A topic or data, quoted, escaped and short.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}… ({} bytes)", &text[..end], text.len()),
    }
}

/// An envelope: its data, its topic, and of the rest what is there.
pub(crate) fn shown(envelope: &MessageEnvelope) -> String {
    let mut text = format!("{} to {}", data(envelope), quoted(envelope.topic()));
    if let Some(scope) = envelope.scope() {
        text += &format!(", scope {}", quoted(scope));
    }
    if let Some(id) = envelope.id() {
        text += &format!(", id {}", quoted(id));
    }
    if let Some(ttl) = envelope.ttl() {
        text += &format!(", ttl {ttl:?}");
    }
    text
}

fn data(envelope: &MessageEnvelope) -> String {
    match std::str::from_utf8(envelope.data()) {
        Ok(text) => quoted(text),
        Err(_) => {
            let start = &envelope.data()[..envelope.data().len().min(SHOWN / 2)];
            format!("b\"{}\"… ({} bytes)", start.escape_ascii(), envelope.data().len())
        }
    }
}

/// The data of some envelopes.
pub(crate) fn all(envelopes: &[MessageEnvelope]) -> String {
    let mut all: Vec<String> = envelopes.iter().take(5).map(data).collect();
    if envelopes.len() > all.len() {
        all.push(format!("{} more", envelopes.len() - all.len()));
    }
    all.join(", ")
}

/// What a read gave.
pub(crate) fn event(event: Option<&Event>) -> String {
    match event {
        Some(Event::Message(envelope)) => data(envelope),
        Some(Event::Gap(gap)) => format!("a gap: {gap}"),
        Some(other) => format!("{other:?}"),
        None => "the end (None)".to_owned(),
    }
}

/// Where two envelopes differ.
pub(crate) fn difference(expected: &MessageEnvelope, seen: &MessageEnvelope) -> Vec<String> {
    let mut fields = Vec::new();
    if expected.topic() != seen.topic() {
        fields.push(format!(
            "topic {} in place of {}",
            quoted(seen.topic()),
            quoted(expected.topic())
        ));
    }
    if expected.data() != seen.data() {
        fields.push(format!(
            "data {} of {} bytes in place of {} of {}",
            data(seen),
            seen.data().len(),
            data(expected),
            expected.data().len()
        ));
    }
    if expected.scope() != seen.scope() {
        fields.push(format!("scope {:?} in place of {:?}", seen.scope(), expected.scope()));
    }
    if expected.id() != seen.id() {
        fields.push(format!("id {:?} in place of {:?}", seen.id(), expected.id()));
    }
    if expected.ttl() != seen.ttl() {
        let ttl = |ttl: Option<Duration>| format!("{ttl:?}");
        fields.push(format!("ttl {} in place of {}", ttl(seen.ttl()), ttl(expected.ttl())));
    }
    fields
}
