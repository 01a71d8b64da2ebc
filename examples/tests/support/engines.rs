//! Servers for the chat to be run over.
//!
//! A server of each kind with as little as the chat needs; those of the adapters' own tests can do
//! more.

use std::net::SocketAddr;
use std::path::Path;

use engine_harness::{Server, is_installed};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::within;

/// Which engine it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nats,
    Redis,
}

/// A running server on a port of its own.
#[derive(Debug)]
pub(crate) struct Engine {
    kind: Kind,
    server: Server,
}

impl Kind {
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Nats => "nats-server",
            Self::Redis => "redis-server",
        }
    }

    /// The beginning of its URLs.
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Redis => "redis",
        }
    }

    /// Says what is missing, where it is not installed.
    pub(crate) fn find(self) -> Result<(), String> {
        let program = self.program();
        let missing = || format!("needs {program}: cargo xtask test installs it");
        is_installed(program).then_some(()).ok_or_else(missing)
    }

    fn arguments(self, port: u16, folder: &Path) -> Vec<String> {
        let (port, folder) = (port.to_string(), folder.display().to_string());
        let arguments = match self {
            Self::Nats => vec!["-a", "127.0.0.1", "-p", &port],
            Self::Redis => {
                vec!["--bind", "127.0.0.1", "--port", &port, "--dir", &folder, "--save", ""]
            }
        };
        arguments.into_iter().map(str::to_owned).collect()
    }

    /// Whether what listens speaks the protocol: NATS greets, and Redis answers, if only that it
    /// wants a password.
    async fn answers(self, mut socket: TcpStream) -> bool {
        match self {
            Self::Nats => {
                let mut line = String::new();
                let read = BufReader::new(socket).read_line(&mut line).await;
                read.is_ok() && line.starts_with("INFO ")
            }
            Self::Redis => {
                let mut answer = [0; 7];
                socket.write_all(b"PING\r\n").await.is_ok()
                    && socket.read_exact(&mut answer).await.is_ok()
                    && (&answer == b"+PONG\r\n" || &answer == b"-NOAUTH")
            }
        }
    }
}

impl Engine {
    pub(crate) async fn start(kind: Kind) -> Self {
        Self::start_with(kind, |_| Vec::new()).await
    }

    /// With further arguments, which are given the port; they come first.
    pub(crate) async fn start_with(kind: Kind, further: impl Fn(u16) -> Vec<String>) -> Self {
        Self::start_in(kind, &[], further).await
    }

    /// With files in the folder that it works in.
    pub(crate) async fn start_in(
        kind: Kind,
        files: &[(&str, &str)],
        further: impl Fn(u16) -> Vec<String>,
    ) -> Self {
        Self::try_start(kind, &[], files, further).await.expect("the engine starts")
    }

    /// With variables in its environment, too; the error has what it says when it does not start.
    pub(crate) async fn try_start(
        kind: Kind,
        environment: &[(&str, &str)],
        files: &[(&str, &str)],
        further: impl Fn(u16) -> Vec<String>,
    ) -> std::io::Result<Self> {
        let arguments = |port: u16, folder: &Path| {
            for (name, text) in files {
                std::fs::write(folder.join(name), text).expect("the folder takes a file");
            }
            [further(port), kind.arguments(port, folder)].concat()
        };
        let answers = |socket| kind.answers(socket);
        let server = Server::start_with(kind.program(), environment, arguments, answers).await?;
        Ok(Self { kind, server })
    }

    /// Sends lines to it and gives its answers, up to the end of the connection. Redis alone is
    /// spoken to like this.
    pub(crate) async fn ask(&self, lines: &[&str]) -> String {
        let mut socket = TcpStream::connect(self.server.address).await.expect("a connection");
        let request: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        socket.write_all(format!("{request}QUIT\r\n").as_bytes()).await.expect("it takes lines");
        let mut answer = String::new();
        within("the server's answer", socket.read_to_string(&mut answer)).await.expect("a text");
        answer
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts it again where it was, with nothing of what it knew.
    pub(crate) async fn start_again(&mut self) {
        let kind = self.kind;
        let again = self.server.start_again(|socket| kind.answers(socket)).await;
        again.expect("the engine starts again");
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.kind.scheme(), self.server.address)
    }
}
