//! What an engine has to offer, and all that the author of an adapter writes.
//!
//! A [`Driver`] makes connections; a [`Link`] is one of them. The rest of the contract (who is
//! subscribed, in which order things happen, what is told after a loss, who reconnects) is the same
//! for every engine, and is this crate's.

use async_trait::async_trait;
use backend_core::{BoxError, Error, Result};
use bytes::Bytes;
use futures_util::future::join_all;

use crate::inbox::Inbox;
use crate::name::{EngineName, LONGEST};

/// Makes connections to an engine.
#[async_trait]
pub trait Driver: Send + Sync + 'static {
    /// A connection.
    type Link: Link;

    /// Connects, introduces itself, and returns when the engine has accepted that.
    ///
    /// Whatever arrives on this connection is handed to `inbox`. One attempt: the caller tries
    /// again, and gives up on an attempt that takes too long by dropping the future.
    ///
    /// # Errors
    /// Whatever went wrong, in words that hold no password.
    async fn connect(&self, inbox: Inbox) -> std::result::Result<Self::Link, BoxError>;

    /// What the instance is called at the engine, for the log; `None` where it has no name.
    fn client_name(&self) -> Option<&str> {
        None
    }

    /// The longest name that the engine takes, in bytes; [`LONGEST`] unless it takes less.
    ///
    /// Topics whose name would be longer get one with a digest, so this decides how many names can be
    /// read by people, and not which topics there are. 45 at least, which is the length of a name that is
    /// a digest, an [internal](crate::name::Names::internal) one too: an adapter makes those with the same
    /// limit. It is asked once, before the first connection, and has to be the same for all instances that
    /// are to be linked.
    fn longest_name(&self) -> usize {
        LONGEST
    }
}

/// One connection to an engine, until it is lost.
///
/// Names are those of [`Names`](crate::name::Names): legal for every engine. All methods may be
/// called at the same time, and each may be dropped half-way.
#[async_trait]
pub trait Link: Send + Sync + 'static {
    /// The server at the other end, for the log: an address, such as `host:port`, without credentials.
    fn server(&self) -> Option<&str> {
        None
    }

    /// The largest message that the engine takes, in bytes, where it has a limit.
    fn max_message(&self) -> Option<usize>;

    /// Asks for what is published under this name, and returns when *whatever is published from
    /// now on, by anybody*, will arrive: not when the request has been written (clause D4).
    ///
    /// What was published *before this was called* must not arrive after it has returned (clause
    /// D3). With an engine that answers a publish this is so by itself: it has dealt with what is
    /// [`Taken`](Handover::Taken) before it hears of this subscription. Where it
    /// [does not](Self::IS_UNANSWERED), such an envelope may reach the engine behind the subscription;
    /// then this waits until all that every instance had [published](Inbox::published) by then has
    /// reached the engine, as `backend-nats` does by asking all of them.
    ///
    /// Asking twice is the same as asking once. Dropped half-way, the name may be subscribed or not;
    /// the caller gives it up, or asks again. No connection has to be given up for it, also where
    /// the engine's protocol is a stream: a request that was begun is written to its end.
    ///
    /// # Errors
    /// One that is [retryable](Error::is_retryable): not now, or the connection is lost. Any other:
    /// the engine denies this name, and will. After an outage that ends the topic's streams.
    async fn subscribe(&self, name: &EngineName) -> Result<()>;

    /// The end of that: when this has returned, nothing more comes into the inbox under this name
    /// until it is subscribed to again. An unknown name is `Ok`.
    ///
    /// What is on its way would reach whoever subscribes next, who is not to see it (clause D3). So
    /// wait for the engine's answer, if it comes behind the messages; or for a
    /// [`ping`](Self::ping); or throw away what the name's own task has not read.
    ///
    /// # Errors
    /// One that is [retryable](Error::is_retryable): the connection is lost. Any other: the engine
    /// denies it, and what comes under this name is of no interest.
    async fn unsubscribe(&self, name: &EngineName) -> Result<()>;

    /// Returns when everything that was published under this name, and arrived here before a
    /// [`ping`](Self::ping) that begins now would be answered, has been handed to the inbox
    /// (clause D3). It has been subscribed to.
    ///
    /// A ping says so by itself, unless what arrives is passed on by several tasks.
    ///
    /// # Errors
    /// The connection is lost.
    async fn catch_up(&self, name: &EngineName) -> Result<()> {
        let _ = name;
        self.ping().await
    }

    /// Asks for several names at once: what an instance does after an outage, for some hundreds at a
    /// time. Gives for each name what [`subscribe`](Self::subscribe) would.
    ///
    /// Unless an engine has something better, they are asked for beside one another.
    async fn subscribe_all(&self, names: &[EngineName]) -> Vec<Result<()>> {
        join_all(names.iter().map(|name| self.subscribe(name))).await
    }

    /// Hands over messages, each under its name, in this order; and says what became of each. There is
    /// one call at a time.
    ///
    /// A message may have the frames of several envelopes of its topic; it was sent as a whole, or was
    /// not.
    ///
    /// Where the engine answers, write all of them, and then await all the answers: one after the other,
    /// each would wait for the network. A message on its own is handed over by its publisher there: this
    /// begins in the publisher's task, and may go on in one of the instance's. So what it holds while it
    /// waits is to belong to no runtime, as timers and sockets do, but to the client's task.
    ///
    /// When the connection is lost, do not wait for answers that will not come. The caller lets this say
    /// what it knows for a tenth of a second after [`lost`](Self::lost) has returned, and drops it then.
    /// What has no handover by then is unconfirmed, as if it were [`Unknown`](Handover::Unknown).
    async fn publish(&self, messages: Vec<Outgoing>) -> Vec<Handover>;

    /// Whether the engine does not answer a publish, so that [`Taken`](Handover::Taken) by the client's
    /// queue is all that can be known.
    ///
    /// An envelope counts as handed over, then, when it waits for [`publish`](Self::publish) beside
    /// others; as long as there is room, its publisher waits for nothing. Should it not be taken after
    /// all, it is told as missing where it is missed.
    const IS_UNANSWERED: bool = false;

    /// Whether the engine is known to take what is published under this name. Called under a lock, and
    /// only where publishes are [unanswered](Self::IS_UNANSWERED); elsewhere a publisher waits for what
    /// [`publish`](Self::publish) says of its message.
    fn is_granted(&self, name: &EngineName) -> bool {
        let _ = name;
        false
    }

    /// Whether the client has nothing to send, so that a single message spares the way through a task.
    /// A guess will do: while it is `false`, messages wait, and leave together. Called as the last one.
    fn is_idle(&self) -> bool {
        false
    }

    /// Hands over a message, if that needs no waiting; `None`: it does, and was not handed over. Called
    /// under a lock, where the last two said `true`, and not while [`publish`](Self::publish) is going on.
    fn try_publish(&self, outgoing: &Outgoing) -> Option<Handover> {
        let _ = outgoing;
        None
    }

    /// Goes to the engine and back, *through the path that messages take*, so that it shows both
    /// directions to be alive, and comes after everything that arrived before it.
    ///
    /// # Errors
    /// The connection is lost.
    async fn ping(&self) -> Result<()>;

    /// Returns when the connection is lost, with the reason; never before.
    async fn lost(&self) -> BoxError;

    /// Sends what was handed over and not yet sent, and disconnects.
    ///
    /// It is the last call; what still waits in another method ends with an error when the connection
    /// does. To close a socket is not enough where the
    /// engine does not answer publishes: one that is closed while something arrives may throw away
    /// what it has sent. What an answer comes back for has arrived: a [`ping`](Self::ping), say. The
    /// caller waits for an operation's time at most.
    ///
    /// # Errors
    /// Something that was handed over may not have arrived. Where the engine does not answer publishes,
    /// whoever closes the instance is told so, if it has published anything since the last ping that was answered.
    async fn close(&self) -> Result<()>;
}

