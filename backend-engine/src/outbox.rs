//! What is on its way out on one connection.
//!
//! A task, the [writer](crate::writer), hands messages to the link. Two ways lead to it. The
//! [short](crate::short_way) one, where the engine answers nothing anyway: the publisher puts the frame
//! into a message that waits for the writer, and is done. The long one, for engines that answer, or where
//! there is no room: a queue of envelopes, whose publishers wait. While anything is on the long way
//! nothing takes the short one, so what one task publishes stays in order, also if it stopped waiting for
//! the one before.
//!
//! The writer takes all that is there, each time; so what comes while it is at work, or before it has its
//! turn, leaves [together](crate::bundle). A publish on its own does not wait for that turn: its publisher
//! hands the message over by itself, where the engine does not answer if the link is idle, and where it
//! does if nothing else is on its way (see [`alone`](crate::alone)).
//!
//! What others wait for is driven by the writer, and never by a publisher: a `publish` that is begun and
//! then not polled for a while, as in a `select!`, would hold up everybody behind it.
//!
//! Tallies of what was published go the long way, with each ping, and when the instance is closed.
//!
//! Invariants
//! 1. `waiting` is how much is on the long way, or alone. It rises with the [press](crate::press) locked,
//!    so whoever finds 0 there is alone as long as it holds that lock.
//! 2. A number is taken in the order in which its frame leaves: under the same lock it is put behind
//!    all that is on the short way, and the writer empties that before it numbers what is in the queue.
//! 3. A publisher hands over by itself only when nothing is on either way, and the writer has nothing in
//!    its hands, all of which it knows under the locks. The writer ends what is alone before it hands over
//!    anything else, so the link has one call at a time.
//! 4. Once closed, nothing sets out any more; and it is closed when the writer goes, however that comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use backend_core::{Error, MessageEnvelope, Result};
use bytes::BytesMut;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::alone::{Alone, ByItself};
use crate::bundle::{self, Bundler};
use crate::core::Core;
use crate::driver::{Link, Outgoing};
use crate::press::{Account, Press};
use crate::short_way::ShortWay;
use crate::wire;
use crate::writer::{Waiting, Writer, unharmed};

/// Envelopes that wait on the long way. With more, publishers wait, as long as an operation may take.
const QUEUE: usize = 1024;

/// The way out of one connection. A clone is the same one.
#[derive(Clone)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Pending>,
    waiting: Arc<AtomicUsize>,
    short: Arc<ShortWay>,
    alone: Arc<Alone>,
    closed: Arc<AtomicBool>,
    close: CancellationToken,
    /// Cancelled when the writer has gone.
    written: CancellationToken,
}

/// What came of an offer.
pub(crate) enum Offered {
    /// On its way, or refused.
    Done(Result<()>),
    /// Nothing else is on its way.
    Alone(ByItself),
    /// It takes the long way.
    Waits(Waits),
}

/// Something at the beginning of the long way.
pub(crate) struct Waits {
    what: What,
    on_its_way: OnItsWay,
    queue: mpsc::Sender<Pending>,
    /// The writer has gone.
    written: CancellationToken,
}

/// What is on the long way, and who waits for its end.
pub(crate) struct Pending {
    pub(crate) what: What,
    pub(crate) on_its_way: OnItsWay,
    pub(crate) asked: Asked,
}

/// What comes back on the long way. `None`: it was not handed over, for the writer has gone.
pub(crate) type Answer = Option<Result<()>>;

/// Who waits for the end of what is in the queue. Dropped there, it says that it has not left.
pub(crate) struct Asked(Option<oneshot::Sender<Answer>>);

pub(crate) enum What {
    Envelope(MessageEnvelope),
    /// A [tally](crate::wire::encode_tally) for each topic that wants one.
    Tallies,
    /// Nothing: to know when what was published before it has been handed over.
    Mark,
}

/// Counts as one of `waiting`.
pub(crate) struct OnItsWay(Arc<AtomicUsize>);

