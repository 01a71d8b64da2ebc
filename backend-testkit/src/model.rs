//! The model check: random operations and faults, run against the backend and against a small model
//! that knows what every subscription must, may and must not receive.
//!
//! [`script`] is what is done, [`expected`] what one subscription has to get for it, and [`world`]
//! does the one and compares the other. What fails is made shorter, as long as it still fails.

mod expected;
mod script;
mod world;

use std::time::Instant;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::bench::Bench;
use crate::failure::{Failure, Kind, Verified};
use script::Step;
use world::World;

/// How many scripts are tried, on a backend that is quick enough.
const SCRIPTS: usize = 300;

/// How many shorter scripts are tried of one that fails.
const SHORTER: usize = 400;

/// What a script may do, beyond publishing, reading, subscribing and ending.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Menu {
    /// Subscriptions may be left unread until their buffer overflows.
    pub(crate) overflows: bool,
    /// Instances may be cut off and let back.
    pub(crate) outages: bool,
}

/// Tries random scripts until one fails, and tells of the shortest that fails as well.
pub(crate) async fn explore(bench: &Bench, menu: Menu) -> Verified {
    let mut runner = TestRunner::new_with_rng(Config::default(), rng(bench.seed()));
    let scripts = script::scripts(menu);
    for _ in bench.rounds(SCRIPTS) {
        let mut tree = scripts
            .new_tree(&mut runner)
            .map_err(|reason| Failure::harness("a script is made", reason.message().to_owned()))?;
        if let Err(failure) = try_out(bench, menu, &tree.current()).await {
            return Err(shortest(bench, menu, &mut tree, failure).await);
        }
    }
    Ok(())
}

/// A failure, and the steps up to it.
struct Broken {
    failure: Failure,
    steps: Vec<String>,
}

async fn try_out(bench: &Bench, menu: Menu, script: &[Step]) -> Result<(), Broken> {
    bench.start_again();
    let mut world = match World::new(bench, menu).await {
        Ok(world) => world,
        Err(failure) => return Err(Broken { failure, steps: Vec::new() }),
    };
    match world.run(script).await {
        Ok(()) => Ok(()),
        Err(failure) => Err(Broken { failure, steps: world.into_steps() }),
    }
}

/// The failure of the shortest script that can be found from a failing one.
async fn shortest(
    bench: &Bench,
    menu: Menu,
    tree: &mut impl ValueTree<Value = Vec<Step>>,
    first: Broken,
) -> Failure {
    let (mut best, mut tried, since) = (first, 0, Instant::now());
    // A harness that cannot make instances says nothing about any script.
    let mut more = best.failure.kind != Kind::Harness && tree.simplify();
    while more && tried < SHORTER && since.elapsed() < bench.deadline() * 4 {
        tried += 1;
        more = match try_out(bench, menu, &tree.current()).await {
            Err(broken) if broken.failure.kind != Kind::Harness => {
                best = broken;
                tree.simplify()
            }
            _ => tree.complicate(),
        };
    }
    bench.start_again();
    for step in best.steps {
        bench.story().tell(step);
    }
    best.failure.because("by the model, after the steps below: the shortest that were found")
}

/// Chance that depends on the seed alone.
fn rng(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}
