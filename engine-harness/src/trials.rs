//! Tests that need a program. Where it is missing they are shown as ignored, by name and reason;
//! with `REQUIRE_ENGINES=1` they fail instead.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::time::timeout;

use crate::{Result, is_installed};

/// No test takes so long, unless it hangs.
const LONGEST: Duration = Duration::from_secs(300);

/// As many as a small server has.
const WORKERS: usize = 4;

/// A test over an engine, which [`tests!`](crate::tests) makes of a function.
pub struct Test {
    name: String,
    run: Box<dyn FnOnce() -> Result + Send>,
}

impl Test {
    /// Runs `body` on a runtime of its own.
    pub fn new<F>(name: impl Into<String>, body: fn() -> F) -> Self
    where
        F: Future<Output = Result> + 'static,
    {
        let run = move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(WORKERS)
                .enable_all()
                .build()?;
            let ended = runtime.block_on(async { timeout(LONGEST, body()).await });
            ended.map_err(|_| format!("it has not ended within {LONGEST:?}"))?
        };
        Self { name: name.into(), run: Box::new(run) }
    }
}

impl fmt::Debug for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Test").field(&self.name).finish()
    }
}

/// The tests of a module: functions that return a future of a [`Result`](crate::Result).
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) fn tests() -> Vec<$crate::Test> {
            let module = module_path!().rsplit("::").next().unwrap_or_default();
            vec![$($crate::Test::new(format!("{module}::{}", stringify!($name)), $name)),*]
        }
    };
}

/// Runs tests that need this program.
pub fn run(program: &str, tests: impl IntoIterator<Item = Test>) -> ExitCode {
    let (names, tests): (Vec<_>, Vec<_>) =
        tests.into_iter().map(|test| (test.name.clone(), test)).unzip();
    if let Some(ignored) = leave_out(program, names) {
        return ignored;
    }
    let trials = tests.into_iter().map(|Test { name, run }| {
        Trial::test(name, move || run().map_err(|error| Failed::from(error.to_string())))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// Where this program is missing: shows tests of these names as ignored, or failed.
pub fn leave_out(program: &str, names: impl IntoIterator<Item = String>) -> Option<ExitCode> {
    if is_installed(program) {
        return None;
    }
    let arguments = Arguments::from_args();
    let required = std::env::var_os("REQUIRE_ENGINES").is_some_and(|value| value == "1");
    // As real tests they say why they are ignored when they are run, which `cargo test` shows;
    // runners that ask for a list first are told there.
    let listed = !required && (arguments.list || arguments.ignored);
    let trials = names.into_iter().map(|name| {
        let reason = format!("{program} is not installed");
        let run = move || match required {
            true => Err(format!("{reason}, and REQUIRE_ENGINES=1 is set").into()),
            false => Ok(Completion::ignored_with(reason)),
        };
        Trial::ignorable_test(name, run).with_ignored_flag(listed)
    });
    Some(libtest_mimic::run(&arguments, trials.collect()).exit_code())
}
