//! Runs the chat as its users do: as a program, spoken to over HTTP. Or, in `served`, in this
//! process, over a backend of the test's choice.

#![allow(dead_code, reason = "each test program uses its own part of this")]

pub(crate) mod client;
pub(crate) mod engines;
pub(crate) mod served;

use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// How long anything may take that should happen at once. Only a failing test waits for so long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for `what`, and panics by its name when it does not happen.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing within {DEADLINE:?}"),
    }
}

/// The program, with options.
pub(crate) fn command(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat"));
    command.args(options).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

/// A running chat; ended when dropped.
#[derive(Debug)]
pub(crate) struct Chat {
    child: Child,
    /// Kept open: a closed pipe would make its output fail.
    _stdout: BufReader<ChildStdout>,
    instances: Vec<(String, String)>,
}

impl Chat {
    /// Starts it on free ports and waits until it has said which.
    pub(crate) async fn start(options: &[&str]) -> Self {
        Self::start_on("0", options).await
    }

    /// Starts it on a port of one's choice.
    pub(crate) async fn start_on(port: &str, options: &[&str]) -> Self {
        Self::start_with(port, options, &[]).await
    }

    /// Starts it with variables in its environment.
    pub(crate) async fn start_with(
        port: &str,
        options: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut command = command(&[&["--port", port], options].concat());
        let mut child = command.envs(environment.iter().copied()).spawn().expect("it starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut instances = Vec::new();
        within("the addresses", async {
            let mut line = String::new();
            while stdout.read_line(&mut line).await.expect("it prints text") > 0 {
                if line.starts_with("Ctrl-C") {
                    return;
                }
                if let [name, url] = line.split_whitespace().collect::<Vec<_>>()[..] {
                    instances.push((name.to_owned(), url.to_owned()));
                }
                line.clear();
            }
            panic!("it ended before it had said how to end it");
        })
        .await;
        Self { child, _stdout: stdout, instances }
    }

    /// The names of the instances, as announced.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.instances.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The address of a path on instance number `instance`.
    pub(crate) fn url(&self, instance: usize, path: &str) -> String {
        format!("{}{path}", self.instances[instance].1)
    }

    /// Host and port of instance number `instance`.
    pub(crate) fn address(&self, instance: usize) -> &str {
        self.instances[instance].1.strip_prefix("http://").expect("an address of HTTP")
    }

    /// What it has complained about so far, line by line; for a test that waits for a line.
    pub(crate) fn complaints(&mut self) -> Lines<BufReader<ChildStderr>> {
        BufReader::new(self.child.stderr.take().expect("not taken before")).lines()
    }

    /// Sends it a signal.
    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = self.child.id().expect("it runs");
        let id = rustix::process::Pid::from_raw(id.cast_signed()).expect("a process has an id");
        rustix::process::kill_process(id, signal).expect("it runs");
    }

    /// Waits for its end: how it ended, how long that took, and what it complained about.
    pub(crate) async fn ended(&mut self) -> (ExitStatus, Duration, String) {
        let start = Instant::now();
        let status = within("the end of the process", self.child.wait()).await.expect("a child");
        let taken = start.elapsed();
        let mut complaints = String::new();
        let mut stderr = self.child.stderr.take().expect("piped");
        stderr.read_to_string(&mut complaints).await.expect("it complains in text");
        (status, taken, complaints)
    }
}
