//! What a harness gives a cluster to keep lives as long as the cluster's instances, and no longer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use backend_core::{Backend, BoxError};
use backend_memory::MemoryBackend;
use backend_testkit::{Claims, Cluster, Harness, Suite, async_trait};

const CAPACITY: usize = 32;

/// Memory backends that cannot do without a guard, as if it were their server.
#[derive(Clone, Default)]
struct Guarded(Arc<Counts>);

#[derive(Default)]
struct Counts {
    made: AtomicUsize,
    dropped: AtomicUsize,
    too_early: AtomicUsize,
}

struct Guard {
    counts: Arc<Counts>,
    instances: Vec<Weak<MemoryBackend>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        if self.instances.iter().any(|instance| instance.strong_count() > 0) {
            self.counts.too_early.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[async_trait]
impl Harness for Guarded {
    fn name(&self) -> &str {
        "guarded"
    }

    fn claims(&self) -> Claims {
        Claims::new().with_capacity(CAPACITY)
    }

    async fn cluster(&self, instances: usize) -> Result<Cluster, BoxError> {
        self.0.made.fetch_add(1, Ordering::Relaxed);
        let bus = MemoryBackend::builder().capacity(CAPACITY).build();
        let all: Vec<_> = (0..instances).map(|_| Arc::new(bus.fork())).collect();
        let weak = all.iter().map(Arc::downgrade).collect();
        let guard = Guard { counts: Arc::clone(&self.0), instances: weak };
        let all = all.into_iter().map(|one| one as Arc<dyn Backend>).collect();
        Ok(Cluster::new(all).with_guard(guard))
    }
}

#[test]
fn a_guard_outlives_the_instances_and_not_the_check() {
    let harness = Guarded::default();
    let counts = Arc::clone(&harness.0);
    let groups = ["deliver::", "close::", "unsubscribe::"];
    let wanted = |name: &str| groups.iter().any(|group| name.starts_with(group));
    let report = Suite::new(harness).report_of(|check| wanted(check.name()));
    assert_eq!(report.failures().count(), 0);
    let Counts { made, dropped, too_early } = &*counts;
    let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
    assert!(count(made) > 20, "{} clusters", count(made));
    assert_eq!((count(dropped), count(too_early)), (count(made), 0));
}
