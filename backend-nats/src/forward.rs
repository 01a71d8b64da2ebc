//! From the client's queue of one topic into the instance: a task for each topic.
//!
//! It drains the queue as fast as it can, whatever readers do: they have the fan-out's rings, which
//! drop the oldest and count exactly. The client's own queue drops the newest.

use async_nats::{Client, Subject, Subscriber};
use backend_core::{Error, Result};
use backend_engine::Inbox;
use backend_engine::name::EngineName;
use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio_util::task::AbortOnDropHandle;

use crate::backlog::Backlog;

/// How many messages of one topic wait in the client. It reads 8 MB at most before others on its
/// thread get a turn; so many small messages are that.
pub(crate) const QUEUE: usize = 65_536;

/// What the task is asked for besides.
enum Order {
    /// Hand on all that has arrived by now.
    CatchUp(oneshot::Sender<()>),
    /// Give the subscription up, and end.
    Stop(oneshot::Sender<()>),
}

/// The handle of a topic's task, which ends with it.
#[derive(Debug)]
pub(crate) struct Forward {
    orders: mpsc::Sender<Order>,
    task: AbortOnDropHandle<()>,
}

/// Gives orders to a task, without holding it.
#[derive(Clone, Debug)]
pub(crate) struct Orders(mpsc::Sender<Order>);

impl Forward {
    /// Subscribes at the server, and begins.
    pub(crate) fn start(client: Client, name: EngineName, inbox: Inbox) -> Self {
        let (orders, receiver) = mpsc::channel(4);
        let task = tokio::spawn(async move {
            let subject = Subject::from(name.as_str().to_owned());
            match client.subscribe(subject).await {
                Ok(subscriber) => forward(subscriber, &name, &inbox, receiver).await,
                Err(error) => tracing::debug!(%name, %error, "not subscribed"),
            }
        });
        Self { orders, task: AbortOnDropHandle::new(task) }
    }

    /// Whether the connection has ended under it.
    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    pub(crate) fn orders(&self) -> Orders {
        Orders(self.orders.clone())
    }

    /// Ends it when the client has taken the request to unsubscribe.
    pub(crate) async fn stop(self) -> Result<()> {
        self.orders().give(Order::Stop).await
    }
}

impl Orders {
    /// Returns when the client has taken the request to subscribe, and all that has arrived by now
    /// has been handed on.
    pub(crate) async fn catch_up(&self) -> Result<()> {
        self.give(Order::CatchUp).await
    }

    async fn give(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) -> Result<()> {
        let (done, when_done) = oneshot::channel();
        let ended = || Error::unavailable("the connection has ended");
        self.0.send(order(done)).await.map_err(|_| ended())?;
        when_done.await.map_err(|_| ended())
    }
}

async fn forward(
    mut messages: Subscriber,
    name: &EngineName,
    inbox: &Inbox,
    mut orders: mpsc::Receiver<Order>,
) {
    let name = name.as_str();
    let mut backlog = Backlog::default();
    loop {
        let order = if backlog.is_empty() {
            tokio::select! {
                message = messages.next() => {
                    let Some(message) = message else { return };
                    backlog.push(message.payload);
                    None
                }
                order = orders.recv() => {
                    let Some(order) = order else { return };
                    Some(order)
                }
            }
        } else {
            // In between of what a busy topic brings.
            yield_now().await;
            orders.try_recv().ok()
        };
        let overflow = backlog.fill(&mut messages);
        if overflow {
            inbox.lost(name, None);
        }
        match order {
            Some(Order::CatchUp(done)) => {
                while !backlog.is_empty() {
                    backlog.hand_on(name, inbox);
                }
                let _ = done.send(());
            }
            Some(Order::Stop(done)) => {
                // If it fails, the connection has ended, and the subscription with it.
                let _ = messages.unsubscribe().await;
                let _ = done.send(());
                return;
            }
            None => backlog.hand_on(name, inbox),
        }
    }
}
