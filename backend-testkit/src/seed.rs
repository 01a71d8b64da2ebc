//! The number that all chance of a run comes from.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The environment variable that sets it.
pub(crate) const SEED: &str = "BACKEND_TESTKIT_SEED";

/// The seed of this run: the environment's, or a fresh one.
///
/// # Errors
/// The variable is set, and is no number.
pub(crate) fn of_this_run() -> Result<u64, String> {
    match std::env::var(SEED) {
        Ok(text) => {
            text.trim().parse().map_err(|_| format!("{SEED} is to be a whole number, not {text:?}"))
        }
        // Every `RandomState` has other keys, from the system's source of randomness.
        Err(_) => Ok(RandomState::new().build_hasher().finish()),
    }
}

/// The seed for one check: its own, so that it is the same when the check is run alone.
pub(crate) fn of_check(seed: u64, check: &str) -> u64 {
    // FNV-1a: the same on every machine and for ever, which the standard hashers do not promise.
    check.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
