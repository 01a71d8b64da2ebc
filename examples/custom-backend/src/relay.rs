//! The relay: every instance connects to it, and gets what the others publish.
//!
//! It stands for any engine, and is as strict as a good one: an instance is known by its id and has
//! one connection at a time; a request is answered when it has been carried out; whoever does not
//! read what it has asked for is disconnected, and nobody waits for it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::frame::{self, Incoming, Outgoing, Reply, Request, VERSION};

/// Frames that wait for an instance to take them. With more, it is disconnected.
const QUEUE: usize = 1_024;

/// How long an instance may be silent. Theirs is to ping more often than that.
const SILENCE: Duration = Duration::from_secs(60);

/// Runs a relay until `stop` is cancelled, and all of its connections have ended.
///
/// # Errors
/// None that anybody outside can cause: a bad connection costs nobody else anything.
pub async fn serve(listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
    let done = frame::encode(&Reply::Done).map_err(io::Error::other)?;
    let relay = Arc::new(Relay { state: Mutex::default(), done });
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                let (relay, stop) = (Arc::clone(&relay), stop.child_token());
                connections.spawn(async move {
                    if let Err(error) = connection(relay, socket, stop).await {
                        eprintln!("{peer}: {error}");
                    }
                });
            }
            Err(error) => {
                // Too many open files, say: it passes when others leave.
                eprintln!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
    Ok(())
}

/// One connection, from its hello to its end. `gone` ends it from outside.
async fn connection(
    relay: Arc<Relay>,
    socket: TcpStream,
    gone: CancellationToken,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (mut incoming, outgoing) = frame::split(socket);
    let Some(Request::Hello { version: VERSION, instance }) = next(&mut incoming).await? else {
        return Err(frame::invalid("no hello of a known version"));
    };
    let (queue, waiting) = mpsc::channel(QUEUE);
    let seat = relay.join(instance, queue, gone.clone().drop_guard());
    // Beside the reading, so that neither waits for the other.
    let writer = tokio::spawn(gone.clone().run_until_cancelled_owned(write(outgoing, waiting)));
    let ended = gone.run_until_cancelled(read(&mut incoming, &seat)).await;
    drop(seat);
    let _ = writer.await;
    ended.unwrap_or(Ok(()))
}

/// Carries out what an instance asks for, until it hangs up.
async fn read(incoming: &mut Incoming, seat: &Seat) -> io::Result<()> {
    while let Some(request) = next(incoming).await? {
        let instance = seat.instance;
        match request {
            Request::Subscribe(topic) => seat.act(|state| state.subscribe(instance, topic)),
            Request::Unsubscribe(topic) => seat.act(|state| state.unsubscribe(instance, &topic)),
            Request::Publish(envelope) => {
                let topic = envelope.topic().to_owned();
                let message = frame::encode(&Reply::Message(envelope)).map_err(io::Error::other)?;
                seat.act(|state| state.publish(instance, &topic, &message));
            }
            Request::Ping => seat.act(|_| {}),
            Request::Topics(of) => seat.tell_topics(of)?,
            Request::Hello { .. } => {
                return Err(frame::invalid("a second hello"));
            }
        }
    }
    Ok(())
}

async fn next(incoming: &mut Incoming) -> io::Result<Option<Request>> {
    timeout(SILENCE, frame::receive(incoming)).await?
}

/// Sends an instance what is in its queue, many frames in one write where there are many.
async fn write(mut outgoing: Outgoing, mut waiting: Receiver<Bytes>) -> io::Result<()> {
    let mut frames = Vec::new();
    while waiting.recv_many(&mut frames, 64).await > 0 {
        frame::send(&mut outgoing, frames.drain(..)).await?;
    }
    Ok(())
}

/// Who is there, and wants what. Everything happens under one lock, in one order for all: so all
/// subscriptions to a topic see the same order (clause O2), and what is published after a
/// subscribe was answered comes after that answer.
struct Relay {
    state: Mutex<State>,
    done: Bytes,
}