/// What became of a message that was handed over.
#[derive(Debug)]
pub enum Handover {
    /// The engine, or its client's queue, has taken it. If it is the queue,
    /// [`Link::subscribe`] has more to do.
    Taken,
    /// It reached nobody, for certain: the engine refused it, or the connection had been lost before.
    /// Its numbers are used again, so nobody misses it. Its publishers get [`Error::Unavailable`] where
    /// this error is [retryable](Error::is_retryable), else [`Error::Backend`].
    Refused(Error),
    /// It may have been sent all the same, and this is why nobody knows: the connection was lost before
    /// the answer, for example. It keeps its numbers; if it has not arrived it is told as missing, as it
    /// is. Its publishers get [`Error::Unconfirmed`], for who publishes again may deliver twice.
    Unknown(BoxError),
}

impl Handover {
    /// Of what the link says nothing, nobody knows.
    pub(crate) fn left_out() -> Self {
        Self::Unknown("the adapter does not say what became of it".into())
    }

    /// What a publisher is told of it; several may be, of one message.
    pub(crate) fn result(&self) -> Result<()> {
        match self {
            Self::Taken => Ok(()),
            Self::Unknown(cause) => Err(Error::unconfirmed(cause.to_string())),
            Self::Refused(error) => Err(match error {
                Error::Unavailable(cause) => Error::unavailable(cause.to_string()),
                Error::Backend(cause) => Error::backend(cause.to_string()),
                other if other.is_retryable() => Error::unavailable(other.to_string()),
                other => Error::backend(other.to_string()),
            }),
        }
    }
}

/// A message on its way to the engine.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The engine's name of its topic.
    pub name: EngineName,
    /// What others will receive: one [frame](crate::wire) or several.
    pub message: Bytes,
}
