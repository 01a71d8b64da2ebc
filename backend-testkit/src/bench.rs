//! Where a check works: it makes clusters, knows the claims, and keeps the story.

use std::future::Future;
use std::ops::Range;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::failure::{Failure, Verified};
use crate::instance::Instance;
use crate::poll::{Flag, poll_once};
use crate::story::Story;
use crate::{Claims, Harness, Order};

/// How many envelopes a subscription is taken to keep where no capacity is claimed.
const MODEST_BURST: usize = 16;

/// Repetitions go on for this many, however slow the backend is.
const FEWEST_ROUNDS: usize = 3;

/// Without an order, a sentinel may overtake what it is to come after: so many make that unlikely.
const UNORDERED_SENTINELS: usize = 10;

/// How often a condition without an event is looked at.
const LOOK: Duration = Duration::from_millis(1);

#[derive(Clone)]
pub(crate) struct Bench {
    harness: Arc<dyn Harness>,
    claims: Arc<Claims>,
    story: Story,
    seed: u64,
    notebook: Arc<Notebook>,
}

/// What a check has come to know, beside its story.
#[derive(Default)]
struct Notebook {
    clusters: AtomicUsize,
    /// Whether the backend was seen to do anything that the check asked for.
    observed: AtomicBool,
    /// Whether the check rests on sentinels that prove nothing.
    statistical: AtomicBool,
    /// What readers have got that nothing asked for.
    leftovers: Mutex<Vec<String>>,
}

impl Bench {
    pub(crate) fn new(
        harness: Arc<dyn Harness>,
        claims: Arc<Claims>,
        story: Story,
        seed: u64,
    ) -> Self {
        Self { harness, claims, story, seed, notebook: Arc::default() }
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.claims.deadline()
    }

    pub(crate) fn story(&self) -> &Story {
        &self.story
    }

    /// Begins the check's story anew, and the names of its instances.
    pub(crate) fn start_again(&self) {
        self.story.start_again();
        self.notebook.clusters.store(0, Ordering::Relaxed);
    }

