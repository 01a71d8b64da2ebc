//! What the author of a backend writes: how to make instances, and how to cut one off.

use std::any::Any;
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

    /// The checks that are known to fail, if any: the text of a file that is kept beside the test.
    ///
    /// A line for each: the check's name without the backend's, then, after a `#`, why. Such a check
    /// is run, and shown as a *known failure*. When it passes one day, the run fails until it is
    /// taken off the list, so a list never outlives its reasons.
    ///
    /// ```
    /// # const LIST: &str = "";
    /// # trait Mine {
    /// fn known_failures(&self) -> &str {
    ///     // In a test: include_str!("known-failures.txt")
    ///     LIST
    /// }
    /// # }
    /// ```
    fn known_failures(&self) -> &str {
        ""
    }
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

    fn known_failures(&self) -> &str {
        (**self).known_failures()
    }
}

/// Linked instances, and perhaps a way to cut one off, and to look at what the engine holds.
///
/// # Where a server is kept alive
///
/// A process that ends when its owner is dropped needs an owner that lives long enough. There are two.
/// A server for *all* clusters is a field of the harness, which lives as long as the suite runs; each
/// cluster then has a namespace of its own. A server for *each* cluster goes with it, as a guard:
///
/// ```
/// use std::process::{Child, Command};
/// use std::sync::Arc;
/// use backend_core::Backend;
/// use backend_testkit::{BoxError, Cluster};
///
/// /// A server that ends when this is dropped.
/// struct Server(Child);
///
/// impl Drop for Server {
///     fn drop(&mut self) {
///         let _ = self.0.kill();
///         let _ = self.0.wait();
///     }
/// }
///
/// async fn cluster(instances: usize) -> Result<Cluster, BoxError> {
///     let server = Server(Command::new("my-engine").arg("--port=0").spawn()?);
///     let mut backends = Vec::new();
///     for _ in 0..instances {
///         backends.push(connect(&server).await?);
///     }
///     Ok(Cluster::new(backends).with_guard(server))
/// }
/// # async fn connect(_: &Server) -> Result<Arc<dyn Backend>, BoxError> {
/// #     Err("an example".into())
/// # }
/// ```
///
/// Bound to a variable of `cluster` and to nothing else, the server would end when `cluster` returns,
/// and every check would find an outage.
pub struct Cluster {
    pub(crate) instances: Vec<Arc<dyn Backend>>,
    pub(crate) means: Means,
}

/// What a harness can do to, and see of, the instances of a cluster.
#[derive(Clone, Default)]
pub(crate) struct Means {
    pub(crate) faults: Option<Arc<dyn Faults>>,
    pub(crate) probe: Option<Arc<dyn Probe>>,
    /// Held only to be dropped.
    guards: Vec<Arc<dyn Any + Send + Sync>>,
}

impl Cluster {
    /// A cluster of these instances.
    ///
    /// Keep no other `Arc` of them: a check drops the last one to see whether that closes the
    /// instance (clause C4).
    #[must_use]
    pub fn new(instances: Vec<Arc<dyn Backend>>) -> Self {
        Self { instances, means: Means::default() }
    }

    /// The same cluster, with a way to cut an instance off. The claims then say
    /// [`with_faults`](Claims::with_faults).
    #[must_use]
    pub fn with_faults(mut self, faults: impl Faults + 'static) -> Self {
        self.means.faults = Some(Arc::new(faults));
        self
    }

    /// The same cluster, with a way to ask the engine what it holds. The claims then say
    /// [`with_probe`](Claims::with_probe).
    #[must_use]
    pub fn with_probe(mut self, probe: impl Probe + 'static) -> Self {
        self.means.probe = Some(Arc::new(probe));
        self
    }

    /// The same cluster, which keeps this, and drops it after the last of its instances: whatever they
    /// need, such as the [process of a server](Self#where-a-server-is-kept-alive). It may be given
    /// several.
    #[must_use]
    pub fn with_guard(mut self, guard: impl Any + Send + Sync) -> Self {
        self.means.guards.push(Arc::new(guard));
        self
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("instances", &self.instances.len())
            .field("faults", &self.means.faults.is_some())
            .field("probe", &self.means.probe.is_some())
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

/// Asks the engine what it holds for an instance: the engine's own word on leaks, beside that of the
/// backend's counters.
///
/// Keep no strong handle of an instance in here, as with [`Faults`].
#[async_trait]
pub trait Probe: Send + Sync {
    /// For how many topics the engine would send something to the instance with this index: its
    /// live registrations, such as Redis' `PUBSUB CHANNELS` within the cluster's namespace tells
    /// for a cluster of which only one instance subscribes.
    ///
    /// The checks ask again until the number is right, so it may be behind by a moment.
    ///
    /// # Errors
    /// Whatever keeps it from being known. The check is then in error.
    async fn topics(&self, instance: usize) -> Result<u64, BoxError>;
}
