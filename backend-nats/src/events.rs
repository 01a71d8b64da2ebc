//! What the client tells about its connection besides messages: that it is lost, and errors of the
//! server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_nats::{Event, ServerError};
use backend_core::BoxError;
use tokio::sync::watch;

use crate::rights::{Denied, Rights};
use crate::subjects::Subjects;

/// One connection's.
#[derive(Debug)]
pub(crate) struct Events {
    /// Without credentials.
    pub(crate) server: String,
    pub(crate) rights: Rights,
    /// The adapter's own: without them, the connection is of no use.
    subjects: Subjects,
    /// How often the server has refused what it was sent to be refused.
    refusals: watch::Sender<u64>,
    /// Whether the server does not refuse what it should.
    lenient: AtomicBool,
    /// Why the connection is lost, once it is.
    lost: watch::Sender<Option<String>>,
    /// The last error of the server, which is often why it closes the connection.
    last_error: Mutex<Option<String>>,
}

impl Events {
    pub(crate) fn new(server: String, subjects: Subjects) -> Self {
        Self {
            server,
            rights: Rights::default(),
            subjects,
            refusals: watch::Sender::new(0),
            lenient: AtomicBool::new(false),
            lost: watch::Sender::new(None),
            last_error: Mutex::default(),
        }
    }

    /// Takes what the client tells.
    pub(crate) fn hear(&self, event: &Event) {
        match event {
            Event::Disconnected | Event::Closed => self.lose("the server has gone".to_owned()),
            Event::ServerError(error) => self.hear_error(error),
            // The numbers in the frames tell what is missing.
            Event::SlowConsumer(subscription) => {
                tracing::debug!(subscription, "the client has dropped messages");
            }
            _ => {}
        }
    }

    fn hear_error(&self, error: &ServerError) {
        let text = match error {
            ServerError::Other(text) => text.clone(),
            other => other.to_string(),
        };
        if self.subjects.is_refusal(&text) {
            return self.refusals.send_modify(|refusals| *refusals += 1);
        }
        if self.subjects.are_meant(&text) {
            return self.lose(text);
        }
        match self.rights.hear(&text) {
            Some(Denied::Asked) => {}
            Some(Denied::Withdrawn) => self.lose(text),
            Some(Denied::Unwanted) | None => {
                tracing::warn!(server = self.server, error = %text, "the server has sent an error");
                *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
            }
        }
    }

    /// The server has not refused what it should, up to this number.
    pub(crate) fn miss_refusal(&self, count: u64) {
        let mut never = false;
        self.refusals.send_modify(|refusals| {
            never = *refusals == 0;
            // It had another error for it: the connection has all the subscriptions that it may have.
            *refusals = (*refusals).max(count);
        });
        if never {
            // It is unlike the servers that are known.
            tracing::warn!(
                server = self.server,
                "the server does not refuse a subject that is none"
            );
            // Relaxed: a hint, with nothing behind it.
            self.lenient.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn are_refusals_expected(&self) -> bool {
        !self.lenient.load(Ordering::Relaxed)
    }

    /// Waits until the server has refused so many times.
    pub(crate) async fn refusals(&self, count: u64) {
        // The sender lives as long as this.
        let _ = self.refusals.subscribe().wait_for(|refusals| *refusals >= count).await;
    }

    /// The connection is not to be used any more. The first reason is kept.
    pub(crate) fn lose(&self, why: String) {
        self.lost.send_if_modified(|lost| {
            let first = lost.is_none();
            if first {
                let last_error = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
                *lost = Some(match &*last_error {
                    Some(error) => format!("{why}; before that, it said: {error}"),
                    None => why,
                });
            }
            first
        });
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.borrow().is_some()
    }

    /// Waits until it is lost.
    pub(crate) async fn lost(&self) -> BoxError {
        let mut lost = self.lost.subscribe();
        let why = lost.wait_for(Option::is_some).await;
        // The sender lives as long as this.
        why.ok().and_then(|why| why.clone()).unwrap_or_default().into()
    }
}
