//! One connection to a server, and what the engine's crate asks of it.

use std::collections::{HashMap, HashSet};
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::{Client, Subject};
use async_trait::async_trait;
use backend_core::{BoxError, Error, Result};
use backend_engine::name::EngineName;
use backend_engine::{Handover, Inbox, Link, Outgoing};
use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::events::Events;
use crate::forward::{Forward, Orders};
use crate::peers::Id;
use crate::publisher::Publisher;
use crate::rights::{Question, Right};
use crate::rounds::Rounds;
use crate::subjects::Subjects;

/// How many rights to subscribe, and how many to publish, are asked for at the same time. The client
/// keeps 128 errors of the server, and drops more; and all that is asked for may be denied.
const QUESTIONS: usize = 50;

/// One connection to a server.
///
/// The client's tasks and this crate's end when it is dropped.
#[derive(Debug)]
pub(crate) struct NatsLink {
    client: Client,
    publisher: Publisher,
    inbox: Inbox,
    events: Arc<Events>,
    rounds: Rounds,
    topics: Mutex<HashMap<EngineName, Forward>>,
    questions: Semaphore,
}

impl NatsLink {
    /// Returns when both directions work, and the other instances are known.
    pub(crate) async fn start(
        client: Client,
        inbox: Inbox,
        events: Arc<Events>,
        subjects: Subjects,
        instance: Id,
        patience: Duration,
    ) -> std::result::Result<Self, BoxError> {
        let publisher = Publisher::new(client.clone());
        let rounds = Rounds::start(
            client.clone(),
            publisher.clone(),
            inbox.clone(),
            Arc::clone(&events),
            subjects,
            instance,
            patience,
        );
        Ok(Self {
            rounds: rounds.await?,
            client,
            publisher,
            inbox,
            events,
            topics: Mutex::default(),
            questions: Semaphore::new(QUESTIONS),
        })
    }

    /// The task of a topic, which is started where there is none.
    fn topic(&self, name: &EngineName) -> Orders {
        let mut topics = self.topics();
        // Who asked for one before may have gone without seeing that the server denied it.
        let is_granted = self.events.rights.may_subscribe(name.as_str());
        if let Some(topic) = topics.get(name).filter(|topic| is_granted && !topic.has_ended()) {
            return topic.orders();
        }
        let topic = Forward::start(self.client.clone(), name.clone(), self.inbox.clone());
        let orders = topic.orders();
        topics.insert(name.clone(), topic);
        orders
    }

    async fn forget(&self, name: &EngineName) -> Result<()> {
        self.events.rights.forget_subscription(name.as_str());
        let topic = self.topics().remove(name);
        match topic {
            Some(topic) => topic.stop().await,
            None => Ok(()),
        }
    }

    /// Asks the server for some names, and waits until it has dealt with that: `last` asks the others,
    /// too. Gives what the server denies.
    async fn ask_for(&self, names: &[EngineName], last: bool) -> Result<Vec<Result<()>>> {
        // It is never closed.
        let turn = self.questions.acquire_many(names.len() as u32).await;
        let _turn = turn.map_err(Error::unavailable)?;
        let names = names.iter();
        let questions: Vec<_> = names
            .clone()
            .map(|name| self.events.rights.ask(Right::Subscribe, name.as_str()))
            .collect();
        // The server gets the requests, the others get the question behind them, and what arrives
        // before their answers was published before.
        let topics: Vec<_> = names.clone().map(|name| self.topic(name)).collect();
        for topic in &topics {
            topic.catch_up().await?;
        }
        if last {
            self.rounds.round().await?;
        } else {
            self.rounds.ask_server().await?;
        }
        let answers: Vec<_> = questions.iter().map(Question::answer).collect();
        let mut results = Vec::with_capacity(names.len());
        for (name, answer) in names.zip(answers) {
            if answer.is_err() {
                self.forget(name).await?;
            }
            results.push(answer.map_err(Error::backend));
        }
        Ok(results)
    }

    async fn ask_for_all(&self, names: &[EngineName]) -> Result<Vec<Result<()>>> {
        let mut results = Vec::with_capacity(names.len());
        let groups = names.len().div_ceil(QUESTIONS);
        for (index, some) in names.chunks(QUESTIONS).enumerate() {
            results.extend(self.ask_for(some, index + 1 == groups).await?);
        }
        for name in names {
            let topic = self.topics().get(name).map(Forward::orders);
            if let Some(topic) = topic {
                topic.catch_up().await?;
            }
        }
        Ok(results)
    }

    /// Hands over a message: to the client's queue, and waits while that is full.
    async fn hand_over(&self, subject: Subject, message: Bytes) -> Handover {
        if self.events.is_lost() {
            return refused();
        }
        tokio::select! {
            biased;
            sent = self.publisher.publish(subject, message) => match sent {
                Ok(()) => Handover::Taken,
                // Its task has ended: it took nothing.
                Err(_) => refused(),
            },
            _ = self.events.lost() => refused(),
        }
    }

