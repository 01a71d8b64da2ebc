//! The rules in force: which one strikes, by what it has counted and by chance.
//!
//! Invariant: a decision depends on the seed, on the place of the rule, on whose call or message
//! it is, and on how many came before it there. It does not depend on what happens elsewhere
//! meanwhile, so tasks that run beside each other do not disturb each other's chance.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backend_core::{Error, MessageEnvelope};
use fastrand::Rng;

use super::gate::Pause;
use super::lock;
use super::rule::{Action, Rule};
use super::{Fate, Operation};

/// What happens to a call or message that a rule has struck.
pub(super) enum Fault {
    Drop,
    Lose,
    Wait(Pause, Fate),
    Duplicate,
    Swap,
    Fail(Error),
    SendAndFail(Error),
}

#[derive(Default)]
pub(super) struct Script {
    /// Read when a rule is first asked; a run has one seed, set before it begins.
    seed: AtomicU64,
    /// Taken alone, and never while a condition of a rule runs.
    rules: Mutex<Rules>,
    calls: Counters,
}

#[derive(Default)]
struct Rules {
    in_force: Arc<[Entry]>,
    added: u64,
}

#[derive(Clone)]
struct Entry {
    /// In order of being added, and never used again.
    number: u64,
    rule: Rule,
}

/// How far each rule has got with the calls, or with the messages of one subscription.
#[derive(Default)]
pub(super) struct Counters {
    /// 0 for the calls; the subscription's number for messages.
    owner: u64,
    /// By the rule's number. Taken alone.
    by_rule: Mutex<HashMap<u64, Counter>>,
}

struct Counter {
    skipped: u64,
    struck: u64,
    chance: Rng,
}

impl Script {
    pub(super) fn seed(&self) -> u64 {
        self.seed.load(Ordering::Relaxed)
    }

    pub(super) fn set_seed(&self, seed: u64) {
        self.seed.store(seed, Ordering::Relaxed);
    }

    pub(super) fn add(&self, rule: Rule) {
        let mut rules = lock(&self.rules);
        let entry = Entry { number: rules.added, rule };
        rules.added += 1;
        rules.in_force = rules.in_force.iter().cloned().chain([entry]).collect();
    }

    pub(super) fn clear(&self) {
        // What conditions own is dropped outside the lock.
        drop(std::mem::take(&mut lock(&self.rules).in_force));
    }

    pub(super) fn rules(&self) -> Vec<Rule> {
        self.in_force().iter().map(|entry| entry.rule.clone()).collect()
    }

    /// What becomes of a call.
    pub(super) fn call(
        &self,
        operation: Operation,
        topic: Option<&str>,
        envelope: Option<&MessageEnvelope>,
    ) -> Option<Fault> {
        self.decide(operation, topic, envelope, &self.calls)
    }

    /// What becomes of a message of the subscription that has these counters.
    pub(super) fn message(
        &self,
        topic: &str,
        envelope: &MessageEnvelope,
        counters: &Counters,
    ) -> Option<Fault> {
        self.decide(Operation::Receive, Some(topic), Some(envelope), counters)
    }

    fn decide(
        &self,
        operation: Operation,
        topic: Option<&str>,
        envelope: Option<&MessageEnvelope>,
        counters: &Counters,
    ) -> Option<Fault> {
        let rules = self.in_force();
        let (rule, delay) = rules
            .iter()
            .filter(|entry| entry.rule.matches(operation, topic, envelope))
            .find_map(|entry| Some((&entry.rule, counters.strike(entry, self.seed())?)))?;
        Some(match &rule.action {
            Action::Drop => Fault::Drop,
            Action::Lose => Fault::Lose,
            Action::Delay(_) | Action::DelayUpTo(_) => {
                Fault::Wait(Pause::lasting(delay), Fate::Delayed(delay))
            }
            Action::Hold(gate) => Fault::Wait(Pause::at(gate), Fate::Held),
            Action::Duplicate => Fault::Duplicate,
            Action::Swap => Fault::Swap,
            Action::Fail(error) => Fault::Fail(error()),
            Action::SendAndFail(error) => Fault::SendAndFail(error()),
        })
    }

    fn in_force(&self) -> Arc<[Entry]> {
        Arc::clone(&lock(&self.rules).in_force)
    }
}

impl Counters {
    pub(super) fn of_subscription(number: u64) -> Self {
        Self { owner: number, by_rule: Mutex::default() }
    }

    /// Counts one that matches; if the rule strikes it, the delay for it, where there is one.
    fn strike(&self, entry: &Entry, seed: u64) -> Option<Duration> {
        let mut by_rule = lock(&self.by_rule);
        let counter = by_rule.entry(entry.number).or_insert_with(|| Counter {
            skipped: 0,
            struck: 0,
            chance: chance_of(seed, entry.number, self.owner),
        });
        let rule = &entry.rule;
        if counter.skipped < rule.skip {
            counter.skipped += 1;
            return None;
        }
        if rule.times.is_some_and(|times| counter.struck >= times) {
            return None;
        }
        if rule.probability.is_some_and(|probability| counter.chance.f64() >= probability) {
            return None;
        }
        counter.struck += 1;
        Some(match rule.action {
            Action::Delay(time) => time,
            Action::DelayUpTo(time) => time.mul_f64(counter.chance.f64()),
            _ => Duration::ZERO,
        })
    }
}

/// A source of chance of its own for each rule and whatever it strikes.
fn chance_of(seed: u64, rule: u64, owner: u64) -> Rng {
    let mut mixed = seed;
    for part in [rule, owner] {
        mixed = Rng::with_seed(mixed ^ part).u64(..);
    }
    Rng::with_seed(mixed)
}
