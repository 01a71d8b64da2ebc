//! One connection to the relay: requests go out in order, and are answered in the same order.
//!
//! Three loops share it, as branches of one `select!`, so as one task: one writes, one reads, and
//! one brings the topics back to life and then says so. They never run at the same time, and each
//! of their steps between two `await`s is undivided; the release of a topic relies on that.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backend_core::{Result, Subscription};
use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{self, MissedTickBehavior, timeout};
use uuid::Uuid;

use crate::frame::{self, Incoming, Outgoing, Reply, Request, VERSION};
use crate::supervisor::Shared;

/// Requests that wait to be written. With more, whoever asks waits.
const QUEUE: usize = 256;

/// Heartbeats without a sign of life after which a connection counts as lost.
const PATIENCE: u32 = 2;

/// A request on its way to the relay, and who waits for the answer.
pub(crate) struct Call {
    pub(crate) frame: Bytes,
    pub(crate) answer: Answer,
}

/// What to do when the relay has answered. Dropped instead, it tells who waits that the connection
/// was lost before that.
pub(crate) enum Answer {
    /// Tell that it is done.
    Done(oneshot::Sender<()>),
    /// Subscribe, here and now: behind all that has arrived so far.
    Subscription(String, oneshot::Sender<Result<Subscription>>),
    /// Nobody waits.
    Nobody,
}

/// Where requests of a live connection are handed in.
pub(crate) type Link = mpsc::Sender<Call>;

/// A connection that the relay has welcomed.
pub(crate) struct Connection {
    incoming: Incoming,
    outgoing: Outgoing,
    link: Link,
    calls: mpsc::Receiver<Call>,
}

impl Connection {
    /// Connects and introduces the instance, within a few heartbeats.
    pub(crate) async fn open(
        address: &str,
        instance: Uuid,
        heartbeat: Duration,
    ) -> io::Result<Self> {
        timeout(heartbeat * PATIENCE, Self::greet(address, instance)).await?
    }

    async fn greet(address: &str, instance: Uuid) -> io::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        // While nobody listens on a port of this machine, dialling may get that very port to dial
        // from, and so reach itself.
        if socket.local_addr()? == socket.peer_addr()? {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        socket.set_nodelay(true)?;
        let (mut incoming, mut outgoing) = frame::split(socket);
        let hello = Request::Hello { version: VERSION, instance };
        let hello = frame::encode_request(&hello).map_err(io::Error::other)?;
        frame::send(&mut outgoing, [hello]).await?;
        match next(&mut incoming).await? {
            Reply::Done => {
                let (link, calls) = mpsc::channel(QUEUE);
                Ok(Self { incoming, outgoing, link, calls })
            }
            _ => Err(frame::invalid("something before the hello was answered")),
        }
    }

    /// Where requests for it are handed in.
    pub(crate) fn link(&self) -> Link {
        self.link.clone()
    }

    /// Carries requests and messages until the connection is lost; the error says why.
    pub(crate) async fn carry(self, shared: &Shared) -> io::Result<Infallible> {
        let pending = Pending::default();
        tokio::select! {
            lost = write(self.outgoing, self.calls, &pending, shared) => lost,
            lost = read(self.incoming, &pending, shared) => lost,
            lost = go_live(self.link, shared) => lost,
        }
    }
}

/// Writes requests, as many at a time as there are.
async fn write(
    mut outgoing: Outgoing,
    mut calls: mpsc::Receiver<Call>,
    pending: &Pending,
    shared: &Shared,
) -> io::Result<Infallible> {
    let ping = frame::encode_request(&Request::Ping).map_err(io::Error::other)?;
    let mut heartbeat = time::interval(shared.heartbeat);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            _ = calls.recv_many(&mut batch, QUEUE) => {}
            () = shared.released.some() => batch.extend(give_up(shared, pending)?),
            _ = heartbeat.tick() => batch.push(Call { frame: ping.clone(), answer: Answer::Nobody }),
        }
        let frames = batch.drain(..).map(|call| {
            pending.push(call.answer);
            call.frame
        });
        frame::send(&mut outgoing, frames).await?;
    }
}

/// Reads what the relay sends: messages for the fan-out, and answers.
async fn read(
    mut incoming: Incoming,
    pending: &Pending,
    shared: &Shared,
) -> io::Result<Infallible> {
    loop {
        match timeout(shared.heartbeat * PATIENCE, next(&mut incoming)).await?? {
            Reply::Message(envelope) => {
                // Refused only when the instance has closed, and nobody is there to miss it.
                let _ = shared.engine.publish(envelope);
            }
            Reply::Topics(_) => return Err(frame::invalid("an answer to no question of ours")),
            Reply::Done => match pending.pop() {
                None => return Err(frame::invalid("an answer that nobody has asked for")),
                Some(Answer::Done(answer)) => drop(answer.send(())),
                // Who has gone meanwhile leaves the subscription here to be dropped.
                Some(Answer::Subscription(topic, answer)) => {
                    drop(answer.send(shared.users.subscribe(&topic)));
                }
                Some(Answer::Nobody) => {}
            },
        }
    }
}

async fn next(incoming: &mut Incoming) -> io::Result<Reply> {
    frame::receive(incoming).await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Requests that are written, or about to be, and not answered: the oldest first.
#[derive(Default)]
struct Pending(Mutex<VecDeque<Answer>>);

impl Pending {
    fn push(&self, answer: Answer) {
        self.lock().push_back(answer);
    }

    fn pop(&self) -> Option<Answer> {
        self.lock().pop_front()
    }

    /// Whether a subscription to `topic` is on its way.
    fn awaits(&self, topic: &str) -> bool {
        self.lock().iter().any(|answer| matches!(answer, Answer::Subscription(t, _) if t == topic))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The requests that give up the topics that nobody here subscribes to any more.
fn give_up(shared: &Shared, pending: &Pending) -> io::Result<Vec<Call>> {
    let mut topics = shared.released.take();
    // Somebody has subscribed again, or is about to.
    topics.retain(|topic| !shared.users.is_subscribed(topic) && !pending.awaits(topic));
    let calls = topics.into_iter().map(|topic| {
        let frame =
            frame::encode_request(&Request::Unsubscribe(topic)).map_err(io::Error::other)?;
        Ok(Call { frame, answer: Answer::Nobody })
    });
    calls.collect()
}

/// Subscribes to every topic again; when all are answered, ends the outage.
async fn go_live(link: Link, shared: &Shared) -> io::Result<Infallible> {
    let topics = shared.users.topics();
    let mut answers = Vec::new();
    for topic in &topics {
        let frame = frame::encode_request(&Request::Subscribe(topic.to_string()));
        let frame = frame.map_err(io::Error::other)?;
        let (answer, answered) = oneshot::channel();
        let call = Call { frame, answer: Answer::Done(answer) };
        link.send(call).await.map_err(io::Error::other)?;
        answers.push(answered);
    }
    for answered in answers {
        answered.await.map_err(io::Error::other)?;
    }
    // Given up meanwhile, perhaps before its turn to be written had come.
    for topic in topics.iter().filter(|topic| !shared.users.is_subscribed(topic)) {
        shared.released.add(topic);
    }
    shared.live(link);
    std::future::pending().await
}
