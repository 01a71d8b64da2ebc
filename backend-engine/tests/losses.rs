//! Sequencers and ledgers together, over an engine that loses, delays and repeats, against a model
//! that knows everything that was published.

use std::collections::HashMap;

use backend_engine::name::{EngineName, Names};
use backend_engine::{Ledger, Origin, Sequencer, Stamp, Verdict};
use proptest::prelude::*;
use proptest::sample::Index;

fn origin(number: usize) -> Origin {
    Origin::from_bytes([u8::try_from(number % 256).expect("below 256"); 16])
}

fn topics<const N: usize>() -> [EngineName; N] {
    let names = Names::new("test");
    std::array::from_fn(|number| names.name(&number.to_string()))
}

/// All that was published to one topic, per origin, in order. It tells what a ledger has to say by
/// looking for the stamps, and not by calculating.
#[derive(Default)]
struct Model {
    published: HashMap<Origin, Vec<Stamp>>,
    last: HashMap<Origin, usize>,
}

impl Model {
    fn publish(&mut self, stamp: Stamp) {
        self.published.entry(stamp.origin).or_default().push(stamp);
    }

    fn expect(&mut self, stamp: &Stamp) -> Verdict {
        let published = &self.published[&stamp.origin];
        let place = published.iter().position(|known| known == stamp).expect("it was published");
        let Some(last) = self.last.get(&stamp.origin).copied() else {
            self.last.insert(stamp.origin, place);
            return Verdict::Next;
        };
        if place <= last {
            return Verdict::Old;
        }
        self.last.insert(stamp.origin, place);
        // What is missing at the end of a numbering that has ended, nobody can know.
        let between = published[last + 1..place].iter();
        match between.filter(|missing| missing.epoch == stamp.epoch).count() {
            0 => Verdict::Next,
            missed => Verdict::Missed(missed as u64),
        }
    }
}

/// What happens to one topic that several instances publish to.
#[derive(Clone, Debug)]
enum Step {
    /// An instance publishes, on its current connection.
    Publish { origin: usize, times: usize },
    /// It publishes elsewhere, so much that it forgets the topic, perhaps.
    Elsewhere { origin: usize, topics: usize },
    /// It takes numbers and gives the last ones back: its client refused them.
    Refused { origin: usize, taken: usize },
    /// It connects again. What is on its way on the former connection stays there.
    Reconnect { origin: usize },
    /// The engine passes on the next of one of the connections.
    Deliver { connection: Index, times: usize },
    /// The engine loses the next of one of the connections.
    Lose { connection: Index, times: usize },
    /// The engine passes on once more what it has passed on before.
    Repeat { what: Index },
}

const ORIGINS: usize = 3;

fn steps(may_lose: bool) -> impl Strategy<Value = Vec<Step>> {
    let (origin, times) = (0..ORIGINS, 1..6_usize);
    let faults = if may_lose { 1 } else { 0 };
    let step = prop_oneof![
        6 => (origin.clone(), times.clone())
            .prop_map(|(origin, times)| Step::Publish { origin, times }),
        1 => (origin.clone(), times.clone())
            .prop_map(|(origin, topics)| Step::Elsewhere { origin, topics }),
        1 => (origin.clone(), times.clone())
            .prop_map(|(origin, taken)| Step::Refused { origin, taken }),
        6 => (any::<Index>(), times.clone())
            .prop_map(|(connection, times)| Step::Deliver { connection, times }),
        faults => origin.prop_map(|origin| Step::Reconnect { origin }),
        3 * faults => (any::<Index>(), times)
            .prop_map(|(connection, times)| Step::Lose { connection, times }),
        faults => any::<Index>().prop_map(|what| Step::Repeat { what }),
    ];
    proptest::collection::vec(step, 0..80)
}

