//! The page *The wire* shows what the code does: its frames are the golden ones, byte by byte, and
//! its names are those of the code.

use backend_engine::name::Names;
use backend_engine::wire;

const PAGE: &str = include_str!("../../docs/wire.md");
const FULL: &[u8] = include_bytes!("golden/v1-full.bin");
const TALLY: &[u8] = include_bytes!("golden/v1-tally.bin");
const TWO: &[u8] = include_bytes!("golden/v1-two.bin");

/// The lines of the block that comes right after `<!-- name -->`.
fn block(name: &str) -> Vec<&'static str> {
    let mut lines = PAGE.lines().skip_while(|line| *line != format!("<!-- {name} -->"));
    assert!(lines.next().is_some(), "{name} is not on the page");
    assert!(lines.next().is_some_and(|line| line.starts_with("```")), "{name} has no block");
    lines.take_while(|line| *line != "```").collect()
}

#[test]
fn the_frames_on_the_page_are_the_golden_ones() {
    for (name, golden) in [("v1-full.bin", FULL), ("v1-tally.bin", TALLY), ("v1-two.bin", TWO)] {
        let mut frame = Vec::new();
        for line in block(name) {
            let (offset, rest) =
                line.trim_start().split_once("  ").expect("an offset, then the bytes");
            assert_eq!(offset.parse(), Ok(frame.len()), "{line}");
            // At most 16 bytes, then two spaces and the meaning.
            let end = rest.find("  ").expect("the bytes, then what they mean");
            let bytes = rest[..end].split(' ');
            frame.extend(bytes.map(|byte| u8::from_str_radix(byte, 16).expect("hexadecimal")));
        }
        assert_eq!(frame, golden);
        assert!(PAGE.contains(&format!("{} bytes:\n", frame.len())));
    }
}

#[test]
fn the_json_on_the_page_is_the_golden_one() {
    let numbered = include_str!("golden/v1-full.json");
    assert_eq!(block("v1-full.json"), [numbered]);
    assert_eq!(block("tavern-plain.json"), [include_str!("golden/tavern-plain.json")]);

    let binary = wire::decode(FULL.into()).expect("it is golden");
    let origin = binary.stamp.expect("it has one").origin.to_string();
    assert_eq!(numbered[24..=55], origin);
}

#[test]
fn the_names_on_the_page_are_those_of_the_code() {
    let rows: Vec<Vec<&str>> = PAGE
        .lines()
        .skip_while(|line| *line != "| namespace | topic | name |")
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 8);
    for row in rows {
        let [namespace, topic, name] = row[..] else { panic!("three columns: {row:?}") };
        let topic = match topic {
            "300 times `a`" => "a".repeat(300),
            _ => topic.trim_matches('`').to_owned(),
        };
        let made = Names::new(namespace.trim_matches('`')).name(&topic);
        assert_eq!(made.as_str(), name.trim_matches('`'), "{row:?}");
    }
}
