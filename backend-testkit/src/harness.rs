//! What the author of a backend writes: how to make instances, and how to cut one off.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use backend_core::{Backend, BoxError};

use crate::Claims;

/// Makes instances of the backend under test.
///
/// This is all that the suite needs to know about a backend; [the crate's page](crate) has a whole
/// one.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// The backend's name; it starts the name of every check: `memory::deliver::…`.
    fn name(&self) -> &str;

    /// What the backend claims beyond what the contract asks of all.
    fn claims(&self) -> Claims;

    /// Makes `instances` instances that are linked to one another and to nobody else.
    ///
    /// Checks run beside each other and make several clusters, so every call gives a fresh bus: a
    /// new one in memory, a namespace of its own on a server.
    ///
    /// # Errors
    /// Whatever keeps the instances from being made. It fails the check that asked, with this text.
    async fn cluster(&self, instances: usize) -> Result<Cluster, BoxError>;
}

#[async_trait]
impl Harness for Box<dyn Harness> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn claims(&self) -> Claims {
        (**self).claims()
    }

    async fn cluster(&self, instances: usize) -> Result<Cluster, BoxError> {
        (**self).cluster(instances).await
    }
}

/// Linked instances, and perhaps a way to cut one off.
pub struct Cluster {
    pub(crate) instances: Vec<Arc<dyn Backend>>,
    pub(crate) faults: Option<Arc<dyn Faults>>,
}

impl Cluster {
    /// A cluster of these instances.
    ///
    /// Keep no other `Arc` of them: a check drops the last one to see whether that closes the
    /// instance (clause C4).
    #[must_use]
    pub fn new(instances: Vec<Arc<dyn Backend>>) -> Self {
        Self { instances, faults: None }
    }

    /// The same cluster, with a way to cut an instance off. The claims then say
    /// [`with_faults`](Claims::with_faults).
    #[must_use]
    pub fn with_faults(mut self, faults: impl Faults + 'static) -> Self {
        self.faults = Some(Arc::new(faults));
        self
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("instances", &self.instances.len())
            .field("faults", &self.faults.is_some())
            .finish()
    }
}

/// Cuts an instance of a cluster off its bus or engine, and lets it back.
///
/// Keep no strong handle of an instance in here (a `Weak` will do): a check drops the last one to
/// see whether that closes the instance (clause C4).
#[async_trait]
pub trait Faults: Send + Sync {
    /// Cuts off the instance with this index, really: from here on nothing it publishes gets out,
    /// and nothing others publish gets in. Cutting twice is `Ok`, and so is cutting an instance
    /// that was closed meanwhile.
    ///
    /// The instance need not have noticed when this returns; the checks wait for that.
    ///
    /// # Errors
    /// Whatever keeps it from being cut off. It fails the check.
    async fn cut(&self, instance: usize) -> Result<(), BoxError>;

    /// Ends a cut: the instance can reach its bus again, and recovers by itself. Restoring what
    /// is not cut is `Ok`, and so is restoring an instance that was closed meanwhile.
    ///
    /// # Errors
    /// Whatever keeps it from being restored. It fails the check.
    async fn restore(&self, instance: usize) -> Result<(), BoxError>;
}
