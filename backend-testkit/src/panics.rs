//! Panics in a backend: caught where they happen, and told by the check that saw them.
//!
//! A panic in a task of a backend would otherwise be a line on the terminal that belongs to no
//! check. The threads of a check carry its number in their name, and a panic hook notes what
//! panics there.

use std::any::Any;
use std::collections::HashMap;
use std::panic;
use std::sync::{Mutex, Once, PoisonError};
use std::thread;

/// The text of panics that a check makes on purpose: nothing is printed for them.
pub(crate) const DELIBERATE: &str = "a deliberate panic of the test kit";

const THREADS: &str = "testkit-";

/// The name of threads whose panics a check catches and tells itself.
pub(crate) const ELSEWHERE: &str = "testkit: no runtime";

static NOTED: Mutex<Option<HashMap<String, Vec<String>>>> = Mutex::new(None);

/// The name for the threads of the run with this number.
pub(crate) fn thread_name(run: u64) -> String {
    format!("{THREADS}{run}")
}

/// From now on, panics on threads of checks are noted in place of printed.
pub(crate) fn watch() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let text = text_of(info.payload());
            if text.contains(DELIBERATE) {
                return;
            }
            match thread::current().name() {
                Some(ELSEWHERE) => {}
                Some(name) if name.starts_with(THREADS) => {
                    let place = info.location().map(ToString::to_string).unwrap_or_default();
                    note(name, format!("{text} (at {place})"));
                }
                _ => previous(info),
            }
        }));
    });
}

/// What has panicked on the threads of this run, and forgets it.
pub(crate) fn noted(run: u64) -> Vec<String> {
    let mut noted = NOTED.lock().unwrap_or_else(PoisonError::into_inner);
    noted.as_mut().and_then(|all| all.remove(&thread_name(run))).unwrap_or_default()
}

/// The text of a panic.
pub(crate) fn text_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a text".to_owned()
    }
}

fn note(thread: &str, text: String) {
    let mut noted = NOTED.lock().unwrap_or_else(PoisonError::into_inner);
    noted.get_or_insert_default().entry(thread.to_owned()).or_default().push(text);
}
