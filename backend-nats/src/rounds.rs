//! What a connection asks of its server and of the other instances, and what it answers these.
//!
//! Two questions, each answered behind all that was sent before it. *Has the server got here?* A mark is
//! sent, and comes back. *Have the others?* A hello goes to all, and each of them answers behind what it
//! had published: a round. See [`marks`](crate::marks) and [`peers`](crate::peers).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::{Client, Subject, Subscriber};
use backend_core::{BoxError, Error, Result};
use backend_engine::Inbox;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::Mutex;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::events::Events;
use crate::marks::Marks;
use crate::peers::{Answer, Id, Peers};
use crate::publisher::Publisher;
use crate::refusal::cause;
use crate::subjects::Subjects;

/// How many that ask for an answer get theirs at once, at most.
const HELLOS: usize = 256;

/// The questions of one connection. It answers those of others until this is dropped.
///
/// Rounds are shared: who asks while one is going on waits for the next one, with all others.
#[derive(Debug)]
pub(crate) struct Rounds {
    client: Client,
    publisher: Publisher,
    events: Arc<Events>,
    subjects: Subjects,
    /// The connection's own subject.
    own: Subject,
    marks: Arc<Marks>,
    peers: Arc<Peers>,
    /// How long a round waits for who does not answer.
    patience: Duration,
    /// How many rounds have begun.
    begun: AtomicU64,
    /// The last one that has ended well. Held while a round is going on.
    ended: Mutex<u64>,
    fences: Mutex<u64>,
    /// They read what arrives for the adapter itself.
    _readers: [AbortOnDropHandle<()>; 2],
}

impl Rounds {
    /// Returns when both directions work, and the other instances are known.
    pub(crate) async fn start(
        client: Client,
        publisher: Publisher,
        inbox: Inbox,
        events: Arc<Events>,
        subjects: Subjects,
        instance: Id,
        patience: Duration,
    ) -> std::result::Result<Self, BoxError> {
        let connection = Uuid::new_v4().into_bytes();
        let (own, marks) = (subjects.of(connection), Arc::new(Marks::default()));
        let peers = Arc::new(Peers::new(instance, connection));
        let answers = client.subscribe(own.clone()).await?;
        let hellos = client.subscribe(subjects.hello.clone()).await?;
        let readers = [
            tokio::spawn(read_own(
                answers,
                Arc::clone(&marks),
                Arc::clone(&peers),
                Arc::clone(&events),
            )),
            tokio::spawn(answer(
                hellos,
                publisher.clone(),
                subjects.clone(),
                Arc::clone(&peers),
                inbox,
            )),
        ];
        let rounds = Self {
            client,
            publisher,
            events,
            subjects,
            own,
            marks,
            peers,
            patience,
            begun: AtomicU64::default(),
            ended: Mutex::default(),
            fences: Mutex::default(),
            _readers: readers.map(AbortOnDropHandle::new),
        };
        let since = Instant::now();
        rounds.round_trip().await.map_err(cause)?;
        let round_trip = since.elapsed();
        rounds.ask_all().await.map_err(cause)?;
        rounds.peers.are_known(round_trip, rounds.patience).await;
        Ok(rounds)
    }

    /// Sends a mark, and waits until it is back.
    pub(crate) async fn round_trip(&self) -> Result<()> {
        let mut mark = self.marks.make();
        self.unless_lost(async {
            self.send(&self.own, mark.payload()).await?;
            mark.back().await;
            Ok(())
        })
        .await
    }

    /// Returns after a round that began later than this.
    pub(crate) async fn round(&self) -> Result<()> {
        // Written, and not read: either whoever begins the next round sees what this has sent before,
        // or this sees that it has begun.
        let mine = self.begun.fetch_add(0, Ordering::AcqRel) + 1;
        // Whoever gets it next carries out the round for all that wait.
        let mut ended = self.ended.lock().await;
        if *ended < mine {
            let begun = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
            self.ask_all().await?;
            *ended = begun;
        }
        Ok(())
    }

