//! Reads from the output of `cargo test` how many tests passed, and which did not.
//!
//! The lines of Rust's own test harness and of libtest-mimic are known:
//!
//! ```text
//!      Running tests/conformance.rs (target/debug/deps/conformance-0123456789abcdef)
//! test a::name ... ok
//! test a::name ... FAILED
//! test a::name ... ignored, its reason
//! test a name  ... ignored (its reason)
//! test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.03s
//! ```

use anstream::adapter::strip_str;

/// The numbers of one or more steps, and the tests that did not pass, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    pub(crate) failed_tests: Vec<Failed>,
    pub(crate) ignored_tests: Vec<Ignored>,
}

impl Tally {
    /// How many tests there were, run or not.
    pub(crate) fn total(&self) -> u64 {
        self.passed + self.failed + self.ignored
    }
}

/// A test that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) binary: String,
    pub(crate) name: String,
}

/// A test that was not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ignored {
    pub(crate) binary: String,
    pub(crate) name: String,
    pub(crate) reason: Option<String>,
}

/// Takes the output of `cargo test` line by line.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    binaries: Vec<Binary>,
}

impl Reader {
    pub(crate) fn line(&mut self, line: &str) {
        let line = strip_str(line).to_string();
        match read(&line) {
            Some(Line::Binary { name, has_one_result }) => {
                self.binaries.push(Binary { name, has_one_result, ..Binary::default() });
            }
            Some(Line::Failed(name)) => self.binary().failed_tests.push(name),
            Some(Line::Ignored(name, reason)) => self.binary().ignored_tests.push((name, reason)),
            Some(Line::Result(result)) => self.binary().add(result),
            None => {}
        }
    }

    /// What was read, in sum.
    pub(crate) fn finish(self) -> Tally {
        let mut tally = Tally::default();
        for Binary { name: binary, result, failed_tests, ignored_tests, .. } in self.binaries {
            tally.passed += result.passed;
            tally.failed += result.failed;
            tally.ignored += result.ignored;
            if result.ignored > 0 {
                tally.ignored_tests.extend(
                    ignored_tests.into_iter().map(|(name, reason)| Ignored {
                        binary: binary.clone(),
                        name,
                        reason,
                    }),
                );
            }
            // A suite that is tested by running it on a fault prints failures that are none.
            if !result.is_read || result.failed > 0 {
                let failed = failed_tests.into_iter();
                let failed = failed.map(|name| Failed { binary: binary.clone(), name });
                tally.failed_tests.extend(failed);
            }
        }
        tally
    }

    fn binary(&mut self) -> &mut Binary {
        if self.binaries.is_empty() {
            self.binaries.push(Binary::default());
        }
        let last = self.binaries.len() - 1;
        &mut self.binaries[last]
    }
}

/// One test program, or the documentation tests of one crate.
#[derive(Debug, Default)]
struct Binary {
    name: String,
    /// Documentation tests give one result per compiled program; everything else just one.
    has_one_result: bool,
    result: Numbers,
    failed_tests: Vec<String>,
    ignored_tests: Vec<(String, Option<String>)>,
}

