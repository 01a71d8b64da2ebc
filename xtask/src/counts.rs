//! Counts of instructions, and how they compare with those that are checked in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// By how many per cent a count may be above the one that is checked in, if the same tools counted
/// both. Two runs count alike to the instruction, and so do two builds in different folders. One more
/// clone of an envelope in a publish is 1.3 per cent of it, and fails.
const MARGIN: u64 = 1;

/// The same with other tools, which count otherwise by themselves: between glibc 2.36 and 2.41 it is
/// 3.4 per cent where much is allocated, and next to nothing elsewhere.
const MARGIN_OF_OTHER_TOOLS: u64 = 5;

/// What was counted, and what it was counted with.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// The processor's. Those of another one say nothing.
    pub(crate) architecture: String,
    /// What makes the instructions, and what counts them.
    pub(crate) tools: Vec<String>,
    /// By the name of the work.
    pub(crate) instructions: BTreeMap<String, u64>,
}

/// How the count of one work compares with the one that is checked in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    name: String,
    checked_in: Option<u64>,
    counted: Option<u64>,
    margin: u64,
}

/// What a [`Row`] comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Alike,
    /// Worth telling: as long as the higher count is checked in, what was won may be lost unseen.
    Fewer,
    More,
    /// Nothing is checked in to hold it against.
    New,
    /// Nothing was counted any more.
    Gone,
}

impl Counts {
    /// Whether these are counts by the same tools.
    pub(crate) fn has_tools_of(&self, other: &Self) -> bool {
        self.tools == other.tools
    }

    /// Holds these against those that are checked in.
    pub(crate) fn against(&self, checked_in: &Self) -> Vec<Row> {
        let margin = if self.has_tools_of(checked_in) { MARGIN } else { MARGIN_OF_OTHER_TOOLS };
        let names: BTreeSet<_> =
            self.instructions.keys().chain(checked_in.instructions.keys()).collect();
        let row = |name: &String| Row {
            name: name.clone(),
            checked_in: checked_in.instructions.get(name).copied(),
            counted: self.instructions.get(name).copied(),
            margin,
        };
        names.into_iter().map(row).collect()
    }
}

impl Row {
    pub(crate) fn verdict(&self) -> Verdict {
        let (checked_in, counted) = match (self.checked_in, self.counted) {
            (None, _) => return Verdict::New,
            (_, None) => return Verdict::Gone,
            (Some(checked_in), Some(counted)) => (checked_in, counted),
        };
        if counted * 100 > checked_in * (100 + self.margin) {
            Verdict::More
        } else if counted * 100 < checked_in * (100 - self.margin) {
            Verdict::Fewer
        } else {
            Verdict::Alike
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.verdict(), Verdict::More | Verdict::New | Verdict::Gone)
    }
}

/// What a person reads of it, in a line.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, margin, .. } = self;
        match (self.checked_in, self.counted) {
            (Some(checked_in), Some(counted)) if counted == checked_in => {
                write!(f, "{name}: {} instructions, as checked in", grouped(counted))
            }
            (Some(checked_in), Some(counted)) => {
                let change = (counted as f64 / checked_in as f64 - 1.0).abs() * 100.0;
                let word = if counted < checked_in { "fewer" } else { "more" };
                let (counted, checked_in) = (grouped(counted), grouped(checked_in));
                write!(f, "{name}: {counted} instructions, {change:.2} % {word} than ")?;
                let be = if *margin == 1 { "is" } else { "are" };
                write!(f, "the {checked_in} that are checked in; {margin} % {be} allowed")
            }
            (None, Some(counted)) => {
                write!(f, "{name}: {} instructions; none are checked in", grouped(counted))
            }
            (checked_in, None) => {
                let checked_in = grouped(checked_in.unwrap_or_default());
                write!(f, "{name}: not counted; {checked_in} are checked in")
            }
        }
    }
}

/// A number that a person can read.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(tools: &str, instructions: &[(&str, u64)]) -> Counts {
        Counts {
            architecture: "x86_64".into(),
            tools: vec![tools.into()],
            instructions: instructions.iter().map(|&(name, count)| (name.into(), count)).collect(),
        }
    }

    /// The verdict on a count where 10,000 are checked in.
    fn verdict(tools: &str, count: u64) -> Verdict {
        let checked_in = counts("rustc 1", &[("publish", 10_000)]);
        counts(tools, &[("publish", count)]).against(&checked_in)[0].verdict()
    }

    #[test]
    fn a_count_beyond_the_margin_fails_and_one_below_it_is_told() {
        assert_eq!(verdict("rustc 1", 10_100), Verdict::Alike);
        assert_eq!(verdict("rustc 1", 10_101), Verdict::More);
        assert_eq!(verdict("rustc 1", 9_900), Verdict::Alike);
        assert_eq!(verdict("rustc 1", 9_899), Verdict::Fewer);
    }

    #[test]
    fn other_tools_have_a_wider_margin() {
        assert_eq!(verdict("rustc 2", 10_500), Verdict::Alike);
        assert_eq!(verdict("rustc 2", 10_501), Verdict::More);
        assert_eq!(verdict("rustc 2", 9_499), Verdict::Fewer);
    }

    #[test]
    fn what_only_one_side_has_fails() {
        let checked_in = counts("", &[("old", 1), ("both", 1)]);
        let rows = counts("", &[("both", 1), ("new", 1)]).against(&checked_in);
        let verdicts: Vec<_> = rows.iter().map(Row::verdict).collect();
        assert_eq!(verdicts, [Verdict::Alike, Verdict::New, Verdict::Gone]);
        assert_eq!(rows.iter().filter(|row| row.has_failed()).count(), 2);
    }

    #[test]
    fn what_fails_is_told_with_both_counts() {
        let checked_in = counts("", &[("publish::to_1_reader", 395_224), ("old", 7)]);
        let counted = counts("", &[("publish::to_1_reader", 1_395_224), ("new", 1_000)]);
        let told: Vec<_> = counted.against(&checked_in).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "new: 1,000 instructions; none are checked in",
                "old: not counted; 7 are checked in",
                "publish::to_1_reader: 1,395,224 instructions, 253.02 % more than the 395,224 \
                 that are checked in; 1 % is allowed",
            ]
        );
    }
}
