//! What the tests share: a server of one's own.

// Each test binary uses its part.
#![allow(dead_code, unreachable_pub)]

pub mod account;

use std::net::SocketAddr;
use std::path::Path;

use engine_harness::{Server, free_port, is_installed};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

const PROGRAM: &str = "nats-server";

/// Whether these tests can run; says so where they cannot. They have to, where `REQUIRE_ENGINES` is
/// set.
pub fn can_run() -> bool {
    let installed = is_installed(PROGRAM);
    if !installed {
        let required = std::env::var_os("REQUIRE_ENGINES").is_some_and(|value| value == "1");
        assert!(!required, "{PROGRAM} is not installed, and REQUIRE_ENGINES is set");
        println!("ignored: {PROGRAM} is not installed");
    }
    installed
}

/// A server and the port on which it can be asked what it holds.
pub struct Nats {
    pub server: Server,
    pub monitor: SocketAddr,
}

impl Nats {
    pub async fn start() -> Result<Self> {
        Self::start_with(|_| Ok(Vec::new())).await
    }

    /// With further arguments, such as a file that is written into the server's folder.
    pub async fn start_with(further: impl Fn(&Path) -> Result<Vec<String>>) -> Result<Self> {
        // The server is started on another port when one of its ports is taken meanwhile.
        let monitor = std::cell::Cell::new(0);
        let arguments = |port: u16, folder: &Path| {
            monitor.set(free_port().expect("a free port"));
            let ports = ["-p".to_owned(), port.to_string(), "-m".into(), monitor.get().to_string()];
            let mut arguments = vec!["-a".to_owned(), "127.0.0.1".to_owned()];
            arguments.extend(ports);
            arguments.extend(further(folder).expect("the server's files can be written"));
            arguments
        };
        let server = Server::start(PROGRAM, arguments, answers).await?;
        Ok(Self { server, monitor: SocketAddr::from(([127, 0, 0, 1], monitor.get())) })
    }

    pub async fn start_again(&mut self) -> Result<()> {
        Ok(self.server.start_again(answers).await?)
    }

    pub fn url(&self) -> String {
        format!("nats://{}", self.server.address)
    }
}

/// A server greets whoever connects.
async fn answers(socket: TcpStream) -> bool {
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line).await.is_ok() && line.starts_with("INFO ")
}

/// The subjects for which the server would send something to the connection of this name.
pub async fn subjects(monitor: SocketAddr, client_name: &str) -> Result<Vec<String>> {
    let mut socket = TcpStream::connect(monitor).await?;
    socket.write_all(b"GET /connz?subs=1&limit=100000 HTTP/1.0\r\n\r\n").await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    let body = answer.windows(4).position(|end| end == b"\r\n\r\n").ok_or("no answer")? + 4;
    let answer: serde_json::Value = serde_json::from_slice(&answer[body..])?;
    let connections = answer["connections"].as_array().into_iter().flatten();
    let mine = connections.filter(|connection| connection["name"] == client_name);
    let subjects = mine.filter_map(|mine| mine["subscriptions_list"].as_array()).flatten();
    Ok(subjects.filter_map(|subject| Some(subject.as_str()?.to_owned())).collect())
}
