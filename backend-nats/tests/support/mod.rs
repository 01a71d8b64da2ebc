//! What the tests share: a server of one's own.

// Each test binary uses its part.
#![allow(dead_code, unreachable_pub)]

pub mod garbage;
pub mod harness;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use backend_nats::{Builder, NatsBackend};
use engine_harness::wait::{until, until_it_says};
use engine_harness::{Proxy, Result, Server, free_port};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use harness::Address;

pub const PROGRAM: &str = "nats-server";

const CONFIGURATION: &str = "nats.conf";

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

    /// With a configuration file.
    pub async fn start_configured(configuration: &str) -> Result<Self> {
        Self::start_with(|folder| {
            let file = folder.join(CONFIGURATION);
            std::fs::write(&file, configuration)?;
            Ok(vec!["-c".to_owned(), file.display().to_string()])
        })
        .await
    }

    /// Changes the configuration file. The server reads it when it is started again.
    pub fn configure(&self, configuration: &str) -> Result {
        Ok(std::fs::write(self.server.folder().join(CONFIGURATION), configuration)?)
    }

    /// Changes the configuration of the running server.
    pub async fn reload(&self, configuration: &str) -> Result {
        self.configure(configuration)?;
        let reloads = || self.server.log().matches("Reloaded server configuration").count();
        let before = reloads();
        let id = self.server.id().ok_or("the server is not running")?;
        let told = Command::new(PROGRAM).arg("--signal").arg(format!("reload={id}")).status()?;
        assert!(told.success(), "{told}");
        until("the server has reloaded", || reloads() > before).await
    }

    /// A client of the test itself.
    pub async fn client(&self) -> Result<async_nats::Client> {
        Ok(async_nats::connect(self.url()).await?)
    }

    /// Three servers that know each other.
    pub async fn start_cluster() -> Result<[Self; 3]> {
        for _ in 0..4 {
            // The port of a route may be taken meanwhile, and all must know it before.
            if let Ok(cluster) = Self::try_start_cluster().await {
                return Ok(cluster);
            }
        }
        Self::try_start_cluster().await
    }

    async fn try_start_cluster() -> Result<[Self; 3]> {
        let ports = [free_port()?, free_port()?, free_port()?];
        let routes = ports.map(|port| format!("nats://127.0.0.1:{port}"));
        let start = |own: usize| {
            let others = routes.iter().enumerate().filter(|(index, _)| *index != own);
            let others: Vec<_> = others.map(|(_, route)| route.clone()).collect();
            let arguments = [
                ["--cluster_name".to_owned(), "test".to_owned()],
                ["--cluster".to_owned(), routes[own].clone()],
                ["--routes".to_owned(), others.join(",")],
            ];
            Self::start_with(move |_| Ok(arguments.concat()))
        };
        let cluster = [start(0).await?, start(1).await?, start(2).await?];
        for server in &cluster {
            server.has_found(2).await?;
        }
        Ok(cluster)
    }

    /// Waits until it is connected to so many other servers.
    pub async fn has_found(&self, others: u64) -> Result {
        until_it_says("the servers have found each other", async || {
            Ok(ask(self.monitor, "/routez").await?["num_routes"] == others)
        })
        .await
    }

    pub fn address(&self) -> Address {
        Address { server: self.server.address, monitor: self.monitor }
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

/// What the server says of itself.
pub async fn ask(monitor: SocketAddr, path: &str) -> Result<serde_json::Value> {
    let mut socket = TcpStream::connect(monitor).await?;
    socket.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    let body = answer.windows(4).position(|end| end == b"\r\n\r\n").ok_or("no answer")? + 4;
    Ok(serde_json::from_slice(&answer[body..])?)
}

/// The subjects for which the server would send something to the connection of this name.
pub async fn subjects(monitor: SocketAddr, client_name: &str) -> Result<Vec<String>> {
    let answer = ask(monitor, "/connz?subs=1&limit=100000").await?;
    let connections = answer["connections"].as_array().into_iter().flatten();
    let mine = connections.filter(|connection| connection["name"] == client_name);
    let subjects = mine.filter_map(|mine| mine["subscriptions_list"].as_array()).flatten();
    Ok(subjects.filter_map(|subject| Some(subject.as_str()?.to_owned())).collect())
}

/// An instance that is quick to connect again.
pub fn quick(urls: impl AsRef<str>) -> Builder {
    NatsBackend::builder()
        .servers(urls)
        .backoff(Duration::from_millis(5), Duration::from_millis(50))
}

/// How to get to a server through a wire.
pub fn through(wire: &Proxy) -> String {
    format!("nats://{}", wire.address)
}
