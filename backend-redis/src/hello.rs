//! `HELLO`: the one command that every user may send, and whose reply says what the server is.
//!
//! It is also this adapter's ping. `PING` can be denied to a user, and a server that has become a
//! replica answers it as before.

use std::collections::HashMap;

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisError, Value, cmd, from_redis_value};

use crate::refusal::words;

/// Goes to the server and back, and says why it cannot be used, if it cannot.
///
/// The reply comes after every message that the server has sent before it, and those have been
/// handed to the connection's push sender when this returns: one task reads both, in order.
pub(crate) async fn hello(
    mut connection: MultiplexedConnection,
    client_name: Option<&str>,
) -> Result<(), Unfit> {
    let mut hello = cmd("HELLO");
    hello.arg(3);
    if let Some(name) = client_name {
        hello.arg("SETNAME").arg(name);
    }
    let reply: HashMap<String, Value> = hello.query_async(&mut connection).await?;
    judge(&text(&reply, "mode"), &text(&reply, "role"))
}

/// Why a server cannot be used.
#[derive(Debug)]
pub(crate) enum Unfit {
    Error(RedisError),
    Role(&'static str),
}

impl From<RedisError> for Unfit {
    fn from(error: RedisError) -> Self {
        Self::Error(error)
    }
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Error(error) => f.write_str(&words(error)),
            Self::Role(what) => f.write_str(what),
        }
    }
}

fn text(reply: &HashMap<String, Value>, key: &str) -> String {
    // Some servers that speak the protocol say less of themselves.
    reply.get(key).and_then(|value| from_value(value.clone())).unwrap_or_default()
}

fn from_value<T: FromRedisValue>(value: Value) -> Option<T> {
    from_redis_value(value).ok()
}

/// What is published on a replica is taken, and reaches the replica's own subscribers at most. In a
/// cluster every node passes it on to all the others, whatever its role.
fn judge(mode: &str, role: &str) -> Result<(), Unfit> {
    match (mode, role) {
        ("sentinel", _) => Err(Unfit::Role("it is a sentinel, and passes no messages on")),
        ("cluster", _) => Ok(()),
        (_, "replica" | "slave") => {
            Err(Unfit::Role("it is a replica: what is published there reaches nobody elsewhere"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_and_sentinels_are_refused() {
        assert!(judge("standalone", "master").is_ok());
        assert!(judge("standalone", "replica").is_err());
        assert!(judge("sentinel", "sentinel").is_err());
        assert!(judge("cluster", "replica").is_ok());
        assert!(judge("", "").is_ok());
    }
}
