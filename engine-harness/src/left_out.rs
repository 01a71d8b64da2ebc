//! What is said of a suite whose server is not there.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};

use crate::is_installed;

/// Where `program` is not installed: shows the suite of this name as a test that is ignored, with the
/// reason, or as one that has failed where `REQUIRE_ENGINES=1` is set. `None` where the suite can be
/// run.
#[must_use = "the exit code is that of the test program"]
pub fn left_out(suite: &str, program: &str) -> Option<ExitCode> {
    if is_installed(program) {
        return None;
    }
    let reason = format!("{program} is not installed");
    let trial = Trial::ignorable_test(suite, move || {
        if std::env::var_os("REQUIRE_ENGINES").is_some_and(|value| value == "1") {
            return Err(format!("{reason}, and REQUIRE_ENGINES=1 is set").into());
        }
        Ok(Completion::ignored_with(reason))
    });
    Some(libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code())
}
