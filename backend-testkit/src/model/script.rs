//! What is done: a list of steps, made by chance.

use proptest::prelude::{Just, Strategy};
use proptest::{collection, prop_oneof};

use super::Menu;

/// Instances of a world.
pub(super) const INSTANCES: usize = 3;

/// Topics of a world; one is a part of the other.
pub(super) const TOPICS: [&str; 2] = ["red", "red.light"];

const LONGEST: usize = 40;

/// One step. Readers are numbered as they are made; a number beyond them starts again at the first.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Subscribe { at: usize, topic: usize },
    Publish { from: usize, topic: usize, count: usize },
    Read { reader: usize, count: usize },
    Unsubscribe { at: usize, topic: usize },
    Drop { reader: usize },
    Close { at: usize },
    Cut { at: usize },
    Restore { at: usize },
}

/// Scripts from this menu. They shrink to fewer steps, and to smaller numbers in them.
pub(super) fn scripts(menu: Menu) -> impl Strategy<Value = Vec<Step>> {
    let at = 0..INSTANCES;
    let topic = 0..TOPICS.len();
    let reader = 0..8_usize;
    // Long enough to overflow a small buffer, where that is on the menu.
    let most: usize = if menu.overflows { 40 } else { 4 };
    let outages = if menu.outages { 3 } else { 0 };
    let step = prop_oneof![
        4 => (at.clone(), topic.clone()).prop_map(|(at, topic)| Step::Subscribe { at, topic }),
        8 => (at.clone(), topic.clone(), 1..=most)
            .prop_map(|(from, topic, count)| Step::Publish { from, topic, count }),
        4 => (reader.clone(), 1..=6_usize)
            .prop_map(|(reader, count)| Step::Read { reader, count }),
        1 => (at.clone(), topic).prop_map(|(at, topic)| Step::Unsubscribe { at, topic }),
        1 => reader.prop_map(|reader| Step::Drop { reader }),
        outages => at.clone().prop_map(|at| Step::Cut { at }),
        outages => at.clone().prop_map(|at| Step::Restore { at }),
    ];
    // At most one instance closes: with none left, nothing could be seen.
    let closing = prop_oneof![3 => Just(None), 1 => (0..LONGEST, at).prop_map(Some)];
    (collection::vec(step, 1..LONGEST), closing).prop_map(|(mut steps, closing)| {
        if let Some((place, at)) = closing {
            steps.insert(place.min(steps.len()), Step::Close { at });
        }
        steps
    })
}
