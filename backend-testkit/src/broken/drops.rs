//! Faults against U3, U4 and X3: what is dropped, and what goes with it.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use backend_core::{Backend, Event, Result, Subscription};
use backend_memory::MemoryBackend;
use futures_core::Stream;

use super::Specimen;
use super::twist::{Twist, twisted};
use crate::poll::poll_once;

pub(super) const SPECIMENS: &[Specimen] = &[
    Specimen::new(
        "a_drop_ends_all",
        "Dropping one subscription ends the others to its topic.",
        "life::dropping_one_subscription_leaves_the_others",
        |deadline| twisted(deadline, |_| Dropping::EndsAll),
    ),
    Specimen::new(
        "a_drop_needs_a_runtime",
        "Dropping a subscription spawns a task.",
        "release::a_drop_outside_any_runtime_is_harmless",
        |deadline| twisted(deadline, |_| Dropping::NeedsRuntime),
    ),
    Specimen::new(
        "a_drop_comes_late",
        "A drop is carried out a millisecond later, whoever subscribes meanwhile.",
        "ready::ready_right_after_a_drop",
        |deadline| twisted(deadline, |_| Dropping::Late),
    ),
    Specimen::new(
        "a_dropped_recv_loses",
        "What a reader was about to get is lost when its recv is dropped.",
        "cancel::a_dropped_recv_loses_nothing",
        |deadline| twisted(deadline, |_| Careless),
    ),
];

/// What else happens when a subscription is dropped.
#[derive(Clone, Copy)]
enum Dropping {
    EndsAll,
    NeedsRuntime,
    Late,
}

#[async_trait]
impl Twist for Dropping {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = Some(inner.subscribe(topic).await?);
        let (inner, name) = (Arc::downgrade(inner), topic.to_owned());
        Ok(Subscription::new(topic, OnDrop { honest, how: *self, inner, topic: name }))
    }
}

struct OnDrop {
    honest: Option<Subscription>,
    how: Dropping,
    inner: Weak<MemoryBackend>,
    topic: String,
}

impl Stream for OnDrop {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        match &mut self.honest {
            Some(honest) => Pin::new(honest).poll_next(cx),
            None => Poll::Ready(None),
        }
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        match self.how {
            Dropping::EndsAll => {
                if let Some(inner) = self.inner.upgrade() {
                    let mut unsubscribing = inner.unsubscribe(&self.topic);
                    poll_once(unsubscribing.as_mut(), Waker::noop());
                }
            }
            Dropping::NeedsRuntime => {
                let honest = self.honest.take();
                tokio::spawn(async move { drop(honest) });
            }
            Dropping::Late => {
                let (inner, topic) = (Weak::clone(&self.inner), std::mem::take(&mut self.topic));
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(async move {
                        if let Some(inner) = inner.upgrade() {
                            let _ = inner.unsubscribe(&topic).await;
                        }
                    });
                }
            }
        }
    }
}

struct Careless;

#[async_trait]
impl Twist for Careless {
    async fn subscribe(&self, inner: &Arc<MemoryBackend>, topic: &str) -> Result<Subscription> {
        let honest = inner.subscribe(topic).await?;
        Ok(Subscription::new(topic, InHand { honest, hand: None }))
    }
}

/// Takes an event at one poll and gives it at the next, if that is the same reader's.
struct InHand {
    honest: Subscription,
    hand: Option<(Event, Waker)>,
}

impl Stream for InHand {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some((event, reader)) = self.hand.take()
            && reader.will_wake(cx.waker())
        {
            return Poll::Ready(Some(event));
        }
        match Pin::new(&mut self.honest).poll_next(cx) {
            Poll::Ready(Some(event)) => {
                self.hand = Some((event, cx.waker().clone()));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            other => other,
        }
    }
}
