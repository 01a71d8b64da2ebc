//! The suite over one harness: for `cargo test`, and for programs.

use std::fmt;
use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Completion, Trial};

use crate::known::KnownFailures;
use crate::{Check, Claims, Harness, Outcome, Report, Verdict, checks, runner, seed};

/// Runs the whole suite as a test: the body of a `main` with `harness = false`.
///
/// Every check is a test of its own, `<backend>::<check>`. The usual arguments work: a filter,
/// `--exact`, `--skip`, `--list`, `--test-threads`; so does `cargo nextest`. A check whose claim
/// is not made is shown as ignored, with that reason.
///
/// ```no_run
/// # struct MyHarness;
/// # #[backend_testkit::async_trait]
/// # impl backend_testkit::Harness for MyHarness {
/// #     fn name(&self) -> &str { "mine" }
/// #     fn claims(&self) -> backend_testkit::Claims { backend_testkit::Claims::new() }
/// #     async fn cluster(&self, _: usize) -> Result<backend_testkit::Cluster, backend_testkit::BoxError> {
/// #         Err("an example".into())
/// #     }
/// # }
/// fn main() -> std::process::ExitCode {
///     backend_testkit::run(MyHarness)
/// }
/// ```
/// # Reports
///
/// With the environment variable `BACKEND_TESTKIT_REPORTS` set to a folder, a
/// [report](Report::write_to) of the run is left there: `<backend>.json`, `<backend>.xml` (JUnit)
/// and `<backend>.md`. A relative folder is taken from where `cargo test` runs tests, which is the
/// package's. (`cargo nextest` runs every check in a process of its own and writes a JUnit report
/// itself; none is left there then.)
///
/// `BACKEND_TESTKIT_SEED` sets the seed of whatever a check does by chance; a failure prints it.
#[must_use = "the exit code tells whether the backend has passed"]
pub fn run(harness: impl Harness) -> ExitCode {
    let arguments = Arguments::from_args();
    let suite = match seed::of_this_run().and_then(|seed| Suite::prepared(harness, seed)) {
        Ok(suite) => Arc::new(suite),
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(USAGE);
        }
    };
    // As real tests they say why they are ignored when they are run, which `cargo test` shows;
    // runners that ask for a list first are told there.
    let listing = arguments.list || arguments.ignored;
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let trials = checks().map(|check| {
        let name = format!("{}::{}", suite.harness.name(), check.name);
        let ignored = listing && !suite.claims.missing(check.needs).is_empty();
        let (suite, outcomes) = (Arc::clone(&suite), Arc::clone(&outcomes));
        Trial::ignorable_test(name, move || {
            let outcome = suite.run(check);
            let verdict = outcome.verdict.clone();
            outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
            match verdict {
                Verdict::Passed(_) => Ok(Completion::Completed),
                Verdict::NotClaimed(reason) => Ok(Completion::ignored_with(reason)),
                Verdict::KnownFailure(message) => {
                    Ok(Completion::ignored_with(message.lines().next().unwrap_or_default()))
                }
                failure => Err(failure.to_string().into()),
            }
        })
        .with_ignored_flag(ignored)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let outcomes = std::mem::take(&mut *outcomes.lock().unwrap_or_else(PoisonError::into_inner));
    match suite.leave_report(outcomes, arguments.list) {
        Ok(()) => conclusion.exit_code(),
        Err(error) => {
            eprintln!("error: the report cannot be written: {error}");
            ExitCode::from(USAGE)
        }
    }
}

/// The exit code for what keeps a run from being one.
const USAGE: u8 = 2;

/// The environment variable with the folder for reports.
const REPORTS: &str = "BACKEND_TESTKIT_REPORTS";

/// The suite over one harness, for programs that want the verdicts.
///
/// ```no_run
/// # fn of(harness: impl backend_testkit::Harness) {
/// use backend_testkit::Suite;
///
/// let report = Suite::new(harness).report();
/// for outcome in &report.outcomes {
///     println!("{}: {}", outcome.check.name(), outcome.verdict);
/// }
/// assert!(report.passed(), "at level {:?}", report.level());
/// # }
/// ```
pub struct Suite {
    harness: Arc<dyn Harness>,
    claims: Arc<Claims>,
    known: KnownFailures,
    seed: u64,
    threads: usize,
}

impl Suite {
    /// A suite over this harness, with a seed of its own.
    ///
    /// # Panics
    /// The harness' list of [known failures](Harness::known_failures) names a check that does not
    /// exist, or `BACKEND_TESTKIT_SEED` is set and is no number.
    #[must_use]
    pub fn new(harness: impl Harness) -> Self {
        match seed::of_this_run().and_then(|seed| Self::prepared(harness, seed)) {
            Ok(suite) => suite,
            Err(error) => panic!("{error}"),
        }
    }

    fn prepared(harness: impl Harness, seed: u64) -> Result<Self, String> {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let known = KnownFailures::parse(harness.known_failures())?;
        Ok(Self {
            claims: Arc::new(harness.claims()),
            harness: Arc::new(harness),
            known,
            seed,
            threads,
        })
    }

    /// Runs up to this many checks beside each other; as many as there are cores unless set.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Takes this seed for whatever is done by chance: with the same one, each check does the same,
    /// run alone or with all others. (How threads interleave is not a matter of the seed.)
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Runs every check, and goes on after failures.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report_of(|_| true)
    }

    /// Runs the checks that `wanted` picks.
    #[must_use]
    pub fn report_of(&self, wanted: impl Fn(&Check) -> bool) -> Report {
        let wanted: Vec<&'static Check> = checks().filter(|check| wanted(check)).collect();
        let next = AtomicUsize::new(0);
        let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
            let worker = || {
                let mut done = Vec::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(check) = wanted.get(index) else { return done };
                    done.push(self.run(check));
                }
            };
            let workers: Vec<_> = (0..self.threads).map(|_| scope.spawn(worker)).collect();
            let done = workers.into_iter().map(|worker| match worker.join() {
                Ok(done) => done,
                // A check's panic is caught where it is run; this is one of the kit itself.
                Err(panic) => std::panic::resume_unwind(panic),
            });
            done.flatten().collect()
        });
        self.report_on(outcomes)
    }

    /// Runs one check; `None` if there is none of this name.
    #[must_use]
    pub fn outcome_of(&self, name: &str) -> Option<Outcome> {
        checks().find(|check| check.name == name).map(|check| self.run(check))
    }

    fn run(&self, check: &'static Check) -> Outcome {
        let outcome = runner::run(&self.harness, &self.claims, self.seed, check);
        Outcome { verdict: self.known.judge(check, outcome.verdict), ..outcome }
    }

    fn report_on(&self, mut outcomes: Vec<Outcome>) -> Report {
        outcomes
            .sort_by_key(|outcome| checks().position(|check| std::ptr::eq(check, outcome.check)));
        Report {
            backend: self.harness.name().to_owned(),
            claims: (*self.claims).clone(),
            seed: self.seed,
            outcomes,
        }
    }

    /// Writes the report where the environment asks for one.
    fn leave_report(&self, outcomes: Vec<Outcome>, listed_only: bool) -> std::io::Result<()> {
        let Some(folder) = std::env::var_os(REPORTS).filter(|folder| !folder.is_empty()) else {
            return Ok(());
        };
        if listed_only {
            return Ok(());
        }
        if std::env::var_os("NEXTEST").is_some() {
            // Each process of it knows a single check.
            eprintln!("{REPORTS} is left aside under nextest, which has reports of its own");
            return Ok(());
        }
        self.report_on(outcomes).write_to(Path::new(&folder))
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite")
            .field("harness", &self.harness.name())
            .field("claims", &self.claims)
            .field("seed", &self.seed)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}
