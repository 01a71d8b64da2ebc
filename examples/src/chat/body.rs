//! Takes in the body of a request, whole, before anything is answered.
//!
//! Nobody can post a gigabyte: at most [`LONGEST_BODY`] bytes are kept. But a server that answers
//! while the client is still sending, and then closes the connection, makes the client see a
//! broken connection in place of the answer. So a body that is too large is read on for a while
//! and thrown away, and then its sender is told what is wrong with it.

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt;

use crate::message::LONGEST_BODY;
use crate::refusal::Refusal;

/// The most bytes that are read for the sake of an answer that arrives.
const MOST_READ: usize = 4 * 1024 * 1024;

/// A layer of the router: hands a request on with its body in memory, or refuses it.
pub(crate) async fn take_in(request: Request, next: Next) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    let bytes = read(body).await?;
    Ok(next.run(Request::from_parts(head, bytes.into())).await)
}

async fn read(body: Body) -> Result<Vec<u8>, Refusal> {
    let too_large = || {
        Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is too large: at most {LONGEST_BODY} bytes are allowed"),
        )
    };
    // One that announces so much may wait with sending for a sign, as curl does: it gets none.
    if body.size_hint().lower() > MOST_READ as u64 {
        return Err(too_large());
    }

    let (mut kept, mut length) = (Vec::new(), 0);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            Refusal::bad_request(format!("the body did not arrive in full: {error}"))
        })?;
        length += chunk.len();
        if length <= LONGEST_BODY {
            kept.extend_from_slice(&chunk);
        } else if length > MOST_READ {
            break;
        }
    }
    if length > LONGEST_BODY { Err(too_large()) } else { Ok(kept) }
}
