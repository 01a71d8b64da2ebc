//! A relay process of one's own.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A running relay; it ends when this is dropped, and when this process does, however.
#[derive(Debug)]
pub struct Relay {
    process: Child,
    pub address: SocketAddr,
}

impl Relay {
    /// On a port that is free.
    pub async fn start() -> io::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// On this address, which no other process may have.
    pub async fn start_at(address: SocketAddr) -> io::Result<Self> {
        // Starting a process and reading a line from it block: they get a thread of their own.
        tokio::task::spawn_blocking(move || Self::start_blocking(address)).await?
    }

    fn start_blocking(address: SocketAddr) -> io::Result<Self> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_relay"))
            .args(["--end-with-stdin", "--listen", &address.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut relay = Self { process, address };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        relay.address = line.trim().parse().map_err(|_| {
            io::Error::other(format!("the relay does not listen on {address}: it says {line:?}"))
        })?;
        Ok(relay)
    }

    #[cfg(unix)]
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.process)
    }

    /// Closes its standard input, as the end of this process would.
    pub fn let_go(&mut self) {
        drop(self.process.stdin.take());
    }

    /// Waits until it ends by itself, which it does soon or never.
    pub fn wait(mut self) -> io::Result<ExitStatus> {
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(1));
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// `kill -9`, and no trace left behind.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.kill();
    }
}
