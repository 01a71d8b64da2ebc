//! A backend with a bad day, for the tests of applications.
//!
//! A backend that keeps the contract still has outages, lags and slow answers, and an application
//! has to live with them. [`Faulty`] wraps any backend and lets a test say what goes wrong, when,
//! and how often: nothing is left to timing, and no test needs a sleep.
//!
//! # Test an application
//!
//! An application holds an `Arc<dyn Backend>` and does not know. The test keeps the [`Controls`].
//! Here the application reloads what it shows when messages are missing, and publishes again what
//! an outage has refused:
//!
//! ```
//! use std::sync::Arc;
//! use backend_core::{Backend, Error, Event, MessageEnvelope, Result};
//! use backend_memory::MemoryBackend;
//! use backend_testkit::faulty::{Fate, Operation};
//! use backend_testkit::{Faulty, Rule};
//!
//! // The application.
//! async fn announce(backend: &dyn Backend, what: MessageEnvelope) -> Result<()> {
//!     for _ in 0..3 {
//!         match backend.publish(what.clone()).await {
//!             Err(error) if error.is_retryable() => tokio::task::yield_now().await,
//!             done => return done,
//!         }
//!     }
//!     backend.publish(what).await
//! }
//!
//! async fn follow(backend: Arc<dyn Backend>, orders: usize) -> Result<Vec<String>> {
//!     let mut shown = Vec::new();
//!     let mut stream = backend.subscribe("orders").await?;
//!     while shown.len() < orders {
//!         match stream.recv().await {
//!             Some(Event::Message(order)) => {
//!                 shown.push(String::from_utf8_lossy(order.data()).into_owned());
//!             }
//!             Some(Event::Gap(_)) => shown.push("(all orders loaded again)".to_owned()),
//!             Some(_) => {}
//!             None => break,
//!         }
//!     }
//!     Ok(shown)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! // Its test: of what the reader is sent, the second is lost; a publish fails once.
//! let bus = MemoryBackend::new();
//! let reading = Faulty::new(bus.fork()).with_rule(Rule::receive().skip(1).times(1).lose());
//! let at_the_reader = reading.controls();
//! let publishing = Faulty::new(bus)
//!     .with_rule(Rule::publish().times(1).fail_with(|| Error::unavailable("connection reset")));
//! let at_the_publisher = publishing.controls();
//!
//! let reader = tokio::spawn(follow(Arc::new(reading), 3));
//! at_the_reader.until(|step| step.operation == Operation::Subscribe).await;
//! for order in ["tea", "coffee", "cake"] {
//!     announce(&publishing, MessageEnvelope::new("orders", order)).await?;
//! }
//!
//! let shown = reader.await.expect("it does not panic")?;
//! assert_eq!(shown, ["tea", "(all orders loaded again)", "cake"]);
//!
//! let recording = at_the_publisher.recording();
//! assert_eq!(recording.passed(Operation::Publish), 3, "{recording}");
//! assert!(matches!(recording.records()[0].fate, Fate::Refused(_)), "{recording}");
//! # Ok(())
//! # }
//! ```
//!
//! # What can go wrong
//!
//! | the bad day | in a test |
//! |---|---|
//! | messages are lost, and the reader is told | `Rule::receive().skip(2).times(1).lose()` |
//! | an outage, and its end | [`Controls::outage`], [`Controls::recover`] |
//! | a publish fails, once or with some probability | `Rule::publish().times(1).fail_with(…)` |
//! | a publish times out and was sent all the same | `Rule::publish().send_and_fail_with(…)` |
//! | everything is slow | `Rule::subscribe().delay(…)`, and for all other kinds |
//! | something hangs until the test says so | `Rule::publish().hold(&gate)`, a [`Gate`] |
//! | a broken backend: silent loss, duplicates, wrong order | `drop_silently`, `duplicate`, `swap_with_next` |
//!
//! Up to the last row, the contract is kept, and an application has to be up to it. A fault strikes
//! an instance: wrap the reader's backend for what happens on the way in, the publisher's for what
//! happens on the way out.
//!
//! # What can be relied on
//!
//! * **Without rules and outages nothing is changed.** The whole suite passes over it; and over
//!   its outages, which keep the contract's clauses on outages.
//! * **It happens when the reader asks.** There is no task in between: what is published is there
//!   at once, as without the wrapper, and a slow reader lags in the backend's own buffer.
//! * **Chance is repeatable**: it comes from a [seed](Faulty::with_seed), for each rule and each
//!   subscription by itself, so that it does not hang on which task runs first.
//! * **Time is tokio's.** With `tokio::time::pause`, a delay of an hour takes no time.
//! * **Cancel safety is kept**: dropping a future or a subscription leaves nothing behind, outside
//!   a runtime too. A publish that is dropped while a rule delays or holds it was not sent.
//! * **A ttl starts again** for what is kept here: what an outage found unread, copies, and what
//!   was put behind the next. A delay or a gate counts as the way there, before the ttl begins.

mod backend;
mod controls;
mod gate;
mod line;
mod recording;
mod rule;
mod script;
mod shared;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use backend::Faulty;
pub use controls::Controls;
pub use gate::Gate;
pub use recording::{Fate, Operation, Record, Recording};
pub use rule::{
    Close, Matching, On, OnCall, OnEnvelope, OnTopic, Publish, Receive, Rule, Subscribe,
    Unsubscribe,
};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is guarded here is whole between any two statements, so a panic of somebody else's code
    // leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
