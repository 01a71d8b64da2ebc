//! The bus that the instances are on. Only this file knows which backends there are.
//!
//! Over the memory backend, the instances of this process are on a bus of its own. Over an engine,
//! so are those of every other process that is given the same engine and namespace: that is all it
//! takes for a service to outgrow one machine.

use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use backend_core::{Backend, Error, Result};
use backend_memory::MemoryBackend;
use backend_nats::NatsBackend;
use backend_redis::RedisBackend;
use chat_service::Instance;

/// What `--backend` takes.
pub(crate) const TAKEN: &str = "memory:, nats://HOST:PORT or tls://HOST:PORT (NATS), \
     redis://HOST:PORT or rediss://HOST:PORT (Redis; valkey:// and valkeys:// are the same)";

/// The URL of a bus as somebody typed it. There may be a password in it: `Debug` shows none of it,
/// and [`place`](Self::place) what can be shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct BusUrl(String);

/// Which backend a URL asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Nats,
    Redis,
}

/// Options of a connection to an engine.
#[derive(Clone, Debug)]
pub(crate) struct Engine<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) tls_roots: Option<&'a PathBuf>,
}

impl From<String> for BusUrl {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl BusUrl {
    /// Which backend it asks for; `None` for one that is not here.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self.0.trim().split_once(':')? {
            ("memory", "" | "//") => Some(Kind::Memory),
            ("nats" | "tls", _) => Some(Kind::Nats),
            ("redis" | "rediss" | "valkey" | "valkeys", _) => Some(Kind::Redis),
            _ => None,
        }
    }

    /// Why it asks for none; it holds no part of the URL.
    pub(crate) fn what_is_wrong(&self) -> &'static str {
        match self.0.trim() {
            "" => "what was given is empty",
            url if url.contains("://") => "what was given begins with something else",
            _ => "what was given has none of these in front of its host",
        }
    }

    /// Where it is, without credentials, and without what stands behind a host. Of several servers it
    /// is the last, if there are credentials: where the others begin cannot be told for sure, since a
    /// password may have a comma in it.
    fn place(&self) -> String {
        let Some((before, last)) = self.0.rsplit_once('@') else {
            return self.0.split(',').map(until_host_ends).collect::<Vec<_>>().join(",");
        };
        let scheme = before.split_once("://").map_or(String::new(), |(s, _)| format!("{s}://"));
        format!("{scheme}…@{}", last.split(',').map(until_host_ends).collect::<Vec<_>>().join(","))
    }
}

/// The part of a server's URL that ends with its port.
fn until_host_ends(server: &str) -> &str {
    let host = server.find("://").map_or(0, |scheme| scheme + 3);
    let length = server[host..].find(['/', '?', '#']).unwrap_or(server.len() - host);
    &server[..host + length]
}

impl fmt::Debug for BusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BusUrl(…)")
    }
}

/// Puts an instance of each name on the bus; the error says what to do.
pub(crate) async fn connect(
    url: &BusUrl,
    engine: Engine<'_>,
    names: &[String],
    capacity: usize,
) -> Result<Vec<Arc<Instance>>, String> {
    let Some(kind) = url.kind() else { return Err(format!("--backend takes {TAKEN}")) };
    let failed = |error: Error| {
        let (what, program) = match kind {
            Kind::Redis => ("Redis", "redis-server"),
            _ => ("NATS", "nats-server"),
        };
        let advice = if error.is_retryable() {
            format!(
                "see that {what} runs there ({program} starts one) and lets this instance in, or \
                 name another with --backend URL; --backend memory: needs none"
            )
        } else {
            format!("--backend takes {TAKEN}, and several of a kind with commas between them")
        };
        format!("cannot get onto the bus at {}: {error}\n{advice}", url.place())
    };

    if kind == Kind::Memory {
        // The first backend makes the bus; every fork of it is another instance on the same bus.
        let bus = MemoryBackend::builder().capacity(capacity).build();
        let fork = |name: &String| Arc::new(Instance::new(name.as_str(), bus.fork(), capacity));
        return Ok(names.iter().map(fork).collect());
    }
    if let Some(file) = engine.tls_roots
        && let Err(error) = File::open(file)
    {
        return Err(format!("--tls-roots {}: {error}", file.display()));
    }
    let mut instances = Vec::new();
    for name in names {
        // An instance is a connection of its own. So what they say to each other takes the way over
        // the engine, as it will when they are on different machines.
        let backend: Arc<dyn Backend> = match kind {
            Kind::Redis => Arc::new(redis(url, &engine, name, capacity).await.map_err(failed)?),
            _ => Arc::new(nats(url, &engine, name, capacity).await.map_err(failed)?),
        };
        instances.push(Arc::new(Instance::over(name.as_str(), backend, capacity)));
    }
    Ok(instances)
}

async fn nats(
    url: &BusUrl,
    engine: &Engine<'_>,
    name: &str,
    capacity: usize,
) -> Result<NatsBackend> {
    let mut builder = NatsBackend::builder()
        .servers(&url.0)
        .namespace(engine.namespace)
        .client_name(name)
        .capacity(capacity);
    if let Some(file) = engine.tls_roots {
        builder = builder.root_certificates(file);
    }
    builder.connect().await
}

async fn redis(
    url: &BusUrl,
    engine: &Engine<'_>,
    name: &str,
    capacity: usize,
) -> Result<RedisBackend> {
    let mut builder = RedisBackend::builder()
        .servers(&url.0)
        .namespace(engine.namespace)
        .client_name(name)
        .capacity(capacity);
    if let Some(file) = engine.tls_roots {
        builder = builder.root_certificates(file);
    }
    builder.connect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> BusUrl {
        BusUrl::from(text.to_owned())
    }

    #[test]
    fn the_scheme_says_which_backend_it_is() {
        for (text, kind) in [
            ("memory:", Some(Kind::Memory)),
            ("nats://h:4222", Some(Kind::Nats)),
            ("tls://h", Some(Kind::Nats)),
            ("redis://h/0,redis://i", Some(Kind::Redis)),
            ("rediss://h", Some(Kind::Redis)),
            ("valkey://h,valkeys://i", Some(Kind::Redis)),
            ("memory://", Some(Kind::Memory)),
            ("memory://x", None),
            ("127.0.0.1:4222", None),
            ("localhost:4222", None),
            ("memory", None),
            ("http://h", None),
            ("NATS", None),
            ("", None),
        ] {
            assert_eq!(url(text).kind(), kind, "{text}");
        }
    }

    #[test]
    fn credentials_are_shown_nowhere() {
        for (text, place) in [
            ("nats://ada:s3cret@h:4222", "nats://…@h:4222"),
            ("redis://:s3cret@h,redis://:s3cret@i:7000", "redis://…@i:7000"),
            ("redis://:s3,cret@h", "redis://…@h"),
            ("redis://:s3cr@et@h/0", "redis://…@h"),
            ("redis://h/0?password=s3cret", "redis://h"),
            ("redis://ada@h,redis://i/s3cret", "redis://…@h,redis://i"),
            ("tls://s3cret@h", "tls://…@h"),
            ("ada:s3cret@h", "…@h"),
            ("nats://h,nats://i", "nats://h,nats://i"),
        ] {
            let url = url(text);
            assert_eq!(url.place(), place);
            assert!(!format!("{url:?}").contains("s3"), "{url:?}");
        }
    }
}
