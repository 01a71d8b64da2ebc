//! How many people read a room on this instance.
//!
//! A count per room that everybody in the room watches. An entry lives as long as its room has a
//! reader, so rooms that nobody reads cost nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::room::Room;

/// The readers of one instance; clones share the counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readers {
    /// The number of readers of every room that has one. Never held across an await.
    rooms: Arc<Mutex<HashMap<Room, watch::Sender<usize>>>>,
}

impl Readers {
    /// Counts one more reader of `room`, until what this returns is dropped.
    pub(crate) fn join(&self, room: &Room) -> Reader {
        let mut rooms = self.lock();
        let count = rooms.entry(room.clone()).or_default();
        count.send_modify(|readers| *readers += 1);
        Reader { count: count.subscribe(), room: room.clone(), readers: self.clone() }
    }

    /// The rooms with readers, and how many.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        self.lock().iter().map(|(room, count)| (room.to_string(), *count.borrow())).collect()
    }

    fn leave(&self, room: &Room) {
        let mut rooms = self.lock();
        let Some(count) = rooms.get(room) else { return };
        count.send_modify(|readers| *readers -= 1);
        if *count.borrow() == 0 {
            rooms.remove(room);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Room, watch::Sender<usize>>> {
        // A number is whole at any moment, so a panic elsewhere leaves nothing half done.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One reader of a room, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Reader {
    /// How many read the room, this one included.
    pub(crate) count: watch::Receiver<usize>,
    room: Room,
    readers: Readers,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.readers.leave(&self.room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_in_the_room_sees_who_comes_and_goes() {
        let readers = Readers::default();
        let lobby = Room::new("lobby").unwrap();
        let mut first = readers.join(&lobby);
        assert_eq!(*first.count.borrow_and_update(), 1);

        let second = readers.join(&lobby);
        assert!(first.count.has_changed().unwrap());
        assert_eq!(*first.count.borrow_and_update(), 2);

        drop(second);
        assert!(first.count.has_changed().unwrap());
        assert_eq!(*first.count.borrow_and_update(), 1);
    }

    #[test]
    fn rooms_are_counted_apart_and_forgotten_when_empty() {
        let readers = Readers::default();
        let lobby = readers.join(&Room::new("lobby").unwrap());
        let kitchen = readers.join(&Room::new("kitchen").unwrap());
        let counts = readers.counts();
        assert_eq!(counts, BTreeMap::from([("kitchen".into(), 1), ("lobby".into(), 1)]));

        drop(lobby);
        assert_eq!(readers.counts(), BTreeMap::from([("kitchen".into(), 1)]));
        drop(kitchen);
        assert!(readers.counts().is_empty());
    }
}
