//! The chat in a real browser: Chromium, driven through chromedriver.
//!
//! Where one of the two is missing, the tests are shown as ignored, by name and reason; with
//! `REQUIRE_BROWSER=1` they fail instead. So is a test whose engine is missing, and
//! `REQUIRE_ENGINES=1` makes it fail. The screenshots of the documentation are taken on the way: they
//! go to the target directory, and with `UPDATE_SCREENSHOTS=1` to `docs/images/` as well.

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
        .map(|(name, engine, run)| {
            Trial::ignorable_test(name, move || {
                if let Some(Err(missing)) = engine.map(support::engines::Kind::find) {
                    return leave_out(&missing, "REQUIRE_ENGINES");
                }
                match driver::Programs::find() {
                    Ok(programs) => {
                        run(programs);
                        Ok(Completion::Completed)
                    }
                    Err(missing) => leave_out(&missing, "REQUIRE_BROWSER"),
                }
            })
        })
        .collect()
}

#[cfg(not(unix))]
fn trials() -> Vec<Trial> {
    let reason = "these tests need a Unix system";
    vec![Trial::ignorable_test("browser", move || leave_out(reason, "REQUIRE_BROWSER"))]
}

/// Unless a variable insists on the test.
fn leave_out(reason: &str, insists: &str) -> Result<Completion, Failed> {
    if std::env::var_os(insists).is_some_and(|value| value == "1") {
        return Err(format!("{reason}, and {insists}=1 is set").into());
    }
    Ok(Completion::ignored_with(reason))
}