impl Asked {
    /// It leaves the queue. From here on, if nothing is said, nobody knows what became of it.
    pub(crate) fn taken(mut self) -> oneshot::Sender<Answer> {
        self.0.take().expect("it is taken once")
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(answer) = self.0.take() {
            unharmed(|| drop(answer.send(None)));
        }
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        // Release: who finds 0 comes after the frame was handed over.
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl Outbox {
    pub(crate) fn new<L: Link>(core: Arc<Core<L>>, link: Arc<L>) -> (Self, Writer<L>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (close, written) = (CancellationToken::new(), CancellationToken::new());
        let format = core.options.format;
        let short = Arc::new(ShortWay::new(format));
        let alone = Arc::new(Alone::default());
        let (waiting, closed) = (Arc::default(), Arc::<AtomicBool>::default());
        let writer = Writer {
            core,
            link,
            queue: receiver,
            short: Arc::clone(&short),
            alone: Arc::clone(&alone),
            bundler: Bundler::new(format),
            closed: Arc::clone(&closed),
            close: close.clone(),
            _written: written.clone().drop_guard(),
        };
        (Self { queue: sender, waiting, short, alone, closed, close, written }, writer)
    }

    /// Sends an envelope the short way, or alone, if it can. `link` is the one that this was made with.
    pub(crate) fn offer<L: Link>(
        &self,
        core: &Core<L>,
        link: &Arc<L>,
        envelope: &MessageEnvelope,
    ) -> Offered {
        let mut press = core.press();
        if self.is_closed(&press) {
            return Offered::Done(Err(core.outage()));
        }
        // Acquire: pairs with the release in `OnItsWay`.
        if self.waiting.load(Ordering::Acquire) == 0 {
            if !L::IS_UNANSWERED {
                let begun = self.begin_alone(&mut press, core, link, envelope);
                return begun.map_or_else(|error| Offered::Done(Err(error)), Offered::Alone);
            }
            if let Some(result) = self.short.send(&mut press, core, &**link, envelope) {
                return Offered::Done(result);
            }
        }
        Offered::Waits(self.make_wait(&press, What::Envelope(envelope.clone())))
    }

    /// Sends a tally for each topic that wants one. Gives what stood in the account before; `None`: the
    /// tallies were not taken.
    pub(crate) async fn tally<L>(&self, core: &Core<L>) -> Option<Account> {
        let (tallies, before) = {
            let press = core.press();
            let before = press.account();
            // Those that are told may be on the long way still.
            if !press.has_tallies() {
                return Some(before);
            }
            (self.make_wait(&press, What::Tallies), before)
        };
        tallies.handed_over().await?.ok()?;
        Some(before)
    }

    /// A tally for the last time, if there is room for it; what is in the queue now is in it.
    pub(crate) fn tally_once_more<L>(&self, core: &Core<L>) {
        let tallies = self.make_wait(&core.press(), What::Tallies);
        let _ = tallies.handed_over().now_or_never();
    }

    /// Returns when whatever was published before this call has been handed over, or never will be.
    pub(crate) fn published<L>(&self, core: &Core<L>) -> BoxFuture<'static, ()> {
        let press = core.press();
        let mark = (!self.is_closed(&press)).then(|| self.make_wait(&press, What::Mark));
        drop(press);
        let written = self.written.clone();
        Box::pin(async move {
            if let Some(mark) = mark
                && let Some(Ok(())) = mark.handed_over().await
            {
                return;
            }
            // Closed, it is still written.
            written.cancelled().await;
        })
    }

    /// Returns when the writer has gone.
    pub(crate) async fn is_written(&self) {
        self.written.cancelled().await;
    }

    fn begin_alone<L: Link>(
        &self,
        press: &mut Press,
        core: &Core<L>,
        link: &Arc<L>,
        envelope: &MessageEnvelope,
    ) -> Result<ByItself> {
        let name = press.name(core, envelope.topic());
        let mut frame = BytesMut::with_capacity(bundle::length(envelope));
        let format = core.options.format;
        let (stamp, ()) =
            press.print(&name, |stamp| wire::encode(format, stamp, envelope, &mut frame))?;
        let message = Outgoing { name: name.clone(), message: frame.freeze() };
        let on_its_way = self.set_out(press);
        let waiting = |answer| Waiting { name, stamp, on_its_way, answer };
        Ok(self.alone.begin(link, message, waiting))
    }

    fn make_wait(&self, press: &Press, what: What) -> Waits {
        let (queue, written) = (self.queue.clone(), self.written.clone());
        Waits { what, on_its_way: self.set_out(press), queue, written }
    }

    fn set_out(&self, _press: &Press) -> OnItsWay {
        // Relaxed: it rises under the lock.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        OnItsWay(Arc::clone(&self.waiting))
    }

    fn is_closed(&self, _press: &Press) -> bool {
        // Relaxed: it changes under the lock.
        self.closed.load(Ordering::Relaxed)
    }

    /// Takes nothing more; what is on its way is still written.
    pub(crate) fn close<L>(&self, core: &Core<L>) {
        // Under the lock: nobody is on the short way, then, or gets there.
        let mut press = core.press();
        self.closed.store(true, Ordering::Relaxed);
        self.close.cancel();
        press.tallies_lost();
    }
}

impl Waits {
    /// The long way. `None`: it was not handed over, for the connection was lost before. When it is lost
    /// later, and the writer with it, nobody knows how far it had come.
    ///
    /// Dropped while there is no room, nothing was handed over; later, all of it was (X2).
    pub(crate) async fn handed_over(self) -> Answer {
        let Self { what, on_its_way, queue, written } = self;
        let (answer, mut answered) = oneshot::channel();
        let asked = Asked(Some(answer));
        queue.send(Pending { what, on_its_way, asked }).await.ok()?;
        let answer = if queue.is_closed() {
            tokio::select! {
                biased;
                answer = &mut answered => answer.ok(),
                () = written.cancelled() => match answered.try_recv() {
                    // Put into the queue behind the writer's back, there it stays.
                    Err(TryRecvError::Empty) => return None,
                    answer => answer.ok(),
                },
            }
        } else {
            answered.await.ok()
        };
        answer.unwrap_or_else(|| Some(Err(unconfirmed())))
    }
}

/// The writer had it in its hands, and says nothing of it.
pub(crate) fn unconfirmed() -> Error {
    Error::unconfirmed("the connection to the engine is lost")
}
