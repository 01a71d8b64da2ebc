//! Finds the topic of a name.
//!
//! Step 1 of the data path. A topic is here exactly as long as somebody subscribes to it, so a
//! million one-off topics leave no trace.
//!
//! Who publishes keeps the shard locked for reading as long as it has the topic's lock: to hold the
//! topic in another way is to count its holders, which costs as much again. So making or removing a
//! topic waits for who is just publishing to one of its shard, and these for whatever has that one's
//! lock: a crowd to wake, or a long burst, is felt in a sixty-fourth of the topics.
//!
//! Lock order: an endpoint's lock, then a shard, then a topic's state.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashSet, HashTable};

use crate::member::EndpointId;
use crate::state::Seat;
use crate::sync::{RwLock, RwLockReadGuard, read, write};
use crate::topic::Topic;

/// So many that those who subscribe and leave seldom meet those who publish to other topics.
const SHARDS: usize = 64;

/// What a map keeps room for, however empty it is.
const ROOM_KEPT: usize = 64;

pub(crate) struct Directory {
    capacity: usize,
    hasher: DefaultHashBuilder,
    shards: [RwLock<HashTable<Arc<Topic>>>; SHARDS],
}

/// A topic, which stays in the directory as long as this is held.
pub(crate) struct Found<'a> {
    topics: RwLockReadGuard<'a, HashTable<Arc<Topic>>>,
    index: usize,
}

/// Where a name belongs; hashed once per operation.
#[derive(Clone, Copy)]
struct Place<'a> {
    name: &'a str,
    hash: u64,
}

/// Shows how much there is, and not all of it: no lock is held while somebody formats.
impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topics = self.len();
        f.debug_struct("Directory")
            .field("capacity", &self.capacity)
            .field("topics", &topics)
            .finish_non_exhaustive()
    }
}

impl Directory {
    pub(crate) fn new(capacity: usize) -> Self {
        let shards = std::array::from_fn(|_| RwLock::new(HashTable::new()));
        Self { capacity, hasher: DefaultHashBuilder::default(), shards }
    }

    /// Locks the topic's shard for reading: no code of a user may run before this is dropped.
    #[inline]
    pub(crate) fn find(&self, name: &str) -> Option<Found<'_>> {
        let place = self.place(name);
        let topics = read(self.shard(place));
        let index = topics.find_bucket_index(place.hash, |topic| place.is_of(topic))?;
        Some(Found { topics, index })
    }

    /// Takes a seat in a topic, which is made if it is not there.
    ///
    /// The seat is taken under the shard's lock, under which [`retire`](Self::retire) looks again
    /// before it removes a topic: nobody can sit down in one that is gone.
    pub(crate) fn join(&self, name: &str, endpoint: EndpointId) -> (Arc<Topic>, Seat) {
        let place = self.place(name);
        let shard = self.shard(place);
        if let Some(topic) = place.find(&read(shard)) {
            return (Arc::clone(topic), topic.join(endpoint));
        }
        let mut topics = write(shard);
        let topic = match place.find(&topics) {
            Some(topic) => Arc::clone(topic),
            None => {
                let topic = Arc::new(Topic::new(name, self.capacity));
                let hash = |topic: &Arc<Topic>| self.hash(&topic.name);
                topics.insert_unique(place.hash, Arc::clone(&topic), hash);
                topic
            }
        };
        let seat = topic.join(endpoint);
        (topic, seat)
    }

    /// Removes a topic if nobody subscribes to it any more.
    pub(crate) fn retire(&self, topic: &Arc<Topic>) {
        let place = self.place(&topic.name);
        let mut topics = write(self.shard(place));
        // A younger one of the same name may be there by now.
        let this = topics.find_entry(place.hash, |found| Arc::ptr_eq(found, topic));
        let Ok(entry) = this else { return };
        if topic.is_idle() {
            entry.remove();
        }
        // After a crowd has gone, its room goes, too; rare enough to cost nothing on average.
        if topics.capacity() > ROOM_KEPT && topics.len() < topics.capacity() / 8 {
            let room = topics.len() * 2;
            topics.shrink_to(room, |topic| self.hash(&topic.name));
        }
    }

    /// How many topics there are.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| read(shard).len()).sum()
    }

    fn place<'a>(&self, name: &'a str) -> Place<'a> {
        Place { name, hash: self.hash(name) }
    }

    /// Of the bytes alone: what a `str` adds to them keeps it apart from what comes behind it in a
    /// larger key, and costs as much as a short name.
    fn hash(&self, name: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name.as_bytes());
        hasher.finish()
    }

    fn shard(&self, place: Place<'_>) -> &RwLock<HashTable<Arc<Topic>>> {
        // The table goes by the lowest bits and the highest seven: these are in between.
        &self.shards[(place.hash >> 32) as usize % SHARDS]
    }
}

impl Deref for Found<'_> {
    type Target = Topic;

    #[inline]
    fn deref(&self) -> &Topic {
        self.topics.get_bucket(self.index).expect("nobody removes it meanwhile")
    }
}

impl Place<'_> {
    fn find<'a>(&self, topics: &'a HashTable<Arc<Topic>>) -> Option<&'a Arc<Topic>> {
        topics.find(self.hash, |topic| self.is_of(topic))
    }

    #[inline]
    fn is_of(&self, topic: &Topic) -> bool {
        *topic.name == *self.name
    }
}

/// A topic, found by its name.
#[derive(Debug)]
pub(crate) struct ByName(pub(crate) Arc<Topic>);

impl Borrow<str> for ByName {
    fn borrow(&self) -> &str {
        &self.0.name
    }
}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for ByName {}

/// A set that held far more before gives its room back; rare enough to cost nothing on average.
pub(crate) fn give_back_room(topics: &mut HashSet<ByName>) {
    if topics.capacity() > ROOM_KEPT && topics.len() < topics.capacity() / 8 {
        topics.shrink_to(topics.len() * 2);
    }
}
