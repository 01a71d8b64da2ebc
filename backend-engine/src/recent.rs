//! A map that forgets what has not been used for long.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

/// Keeps the `capacity` most recently used keys, and at most twice as many.
///
/// Two generations: what is used is young; when the young are `capacity`, they become the old, and
/// those that were old and have not been used since are forgotten, all at once. So a use costs no
/// bookkeeping, and the memory of a crowd that has gone is given back.
#[derive(Clone, Debug)]
pub(crate) struct Recent<K, V> {
    hasher: DefaultHashBuilder,
    young: HashTable<(K, V)>,
    old: HashTable<(K, V)>,
    capacity: usize,
    generation: u64,
    /// Where the last used one is among the young: often it is the next one, too, and to compare
    /// is quicker than to hash.
    latest: usize,
}

impl<K: Hash, V> Recent<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            young: HashTable::new(),
            old: HashTable::new(),
            capacity: capacity.max(1),
            generation: 0,
            latest: 0,
        }
    }

    /// The value of a key, and whether it was there; if not, it is made from the number of the
    /// generation, which is greater than at any time before something was last forgotten.
    pub(crate) fn get_or_insert_with<Q>(
        &mut self,
        key: &Q,
        make: impl FnOnce(u64) -> V,
    ) -> (&mut V, bool)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let is_it = |(known, _): &(K, V)| known.borrow() == key;
        let is_latest = self.young.get_bucket(self.latest).is_some_and(is_it);
        let hash = if is_latest { 0 } else { self.hasher.hash_one(key) };
        let found = || self.young.find_bucket_index(hash, is_it);
        // By its index: a reference would not pass the borrow checker.
        if let Some(index) = if is_latest { Some(self.latest) } else { found() } {
            self.latest = index;
            let (_, value) = self.young.get_bucket_mut(index).expect("it has just been found");
            return (value, true);
        }
        let old = self.old.find_entry(hash, is_it).ok().map(|entry| entry.remove().0);
        if self.young.len() >= self.capacity {
            self.old = std::mem::take(&mut self.young);
            self.generation += 1;
        }
        let known = old.is_some();
        let entry = old.unwrap_or_else(|| (key.to_owned(), make(self.generation)));
        let hasher = &self.hasher;
        let inserted = self.young.insert_unique(hash, entry, |(key, _)| hasher.hash_one(key));
        (&mut inserted.into_mut().1, known)
    }

    /// The value of a key, which does not count as a use.
    pub(crate) fn peek_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let is_it = |(known, _): &(K, V)| known.borrow() == key;
        let found = self.young.find_mut(hash, is_it).or_else(|| self.old.find_mut(hash, is_it));
        found.map(|(_, value)| value)
    }

    /// Forgets one key.
    pub(crate) fn remove<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        for table in [&mut self.young, &mut self.old] {
            if let Ok(entry) = table.find_entry(hash, |(known, _)| known.borrow() == key) {
                entry.remove();
                self.generation += 1;
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_the_capacity_are_never_forgotten() {
        for capacity in [1, 2, 7] {
            let mut recent = Recent::new(capacity);
            for round in 0..10 {
                for key in 0..capacity {
                    let (_, known) = recent.get_or_insert_with(&key, |_| ());
                    assert_eq!(known, round > 0, "key {key} of {capacity} in round {round}");
                }
            }
        }
    }

    #[test]
    fn what_is_used_stays_while_others_come_and_go() {
        let mut recent = Recent::new(10);
        for stranger in 1..1_000 {
            assert_eq!(recent.get_or_insert_with(&0, |_| "kept").1, stranger > 1);
            recent.get_or_insert_with(&stranger, |_| "stranger");
            assert!(recent.len() <= 20, "{}", recent.len());
        }
        assert!(!recent.get_or_insert_with(&1, |_| "again").1);
    }

    #[test]
    fn what_comes_back_has_a_later_generation() {
        let mut recent = Recent::new(3);
        let first = *recent.get_or_insert_with(&0, |generation| generation).0;
        for stranger in 1..10 {
            recent.get_or_insert_with(&stranger, |generation| generation);
        }
        let second = *recent.get_or_insert_with(&0, |generation| generation).0;
        assert!(first < second);

        recent.remove(&0);
        let third = *recent.get_or_insert_with(&0, |generation| generation).0;
        assert!(second < third);
    }
}
