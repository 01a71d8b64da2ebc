//! What one subscription must, may and must not receive.

use std::collections::HashMap;

use backend_core::{Event, Gap, GapCause};

use crate::failure::{Failure, Verified, ensure};
use crate::{Clause, Order, show};

/// Everything that a subscription may receive, in the order of publishing.
///
/// What is not in here must not be received: own envelopes, those of other topics, those published
/// before the subscription or after its end.
#[derive(Debug)]
pub(super) struct Expected {
    items: Vec<Item>,
    /// By data; the place in `items`.
    places: HashMap<String, usize>,
    /// By publisher: the place after the last one that was received.
    next: HashMap<usize, usize>,
    /// The place up to which gaps have told of what is missing.
    told: usize,
    /// A gap was the last thing: it tells of what is missing up to what comes next.
    after_a_gap: bool,
    /// Whether envelopes have been left out that only an overflow excuses, or may be.
    may_lag: bool,
    /// Whether some may be missing at its instance that were published before it began.
    inherits: bool,
    received: u64,
    missed: u64,
    order: Order,
}

#[derive(Debug)]
struct Item {
    what: What,
    duty: Duty,
    received: bool,
}

#[derive(Debug)]
enum What {
    Envelope {
        publisher: usize,
        data: String,
    },
    /// An outage: a gap has to stand here.
    Hole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duty {
    /// It has to be received.
    Must,
    /// It may be left out where a gap tells of an overflow.
    Lag,
    /// It may be left out without a word: nobody can know whether it had arrived.
    May,
}

impl Item {
    fn is_open_hole(&self) -> bool {
        matches!(self.what, What::Hole) && !self.received
    }

    /// Whether it may be lost by an outage of its publisher.
    fn is_lost(&self) -> bool {
        self.duty == Duty::May && !self.received && matches!(self.what, What::Envelope { .. })
    }
}

impl Expected {
    pub(super) fn new(order: Order) -> Self {
        Self {
            items: Vec::new(),
            places: HashMap::new(),
            next: HashMap::new(),
            told: 0,
            after_a_gap: false,
            may_lag: false,
            inherits: false,
            received: 0,
            missed: 0,
            order,
        }
    }

    /// The subscription begins beside one that may have lost something by its publisher's outage.
    /// When the instance learns of that, nobody can tell it whether it was published before or after.
    pub(super) fn inherit(&mut self) {
        self.inherits = true;
    }

    /// Whether something may be missing that has not been told so far.
    pub(super) fn may_have_lost(&self) -> bool {
        self.inherits || self.items.iter().any(Item::is_lost)
    }

    /// An envelope was published, and accepted.
    pub(super) fn publish(&mut self, publisher: usize, data: &str, certain: bool) {
        self.places.insert(data.to_owned(), self.items.len());
        self.items.push(Item {
            what: What::Envelope { publisher, data: data.to_owned() },
            duty: if certain { Duty::Must } else { Duty::May },
            received: false,
        });
    }

    /// What has not been received may never have arrived.
    pub(super) fn excuse_all(&mut self) {
        for item in &mut self.items {
            item.duty = Duty::May;
        }
    }

    /// The same for what one instance has published.
    pub(super) fn excuse_publisher(&mut self, instance: usize) {
        for item in &mut self.items {
            if matches!(item.what, What::Envelope { publisher, .. } if publisher == instance) {
                item.duty = Duty::May;
            }
        }
    }

    /// More is unread than the buffer is sure to hold: all may be left out but the newest, unless
    /// that is one of the instance's own, if a gap tells so. Without one order for all, the newest
    /// may have arrived before the others: it may be left out, too.
    pub(super) fn overflow(&mut self, newest_is_own: bool) {
        let kept = usize::from(!newest_is_own && self.order == Order::Total);
        let last = self.items.len().saturating_sub(kept);
        for item in self.items[..last].iter_mut().filter(|item| !item.received) {
            if item.duty == Duty::Must {
                item.duty = Duty::Lag;
            }
            self.may_lag = true;
        }
    }

    /// An outage of the subscription's instance is over.
    pub(super) fn outage(&mut self) {
        self.items.push(Item { what: What::Hole, duty: Duty::Must, received: false });
    }

    /// Envelopes that are still to come, or may be.
    pub(super) fn unread(&self) -> usize {
        let envelopes = self.items.iter().filter(|item| matches!(item.what, What::Envelope { .. }));
        envelopes.filter(|item| !item.received).count()
    }

    /// Whether something has to come.
    pub(super) fn has_to_come(&self) -> Option<String> {
        let is_due = |item: &&Item| {
            // After a gap, that of a further outage may have been told with it.
            let told = self.after_a_gap && matches!(item.what, What::Hole);
            !item.received && item.duty == Duty::Must && !told
        };
        let due = self.items.iter().rfind(is_due)?;
        Some(match &due.what {
            What::Envelope { data, .. } => show::quoted(data),
            What::Hole => "a gap (Reconnected)".to_owned(),
        })
    }

    /// Whether it may be received at all.
    pub(super) fn allows(&self, data: &str) -> bool {
        self.places.contains_key(data)
    }