    /// A round trip. What the server has denied before is known then.
    pub(crate) async fn ask_server(&self) -> Result<()> {
        let fence = self.fence().await?;
        self.round_trip().await?;
        self.hear_errors(fence).await;
        Ok(())
    }

    /// The others need not wait for this connection any more.
    pub(crate) async fn say_bye(&self) {
        // If it fails, the connection has ended, and they will find out.
        let _ = self.send(&self.subjects.hello, self.peers.bye().encode()).await;
    }

    /// Carries out a round. There is one at a time. What the server has denied before is known then.
    async fn ask_all(&self) -> Result<()> {
        let fence = self.fence().await?;
        let hello = self.peers.begin();
        self.unless_lost(async {
            self.send(&self.subjects.hello, hello.encode()).await?;
            self.peers.is_back().await;
            self.peers.have_answered(self.patience).await;
            Ok(())
        })
        .await?;
        self.hear_errors(fence).await;
        Ok(())
    }

    /// Sends something for the server to refuse. Its number, unless the server is known not to.
    ///
    /// The client hands on the errors of the server in a task of its own, later than what arrives
    /// behind them. So a mark that is back does not mean that a denial was heard of. This error is
    /// behind it, and when it has been heard of, so has the denial. A server that asks for no
    /// credentials may deny, too (`no_auth_user`), and does not say so before.
    async fn fence(&self) -> Result<Option<u64>> {
        if !self.events.are_refusals_expected() {
            return Ok(None);
        }
        let mut fences = self.fences.lock().await;
        let refused = self.client.subscribe(self.subjects.refused.clone()).await;
        drop(refused.map_err(Error::unavailable)?);
        *fences += 1;
        Ok(Some(*fences))
    }

    /// When a mark behind the fence is back: waits until the errors before the fence were heard of.
    async fn hear_errors(&self, fence: Option<u64>) {
        match fence {
            Some(fence) if timeout(self.patience, self.events.refusals(fence)).await.is_err() => {
                self.events.miss_refusal(fence);
            }
            Some(_) => {}
            // Almost always, that task has its turn now.
            None => yield_now().await,
        }
    }

    async fn unless_lost(&self, answered: impl Future<Output = Result<()>>) -> Result<()> {
        tokio::select! {
            answered = answered => answered,
            why = self.events.lost() => Err(Error::unavailable(why)),
        }
    }

    async fn send(&self, subject: &Subject, payload: Bytes) -> Result<()> {
        self.publisher.publish(subject.clone(), payload).await.map_err(Error::unavailable)
    }
}

/// Takes what arrives for this connection alone.
async fn read_own(
    mut arriving: Subscriber,
    marks: Arc<Marks>,
    peers: Arc<Peers>,
    events: Arc<Events>,
) {
    while let Some(message) = arriving.next().await {
        match Answer::decode(&message.payload) {
            Some(answer) => peers.answered(answer),
            None => marks.arrived(&message.payload),
        }
    }
    events.lose("the connection has ended".to_owned());
}

/// Answers the others, behind all that was published before they asked: the client has one queue, and
/// what is not in there yet is waited for, once for all that have asked meanwhile.
async fn answer(
    hellos: Subscriber,
    publisher: Publisher,
    subjects: Subjects,
    peers: Arc<Peers>,
    inbox: Inbox,
) {
    let mut hellos = hellos.ready_chunks(HELLOS);
    while let Some(messages) = hellos.next().await {
        let heard = messages.iter().filter_map(|message| peers.hear(&message.payload));
        let asked: Vec<_> = heard.collect();
        if asked.is_empty() {
            continue;
        }
        inbox.published().await;
        for (connection, answer) in asked {
            // If it fails, the connection has ended, and so will this.
            let _ = publisher.publish(subjects.of(connection), answer.encode()).await;
        }
    }
}
