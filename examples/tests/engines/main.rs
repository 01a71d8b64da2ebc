//! The chat over real engines: processes on ports of their own, over a private server.
//!
//! Where a server is not installed, the tests that need it are shown as ignored, by name and
//! reason; with `REQUIRE_ENGINES=1` they fail instead.

#[cfg(unix)]
mod compose;
#[cfg(unix)]
mod exposition;
#[cfg(unix)]
mod metrics;
#[cfg(unix)]
mod outage;
#[cfg(unix)]
mod page;
#[cfg(unix)]
mod start;
#[cfg(unix)]
#[path = "../support/mod.rs"]
mod support;
#[cfg(unix)]
mod tls;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};

#[cfg(unix)]
use crate::support::engines::Kind;

fn main() -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), trials()).exit_code()
}

#[cfg(unix)]
fn trials() -> Vec<Trial> {
    let tests =
        [outage::all(), start::all(), metrics::all(), compose::all(), page::all(), tls::all()];
    tests.into_iter().flatten().collect()
}

#[cfg(not(unix))]
fn trials() -> Vec<Trial> {
    let reason = || Ok(Completion::ignored_with("these tests need a Unix system"));
    vec![Trial::ignorable_test("engines", reason)]
}

/// A test over one engine: it panics if what it says does not hold.
#[cfg(unix)]
fn over<F>(kind: Kind, name: &str, test: fn(Kind) -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    let run = move || match kind.find() {
        Ok(()) => {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(test(kind));
            Ok(Completion::Completed)
        }
        Err(missing) if std::env::var_os("REQUIRE_ENGINES").is_some_and(|value| value == "1") => {
            Err(format!("{missing}, and REQUIRE_ENGINES=1 is set").into())
        }
        Err(missing) => Ok(Completion::ignored_with(missing)),
    };
    Trial::ignorable_test(format!("{}::{name}", kind.scheme()), run)
}

/// Each of these tests, over each engine.
#[cfg(unix)]
macro_rules! over_each {
    ($($test:ident),* $(,)?) => {
        [$crate::support::engines::Kind::Nats, $crate::support::engines::Kind::Redis]
            .into_iter()
            .flat_map(|kind| [$($crate::over(kind, stringify!($test), $test)),*])
            .collect::<Vec<_>>()
    };
}
#[cfg(unix)]
use over_each;
