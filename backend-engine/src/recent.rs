//! A map that forgets what has not been used for long.

use std::hash::Hash;

use hashbrown::HashMap;

/// Keeps the `capacity` most recently used keys, and at most twice as many.
///
/// Two generations: what is used is young; when the young are `capacity`, they become the old, and
/// those that were old and have not been used since are forgotten, all at once. So a use costs no
/// bookkeeping, and the memory of a crowd that has gone is given back.
#[derive(Clone, Debug)]
pub(crate) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    capacity: usize,
    generation: u64,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            capacity: capacity.max(1),
            generation: 0,
        }
    }

    /// The value of a key, and whether it was there; if not, it is made from the number of the
    /// generation, which is greater than at any time before something was last forgotten.
    pub(crate) fn get_or_insert_with(
        &mut self,
        key: &K,
        make: impl FnOnce(u64) -> V,
    ) -> (&mut V, bool) {
        let mut known = true;
        if !self.young.contains_key(key) {
            let value = self.old.remove(key);
            if self.young.len() >= self.capacity {
                self.old = std::mem::take(&mut self.young);
                self.generation += 1;
            }
            known = value.is_some();
            let value = value.unwrap_or_else(|| make(self.generation));
            self.young.insert(key.clone(), value);
        }
        (self.young.get_mut(key).expect("it is there, or has been inserted"), known)
    }

    /// The value of a key, which does not count as a use.
    pub(crate) fn peek_mut(&mut self, key: &K) -> Option<&mut V> {
        // In this order, for the other one does not pass the borrow checker.
        if self.old.contains_key(key) { self.old.get_mut(key) } else { self.young.get_mut(key) }
    }

    /// Forgets one key.
    pub(crate) fn remove(&mut self, key: &K) {
        if self.young.remove(key).or_else(|| self.old.remove(key)).is_some() {
            self.generation += 1;
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
