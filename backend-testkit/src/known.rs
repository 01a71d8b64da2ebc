//! The list of failures that an author knows of.

use std::collections::BTreeMap;

use crate::{Check, Verdict, checks};

/// Checks that are known to fail, and why.
///
/// A line for each: the check's name, then, after a `#`, the reason. Empty lines, and lines that
/// begin with `#`, are comments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KnownFailures(BTreeMap<&'static str, String>);

impl KnownFailures {
    /// Reads the list.
    ///
    /// # Errors
    /// A line names no check.
    pub(crate) fn parse(list: &str) -> Result<Self, String> {
        let mut known = BTreeMap::new();
        for (index, line) in list.lines().enumerate() {
            let (name, reason) = line.split_once('#').unwrap_or((line, ""));
            let name = name.trim();
            if name.is_empty() {
                continue;
            }
            let check = checks().find(|check| check.name() == name).ok_or_else(|| {
                format!(
                    "line {} of the known failures names {name:?}, and there is no such check \
                     (names are as in `overflow::loss_is_told_by_a_gap`, without the backend's)",
                    index + 1
                )
            })?;
            known.insert(check.name(), reason.trim().to_owned());
        }
        Ok(Self(known))
    }

    /// The verdict in the light of the list.
    pub(crate) fn judge(&self, check: &Check, verdict: Verdict) -> Verdict {
        let Some(reason) = self.0.get(check.name()) else { return verdict };
        match verdict {
            Verdict::Failed(message) | Verdict::TimedOut(message) => {
                let reason = if reason.is_empty() { "no reason given" } else { reason };
                Verdict::KnownFailure(format!("known: {reason}\n{message}"))
            }
            Verdict::Passed(_) => Verdict::Failed(format!(
                "{} is on the list of known failures, and passes: take it off the list",
                check.name()
            )),
            // Nothing was learnt of it.
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Evidence;

    fn check(name: &str) -> &'static Check {
        checks().find(|check| check.name() == name).expect("there is such a check")
    }

    #[test]
    fn a_listed_failure_is_known_and_others_are_not() {
        let list = "# ours\n\necho::never_echoed # the engine echoes\n";
        let known = KnownFailures::parse(list).expect("a good list");
        let failed = || Verdict::Failed("why".into());
        let judged = known.judge(check("echo::never_echoed"), failed());
        assert_eq!(judged, Verdict::KnownFailure("known: the engine echoes\nwhy".into()));
        assert!(!judged.is_failure() && !judged.is_passed());
        assert_eq!(known.judge(check("once::never_twice"), failed()), failed());
    }

    #[test]
    fn a_listed_check_that_passes_fails_the_run() {
        let known = KnownFailures::parse("echo::never_echoed").expect("a good list");
        let passed = Verdict::Passed(Evidence::Certain);
        assert!(known.judge(check("echo::never_echoed"), passed).is_failure());
    }

    #[test]
    fn a_listed_check_that_says_nothing_stays_what_it_is() {
        let known = KnownFailures::parse("echo::never_echoed").expect("a good list");
        for verdict in [Verdict::Errored("no server".into()), Verdict::Inconclusive("".into())] {
            assert_eq!(known.judge(check("echo::never_echoed"), verdict.clone()), verdict);
        }
    }

    #[test]
    fn a_name_that_is_no_check_is_an_error_with_its_line() {
        let error = KnownFailures::parse("\necho::never # oh").expect_err("no such check");
        assert!(error.contains("line 2") && error.contains("echo::never"), "{error}");
    }
}
