//! The chat in a real browser: Chromium, driven through chromedriver.
//!
//! Where one of the two is missing, the tests are shown as ignored, by name and reason; with
//! `REQUIRE_BROWSER=1` they fail instead. The two screenshots of the README are taken on the way:
//! they go to the target directory, and with `UPDATE_SCREENSHOTS=1` to `docs/images/` as well.

#[cfg(unix)]
mod driver;
#[cfg(unix)]
mod pages;
#[cfg(unix)]
#[path = "../support/mod.rs"]
mod support;
#[cfg(unix)]
mod trials;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each trial has a browser of its own, and one of them measures a time.
    arguments.test_threads.get_or_insert(1);
    libtest_mimic::run(&arguments, trials()).exit_code()
}

#[cfg(unix)]
fn trials() -> Vec<Trial> {
    driver::end_browsers_on_interrupt();
    trials::all()
        .into_iter()
        .map(|(name, run)| {
            Trial::ignorable_test(name, move || match driver::Programs::find() {
                Ok(programs) => {
                    run(programs);
                    Ok(Completion::Completed)
                }
                Err(missing) => leave_out(&missing),
            })
        })
        .collect()
}

#[cfg(not(unix))]
fn trials() -> Vec<Trial> {
    vec![Trial::ignorable_test("browser", || leave_out("these tests need a Unix system"))]
}

fn leave_out(reason: &str) -> Result<Completion, Failed> {
    if std::env::var_os("REQUIRE_BROWSER").is_some_and(|value| value == "1") {
        return Err(format!("{reason}, and REQUIRE_BROWSER=1 is set").into());
    }
    Ok(Completion::ignored_with(reason))
}
