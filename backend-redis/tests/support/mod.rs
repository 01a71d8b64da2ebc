//! What the tests share: a server of one's own.

// Each test binary uses its part.
#![allow(dead_code, unreachable_pub)]

pub mod harness;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use backend_redis::{Builder, RedisBackend};
use engine_harness::wait::PATIENCE;
use engine_harness::{Error, Result, Server};
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub const PROGRAM: &str = "redis-server";

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

    pub async fn start_again(&mut self) -> Result {
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
    // The client's own patience is half a second, and a machine may have much to do.
    let patient = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    Ok(client.get_multiplexed_async_connection_with_config(&patient).await?)
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

/// Makes one server a replica of another, and waits until it says so.
pub async fn replicate(server: &mut MultiplexedConnection, master: Option<SocketAddr>) -> Result {
    let (host, port, role) = match master {
        Some(master) => (master.ip().to_string(), master.port().to_string(), "slave"),
        None => ("NO".to_owned(), "ONE".to_owned(), "master"),
    };
    redis::cmd("REPLICAOF").arg(&[host, port]).exec_async(server).await?;
    let changed = async {
        loop {
            let answer: Vec<redis::Value> = redis::cmd("ROLE").query_async(server).await?;
            let now: String = redis::from_redis_value(answer[0].clone())?;
            // A replica passes on what its master does once they are connected.
            let state = answer.get(3).and_then(|state| redis::from_redis_value(state.clone()).ok());
            if now == role && state.is_none_or(|state: String| state == "connected") {
                return Ok::<_, Error>(());
            }
        }
    };
    timeout(PATIENCE, changed).await.map_err(|_| "the role stays as it was")?
}

/// A master and its replica.
pub async fn pair() -> Result<(Redis, Redis)> {
    // A replica need not wait for others that want the same.
    let at_once = ["--repl-diskless-sync-delay", "0"];
    let (master, replica) =
        (Redis::start_with(&at_once).await?, Redis::start_with(&at_once).await?);
    replicate(&mut client(replica.server.address).await?, Some(master.server.address)).await?;
    Ok((master, replica))
}

/// An instance that is quick to connect again.
pub fn quick(url: impl AsRef<str>) -> Builder {
    RedisBackend::builder()
        .servers(url)
        .backoff(Duration::from_millis(5), Duration::from_millis(50))
}
