//! What goes over the wire: requests to the relay, and its replies.
//!
//! A frame is a length of four bytes and that many bytes of postcard, a binary serde format that
//! carries every field of an envelope exactly (clause D8). A connection begins with a `Hello`; the
//! relay answers every request with `Done`, in the order of the requests, and sends messages in
//! between.

use std::io;

use backend_core::{BoxError, Error, MessageEnvelope, Result};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, stream};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};
use uuid::Uuid;

/// The most data that an envelope may have, in bytes.
pub const MAX_DATA: usize = 1 << 20;

/// The largest frame that either side takes, in bytes: data, and room for all the rest.
pub const MAX_FRAME: usize = MAX_DATA + 64 * 1024;

/// What both sides must agree on. A relay turns away what it does not know.
pub const VERSION: u8 = 1;

/// What an instance asks of the relay.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// The first one: who is connecting. An older connection of the same instance ends.
    Hello {
        /// [`VERSION`].
        version: u8,
        /// The instance, which stays the same over all of its connections (clause D2).
        instance: Uuid,
    },
    /// From its `Done` on, what others publish to this topic is sent. Twice is the same as once.
    Subscribe(String),
    /// The end of that.
    Unsubscribe(String),
    /// Passes an envelope on; `Done` says that the relay has done so.
    Publish(MessageEnvelope),
    /// Nothing: shows that both directions work.
    Ping,
    /// Asks for how many topics an instance is subscribed: for whoever looks after the relay.
    Topics(Uuid),
}

/// What the relay sends.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The oldest request without an answer has been carried out.
    Done,
    /// What another instance has published.
    Message(MessageEnvelope),
    /// So many, and that request is done, too.
    Topics(u64),
}

/// A request as bytes.
///
/// # Errors
/// [`Error::PayloadTooLarge`] for an envelope with more than [`MAX_DATA`] bytes, or with fields
/// that leave less room than that; [`Error::InvalidTopic`] for a topic that has no room by itself.
pub fn encode_request(request: &Request) -> Result<Bytes> {
    let frame = encode(request)?;
    match request {
        Request::Publish(envelope) => {
            let actual = envelope.data().len();
            let beside = frame.len() - actual;
            if actual > MAX_DATA || frame.len() > MAX_FRAME {
                let limit = MAX_DATA.min(MAX_FRAME.saturating_sub(beside));
                return Err(Error::PayloadTooLarge { actual, limit });
            }
        }
        Request::Subscribe(topic) if frame.len() > MAX_FRAME => {
            return Err(Error::invalid_topic(topic, format!("longer than {MAX_FRAME} bytes")));
        }
        _ => {}
    }
    Ok(frame)
}

/// A request or a reply as bytes, however many.
///
/// # Errors
/// [`Error::Codec`]; none of the types here gives cause for it.
pub fn encode(message: &impl Serialize) -> Result<Bytes> {
    postcard::to_stdvec(message).map(Bytes::from).map_err(Error::codec)
}

/// A request or a reply from bytes that somebody else has sent.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for whatever is not exactly one message.
pub fn decode<T: DeserializeOwned>(frame: &[u8]) -> io::Result<T> {
    match postcard::take_from_bytes(frame) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(invalid(format!("{} bytes too many in a frame", rest.len()))),
        Err(error) => Err(invalid(error)),
    }
}

/// The other side does not speak this protocol.
pub(crate) fn invalid(cause: impl Into<BoxError>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, cause)
}

/// Frames from the other side.
pub type Incoming = FramedRead<OwnedReadHalf, LengthDelimitedCodec>;

/// Frames to the other side.
pub type Outgoing = FramedWrite<OwnedWriteHalf, LengthDelimitedCodec>;

/// The two directions of a socket, in frames. A longer frame is an error on either side.
pub fn split(socket: TcpStream) -> (Incoming, Outgoing) {
    let codec = LengthDelimitedCodec::builder().max_frame_length(MAX_FRAME).new_codec();
    let (read, write) = socket.into_split();
    (FramedRead::new(read, codec.clone()), FramedWrite::new(write, codec))
}

/// The next message; `None` when the other side has hung up.
///
/// # Errors
/// What the socket says, or [`decode`].
pub async fn receive<T: DeserializeOwned>(incoming: &mut Incoming) -> io::Result<Option<T>> {
    let frame = incoming.next().await.transpose()?;
    frame.map(|frame| decode(&frame)).transpose()
}

/// Writes frames, in one go where they are small.
///
/// # Errors
/// What the socket says.
pub async fn send(
    outgoing: &mut Outgoing,
    frames: impl IntoIterator<Item = Bytes>,
) -> io::Result<()> {
    outgoing.send_all(&mut stream::iter(frames.into_iter().map(Ok))).await
}