    /// Hands over messages under names of which nobody knows yet whether the server takes them.
    ///
    /// The server says so only when it does not, so this waits for a mark. Once for each name and
    /// connection.
    async fn hand_over_first(&self, messages: &[Outgoing]) -> Vec<Handover> {
        // What is late would be taken for a denial of these.
        if self.events.rights.take_late_denials() && self.rounds.ask_server().await.is_err() {
            return messages.iter().map(|_| refused()).collect();
        }
        let ask = |name| self.events.rights.ask(Right::Publish, name);
        let names: HashSet<_> = messages.iter().map(|one| one.name.as_str()).collect();
        let questions: HashMap<_, _> = names.into_iter().map(|name| (name, ask(name))).collect();
        let mut handovers = Vec::with_capacity(messages.len());
        for Outgoing { name, message } in messages {
            handovers.push(self.hand_over(Subject::from(name.as_str()), message.clone()).await);
        }
        let asked = self.rounds.ask_server().await;
        let mut sent: HashMap<_, usize> = HashMap::new();
        for Outgoing { name, .. } in messages {
            *sent.entry(name.as_str()).or_default() += 1;
        }
        for (outgoing, handover) in messages.iter().zip(&mut handovers) {
            let (Handover::Taken, Some(question)) =
                (&*handover, questions.get(outgoing.name.as_str()))
            else {
                continue;
            };
            match &asked {
                Ok(()) => {
                    if let Err(denial) = question.answer() {
                        *handover = if question.denials() == sent[outgoing.name.as_str()] {
                            Handover::Refused(Error::backend(denial))
                        } else {
                            // Some of them, as rights have changed right then, and who knows which.
                            Handover::Unknown(denial.into())
                        };
                    }
                }
                // It may have arrived, and it may have been denied.
                Err(error) => *handover = Handover::Unknown(error.to_string().into()),
            }
        }
        handovers
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<EngineName, Forward>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection had been lost before, or was just then.
fn refused() -> Handover {
    Handover::Refused(Error::unavailable("the connection is lost"))
}

#[async_trait]
impl Link for NatsLink {
    fn server(&self) -> Option<&str> {
        Some(&self.events.server)
    }

    fn max_message(&self) -> Option<usize> {
        Some(self.client.max_payload())
    }

    async fn subscribe(&self, name: &EngineName) -> Result<()> {
        let mut results = self.ask_for_all(slice::from_ref(name)).await?;
        results.pop().unwrap_or(Ok(()))
    }

    /// Many with one round, for which an instance far away or a dead one is waited for once.
    async fn subscribe_all(&self, names: &[EngineName]) -> Vec<Result<()>> {
        self.ask_for_all(names).await.unwrap_or_else(|error| {
            let text = error.to_string();
            names.iter().map(|_| Err(Error::unavailable(text.clone()))).collect()
        })
    }

    async fn unsubscribe(&self, name: &EngineName) -> Result<()> {
        self.forget(name).await
    }

    async fn catch_up(&self, name: &EngineName) -> Result<()> {
        self.rounds.round().await?;
        let topic = self.topics().get(name).map(Forward::orders);
        match topic {
            Some(topic) => topic.catch_up().await,
            None => Ok(()),
        }
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Vec<Handover> {
        let mut handovers = Vec::with_capacity(messages.len());
        let mut rest = &messages[..];
        while let Some((Outgoing { name, message }, behind)) = rest.split_first() {
            if let Some(subject) = self.events.rights.may_publish(name.as_str()) {
                handovers.push(self.hand_over(subject, message.clone()).await);
                rest = behind;
            } else {
                // Of known ones, denials may be on their way: they would be taken for denials of these.
                let is_unknown =
                    |one: &&Outgoing| self.events.rights.may_publish(one.name.as_str()).is_none();
                let unknown = rest.iter().take(QUESTIONS).take_while(is_unknown).count().max(1);
                let (first, behind) = rest.split_at(unknown);
                handovers.extend(self.hand_over_first(first).await);
                rest = behind;
            }
        }
        handovers
    }

    const IS_UNANSWERED: bool = true;

    fn is_granted(&self, name: &EngineName) -> bool {
        !self.events.is_lost() && self.events.rights.may_publish(name.as_str()).is_some()
    }

    fn is_idle(&self) -> bool {
        self.publisher.is_idle()
    }

    fn try_publish(&self, Outgoing { name, message }: &Outgoing) -> Option<Handover> {
        let subject = self.events.rights.may_publish(name.as_str())?;
        let sent = self.publisher.try_publish(subject, message.clone())?;
        // Its task has ended: it took nothing.
        Some(sent.map_or_else(|_| refused(), |()| Handover::Taken))
    }

    async fn ping(&self) -> Result<()> {
        self.rounds.round_trip().await
    }

    async fn lost(&self) -> BoxError {
        self.events.lost().await
    }

    async fn close(&self) -> Result<()> {
        self.rounds.say_bye().await;
        // When a mark is back, the server has all that was sent before it. A flush would leave it to
        // the sockets, and one that is closed while something arrives throws away what it has sent.
        self.rounds.round_trip().await
    }
}
