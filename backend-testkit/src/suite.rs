//! The suite over one harness: for `cargo test`, and for programs.

use std::fmt;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use libtest_mimic::{Arguments, Completion, Trial};

use crate::{Check, Claims, Harness, Report, Verdict, checks, runner};

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
#[must_use = "the exit code tells whether the backend has passed"]
pub fn run(harness: impl Harness) -> ExitCode {
    let arguments = Arguments::from_args();
    // As real tests they say why they are ignored when they are run, which `cargo test` shows;
    // runners that ask for a list first are told there.
    let listing = arguments.list || arguments.ignored;
    let suite = Arc::new(Suite::new(harness));
    let trials = checks().map(|check| {
        let name = format!("{}::{}", suite.harness.name(), check.name);
        let ignored = listing && !suite.claims.missing(check.needs).is_empty();
        let suite = Arc::clone(&suite);
        Trial::ignorable_test(name, move || match suite.run(check).verdict {
            Verdict::Passed => Ok(Completion::Completed),
            Verdict::NotClaimed(reason) => Ok(Completion::ignored_with(reason)),
            failure => Err(failure.to_string().into()),
        })
        .with_ignored_flag(ignored)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// The suite over one harness, for programs that want the verdicts.
///
/// ```no_run
/// # fn of(harness: impl backend_testkit::Harness) {
/// use backend_testkit::Suite;
///
/// let suite = Suite::new(harness);
/// for report in suite.verdicts() {
///     println!("{}: {}", report.check.name(), report.verdict);
/// }
/// let echo = suite.verdict_of("echo::never_echoed").expect("there is such a check");
/// assert!(echo.verdict.is_passed());
/// # }
/// ```
pub struct Suite {
    harness: Arc<dyn Harness>,
    claims: Arc<Claims>,
    threads: usize,
}

impl Suite {
    /// A suite over this harness.
    #[must_use]
    pub fn new(harness: impl Harness) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { claims: Arc::new(harness.claims()), harness: Arc::new(harness), threads }
    }

    /// Runs up to this many checks beside each other; as many as there are cores unless set.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Runs every check, and goes on after failures. The reports are in the order of [`checks`].
    #[must_use]
    pub fn verdicts(&self) -> Vec<Report> {
        self.verdicts_of(|_| true)
    }

    /// Runs the checks that `wanted` picks.
    #[must_use]
    pub fn verdicts_of(&self, wanted: impl Fn(&Check) -> bool) -> Vec<Report> {
        let wanted: Vec<&'static Check> = checks().filter(|check| wanted(check)).collect();
        let next = AtomicUsize::new(0);
        let mut reports: Vec<(usize, Report)> = std::thread::scope(|scope| {
            let worker = || {
                let mut done = Vec::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(check) = wanted.get(index) else { return done };
                    done.push((index, self.run(check)));
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
        reports.sort_by_key(|(index, _)| *index);
        reports.into_iter().map(|(_, report)| report).collect()
    }

    /// Runs one check; `None` if there is none of this name.
    #[must_use]
    pub fn verdict_of(&self, name: &str) -> Option<Report> {
        checks().find(|check| check.name == name).map(|check| self.run(check))
    }

    fn run(&self, check: &'static Check) -> Report {
        runner::run(&self.harness, &self.claims, check)
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite")
            .field("harness", &self.harness.name())
            .field("claims", &self.claims)
            .field("threads", &self.threads)
            .finish()
    }
}
