//! Health and its callbacks, as the clauses H1, H3 and H4 want them.

use std::collections::BTreeSet;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use backend_core::ReconnectCallback;

use crate::sync::{Mutex, lock};

/// The health of an instance, made up of the health of its parts, and the callbacks to run when it
/// comes back.
///
/// A part is whatever can fail on its own, such as the path out and the path in. The instance is
/// healthy while no part is failing, so "healthy" is never said while one direction is dead (H2).
///
/// ```
/// use backend_fanout::Health;
///
/// let health = Health::new();
/// health.on_reconnect(Box::new(|| println!("back again")));
///
/// health.set_part("receive", false);
/// health.set_part("publish", false);
/// health.set_part("receive", true);
/// assert!(!health.is_healthy());
/// health.set_part("publish", true);       // prints "back again"
/// assert!(health.is_healthy());
/// ```
#[derive(Default)]
pub struct Health {
    state: Mutex<State>,
}

type Callback = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct State {
    closed: bool,
    failing: BTreeSet<&'static str>,
    callbacks: Vec<Callback>,
}

impl Health {
    /// Healthy, with no callbacks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether no part is failing, and it has not been closed.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        lock(&self.state).is_healthy()
    }

    /// Sets the health of the instance where it has just one part.
    pub fn set(&self, healthy: bool) {
        self.set_part("instance", healthy);
    }

    /// Sets the health of one part.
    ///
    /// If the instance gets healthy by this, every callback runs once before this returns, on this
    /// thread, in order of registration, with no lock held (H3, H4): first make every topic live
    /// again, then call this. A callback that panics is passed over, after the panic hook has told
    /// of it. Once [`close`](Self::close) was called, no further callback starts.
    pub fn set_part(&self, part: &'static str, healthy: bool) {
        self.update_part(part, || healthy);
    }

    /// Sets the health of one part to what `is_healthy` says.
    ///
    /// It is asked under the lock of this health, so that after concurrent changes the last answer
    /// stands, and is true. It must only look, at an atomic say, and not call back.
    pub fn update_part(&self, part: &'static str, is_healthy: impl FnOnce() -> bool) {
        let callbacks = {
            let mut state = lock(&self.state);
            let was_healthy = state.is_healthy();
            if is_healthy() {
                state.failing.remove(part);
            } else {
                state.failing.insert(part);
            }
            if was_healthy || !state.is_healthy() {
                return;
            }
            state.callbacks.clone()
        };
        for callback in callbacks {
            if lock(&self.state).closed {
                return;
            }
            // The callback sees the backend from outside only, through its own locks.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| callback())) {
                // What it panicked with is the user's, too, and may panic when it is dropped.
                mem::forget(catch_unwind(AssertUnwindSafe(|| drop(panic))));
            }
        }
    }

    /// Adds a callback for every later return from unhealthy to healthy. After `close` it is
    /// dropped at once.
    pub fn on_reconnect(&self, callback: ReconnectCallback) {
        let callback: Callback = Arc::from(callback);
        let mut state = lock(&self.state);
        if !state.closed {
            state.callbacks.push(callback);
            return;
        }
        drop(state);
    }

    /// Unhealthy from now on; the callbacks are released. One that another thread is just about to
    /// run may still run: waiting for it here would block a callback that closes.
    pub fn close(&self) {
        let _callbacks = {
            let mut state = lock(&self.state);
            state.closed = true;
            mem::take(&mut state.callbacks)
        };
    }
}

impl State {
    fn is_healthy(&self) -> bool {
        !self.closed && self.failing.is_empty()
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (healthy, closed, failing, callbacks) = {
            let state = lock(&self.state);
            let callbacks = state.callbacks.len();
            (state.is_healthy(), state.closed, state.failing.clone(), callbacks)
        };
        f.debug_struct("Health")
            .field("healthy", &healthy)
            .field("closed", &closed)
            .field("failing", &failing)
            .field("callbacks", &callbacks)
            .finish()
    }
}
