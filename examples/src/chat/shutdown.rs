//! Ctrl-C, and what a supervisor sends instead of it.

use std::io;

/// The exit code of a process that a second Ctrl-C ended, as shells have it.
pub(crate) const INTERRUPTED: i32 = 130;

/// The requests to end that the operating system delivers: Ctrl-C, and SIGTERM where there is one.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Starts to listen: from here on a signal no longer ends the process by itself.
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The requests to end that the operating system delivers: Ctrl-C.
#[cfg(windows)]
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
}

#[cfg(windows)]
impl Signals {
    /// Starts to listen: from here on Ctrl-C no longer ends the process by itself.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: tokio::signal::windows::ctrl_c()? })
    }

    /// Waits for the next one.
    pub(crate) async fn recv(&mut self) {
        self.interrupt.recv().await;
    }
}
