//! Why a server has not taken the instance in: one line that says what to look at.

use std::error::Error;
use std::io;
use std::time::Duration;

use redis::{ErrorKind, RedisError};

/// What an error of the client, of the socket or of TLS means.
pub(crate) fn tell(error: &(dyn Error + 'static), has_credentials: bool) -> String {
    if let Some(error) = error.downcast_ref::<RedisError>() {
        return match (error.code(), error.kind()) {
            (Some("NOAUTH"), _) if !has_credentials => {
                "it wants credentials, and none are set (NOAUTH)".to_owned()
            }
            // What could not be read is not quoted: it may be anything.
            (_, ErrorKind::Parse) => {
                "what answers there is not a Redis server, or wants an encrypted connection"
                    .to_owned()
            }
            _ => one_line(&words(error)),
        };
    }
    match error.downcast_ref::<io::Error>() {
        // Of TLS.
        Some(io) if io.kind() == io::ErrorKind::InvalidData => {
            format!("no encrypted connection: {}", one_line(&io.to_string()))
        }
        _ => one_line(&error.to_string()),
    }
}

/// The server's own words, where it has said something: the client puts the word that it does not know
/// in quotes, and another one in the place of some that it does.
pub(crate) fn words(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        _ => error.to_string(),
    }
}

/// Redis does not answer what it cannot read to its end; nor do others.
pub(crate) fn silent(patience: Duration, tls: bool) -> String {
    let what = if tls {
        "is it a Redis server, and this its port for TLS?"
    } else {
        "is it a Redis server, and does it run?"
    };
    format!("no answer within {patience:?}: {what}")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
