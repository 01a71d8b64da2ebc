//! What publishers have sent, held against what one subscription has received or been told of.

use std::collections::{BTreeSet, HashMap};

use backend_core::{Event, Gap, GapCause, MessageEnvelope};

/// Reads what arrives on one subscription: each envelope is one of [`numbered`](Self::numbered).
///
/// It says at once when something comes twice or out of order, and at the [end](Self::settle)
/// whether whatever was accepted has been received, or told as missing where it is missing.
#[derive(Debug, Default)]
pub struct Account {
    publishers: HashMap<String, Publisher>,
    /// How many have been received.
    pub received: u64,
    /// How many gaps were of an outage of the subscriber.
    pub outages: u64,
    /// How many were told as missing, by number.
    pub missed: u64,
}

/// What became of a publisher's numbers. Of those that are in neither, nobody knows.
#[derive(Clone, Debug, Default)]
pub struct Attempts {
    /// The publish was `Ok`.
    pub accepted: BTreeSet<u64>,
    /// It was `Unavailable`: nobody is to get it.
    pub refused: BTreeSet<u64>,
}

#[derive(Debug, Default)]
struct Publisher {
    last: u64,
    /// What gaps have told since the last one.
    told: Told,
    /// What was passed over: the numbers behind the first up to, but not with, the second one.
    holes: Vec<(u64, u64, Told)>,
}

/// What gaps say about a hole; gaps do not say whose envelopes are missing.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    some: bool,
    number: u64,
}

impl Account {
    /// An envelope of a publisher, who gives every attempt to publish a number of its own: 1, 2, 3, …
    #[must_use]
    pub fn numbered(topic: &str, publisher: &str, number: u64) -> MessageEnvelope {
        MessageEnvelope::new(topic, format!("{publisher}:{number}"))
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// It came twice, or out of order, or is none of these envelopes.
    pub fn take(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Gap(Gap { cause, missed, .. }) => {
                self.outages += u64::from(*cause == GapCause::Reconnected);
                self.missed += missed.unwrap_or(0);
                for publisher in self.publishers.values_mut() {
                    publisher.told.some |= missed.is_none();
                    publisher.told.number += missed.unwrap_or(0);
                }
            }
            Event::Message(envelope) => {
                let data = String::from_utf8_lossy(envelope.data()).into_owned();
                let (name, number) = data.split_once(':').ok_or("an envelope of nobody")?;
                let number: u64 = number.parse().map_err(|_| "an envelope without a number")?;
                let publisher = self.publishers.entry(name.to_owned()).or_default();
                if number <= publisher.last {
                    return Err(format!("{data} after {}", publisher.last));
                }
                if number > publisher.last + 1 {
                    publisher.holes.push((publisher.last, number, publisher.told));
                }
                publisher.last = number;
                publisher.told = Told::default();
                self.received += 1;
            }
            other => return Err(format!("{other:?}")),
        }
        Ok(())
    }

    /// The last number that has arrived from a publisher.
    #[must_use]
    pub fn last(&self, publisher: &str) -> u64 {
        self.publishers.get(publisher).map_or(0, |publisher| publisher.last)
    }

    /// Holds it against what became of a publisher's attempts. Ahead of the first that has arrived,
    /// anything may be missing.
    ///
    /// # Errors
    /// Something that was accepted is missing, and no gap in its place says so; or something that was
    /// refused has arrived.
    pub fn settle(&self, publisher: &str, attempts: &Attempts) -> Result<(), String> {
        let Attempts { accepted, refused } = attempts;
        let Some(found) = self.publishers.get(publisher) else {
            return Err(format!("nothing has arrived from {publisher}"));
        };
        let in_hole = |number: &u64| {
            found.holes.iter().any(|(before, behind, _)| before < number && number < behind)
        };
        if let Some(number) = refused.range(..=found.last).find(|number| !in_hole(number)) {
            return Err(format!("{number} of {publisher} was refused, and has arrived"));
        }
        let behind_the_last = [(found.last, u64::MAX, found.told)];
        for (before, behind, told) in found.holes.iter().chain(&behind_the_last) {
            let missing = accepted.range(before + 1..*behind).count() as u64;
            if *before > 0 && missing > told.number && !told.some {
                return Err(format!(
                    "{missing} of {publisher} are missing behind {before}: {told:?}"
                ));
            }
        }
        Ok(())
    }

    /// How many numbers were passed over, of attempts that were accepted and of others.
    #[must_use]
    pub fn passed_over(&self) -> u64 {
        let holes = self.publishers.values().flat_map(|publisher| &publisher.holes);
        holes.map(|(before, behind, _)| behind - before - 1).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u64) -> Event {
        Event::Message(Account::numbered("t", "a", number))
    }

    fn accepted(numbers: &[u64]) -> Attempts {
        Attempts { accepted: numbers.iter().copied().collect(), ..Attempts::default() }
    }

    fn account(events: &[Event]) -> Account {
        let mut account = Account::default();
        for event in events {
            account.take(event).expect("in order");
        }
        account
    }

    #[test]
    fn what_is_missing_has_to_be_told() {
        let all = accepted(&[1, 2, 3, 4, 5, 6]);
        let without = account(&[message(1), message(4), message(6)]);
        assert!(without.settle("a", &all).is_err());
        assert_eq!(without.passed_over(), 3);
        assert!(without.settle("a", &accepted(&[1, 4, 6])).is_ok());
        assert!(without.settle("a", &accepted(&[1, 4, 7])).is_err());
        assert!(without.settle("b", &all).is_err());

        let lagged = |missed| Event::Gap(Gap::lagged(missed));
        let told = [message(1), lagged(2), message(4), lagged(1), message(6)];
        assert!(account(&told).settle("a", &all).is_ok());
        assert_eq!(account(&told).missed, 3);
        let elsewhere = [message(1), message(4), lagged(3), message(6)];
        assert!(account(&elsewhere).settle("a", &all).is_err());
        let behind = [message(1), message(2), lagged(4)];
        assert!(account(&behind).settle("a", &all).is_ok());
        let outage = [message(1), Event::Gap(Gap::reconnected()), message(6)];
        assert!(account(&outage).settle("a", &all).is_ok());
    }

    #[test]
    fn what_was_refused_is_not_to_arrive() {
        let found = account(&[message(1), message(4)]);
        let refused = |refused: &[u64]| {
            let refused = refused.iter().copied().collect();
            found.settle("a", &Attempts { refused, ..Attempts::default() })
        };
        assert!(refused(&[2, 3, 5]).is_ok());
        assert!(refused(&[1]).is_err() && refused(&[2, 4]).is_err());
    }

    #[test]
    fn nothing_comes_twice_or_late() {
        for number in [1, 2] {
            assert!(account(&[message(2)]).take(&message(number)).is_err());
        }
    }
}
