//! The list of all checks.

use crate::{Check, Clause, checks as groups};

/// The groups, in the order of the contract.
const GROUPS: &[&[Check]] = &[
    groups::deliver::CHECKS,
    groups::echo::CHECKS,
    groups::ready::CHECKS,
    groups::once::CHECKS,
    groups::isolation::CHECKS,
    groups::fidelity::CHECKS,
    groups::order::CHECKS,
    groups::loss::CHECKS,
    groups::overflow::CHECKS,
    groups::life::CHECKS,
    groups::endings::CHECKS,
    groups::release::CHECKS,
    groups::close::CHECKS,
    groups::closing_races::CHECKS,
    groups::cancel::CHECKS,
    groups::midway::CHECKS,
    groups::health::CHECKS,
    groups::callback::CHECKS,
    groups::outage::CHECKS,
    groups::recovery::CHECKS,
    groups::ttl::CHECKS,
    groups::wrappers::CHECKS,
    groups::gaps::CHECKS,
    groups::wake::CHECKS,
    groups::scale::CHECKS,
    groups::model::CHECKS,
];

/// Every check of the suite, in the order of the contract.
///
/// ```
/// use backend_testkit::{Clause, checks, checks_of};
///
/// assert!(checks().count() > 60);
/// assert!(checks_of(Clause::D2).any(|check| check.name() == "echo::never_echoed"));
/// ```
pub fn checks() -> impl Iterator<Item = &'static Check> {
    GROUPS.iter().copied().flatten()
}

/// The checks that hold a backend to this clause.
pub fn checks_of(clause: Clause) -> impl Iterator<Item = &'static Check> {
    checks().filter(move |check| check.clauses().contains(&clause))
}
