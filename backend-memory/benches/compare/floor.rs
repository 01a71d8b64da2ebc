//! What nobody can do without: a clone of an envelope for each reader, and its drop.

use std::hint::black_box;
use std::time::Instant;

use backend_core::MessageEnvelope;
use bench_harness::{Better, Report};
use tokio::runtime::Runtime;

use crate::drained;
use crate::peers::{Ours, Peer, TOPIC, envelope};

const CLONES: usize = 100_000;

pub(crate) fn run(report: &mut Report, _: &Runtime, rounds: usize) {
    let original = envelope(TOPIC);
    for readers in [64, 1_000] {
        let mut ours = drained::work::<Ours>(readers);
        // At most 1.8 times the floor.
        report.set_target(Some(1.0 / 1.8));
        report.compare(
            &format!("a delivery and the floor, {readers} readers"),
            "ns",
            Better::Less,
            rounds,
            &mut [(Ours::NAME, &mut ours), ("a clone and its drop", &mut || clones(&original))],
        );
    }
}

fn clones(original: &MessageEnvelope) -> f64 {
    let since = Instant::now();
    for _ in 0..CLONES {
        drop(black_box(original.clone()));
    }
    since.elapsed().as_nanos() as f64 / CLONES as f64
}
