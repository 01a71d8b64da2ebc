//! Polling by hand: the tools of the checks that drop futures half-way.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Polls `future` once, and says whether it was ready.
pub(crate) fn poll_once<T>(
    future: Pin<&mut (impl Future<Output = T> + ?Sized)>,
    waker: &Waker,
) -> Option<T> {
    match future.poll(&mut Context::from_waker(waker)) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// A waker that remembers having been woken, and passes it on to whoever waits for it.
#[derive(Default)]
pub(crate) struct Flag {
    woken: AtomicBool,
    waiter: tokio::sync::Notify,
}

impl Flag {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// Waits for a wake-up since the last call.
    pub(crate) async fn woken(&self) {
        while !self.woken.swap(false, Ordering::AcqRel) {
            self.waiter.notified().await;
        }
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.waiter.notify_one();
    }
}

/// Runs `future`, and calls `parked` when it has to wait for the first time.
pub(crate) async fn tell_when_parked<T>(
    future: impl Future<Output = T>,
    parked: impl FnOnce(),
) -> T {
    let mut future = std::pin::pin!(future);
    let mut parked = Some(parked);
    poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        if let Some(parked) = parked.take() {
            parked();
        }
        polled
    })
    .await
}