impl Binary {
    fn add(&mut self, result: Numbers) {
        if self.has_one_result {
            // The last one is the program's own: an earlier one came from a suite under test.
            self.result = result;
        } else {
            self.result.passed += result.passed;
            self.result.failed += result.failed;
            self.result.ignored += result.ignored;
            self.result.is_read = true;
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Numbers {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// False when the program ended before it said anything, as in a crash.
    is_read: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Binary { name: String, has_one_result: bool },
    Failed(String),
    Ignored(String, Option<String>),
    Result(Numbers),
}

fn read(line: &str) -> Option<Line> {
    let line = line.trim();
    if let Some(rest) = line.strip_prefix("Running ") {
        return binary(rest);
    }
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        let name = format!("documentation of {name}");
        return Some(Line::Binary { name, has_one_result: false });
    }
    let rest = line.strip_prefix("test ")?;
    if let Some(numbers) = rest.strip_prefix("result: ") {
        return result(numbers).map(Line::Result);
    }
    let (name, outcome) = rest.split_once(" ... ")?;
    let name = name.trim().to_string();
    if outcome.starts_with("FAILED") {
        return Some(Line::Failed(name));
    }
    let reason = outcome.strip_prefix("ignored")?.trim();
    let reason = reason.strip_prefix(", ").unwrap_or(reason);
    let reason = reason.strip_prefix('(').and_then(|r| r.strip_suffix(')')).unwrap_or(reason);
    Some(Line::Ignored(name, (!reason.is_empty()).then(|| reason.to_string())))
}

/// Reads `unittests src/lib.rs (target/debug/deps/backend_core-0123456789abcdef)`.
fn binary(text: &str) -> Option<Line> {
    let (source, program) = text.strip_suffix(')')?.split_once(" (")?;
    let name = match source.strip_prefix("unittests ") {
        None => source.to_string(),
        Some(_) => {
            let file = program.rsplit(['/', '\\']).next().unwrap_or(program);
            let name = file.rsplit_once('-').map_or(file, |(name, _hash)| name);
            format!("unit tests of {name}")
        }
    };
    Some(Line::Binary { name, has_one_result: true })
}

/// Reads `ok. 12 passed; 0 failed; 1 ignored; 0 measured; …`.
fn result(text: &str) -> Option<Numbers> {
    let (_, numbers) = text.split_once(". ")?;
    let number = |what: &str| {
        numbers.split("; ").find_map(|part| part.strip_suffix(what)?.trim_end().parse().ok())
    };
    Some(Numbers {
        passed: number("passed")?,
        failed: number("failed")?,
        ignored: number("ignored")?,
        is_read: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(output: &str) -> Tally {
        let mut reader = Reader::default();
        output.lines().for_each(|line| reader.line(line));
        reader.finish()
    }

    fn numbers(tally: &Tally) -> (u64, u64, u64) {
        (tally.passed, tally.failed, tally.ignored)
    }

    #[test]
    fn results_of_all_programs_are_summed() {
        let tally = tally(
            "     Running unittests src/lib.rs (target/debug/deps/backend_core-58b5ca45ff8c7a0b)\n\
             running 2 tests\n\
             test envelope::tests::a ... ok\n\
             test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; \
             finished in 0.03s\n\
                  Running tests/conformance.rs (target/debug/deps/conformance-0a)\n\
             test result: FAILED. 30 passed; 2 failed; 4 ignored; 0 measured; 0 filtered out; \
             finished in 1.20s\n",
        );
        assert_eq!(numbers(&tally), (42, 2, 5));
        assert_eq!(tally.total(), 49);
    }

    #[test]
    fn documentation_tests_give_several_results_per_crate() {
        let tally = tally(
            "   Doc-tests backend_core\n\
             test result: ok. 9 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; \
             finished in 0.30s\n\
             test backend-core/src/lib.rs - (line 20) - compile fail ... ok\n\
             test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; \
             finished in 0.10s\n\
             all doctests ran in 0.57s; merged doctests compilation took 0.23s\n",
        );
        assert_eq!(numbers(&tally), (10, 0, 0));
    }

    #[test]
    fn ignored_tests_keep_their_reason_in_both_harnesses() {
        let tally = tally(
            "     Running tests/browser.rs (target/debug/deps/browser-1)\n\
             test two_pages_talk        ... ignored (no chromedriver on this machine)\n\
             test slow ... ignored, takes an hour\n\
             test plain ... ignored\n\
             test result: ok. 0 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; \
             finished in 0.00s\n",
        );
        let read: Vec<_> =
            tally.ignored_tests.iter().map(|test| (&*test.name, test.reason.as_deref())).collect();
        assert_eq!(
            read,
            [
                ("two_pages_talk", Some("no chromedriver on this machine")),
                ("slow", Some("takes an hour")),
                ("plain", None),
            ]
        );
        assert!(tally.ignored_tests.iter().all(|test| test.binary == "tests/browser.rs"));
    }

    #[test]
    fn failed_tests_are_named_with_their_program() {
        let tally = tally(
            "     Running unittests src/main.rs (target/debug/deps/chat-02c6f20c)\n\
             test room::tests::long_names ... FAILED\n\
             test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; \
             finished in 0.00s\n",
        );
        let [failed] = &tally.failed_tests[..] else { panic!("{tally:?}") };
        assert_eq!(failed.binary, "unit tests of chat");
        assert_eq!(failed.name, "room::tests::long_names");
    }

    #[test]
    fn colours_do_not_hide_a_line() {
        let tally = tally(
            "\u{1b}[1m\u{1b}[92m     Running\u{1b}[0m tests/a.rs (target/debug/deps/a-1)\n\
             test x ... \u{1b}[33mignored (why)\u{1b}[0m\n\
             test result: \u{1b}[32mok\u{1b}[0m. 1 passed; 0 failed; 1 ignored; 0 measured; \
             0 filtered out; finished in 0.00s\n",
        );
        assert_eq!(numbers(&tally), (1, 0, 1));
        assert_eq!(tally.ignored_tests[0].reason.as_deref(), Some("why"));
        assert_eq!(tally.ignored_tests[0].binary, "tests/a.rs");
    }

    #[test]
    fn a_suite_under_test_does_not_count() {
        let tally = tally(
            "     Running tests/broken.rs (target/debug/deps/broken-1)\n\
             test D2 never echoed ... FAILED\n\
             test result: FAILED. 30 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; \
             finished in 0.10s\n\
             test the_echo_is_found ... ok\n\
             test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; \
             finished in 0.20s\n",
        );
        assert_eq!(numbers(&tally), (1, 0, 0));
        assert!(tally.failed_tests.is_empty());
    }

    #[test]
    fn a_crash_still_names_what_had_failed() {
        let tally = tally(
            "     Running tests/a.rs (target/debug/deps/a-1)\n\
             test early ... FAILED\n\
             error: test failed, to rerun pass `--test a`\n",
        );
        assert_eq!(numbers(&tally), (0, 0, 0));
        assert_eq!(tally.failed_tests[0].name, "early");
    }

    #[test]
    fn other_lines_are_none_of_ours() {
        for line in ["", "test", "test result: ", "test result: ok.", "Running `target/x`", "tests"]
        {
            assert_eq!(read(line), None, "{line:?}");
        }
        assert_eq!(read("test a ... ok"), None);
        assert_eq!(read("test result: ok. x passed; 0 failed; 0 ignored"), None);
    }
}