/// Runs the steps and gives all verdicts, each held against the model's.
fn run(steps: &[Step]) -> Result<Vec<Verdict>, TestCaseError> {
    let [topic] = topics();
    let names = Names::new("elsewhere");
    let mut sequencers: Vec<_> =
        (0..ORIGINS).map(|number| Sequencer::with_capacity(origin(number), 2)).collect();
    // Connections keep their order; the last one of an origin is its current one.
    let mut connections: Vec<(usize, Vec<Stamp>)> =
        (0..ORIGINS).map(|number| (number, Vec::new())).collect();
    let (mut model, mut ledger) = (Model::default(), Ledger::new());
    let (mut delivered, mut verdicts) = (Vec::new(), Vec::new());

    for step in steps {
        let mut arrived = Vec::new();
        match step {
            Step::Publish { origin, times } => {
                let current = connections.iter_mut().rfind(|(owner, _)| owner == origin);
                let (_, current) = current.expect("every origin has one");
                for _ in 0..*times {
                    let stamp = sequencers[*origin].take(&topic);
                    model.publish(stamp);
                    current.push(stamp);
                }
            }
            Step::Elsewhere { origin, topics } => {
                for number in 0..*topics {
                    sequencers[*origin].take(&names.name(&number.to_string()));
                }
            }
            Step::Refused { origin, taken } => {
                let sequencer = &mut sequencers[*origin];
                let stamps: Vec<_> = (0..*taken).map(|_| sequencer.take(&topic)).collect();
                for stamp in stamps.iter().rev() {
                    sequencer.give_back(&topic, stamp);
                }
            }
            Step::Reconnect { origin } => connections.push((*origin, Vec::new())),
            Step::Deliver { connection, times } => {
                let (_, queue) = connection.get_mut(&mut connections);
                arrived.extend(queue.drain(..queue.len().min(*times)));
            }
            Step::Lose { connection, times } => {
                let (_, queue) = connection.get_mut(&mut connections);
                drop(queue.drain(..queue.len().min(*times)));
            }
            Step::Repeat { what } if !delivered.is_empty() => arrived.push(*what.get(&delivered)),
            Step::Repeat { .. } => {}
        }
        for stamp in arrived {
            let verdict = ledger.observe(&stamp);
            prop_assert_eq!(verdict, model.expect(&stamp), "{:?}", stamp);
            delivered.push(stamp);
            verdicts.push(verdict);
        }
    }
    Ok(verdicts)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn losses_are_counted_exactly(steps in steps(true)) {
        run(&steps)?;
    }

    #[test]
    fn without_a_loss_there_is_no_gap(steps in steps(false)) {
        for verdict in run(&steps)? {
            prop_assert_eq!(verdict, Verdict::Next);
        }
    }

    /// Whoever forgets what, on either side, and whatever strangers send: with nothing lost there
    /// is no gap, and nothing is taken for old.
    #[test]
    fn forgetting_makes_no_gap(
        remembered in (1..4_usize, 1..4_usize),
        steps in proptest::collection::vec((0..6_usize, 0..6_usize, 0..3_usize, any::<u64>()), 0..300),
    ) {
        let topics: [EngineName; 6] = topics();
        let mut sequencers: Vec<_> =
            (0..6).map(|number| Sequencer::with_capacity(origin(number), remembered.0)).collect();
        let mut ledgers: Vec<_> =
            (0..6).map(|_| Ledger::with_capacity(remembered.1)).collect();
        for (publisher, topic, given_back, stranger) in steps {
            let (name, sequencer) = (&topics[topic], &mut sequencers[publisher]);
            let extra: Vec<_> = (0..given_back).map(|_| sequencer.take(name)).collect();
            for stamp in extra.iter().rev() {
                sequencer.give_back(name, stamp);
            }
            let stamp = sequencer.take(name);
            prop_assert_eq!(ledgers[topic].observe(&stamp), Verdict::Next, "{:?}", stamp);
            if stranger % 2 == 0 {
                let origin = Origin::from_bytes((u128::MAX - u128::from(stranger)).to_be_bytes());
                let stamp = Stamp { origin, epoch: stranger % 3, sequence: stranger };
                let _ = ledgers[topic].observe(&stamp);
            }
            prop_assert!(sequencers[publisher].topics() <= 2 * remembered.0);
            prop_assert!(ledgers[topic].publishers() <= 2 * remembered.1);
        }
    }

    /// Numbers may be given back in any order; what is published later then shows no gap, if
    /// nothing was published between them.
    #[test]
    fn numbers_given_back_in_any_order_are_not_missed(
        before in 1..4_usize,
        refused in (1..6_usize).prop_flat_map(|n| Just((0..n).collect::<Vec<_>>()).prop_shuffle()),
    ) {
        let [topic] = topics();
        let (mut sequencer, mut ledger) = (Sequencer::new(origin(0)), Ledger::new());
        for _ in 0..before {
            prop_assert_eq!(ledger.observe(&sequencer.take(&topic)), Verdict::Next);
        }
        let stamps: Vec<_> = refused.iter().map(|_| sequencer.take(&topic)).collect();
        for place in refused {
            sequencer.give_back(&topic, &stamps[place]);
        }
        for _ in 0..3 {
            prop_assert_eq!(ledger.observe(&sequencer.take(&topic)), Verdict::Next);
        }
    }
}

