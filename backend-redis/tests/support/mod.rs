//! What the tests share: a server of one's own.

// Each test binary uses its part.
#![allow(dead_code, unreachable_pub)]

use std::net::SocketAddr;
use std::path::Path;

use engine_harness::{Server, is_installed};
use redis::aio::MultiplexedConnection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

const PROGRAM: &str = "redis-server";

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

/// A server.
pub struct Redis {
    pub server: Server,
}

impl Redis {
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// With further arguments.
    pub async fn start_with(further: &[&str]) -> Result<Self> {
        let arguments = |port: u16, folder: &Path| {
            let folder = folder.display().to_string();
            let port = port.to_string();
            let plain = ["--port", &port, "--bind", "127.0.0.1", "--dir", &folder];
            let forgetful = ["--save", "", "--appendonly", "no"];
            let all = plain.into_iter().chain(forgetful).chain(further.iter().copied());
            all.map(str::to_owned).collect()
        };
        Ok(Self { server: Server::start(PROGRAM, arguments, answers).await? })
    }

    pub async fn start_again(&mut self) -> Result<()> {
        Ok(self.server.start_again(answers).await?)
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.server.address)
    }

    /// A connection for the test itself.
    pub async fn client(&self) -> Result<MultiplexedConnection> {
        client(self.server.address).await
    }
}

pub async fn client(server: SocketAddr) -> Result<MultiplexedConnection> {
    let client = redis::Client::open(format!("redis://{server}/?protocol=resp3"))?;
    Ok(client.get_multiplexed_async_connection().await?)
}

/// A server that is up says so, or that it wants a password.
async fn answers(mut socket: TcpStream) -> bool {
    let mut answer = [0; 7];
    socket.write_all(b"PING\r\n").await.is_ok()
        && socket.read_exact(&mut answer).await.is_ok()
        && (&answer == b"+PONG\r\n" || &answer == b"-NOAUTH")
}

/// How many channels the server would send to the connection of this name.
pub async fn channels(client: &mut MultiplexedConnection, client_name: &str) -> Result<u64> {
    let list: String = redis::cmd("CLIENT").arg("LIST").query_async(client).await?;
    let mut count = 0;
    for line in list.lines() {
        let field = |key: &str| {
            line.split(' ').find_map(|field| field.strip_prefix(key)?.strip_prefix('='))
        };
        if field("name") == Some(client_name) {
            count += field("sub").unwrap_or_default().parse::<u64>()?;
        }
    }
    Ok(count)
}