    /// Where the check has its chance from.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// The backend was seen to do something that the check asked for.
    pub(crate) fn observe(&self) {
        self.notebook.observed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_observed(&self) -> bool {
        self.notebook.observed.load(Ordering::Relaxed)
    }

    /// Whether envelopes of one publisher may overtake each other.
    pub(crate) fn is_unordered(&self) -> bool {
        self.claims.order() == Order::None
    }

    /// How many sentinels are to show that something does not arrive: `enough` where order makes
    /// each a proof, and more where it does not.
    pub(crate) fn sentinels(&self, enough: usize) -> usize {
        if !self.is_unordered() {
            return enough;
        }
        self.notebook.statistical.store(true, Ordering::Relaxed);
        enough.max(UNORDERED_SENTINELS)
    }

    pub(crate) fn is_statistical(&self) -> bool {
        self.notebook.statistical.load(Ordering::Relaxed)
    }

    /// A reader has got something that nothing asked for.
    pub(crate) fn leave_over(&self, what: String) {
        self.notebook.leftovers.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    pub(crate) fn leftovers(&self) -> Vec<String> {
        self.notebook.leftovers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Linked instances on a fresh bus, named A, B, C …; those of a second cluster A2, B2 …
    pub(crate) async fn cluster<const N: usize>(&self) -> Verified<[Instance; N]> {
        let made = self.instances(N).await?;
        made.try_into().map_err(|made: Vec<_>| {
            Failure::harness(
                format!("a cluster of {N} instances"),
                format!("one of {}", made.len()),
            )
        })
    }

    /// As [`cluster`](Self::cluster), for a number known at run time.
    pub(crate) async fn instances(&self, count: usize) -> Verified<Vec<Instance>> {
        let number = self.notebook.clusters.fetch_add(1, Ordering::Relaxed) + 1;
        // Making instances may be slower than using them: an engine may have to be started.
        let limit = self.deadline() * 2;
        let made = self
            .within_limit(limit, format!("the harness makes {count} instances"), async {
                self.harness.cluster(count).await
            })
            .await
            .map_err(|failure| Failure::harness(failure.expected, failure.seen))?;
        let cluster = made.map_err(|error| {
            Failure::harness(format!("the harness makes {count} instances"), error.to_string())
        })?;
        let suffix = if number == 1 { String::new() } else { number.to_string() };
        let instances = cluster.instances.into_iter().enumerate().map(|(index, backend)| {
            let letter = u8::try_from(index).ok().filter(|index| *index < 26);
            let name = match letter {
                Some(index) => format!("{}{suffix}", char::from(b'A' + index)),
                None => format!("I{index}{suffix}"),
            };
            Instance::new(name, index, backend, cluster.means.clone(), self.clone())
        });
        Ok(instances.collect())
    }

    /// `wanted`, or fewer where a subscription may not keep as many unread.
    pub(crate) fn burst(&self, wanted: usize) -> usize {
        wanted.min(self.claims.capacity().unwrap_or(MODEST_BURST)).max(1)
    }

    /// The numbers 0 to `wanted`, or fewer where the backend is too slow for so many.
    pub(crate) fn rounds(&self, wanted: usize) -> Rounds {
        Rounds { numbers: 0..wanted, since: Instant::now(), budget: self.deadline() / 4 }
    }

    /// Waits for an operation, at most for the deadline.
    pub(crate) async fn within<T>(
        &self,
        what: impl Into<String>,
        operation: impl Future<Output = T>,
    ) -> Verified<T> {
        self.within_limit(self.deadline(), what, operation).await
    }

    async fn within_limit<T>(
        &self,
        limit: Duration,
        what: impl Into<String>,
        operation: impl Future<Output = T>,
    ) -> Verified<T> {
        let what = what.into();
        let _waiting = self.story.waiting(what.clone());
        // Polled when it asks for it, and never by the deadline: an operation that would be ready,
        // and has woken nobody, hangs.
        let (mut operation, mut deadline) = (pin!(operation), pin!(tokio::time::sleep(limit)));
        let flag = Flag::new();
        loop {
            if let Some(value) = poll_once(operation.as_mut(), &flag.waker()) {
                return Ok(value);
            }
            tokio::select! {
                () = flag.woken() => {}
                () = deadline.as_mut() => return Err(Failure::hung(&what, limit)),
            }
        }
    }

    /// Waits for a condition that no event tells of, such as a counter or the health.
    ///
    /// This looks again and again until it holds; it never takes passing time for an answer.
    pub(crate) async fn until(
        &self,
        what: impl Into<String>,
        mut holds: impl FnMut() -> bool,
    ) -> Verified {
        let what = what.into();
        let _waiting = self.story.waiting(what.clone());
        let since = Instant::now();
        while !holds() {
            if since.elapsed() > self.deadline() {
                let seen = format!("it was not so within {:?}", self.deadline());
                return Err(Failure::new(what, seen));
            }
            tokio::time::sleep(LOOK).await;
        }
        self.story.tell(what);
        self.observe();
        Ok(())
    }

    /// Runs a part of the check beside the rest. A panic of the task is the check's.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        part: impl Future<Output = Verified<T>> + Send + 'static,
    ) -> Part<T> {
        Part(tokio::spawn(part))
    }
}

/// A part of a check that runs beside the rest.
pub(crate) struct Part<T>(tokio::task::JoinHandle<Verified<T>>);

impl<T> Part<T> {
    pub(crate) fn abort(self) {
        self.0.abort();
    }

    pub(crate) async fn done(self) -> Verified<T> {
        match self.0.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => {
                    Err(Failure::new("the check's task runs to its end", error.to_string()))
                }
            },
        }
    }
}

/// See [`Bench::rounds`].
pub(crate) struct Rounds {
    numbers: Range<usize>,
    since: Instant,
    budget: Duration,
}

impl Iterator for Rounds {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let number = self.numbers.next()?;
        (number < FEWEST_ROUNDS || self.since.elapsed() < self.budget).then_some(number)
    }
}