    /// Compares what was received with what was to come.
    pub(super) fn receive(&mut self, event: &Event) -> Verified {
        match event {
            Event::Message(envelope) => {
                let data = String::from_utf8_lossy(envelope.data());
                self.receive_envelope(&data)
            }
            Event::Gap(gap) => self.receive_gap(gap),
            other => Err(Failure::new("a message or a gap", format!("{other:?}"))),
        }
    }

    fn receive_envelope(&mut self, data: &str) -> Verified {
        let Some(&place) = self.places.get(data) else {
            return Err(Failure::new(
                "nothing but what others publish to the topic while it is subscribed to",
                format!("{data:?}"),
            ));
        };
        let item = &mut self.items[place];
        ensure(!item.received, "each envelope once", format!("{data:?} a second time"))
            .map_err(|failure| failure.of(Clause::D5))?;
        item.received = true;
        self.received += 1;
        let What::Envelope { publisher, .. } = item.what else { return Ok(()) };
        if self.order == Order::None {
            return Ok(());
        }
        // What may come at any time, since an outage held it up, says nothing of where the gap is.
        if self.after_a_gap {
            if self.items[place].duty == Duty::May {
                return Ok(());
            }
            self.after_a_gap = false;
            self.told = self.told.max(place);
            // Outages with nothing received in between may be told as one.
            for hole in self.items[..place].iter_mut().filter(|item| item.is_open_hole()) {
                hole.received = true;
            }
        }
        let next = self.next.insert(publisher, place + 1).unwrap_or(0);
        ensure(place >= next, "each publisher's in the order of publishing", {
            format!("{data:?} after later ones of its publisher")
        })
        .map_err(|failure| failure.of(Clause::O1))?;
        self.nothing_untold(next.max(self.told), place, publisher, data)
    }

    /// Between these places, nothing of this publisher is missing without a gap.
    fn nothing_untold(&self, from: usize, to: usize, by: usize, data: &str) -> Verified {
        for item in self.items.get(from..to).unwrap_or_default() {
            let (missing, clause) = match &item.what {
                What::Envelope { publisher, data } if *publisher == by => {
                    (show::quoted(data), Clause::L2)
                }
                What::Envelope { .. } => continue,
                What::Hole => ("a gap for the outage".to_owned(), Clause::H5),
            };
            if !item.received && item.duty != Duty::May {
                let expected = format!("{missing} before {}", show::quoted(data));
                let seen = format!("{} without it, and no gap in its place", show::quoted(data));
                return Err(Failure::new(expected, seen).of(clause));
            }
        }
        Ok(())
    }

    fn receive_gap(&mut self, gap: &Gap) -> Verified {
        let nothing_missing = || {
            let expected = "a gap only where something is missing";
            Failure::new(expected, format!("{gap}")).of(Clause::L2)
        };
        if gap.cause == GapCause::Reconnected {
            let hole = self.items.iter_mut().find(|item| item.is_open_hole());
            hole.ok_or_else(nothing_missing)?.received = true;
            self.after_a_gap = true;
            return Ok(());
        }
        // What a publisher lost by an outage of its own may be told, too, and counted.
        if !self.may_lag && !self.may_have_lost() {
            return Err(nothing_missing());
        }
        self.missed += gap.missed.unwrap_or(0);
        if self.order == Order::Total {
            self.after_a_gap = true;
        } else {
            // Publishers may have passed each other, so it may tell of anything that an overflow
            // excuses.
            let excused = self.items.iter().rposition(|item| item.duty == Duty::Lag);
            self.told = self.told.max(excused.map_or(0, |place| place + 1));
        }
        Ok(())
    }

    /// What is still on its way, where nothing that has to come says so: the last envelope of one
    /// publisher is no word on another's.
    pub(super) fn uncounted(&self, exact: bool) -> Option<String> {
        let sent = self.to_be_counted(exact)?;
        let short = self.order == Order::PerPublisher && self.received + self.missed < sent;
        short.then(|| format!("more of the {sent} that were sent, or a gap"))
    }

    /// How many were sent, where received and missed have to make up that number.
    fn to_be_counted(&self, exact: bool) -> Option<u64> {
        let certain = self
            .items
            .iter()
            .all(|item| item.duty != Duty::May && matches!(item.what, What::Envelope { .. }));
        let up_to_the_last = self.order == Order::PerPublisher
            || self.items.last().is_some_and(|item| item.received);
        (exact && certain && !self.inherits && up_to_the_last).then_some(self.items.len() as u64)
    }

    /// After the end of everything: what had to come has come, and the numbers add up.
    pub(super) fn settle(&self, exact: bool) -> Verified {
        if let Some(missing) = self.has_to_come() {
            return Err(Failure::new(missing, "nothing more").of(Clause::D1));
        }
        let Some(sent) = self.to_be_counted(exact) else { return Ok(()) };
        ensure(
            self.received + self.missed == sent,
            format!("received and missed make up the {sent} that were sent"),
            format!("{} received and {} missed", self.received, self.missed),
        )
        .map_err(|failure| failure.of(Clause::L2))
    }
}
