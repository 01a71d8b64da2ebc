//! Finds the topic of a name.
//!
//! Step 1 of the data path. A topic is here exactly as long as somebody subscribes to it, so a
//! million one-off topics leave no trace. The directory is sharded: making or removing a topic
//! locks the names of its shard for a moment, and never another topic's ring.
//!
//! Lock order: an endpoint's lock, then a shard, then a topic's state.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use crate::member::EndpointId;
use crate::sync::{RwLock, read, write};
use crate::topic::{Seat, Topic};

const SHARDS: usize = 16;

#[derive(Debug)]
pub(crate) struct Directory {
    capacity: usize,
    hasher: RandomState,
    shards: [RwLock<Shard>; SHARDS],
}

type Shard = HashMap<Arc<str>, Arc<Topic>>;

impl Directory {
    pub(crate) fn new(capacity: usize) -> Self {
        let shards = std::array::from_fn(|_| RwLock::new(Shard::new()));
        Self { capacity, hasher: RandomState::new(), shards }
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Topic>> {
        read(self.shard(name)).get(name).map(Arc::clone)
    }

    /// Takes a seat in a topic, which is made if it is not there.
    ///
    /// The seat is taken under the shard's lock, under which [`retire`](Self::retire) looks again
    /// before it removes a topic: nobody can sit down in one that is gone.
    pub(crate) fn join(&self, name: &str, endpoint: EndpointId) -> (Arc<Topic>, Seat) {
        let shard = self.shard(name);
        if let Some(topic) = read(shard).get(name) {
            return (Arc::clone(topic), topic.join(endpoint));
        }
        let mut topics = write(shard);
        let topic = match topics.get(name) {
            Some(topic) => Arc::clone(topic),
            None => {
                let topic = Arc::new(Topic::new(name, self.capacity));
                topics.insert(Arc::clone(&topic.name), Arc::clone(&topic));
                topic
            }
        };
        let seat = topic.join(endpoint);
        (topic, seat)
    }

    /// Removes a topic if nobody subscribes to it any more.
    pub(crate) fn retire(&self, topic: &Arc<Topic>) {
        let mut topics = write(self.shard(&topic.name));
        let is_this = topics.get(&topic.name).is_some_and(|found| Arc::ptr_eq(found, topic));
        if is_this && topic.is_idle() {
            topics.remove(&topic.name);
            give_back_room(&mut topics);
        }
    }

    /// How many topics there are.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| read(shard).len()).sum()
    }

    fn shard(&self, name: &str) -> &RwLock<Shard> {
        let hash = self.hasher.hash_one(name);
        &self.shards[hash as usize % SHARDS]
    }
}

/// A map that held far more before gives its memory back. Rare enough to cost nothing on average.
pub(crate) fn give_back_room<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    const ROOM_KEPT: usize = 64;
    if map.capacity() > ROOM_KEPT && map.len() < map.capacity() / 8 {
        map.shrink_to(map.len() * 2);
    }
}