#[test]
fn a_loss_across_a_reconnect_is_counted() {
    let [topic] = topics();
    let (mut sequencer, mut ledger) = (Sequencer::new(origin(0)), Ledger::new());
    assert_eq!(ledger.observe(&sequencer.take(&topic)), Verdict::Next);
    let [_, second, third] = [(); 3].map(|()| sequencer.take(&topic));
    // Killed here; the two that follow go over the new connection, and overtake what the engine
    // still had of the old one.
    let [fourth, fifth] = [(); 2].map(|()| sequencer.take(&topic));
    assert_eq!(ledger.observe(&fourth), Verdict::Missed(3));
    assert_eq!(ledger.observe(&second), Verdict::Old);
    assert_eq!(ledger.observe(&fifth), Verdict::Next);
    assert_eq!(ledger.observe(&third), Verdict::Old);
}

#[test]
fn a_new_numbering_begins_at_one() {
    let [topic, other, another] = topics();
    let (mut sequencer, mut ledger) = (Sequencer::with_capacity(origin(0), 1), Ledger::new());
    let first = sequencer.take(&topic);
    let lost_and_unknown = sequencer.take(&topic);
    for name in [&other, &another] {
        sequencer.take(name);
    }
    let [again, lost, seen] = [(); 3].map(|()| sequencer.take(&topic));
    assert!(again.epoch > first.epoch);
    assert_eq!((again.sequence, lost.sequence, seen.sequence), (1, 2, 3));

    assert_eq!(ledger.observe(&first), Verdict::Next);
    assert_eq!(ledger.observe(&seen), Verdict::Missed(2));
    for late in [lost_and_unknown, again, lost] {
        assert_eq!(ledger.observe(&late), Verdict::Old);
    }
}

#[test]
fn one_off_topics_do_not_add_up() {
    let names = Names::new("test");
    let mut sequencer = Sequencer::with_capacity(origin(0), 1_000);
    let kept = names.name("kept");
    for number in 0..200_000_u64 {
        sequencer.take(&names.name(&number.to_string()));
        if number % 500 == 0 {
            assert_eq!(sequencer.take(&kept).sequence, number / 500 + 1);
        }
        assert!(sequencer.topics() <= 2_000);
    }
}

#[test]
fn strangers_do_not_make_a_ledger_grow() {
    let [topic] = topics();
    let (mut sequencer, mut ledger) = (Sequencer::new(origin(0)), Ledger::new());
    for number in 1..=100_000_u128 {
        let origin = Origin::from_bytes(number.to_be_bytes());
        let stamp = Stamp { origin, epoch: 0, sequence: 1 };
        assert_eq!(ledger.observe(&stamp), Verdict::Next);
        if number % 100 == 0 {
            let lost = sequencer.take(&topic);
            let stamp = sequencer.take(&topic);
            let expected = if lost.sequence == 1 { Verdict::Next } else { Verdict::Missed(1) };
            assert_eq!(ledger.observe(&stamp), expected);
        }
        assert!(ledger.publishers() <= 2 * Ledger::DEFAULT_PUBLISHERS);
    }
}

