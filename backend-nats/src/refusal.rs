//! Why a server has not taken the instance in: one line that says what to look at.

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::time::Duration;

use async_nats::{ConnectError, ConnectErrorKind, ServerAddr};
use backend_core::{BoxError, Error};

/// Where a server is, as it is told; there are no credentials in it.
pub(crate) fn place(server: &ServerAddr) -> String {
    let (host, port) = (server.host(), server.port());
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What the client's error means.
pub(crate) fn tell(error: &ConnectError, has_credentials: bool, patience: Duration) -> String {
    let cause = error.source();
    let io = cause.and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    let told = cause.map_or_else(|| error.to_string(), |cause| one_line(&cause.to_string()));
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            let what = if has_credentials { "refuses these" } else { "wants" };
            format!("authorization violation: it {what} credentials")
        }
        ConnectErrorKind::TimedOut => silent(patience),
        ConnectErrorKind::Tls => format!("no encrypted connection: {told}"),
        // Of TLS, after the greeting.
        ConnectErrorKind::Io if io == Some(ErrorKind::InvalidData) => {
            format!("no encrypted connection: {told}")
        }
        // What it has said is not quoted: it may be anything.
        ConnectErrorKind::Io if io == Some(ErrorKind::InvalidInput) => {
            "what answers there is not a NATS server".to_owned()
        }
        // The client has no kind for it.
        ConnectErrorKind::Io if told.starts_with("expected INFO") => {
            "it does not greet as a NATS server does".to_owned()
        }
        _ => told,
    }
}

/// Why a connection is of no use that has been greeted: the error of `connect` says by itself that the
/// backend is unavailable.
pub(crate) fn cause(error: Error) -> BoxError {
    match error {
        Error::Unavailable(cause) => cause,
        other => other.into(),
    }
}

/// A server speaks first, and most others wait for their client.
pub(crate) fn silent(patience: Duration) -> String {
    format!("no greeting within {patience:?}: is it a NATS server, and does it run?")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
