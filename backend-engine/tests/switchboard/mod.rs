//! An engine in the test's own process: whoever listens to a name gets what is sent under it, the
//! sender too. It keeps nothing, and hangs up on whom it is told to.

// Each test binary uses its part.
#![allow(dead_code)]

pub(crate) mod driver;
pub(crate) mod harness;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backend_core::BoxError;
use backend_engine::wire;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// The largest message.
pub(crate) const MAX_DATA: usize = 1024 * 1024;

/// What comes through a line.
pub(crate) enum Received {
    Message {
        name: String,
        data: Bytes,
    },
    /// What the line itself has asked for.
    Echo(oneshot::Sender<()>),
}

/// What the switchboard answers when it does not do what it is asked for.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("disconnected")]
    Disconnected,
    #[error("busy, try again")]
    Busy,
    #[error("denied")]
    Denied,
}

#[derive(Default)]
pub(crate) struct Switchboard {
    state: Mutex<State>,
    /// The longest name that it takes, if it has a limit.
    longest_name: Option<usize>,
}

#[derive(Default)]
struct State {
    /// The current line of each caller.
    lines: HashMap<usize, Plugged>,
    cut: BTreeSet<usize>,
    /// How many lines there have been.
    calls: u64,
    /// How many of the next messages get lost.
    lose: usize,
    /// How the next requests to listen or to leave are answered.
    refuse: Vec<Refused>,
}

struct Plugged {
    number: u64,
    names: BTreeSet<String>,
    queue: mpsc::UnboundedSender<Received>,
    disconnected: CancellationToken,
}

/// A connection of a caller; hung up when it is dropped.
pub(crate) struct Line {
    switchboard: Arc<Switchboard>,
    caller: usize,
    number: u64,
    disconnected: CancellationToken,
}

impl Switchboard {
    pub(crate) fn with_names_of(bytes: usize) -> Self {
        Self { longest_name: Some(bytes), ..Self::default() }
    }

    pub(crate) fn longest_name(&self) -> Option<usize> {
        self.longest_name
    }

    pub(crate) fn call(
        self: &Arc<Self>,
        caller: usize,
    ) -> Result<(Line, mpsc::UnboundedReceiver<Received>), BoxError> {
        let mut state = self.lock();
        if state.cut.contains(&caller) {
            return Err("no answer".into());
        }
        state.calls += 1;
        let number = state.calls;
        let (queue, arriving) = mpsc::unbounded_channel();
        let disconnected = CancellationToken::new();
        let token = disconnected.clone();
        let plugged = Plugged { number, names: BTreeSet::new(), queue, disconnected: token };
        state.lines.insert(caller, plugged);
        Ok((Line { switchboard: Arc::clone(self), caller, number, disconnected }, arriving))
    }

    pub(crate) fn cut(&self, caller: usize) {
        let mut state = self.lock();
        state.cut.insert(caller);
        if let Some(line) = state.lines.remove(&caller) {
            line.disconnected.cancel();
        }
    }

    pub(crate) fn restore(&self, caller: usize) {
        self.lock().cut.remove(&caller);
    }

    /// The next messages get lost. Not tallies, which come when it is their time.
    pub(crate) fn lose(&self, messages: usize) {
        self.lock().lose = messages;
    }

    /// The next requests to listen or to leave are answered by these, the last one first.
    pub(crate) fn refuse(&self, answers: impl Into<Vec<Refused>>) {
        self.lock().refuse = answers.into();
    }

    /// How often anybody has called.
    pub(crate) fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// How many names a caller listens to.
    pub(crate) fn names(&self, caller: usize) -> u64 {
        self.lock().lines.get(&caller).map_or(0, |line| line.names.len() as u64)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    pub(crate) fn listen(&self, name: &str) -> Result<(), Refused> {
        self.granted()?;
        self.takes(name)?;
        self.with(|line| line.names.insert(name.to_owned())).map(drop)
    }

    pub(crate) fn leave(&self, name: &str) -> Result<(), Refused> {
        self.granted()?;
        self.with(|line| line.names.remove(name)).map(drop)
    }

    pub(crate) fn send(&self, name: &str, data: Bytes) -> Result<(), Refused> {
        self.takes(name)?;
        let mut state = self.switchboard.lock();
        self.plugged(&mut state)?;
        let is_tally = || wire::decode(data.clone()).is_ok_and(|frame| frame.is_tally);
        if state.lose > 0 && !is_tally() {
            state.lose -= 1;
            return Ok(());
        }
        for line in state.lines.values().filter(|line| line.names.contains(name)) {
            // Who is gone hears nothing.
            let _ =
                line.queue.send(Received::Message { name: name.to_owned(), data: data.clone() });
        }
        Ok(())
    }

    pub(crate) fn echo(&self, back: oneshot::Sender<()>) -> Result<(), Refused> {
        self.with(|line| line.queue.send(Received::Echo(back)).map_err(|_| Refused::Disconnected))?
    }

    pub(crate) async fn disconnected(&self) {
        self.disconnected.cancelled().await;
    }

    fn granted(&self) -> Result<(), Refused> {
        self.switchboard.lock().refuse.pop().map_or(Ok(()), Err)
    }

    fn takes(&self, name: &str) -> Result<(), Refused> {
        let longest = self.switchboard.longest_name.unwrap_or(usize::MAX);
        if name.len() <= longest { Ok(()) } else { Err(Refused::Denied) }
    }

    fn with<T>(&self, of: impl FnOnce(&mut Plugged) -> T) -> Result<T, Refused> {
        Ok(of(self.plugged(&mut self.switchboard.lock())?))
    }

    fn plugged<'a>(&self, state: &'a mut State) -> Result<&'a mut Plugged, Refused> {
        let line = state.lines.get_mut(&self.caller).ok_or(Refused::Disconnected)?;
        if line.number == self.number { Ok(line) } else { Err(Refused::Disconnected) }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut state = self.switchboard.lock();
        if self.plugged(&mut state).is_ok() {
            state.lines.remove(&self.caller);
        }
    }
}
