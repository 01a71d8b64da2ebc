//! Random operations against a model of what has to come of them.

use crate::Check;
use crate::bench::Bench;
use crate::check::check;
use crate::failure::Verified;
use crate::model::{self, Menu};

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "model",
        random_operations,
        [D1, D2, D3, D4, D5, D7, U1, U3, C2],
        [],
        "Whatever is done in whatever order, every subscription gets what it has to, and no more."
    ),
    check!(
        "model",
        random_operations_with_overflows,
        [L2, L3, O3],
        [Order, Capacity],
        "So it is where subscriptions overflow: what is missing is told, in its place."
    ),
    check!(
        "model",
        random_operations_with_outages,
        [H5, H6, H7, D5],
        [Order, Health, Faults],
        "So it is where instances are cut off and come back."
    ),
];

async fn random_operations(bench: Bench) -> Verified {
    model::explore(&bench, Menu::default()).await
}

async fn random_operations_with_overflows(bench: Bench) -> Verified {
    model::explore(&bench, Menu { overflows: true, ..Menu::default() }).await
}

async fn random_operations_with_outages(bench: Bench) -> Verified {
    model::explore(&bench, Menu { outages: true, ..Menu::default() }).await
}
