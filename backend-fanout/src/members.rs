//! The endpoints that subscribe to one topic: by key, and by who they are.
//!
//! A plain data structure that the [topic](crate::topic) guards. Most topics have one member or two,
//! and there may be a million topics: so a few members are looked through, and only more than that
//! have an index.
//!
//! Invariants
//! 1. `live` is the number of subscriptions of live members.
//! 2. At most one member of an endpoint has not ended. An endpoint that subscribes again after it had
//!    ended is a new member, while readers of the old one drain.
//! 3. `index`, if there is one, has the keys of exactly those that have not ended.

use std::ops::{Index, IndexMut};

use hashbrown::HashTable;
use slab::Slab;

use crate::member::{EndpointId, Member, MemberKey};

/// So many are looked through.
const FEW: usize = 4;

pub(crate) struct Members {
    all: Slab<Member>,
    index: Option<Box<HashTable<MemberKey>>>,
    live: u32,
    /// How many have ended and still have readers.
    ended: u32,
}

/// What is left of a member when one of its subscriptions has gone.
pub(crate) struct Gone {
    /// The subscription had not been ended before.
    pub(crate) was_open: bool,
    /// The member, if it was the last one.
    pub(crate) member: Option<Member>,
}

impl Members {
    pub(crate) fn new() -> Self {
        // Most have one.
        let all = Slab::with_capacity(1);
        Self { all, index: None, live: 0, ended: 0 }
    }

    /// How many subscriptions there are of members that are neither suspended nor ended.
    pub(crate) fn live(&self) -> u32 {
        self.live
    }

    pub(crate) fn any_ended(&self) -> bool {
        self.ended > 0
    }

    /// Whether all have ended.
    pub(crate) fn is_idle(&self) -> bool {
        self.all.len() == self.ended as usize
    }

    /// The member that an endpoint is, if it has not ended.
    #[inline]
    pub(crate) fn find(&self, endpoint: EndpointId) -> Option<MemberKey> {
        if let Some(index) = &self.index {
            let is_it = |key: &MemberKey| self[*key].endpoint == endpoint;
            return index.find(hash(endpoint), is_it).copied();
        }
        let mut all = self.all.iter();
        let found = all.find(|(_, member)| member.endpoint == endpoint && !member.has_ended());
        found.map(|(index, _)| MemberKey::at(index))
    }

    /// The member that an endpoint is from here on, with one subscription more.
    pub(crate) fn join(&mut self, endpoint: EndpointId, head: u64) -> (MemberKey, &mut Member) {
        let key = self.find(endpoint).unwrap_or_else(|| self.insert(endpoint, head));
        // A suspended endpoint does not subscribe: it is live.
        self.live += 1;
        (key, &mut self[key])
    }

    fn insert(&mut self, endpoint: EndpointId, head: u64) -> MemberKey {
        let key = MemberKey::at(self.all.insert(Member::new(endpoint, head)));
        let hash_of = |key: &MemberKey| hash(self.all[key.index()].endpoint);
        if let Some(index) = &mut self.index {
            index.insert_unique(hash_of(&key), key, hash_of);
        } else if self.all.len() > FEW {
            let index = self.index.insert(Box::default());
            for (open, _) in self.all.iter().filter(|(_, member)| !member.has_ended()) {
                let open = MemberKey::at(open);
                index.insert_unique(hash_of(&open), open, hash_of);
            }
        }
        key
    }

    fn remove_from_index(&mut self, key: MemberKey) {
        let hash = hash(self[key].endpoint);
        let entry = self.index.as_mut().map(|index| index.find_entry(hash, |one| *one == key));
        if let Some(Ok(entry)) = entry {
            entry.remove();
        }
    }

    /// One subscription less.
    pub(crate) fn leave(&mut self, key: MemberKey) -> Gone {
        let member = &mut self[key];
        let (was_open, is_live) = (!member.has_ended(), member.is_live());
        member.subscriptions -= 1;
        let is_last = member.subscriptions == 0;
        self.live -= u32::from(is_live);
        if is_last && was_open {
            self.remove_from_index(key);
        } else if is_last {
            self.ended -= 1;
        }
        let member = is_last.then(|| self.all.remove(key.index()));
        if self.all.is_empty() {
            // After a crowd, its room goes, too.
            self.index = None;
        }
        Gone { was_open, member }
    }

    /// Ends all subscriptions of a member behind what they can see now; says how many.
    pub(crate) fn end(&mut self, key: MemberKey, head: u64, tail: u64) -> u32 {
        self.remove_from_index(key);
        let member = &mut self[key];
        let (subscriptions, is_live) = (member.subscriptions, member.is_live());
        member.end(head, tail);
        self.live -= if is_live { subscriptions } else { 0 };
        self.ended += 1;
        subscriptions
    }

    pub(crate) fn suspend(&mut self, key: MemberKey, head: u64) {
        if self[key].is_live() {
            self.live -= self[key].subscriptions;
            self[key].suspend(head);
        }
    }

    /// Puts a suspended member back, with a gap where its hole is.
    pub(crate) fn resume(&mut self, key: MemberKey, head: u64, tail: u64) {
        if !self[key].is_live() {
            self.live += self[key].subscriptions;
            self[key].resume(head, tail);
        }
    }

    /// If it is still there: a key may be used again after its member has left.
    pub(crate) fn get_mut(&mut self, key: MemberKey) -> Option<&mut Member> {
        self.all.get_mut(key.index())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (MemberKey, &mut Member)> {
        self.all.iter_mut().map(|(index, member)| (MemberKey::at(index), member))
    }
}

impl Index<MemberKey> for Members {
    type Output = Member;

    fn index(&self, key: MemberKey) -> &Member {
        &self.all[key.index()]
    }
}

impl IndexMut<MemberKey> for Members {
    fn index_mut(&mut self, key: MemberKey) -> &mut Member {
        &mut self.all[key.index()]
    }
}

/// Endpoints are numbered one after the other, so this spreads them evenly.
fn hash(endpoint: EndpointId) -> u64 {
    endpoint.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
