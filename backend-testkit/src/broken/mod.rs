//! Deliberately broken backends: each with one small fault in an otherwise correct backend.
//!
//! They show that the checks can fail. Each names the check that has to catch it, and a test of
//! this crate holds them to that. They serve as examples, too, of what goes wrong in practice.
//!
//! ```
//! use std::time::Duration;
//! use backend_testkit::{Suite, broken};
//!
//! let echo = broken::specimens().find(|specimen| specimen.name() == "echo").expect("it is there");
//! let suite = Suite::new(echo.harness(Duration::from_secs(1)));
//! let outcome = suite.outcome_of(echo.caught_by()).expect("there is such a check");
//! assert!(outcome.verdict.is_failure());
//! ```

mod buffer;
mod closing;
mod content;
mod delivery;
mod drops;
mod ends;
mod health;
mod lagging;
mod mesh;
mod moments;
mod outage;
mod remote;
mod sizes;
mod twist;

use std::fmt;
use std::time::Duration;

use crate::Harness;

/// A broken backend.
pub struct Specimen {
    name: &'static str,
    fault: &'static str,
    caught_by: &'static str,
    make: fn(Duration) -> Box<dyn Harness>,
}

impl Specimen {
    const fn new(
        name: &'static str,
        fault: &'static str,
        caught_by: &'static str,
        make: fn(Duration) -> Box<dyn Harness>,
    ) -> Self {
        Self { name, fault, caught_by, make }
    }

    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What is wrong with it, in a sentence.
    #[must_use]
    pub const fn fault(&self) -> &'static str {
        self.fault
    }

    /// The check that names its fault.
    #[must_use]
    pub const fn caught_by(&self) -> &'static str {
        self.caught_by
    }

    /// A harness of it, with this [deadline](crate::Claims::with_deadline): a fault that shows as
    /// a hang takes as long to find.
    #[must_use]
    pub fn harness(&self, deadline: Duration) -> Box<dyn Harness> {
        (self.make)(deadline)
    }
}

impl fmt::Debug for Specimen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Specimen")
            .field("name", &self.name)
            .field("fault", &self.fault)
            .field("caught_by", &self.caught_by)
            .finish_non_exhaustive()
    }
}

/// Every broken backend.
pub fn specimens() -> impl Iterator<Item = &'static Specimen> {
    let subjects = [
        delivery::SPECIMENS,
        mesh::SPECIMENS,
        moments::SPECIMENS,
        sizes::SPECIMENS,
        content::SPECIMENS,
        buffer::SPECIMENS,
        ends::SPECIMENS,
        closing::SPECIMENS,
        drops::SPECIMENS,
        outage::SPECIMENS,
        health::SPECIMENS,
        remote::SPECIMENS,
        lagging::SPECIMENS,
    ];
    subjects.into_iter().flatten()
}

/// What the broken backends are made of, without a fault: it has to pass everything.
#[must_use]
pub fn honest(deadline: Duration) -> Box<dyn Harness> {
    twist::twisted(deadline, |_| twist::Honest)
}

/// The same, but every operation takes up to 8 ms: it is slow, and has to pass everything.
#[must_use]
pub fn honest_but_slow(deadline: Duration) -> Box<dyn Harness> {
    twist::twisted(deadline, |_| twist::Slow::default())
}

/// The same, but every event takes up to 10 ms to get to each subscription, unevenly and in order:
/// it is jittery, and has to pass everything.
#[must_use]
pub fn honest_but_jittery(deadline: Duration) -> Box<dyn Harness> {
    twist::twisted(deadline, |_| twist::Jittery)
}

/// An honest backend whose server is 150 ms away, and whose every subscription has a way of its
/// own: it has to pass everything.
///
/// An operation takes 100 to 200 ms, a delivery as long again.
#[must_use]
pub fn honest_but_far(deadline: Duration) -> Box<dyn Harness> {
    remote::far(deadline)
}

/// An honest backend that keeps no order, and [says so](crate::Claims::without_order): it has to
/// pass everything that it claims.
#[must_use]
pub fn honest_but_unordered(deadline: Duration) -> Box<dyn Harness> {
    remote::unordered(deadline, None)
}