#[derive(Default)]
struct State {
    connections: u64,
    instances: HashMap<Uuid, Instance>,
    topics: HashMap<String, HashSet<Uuid>>,
}

/// What is known of an instance while it is connected.
struct Instance {
    /// Which of all connections is its own.
    connection: u64,
    queue: Sender<Bytes>,
    topics: HashSet<String>,
    /// Ends the connection when this is dropped.
    _gone: DropGuard,
}

impl Relay {
    /// An instance has connected. An older connection of it ends, and nothing more of what is on
    /// its way there is carried out: it would come after what the instance sends on the new one.
    fn join(self: &Arc<Self>, instance: Uuid, queue: Sender<Bytes>, gone: DropGuard) -> Seat {
        let mut state = self.lock();
        state.remove(instance);
        state.connections += 1;
        let connection = state.connections;
        let known = Instance { connection, queue, topics: HashSet::new(), _gone: gone };
        state.instances.insert(instance, known);
        state.send(instance, self.done.clone());
        Seat { relay: Arc::clone(self), instance, connection }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right of one connection to act for its instance. Dropping it gives that up.
struct Seat {
    relay: Arc<Relay>,
    instance: Uuid,
    connection: u64,
}

impl Seat {
    /// Carries out a request and answers it, unless a newer connection acts for the instance.
    fn act(&self, request: impl FnOnce(&mut State)) {
        let state = &mut *self.relay.lock();
        if state.is_seated(self) {
            request(state);
            state.send(self.instance, self.relay.done.clone());
        }
    }

    fn tell_topics(&self, of: Uuid) -> io::Result<()> {
        let state = &mut *self.relay.lock();
        let topics = state.instances.get(&of).map_or(0, |known| known.topics.len() as u64);
        if state.is_seated(self) {
            let answer = frame::encode(&Reply::Topics(topics)).map_err(io::Error::other)?;
            state.send(self.instance, answer);
        }
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.relay.lock();
        if state.is_seated(self) {
            state.remove(self.instance);
        }
    }
}

impl State {
    fn is_seated(&self, seat: &Seat) -> bool {
        let known = self.instances.get(&seat.instance);
        known.is_some_and(|known| known.connection == seat.connection)
    }

    fn subscribe(&mut self, instance: Uuid, topic: String) {
        if let Some(known) = self.instances.get_mut(&instance) {
            known.topics.insert(topic.clone());
            self.topics.entry(topic).or_default().insert(instance);
        }
    }

    fn unsubscribe(&mut self, instance: Uuid, topic: &str) {
        if let Some(known) = self.instances.get_mut(&instance) {
            known.topics.remove(topic);
            self.leave(instance, topic);
        }
    }

    fn publish(&mut self, publisher: Uuid, topic: &str, message: &Bytes) {
        let readers = self.topics.get(topic).into_iter().flatten().copied();
        // Never echoed (clause D2).
        let readers: Vec<Uuid> = readers.filter(|reader| *reader != publisher).collect();
        for reader in readers {
            self.send(reader, message.clone());
        }
    }

    /// Puts a frame into an instance's queue. Without room there, the instance is too slow: it
    /// learns of its loss by losing the connection, and nobody else waits for it.
    fn send(&mut self, instance: Uuid, frame: Bytes) {
        let known = self.instances.get(&instance);
        if known.is_some_and(|known| known.queue.try_send(frame).is_err()) {
            self.remove(instance);
        }
    }

    /// Forgets an instance, with all of its topics; its connection ends.
    fn remove(&mut self, instance: Uuid) {
        if let Some(known) = self.instances.remove(&instance) {
            for topic in &known.topics {
                self.leave(instance, topic);
            }
        }
    }

    fn leave(&mut self, instance: Uuid, topic: &str) {
        if let Some(readers) = self.topics.get_mut(topic) {
            readers.remove(&instance);
            if readers.is_empty() {
                self.topics.remove(topic);
            }
        }
    }
}
