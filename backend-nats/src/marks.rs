//! Marks: small messages that a connection sends to itself.
//!
//! A mark goes out behind everything that was sent before it, through the server, and comes back
//! behind everything that was sent to this connection before it. When it is back, the server has
//! dealt with all that went before. Nothing less tells: a flush only empties the socket, and a
//! request to a subject that nobody serves is not answered where somebody listens to everything.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;
use uuid::Uuid;

/// The marks that are on their way.
#[derive(Debug, Default)]
pub(crate) struct Marks(Mutex<HashMap<[u8; 16], oneshot::Sender<()>>>);

/// One of them; forgotten when this is dropped.
#[derive(Debug)]
pub(crate) struct Mark<'a> {
    marks: &'a Marks,
    id: [u8; 16],
    back: oneshot::Receiver<()>,
}

impl Marks {
    /// A new one, to be sent. It is random, so that nobody can send it before it was.
    pub(crate) fn make(&self) -> Mark<'_> {
        let id = Uuid::new_v4().into_bytes();
        let (sender, back) = oneshot::channel();
        self.lock().insert(id, sender);
        Mark { marks: self, id, back }
    }

    /// Takes what has arrived where marks arrive. What is none is a stranger's.
    pub(crate) fn arrived(&self, payload: &[u8]) {
        let mark = payload.try_into().ok().and_then(|id: [u8; 16]| self.lock().remove(&id));
        if let Some(mark) = mark {
            // Who has gone does not want to know.
            let _ = mark.send(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 16], oneshot::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mark<'_> {
    pub(crate) fn payload(&self) -> Bytes {
        Bytes::copy_from_slice(&self.id)
    }

    /// Waits until it is back.
    pub(crate) async fn back(&mut self) {
        if (&mut self.back).await.is_err() {
            // The sender is kept until it arrives: this cannot be.
            std::future::pending().await
        }
    }
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        self.marks.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_mark_is_back_when_it_arrives_and_not_before() {
        let marks = Marks::default();
        let (mut one, mut other) = (marks.make(), marks.make());
        for stranger in [&b""[..], b"hello", &[0; 16], &[0; 17]] {
            marks.arrived(stranger);
        }
        marks.arrived(&one.payload());
        assert!(one.back().now_or_never().is_some());
        assert!(other.back().now_or_never().is_none());
    }

    #[test]
    fn what_is_not_awaited_is_forgotten() {
        let marks = Marks::default();
        drop(marks.make());
        let mark = marks.make();
        marks.arrived(&mark.payload());
        assert!(marks.lock().is_empty());
    }
}
