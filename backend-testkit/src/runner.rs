//! Runs checks: each on a thread and a runtime of its own, under a watchdog.
//!
//! A backend may hang, block the thread, panic, or come to an end by none of these. Each is told
//! for the check that it happened in, and the run goes on: a check that is stuck is left behind,
//! with its thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::failure::{Failure, Kind, Verified};
use crate::story::Story;
use crate::{Check, Claims, Clause, Evidence, Harness, Outcome, Verdict, message, panics, seed};

/// Threads of a check's runtime. More than one, so that a backend that blocks one of them is
/// noticed by the others.
const WORKERS: usize = 4;

/// How often the watchdog looks; a check that ends is noticed at once.
const LOOK: Duration = Duration::from_millis(100);

/// Each run has a number, by which its threads are known.
static RUNS: AtomicU64 = AtomicU64::new(0);

/// How the thread of a check ended.
enum Ended {
    Verified(Verified),
    Panicked(String),
}

/// Runs one check.
pub(crate) fn run(
    harness: &Arc<dyn Harness>,
    claims: &Arc<Claims>,
    seed: u64,
    check: &'static Check,
) -> Outcome {
    let since = Instant::now();
    let missing = claims.missing(check.needs);
    let verdict = if missing.is_empty() {
        panics::watch();
        verdict(harness, claims, seed, check)
    } else {
        Verdict::NotClaimed(message::not_claimed(&missing))
    };
    Outcome { check, verdict, took: since.elapsed() }
}

fn verdict(
    harness: &Arc<dyn Harness>,
    claims: &Arc<Claims>,
    seed: u64,
    check: &'static Check,
) -> Verdict {
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let story = Story::new();
    let seed_of_check = seed::of_check(seed, check.name);
    let bench = Bench::new(Arc::clone(harness), Arc::clone(claims), story.clone(), seed_of_check);
    let ended = on_its_own_thread(run, check, bench.clone(), &story, claims.deadline());
    let panicked = panics::noted(run);
    let failure = match judge(ended, &bench, panicked.is_empty()) {
        Ok(()) if bench.is_unordered() && is_about_absence(check, &bench) => {
            return Verdict::Passed(Evidence::Statistical);
        }
        Ok(()) => return Verdict::Passed(Evidence::Certain),
        Err(failure) => failure,
    };
    let text = message::failure(&**harness, check, seed, &failure, &story, &panicked);
    match failure.kind {
        Kind::Broken => Verdict::Failed(text),
        Kind::Hung => Verdict::TimedOut(text),
        Kind::Harness => Verdict::Errored(text),
        Kind::Inconclusive => Verdict::Inconclusive(text),
    }
}

/// What the end of a check means.
fn judge(ended: Result<Ended, Failure>, bench: &Bench, quiet: bool) -> Verified {
    match ended? {
        Ended::Verified(Err(failure)) => Err(failure),
        Ended::Panicked(text) if text.contains(panics::DELIBERATE) => {
            let expected = "a panic of a callback is caught by the backend";
            Err(Failure::new(expected, "it came out of the operation that ran the callback"))
        }
        Ended::Panicked(text) => Err(Failure::new("no panic", format!("a panic: {text}"))),
        Ended::Verified(Ok(())) if !quiet => {
            Err(Failure::new("no panic in the backend", "a panic, see below"))
        }
        Ended::Verified(Ok(())) => {
            let leftovers = bench.leftovers();
            if !leftovers.is_empty() {
                let expected = "every subscription gets what it has to get, and nothing besides";
                return Err(Failure::new(expected, leftovers.join("; ")));
            }
            if !bench.has_observed() {
                let expected = "something that the backend does to be seen";
                return Err(Failure::inconclusive(expected, "nothing: the check says nothing"));
            }
            Ok(())
        }
    }
}

/// Whether the check says that something does not arrive.
fn is_about_absence(check: &Check, bench: &Bench) -> bool {
    bench.is_statistical() || check.clauses.iter().copied().any(Clause::forbids)
}

/// Runs the check to its end, or until it is stuck.
fn on_its_own_thread(
    run: u64,
    check: &'static Check,
    bench: Bench,
    story: &Story,
    deadline: Duration,
) -> Result<Ended, Failure> {
    let (ended, end) = mpsc::channel();
    let name = panics::thread_name(run);
    let body = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name(panics::thread_name(run))
            .enable_all()
            .build();
        let outcome = match runtime {
            Ok(runtime) => {
                let checked =
                    catch_unwind(AssertUnwindSafe(|| runtime.block_on((check.run)(bench))));
                // What the backend has left running may be blocked: do not wait for it.
                runtime.shutdown_background();
                match checked {
                    Ok(verified) => Ended::Verified(verified),
                    Err(panic) => Ended::Panicked(panics::text_of(panic.as_ref())),
                }
            }
            Err(error) => Ended::Verified(Err(Failure::harness(
                "a runtime can be started",
                error.to_string(),
            ))),
        };
        let _ = ended.send(outcome);
    };
    std::thread::Builder::new()
        .name(name)
        .spawn(body)
        .map_err(|error| Failure::harness("a thread can be started", error.to_string()))?;

    // Waits have the deadline themselves, and end by it, unless the backend blocks the thread.
    let (stuck_after, longest) = (deadline * 3 + Duration::from_secs(1), deadline * 60);
    let since = Instant::now();
    loop {
        match end.recv_timeout(LOOK) {
            Ok(outcome) => return Ok(outcome),
            Err(RecvTimeoutError::Disconnected) => {
                return Ok(Ended::Panicked("the check's thread has gone".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(what) = story.stuck(stuck_after) {
            let mut failure = Failure::hung(&what, deadline);
            failure.seen = "it did not come back, and blocked its thread".to_owned();
            return Err(failure);
        }
        if since.elapsed() > longest.max(Duration::from_secs(60)) {
            return Err(Failure::hung("the whole check", longest));
        }
    }
}
