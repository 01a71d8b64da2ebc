//! The checks, in one module for each group of clauses.
//!
//! To add one: write an `async fn` that takes a [`Bench`](crate::bench::Bench), and add its line
//! to the `CHECKS` of its module. The name is the idea; the first clause is the one that it is
//! mostly about. Then add a backend with that fault to [`broken`](crate::broken), so that the
//! check is shown to be able to fail.

pub(crate) mod callback;
pub(crate) mod cancel;
pub(crate) mod close;
pub(crate) mod closing_races;
pub(crate) mod deliver;
pub(crate) mod echo;
pub(crate) mod endings;
pub(crate) mod fidelity;
pub(crate) mod gaps;
pub(crate) mod health;
pub(crate) mod isolation;
pub(crate) mod life;
pub(crate) mod loss;
pub(crate) mod midway;
pub(crate) mod model;
pub(crate) mod once;
pub(crate) mod order;
pub(crate) mod outage;
pub(crate) mod overflow;
pub(crate) mod ready;
pub(crate) mod recovery;
pub(crate) mod release;
pub(crate) mod scale;
pub(crate) mod ttl;
pub(crate) mod wake;
pub(crate) mod wrappers;