#[test]
fn an_outage_of_the_receiver_is_not_counted_and_moves_nothing_backwards() {
    let [topic] = topics();
    let (mut sequencer, mut ledger) = (Sequencer::new(origin(0)), Ledger::new());
    let stamps: [_; 7] = std::array::from_fn(|_| sequencer.take(&topic));
    assert_eq!(ledger.observe(&stamps[1]), Verdict::Next);
    ledger.interrupt();
    assert_eq!(ledger.observe(&stamps[0]), Verdict::Old, "late, from before the outage");
    assert_eq!(ledger.observe(&stamps[4]), Verdict::Next, "what the outage took is not counted");
    assert_eq!(ledger.observe(&stamps[3]), Verdict::Old);
    assert_eq!(ledger.observe(&stamps[6]), Verdict::Missed(1), "from then on, it is");
}

#[test]
fn what_is_not_its_own_or_not_in_use_is_not_taken_back() {
    let [topic, unknown] = topics();
    let mut sequencer = Sequencer::new(origin(0));
    let stamp = sequencer.take(&topic);
    sequencer.give_back(&unknown, &stamp);
    sequencer.give_back(&topic, &Stamp { origin: origin(1), ..stamp });
    sequencer.give_back(&topic, &Stamp { epoch: stamp.epoch + 1, ..stamp });
    sequencer.give_back(&topic, &Stamp { sequence: stamp.sequence + 1, ..stamp });
    assert_eq!(sequencer.take(&topic).sequence, 2);
}

#[test]
fn what_no_publisher_comes_to_is_not_believed() {
    let [topic] = topics();
    let (mut sequencer, mut ledger) = (Sequencer::new(origin(0)), Ledger::new());
    let first = sequencer.take(&topic);
    let far = 1 << 40;
    for stamp in [Stamp { sequence: u64::MAX, ..first }, Stamp { epoch: u64::MAX, ..first }] {
        assert_eq!(ledger.observe(&stamp), Verdict::Implausible, "of an unknown publisher");
    }
    assert_eq!(ledger.observe(&first), Verdict::Next);
    for stamp in [Stamp { sequence: far, ..first }, Stamp { epoch: far, ..first }] {
        assert_eq!(ledger.observe(&stamp), Verdict::Implausible, "so far ahead");
    }
    assert_eq!(ledger.observe(&sequencer.take(&topic)), Verdict::Next, "as if nothing had been");
}

#[test]
fn a_tally_tells_of_what_is_missing_when_nothing_follows() {
    let [topic] = topics();
    let (mut sequencer, mut ledger) = (Sequencer::new(origin(0)), Ledger::new());
    assert_eq!(sequencer.last(&topic), None);
    let first = sequencer.take(&topic);
    let tally = |sequencer: &mut Sequencer| sequencer.last(&topic).expect("there is a last one");
    assert_eq!(ledger.observe_tally(&tally(&mut sequencer)), Verdict::Next, "a beginning");
    assert_eq!(ledger.observe(&first), Verdict::Old);

    let second = sequencer.take(&topic);
    assert_eq!(ledger.observe(&second), Verdict::Next, "the tally has used no number");
    assert_eq!(ledger.observe_tally(&tally(&mut sequencer)), Verdict::Next, "nothing is missing");
    let _lost = [sequencer.take(&topic), sequencer.take(&topic)];
    assert_eq!(ledger.observe_tally(&tally(&mut sequencer)), Verdict::Missed(2));
    assert_eq!(ledger.observe_tally(&tally(&mut sequencer)), Verdict::Next, "told once");
    assert_eq!(ledger.observe_tally(&second), Verdict::Old, "late");
    assert_eq!(ledger.observe(&sequencer.take(&topic)), Verdict::Next);

    // What was given back was not published.
    let last = sequencer.take(&topic);
    sequencer.give_back(&topic, &last);
    assert_eq!(ledger.observe_tally(&tally(&mut sequencer)), Verdict::Next);

    ledger.interrupt();
    let _lost = sequencer.take(&topic);
    assert_eq!(ledger.observe_tally(&tally(&mut sequencer)), Verdict::Next, "told otherwise");
    let _lost = sequencer.take(&topic);
    assert_eq!(ledger.observe_tally(&tally(&mut sequencer)), Verdict::Missed(1));
}
