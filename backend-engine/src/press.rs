//! Makes frames of envelopes, and gives them their numbers.
//!
//! A number is taken, and its frame put in its place on the way out, in one step that nobody gets in
//! between of: with the [`Press`] locked. Taken before, numbers would reach the engine in another
//! order than they were taken in, and receivers would tell of losses that never were.
//!
//! What is lost is told when something later arrives. When nothing later is published, a *tally* is
//! that: a frame without an envelope, for each topic that was published to since the last one.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use backend_core::Result;
use bytes::BytesMut;

use crate::core::Core;
use crate::driver::{Handover, Outgoing};
use crate::name::{EngineName, LONGEST};
use crate::recent::Recent;
use crate::wire::{self, Format};
use crate::{Origin, Sequencer, Stamp};

/// How many names are remembered, at least, of topics that are no longer than names are.
const NAMES: usize = 4096;

/// How many topics get a tally at a time, at most: with one-off topics by the thousand, tallies are
/// not to be as many as envelopes.
const TALLIES: usize = 1024;

/// The numbers of an instance, which run on from connection to connection.
pub(crate) struct Press {
    sequencer: Sequencer,
    /// So that a name is not made anew for every envelope.
    names: Recent<String, Named>,
    /// Topics that were published to since their last tally; at most [`TALLIES`].
    untold: Vec<String>,
    /// Topics whose tally is on its way: nobody knows yet whether it arrives.
    told: Vec<String>,
    account: Account,
    /// What of that stood in the account when a ping began that was answered.
    settled: Account,
}

/// What has become of envelopes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Account {
    /// How many were taken, by the engine or its client: their publishers were told `Ok`.
    pub(crate) taken: u64,
    /// How many of them were not handed over after all. They keep their numbers.
    pub(crate) lost: u64,
}

struct Named {
    name: EngineName,
    /// Whether it is one of the untold.
    is_untold: bool,
}

impl Press {
    pub(crate) fn new(origin: Origin) -> Mutex<Self> {
        Mutex::new(Self {
            sequencer: Sequencer::new(origin),
            names: Recent::new(NAMES),
            untold: Vec::new(),
            told: Vec::new(),
            account: Account::default(),
            settled: Account::default(),
        })
    }

    /// The name of a topic that is published to.
    pub(crate) fn name<L>(&mut self, core: &Core<L>, topic: &str) -> EngineName {
        if topic.len() > LONGEST {
            return core.names.name(topic);
        }
        let make = |_| Named { name: core.names.name(topic), is_untold: false };
        let (named, _) = self.names.get_or_insert_with(topic, make);
        let tells = core.options.format == Format::Binary && self.untold.len() < TALLIES;
        if tells && !named.is_untold {
            named.is_untold = true;
            self.untold.push(topic.to_owned());
        }
        named.name.clone()
    }

    /// Takes a number for what is printed.
    pub(crate) fn print<T>(
        &mut self,
        name: &EngineName,
        print: impl FnOnce(&Stamp) -> Result<T>,
    ) -> Result<(Stamp, T)> {
        let stamp = self.sequencer.take(name);
        let printed = print(&stamp);
        if printed.is_err() {
            self.sequencer.give_back(name, &stamp);
        }
        Ok((stamp, printed?))
    }

    /// What has become of a number. What may have been sent all the same keeps its: used twice, the
    /// second would be taken for a duplicate.
    pub(crate) fn settle(&mut self, name: &EngineName, stamp: &Stamp, handover: &Handover) {
        match handover {
            Handover::Taken => self.count_taken(),
            Handover::Refused(_) => self.sequencer.give_back(name, stamp),
            Handover::Unknown(_) => {}
        }
    }

    /// Whether there is something that others are to be told, or are being told.
    pub(crate) fn has_tallies(&self) -> bool {
        !self.untold.is_empty() || !self.told.is_empty() || self.unsettled().taken > 0
    }

    /// A publisher is told that its envelope is on its way.
    pub(crate) fn count_taken(&mut self) {
        self.account.taken += 1;
    }

    /// So many that were taken are lost.
    pub(crate) fn count_lost(&mut self, envelopes: u64) {
        self.account.lost += envelopes;
    }

    /// What has become of all that was published.
    pub(crate) fn account(&self) -> Account {
        self.account
    }

    /// What has become of all that no ping has followed that was answered.
    pub(crate) fn unsettled(&self) -> Account {
        let Self { account, settled, .. } = self;
        Account { taken: account.taken - settled.taken, lost: account.lost - settled.lost }
    }

    /// The tallies of all topics that want one.
    pub(crate) fn print_tallies(&mut self) -> Vec<Outgoing> {
        let (mut messages, mut buffer) = (Vec::with_capacity(self.untold.len()), BytesMut::new());
        for topic in mem::take(&mut self.untold) {
            // Forgotten by one of the two, it has come out of use.
            let Some(named) = self.names.peek_mut(topic.as_str()) else { continue };
            named.is_untold = false;
            let name = named.name.clone();
            let Some(stamp) = self.sequencer.last(&name) else { continue };
            if wire::encode_tally(&stamp, &topic, &mut buffer).is_ok() {
                messages.push(Outgoing { name, message: buffer.split().freeze() });
                self.told.push(topic);
            }
        }
        messages
    }

    /// The engine has got the tallies that were on their way; and before them, what stood in the account.
    pub(crate) fn tallies_arrived(&mut self, before: Account) {
        self.told = Vec::new();
        self.settled = before;
    }

    /// The connection is lost, and perhaps with it the tallies that were on their way.
    pub(crate) fn tallies_lost(&mut self) {
        for topic in mem::take(&mut self.told) {
            if let Some(named) = self.names.peek_mut(topic.as_str()).filter(|one| !one.is_untold) {
                named.is_untold = true;
                self.untold.push(topic);
            }
        }
    }
}

impl<L> Core<L> {
    pub(crate) fn press(&self) -> MutexGuard<'_, Press> {
        self.press.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
