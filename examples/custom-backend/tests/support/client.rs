//! A client that speaks the relay's protocol and nothing more: to ask the relay, and to annoy it.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use custom_backend::frame::{self, Incoming, Outgoing, Reply, Request, VERSION};
use tokio::net::TcpStream;
use uuid::Uuid;

#[derive(Debug)]
pub struct Client {
    incoming: Incoming,
    outgoing: Outgoing,
}

impl Client {
    /// Connects as this instance.
    pub async fn connect(relay: SocketAddr, instance: Uuid) -> io::Result<Self> {
        let mut client = Self::silent(relay).await?;
        client.ask(&Request::Hello { version: VERSION, instance }).await?;
        Ok(client)
    }

    /// Connects, and does not say hello.
    pub async fn silent(relay: SocketAddr) -> io::Result<Self> {
        let (incoming, outgoing) = frame::split(TcpStream::connect(relay).await?);
        Ok(Self { incoming, outgoing })
    }

    /// Sends a request and takes the next reply.
    pub async fn ask(&mut self, request: &Request) -> io::Result<Reply> {
        self.send(frame::encode_request(request).map_err(io::Error::other)?).await?;
        self.reply().await
    }

    pub async fn send(&mut self, frame: impl Into<Bytes>) -> io::Result<()> {
        frame::send(&mut self.outgoing, [frame.into()]).await
    }

    pub async fn reply(&mut self) -> io::Result<Reply> {
        frame::receive(&mut self.incoming).await?.ok_or(io::ErrorKind::UnexpectedEof.into())
    }

    /// For how many topics the relay sends something to an instance.
    pub async fn topics(&mut self, of: Uuid) -> io::Result<u64> {
        match self.ask(&Request::Topics(of)).await? {
            Reply::Topics(topics) => Ok(topics),
            other => Err(io::Error::other(format!("{other:?} in place of a number"))),
        }
    }
}
