//! The locks and atomics of this crate: std's, or loom's when the models run.
//!
//! Every access to shared state goes through here, so that `--cfg backend_loom` lets loom try all
//! interleavings of exactly the code that ships. Poisoning is passed over: no code of a user runs
//! under these locks, but for a question that [`Health::update_part`](crate::Health::update_part)
//! asks before it changes anything, so a panic cannot leave the state behind half changed.

#[cfg(not(backend_loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

#[cfg(backend_loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

use std::sync::PoisonError;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
