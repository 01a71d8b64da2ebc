//! Where a server is, and who the instance says it is.

use std::fmt;

use backend_core::Error;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

const DEFAULT_PORT: u16 = 6379;

/// One of the servers that may be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// A name or an address; that of IPv6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What is shown to the server. `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// `None`: the server's default user.
    pub(crate) user: Option<String>,
    pub(crate) password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// What is wrong with a URL. It holds no part of it: there may be a password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Unsupported(&'static str),
    Invalid(&'static str),
    /// It is another's URL; whose, if that can be shown.
    Scheme(Option<&'static str>),
}

/// What the URLs of others begin with that may be among those of Redis.
const FOREIGN: [&str; 13] = [
    "amqp",
    "http",
    "https",
    "kafka",
    "memory",
    "mqtt",
    "nats",
    "redis+unix",
    "redis-sentinel",
    "redis+sentinel",
    "redis-socket",
    "tls",
    "unix",
];

impl Wrong {
    /// The error to return for the URL of this number; the first is 1.
    pub(crate) fn error(self, number: usize) -> Error {
        match self {
            Self::Unsupported(what) => Error::Unsupported(format!("URL {number} has {what}")),
            Self::Invalid(why) => Error::backend(format!(
                "URL {number} is not that of a Redis server, as redis://host:6379 is one: {why}"
            )),
            Self::Scheme(scheme) => Error::Unsupported(format!(
                "URL {number} {}: all servers of an instance are of Redis, as redis://host:6379, or \
                 rediss://host:6379 where the connection is encrypted",
                match scheme {
                    Some(scheme) => format!("is a {scheme}:// one"),
                    None => "begins with something else than redis:// or rediss://".to_owned(),
                }
            )),
        }
    }
}

/// A URL's server and credentials: `redis://user:password@host:port`.
pub(crate) fn split(url: &str) -> Result<(Server, Option<Credentials>), Wrong> {
    let url = url.trim();
    if url.is_empty() {
        return Err(Wrong::Invalid("it is empty"));
    }
    // `localhost:6379` would be one of the scheme `localhost`.
    let (scheme, _) = url.split_once("://").ok_or(Wrong::Invalid("it has no redis:// in front"))?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "redis" | "valkey" => false,
        "rediss" | "valkeys" => true,
        other => return Err(Wrong::Scheme(FOREIGN.into_iter().find(|foreign| *foreign == other))),
    };
    let url = Url::parse(url).map_err(|_| Wrong::Invalid("it cannot be read"))?;
    let host = match url.host() {
        Some(Host::Domain(name)) if !name.is_empty() => decode(name)?,
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        _ => return Err(Wrong::Invalid("it has no host")),
    };
    // What would change nothing is refused, and not ignored. A database is another matter: URLs that
    // a service has already often name one, and channels are the same in all of them.
    let database = url.path().trim_start_matches('/');
    if !database.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Wrong::Invalid("after the host there is more than a database's number"));
    }
    if !matches!(url.query(), None | Some("" | "protocol=resp3" | "protocol=3")) {
        return Err(Wrong::Unsupported("options behind the host"));
    }
    if url.fragment().is_some() {
        return Err(Wrong::Unsupported("a fragment"));
    }
    let user = Some(decode(url.username())?).filter(|user| !user.is_empty());
    let password = url.password().map(decode).transpose()?;
    let credentials = (user.is_some() || password.is_some())
        .then(|| Credentials { user, password: password.unwrap_or_default() });
    Ok((Server { host, port: url.port().unwrap_or(DEFAULT_PORT), tls }, credentials))
}

fn decode(text: &str) -> Result<String, Wrong> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(String::from).map_err(|_| Wrong::Invalid("a part of it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, password: &str) -> Option<Credentials> {
        Some(Credentials { user: Some(name.to_owned()), password: password.to_owned() })
    }

    #[test]
    fn credentials_are_taken_out_of_the_url_and_decoded() {
        let (server, credentials) = split("redis://al%40ice:p%3Aa%2Fss@example.com:7000").unwrap();
        assert_eq!(server.to_string(), "example.com:7000");
        assert!(!server.tls);
        assert_eq!(credentials, user("al@ice", "p:a/ss"));
        let shown = format!("{server:?} {credentials:?}");
        assert!(!shown.contains("ice") && !shown.contains("a/ss"), "{shown}");

        let (server, credentials) = split("rediss://:s3cr%25t@example.com/3").unwrap();
        assert_eq!((server.to_string().as_str(), server.tls), ("example.com:6379", true));
        assert_eq!(credentials, Some(Credentials { user: None, password: "s3cr%t".into() }));

        assert_eq!(split("valkey://alice@h").unwrap().1, user("alice", ""));
        assert_eq!(split("redis://[::1]:7000").unwrap().0.to_string(), "[::1]:7000");
        assert_eq!(split("redis://localhost/?protocol=resp3").unwrap().1, None);
    }

    #[test]
    fn what_is_no_url_is_refused_without_quoting_it() {
        let refused = [
            "",
            "redis://",
            "localhost:6379",
            "http://u:s3cret@h",
            "nats://u:s3cret@h",
            "redis://u:s3cret@h:x",
            "redis://u%FF:s3cret@h",
            "redis://u:s3cret@h/0?timeout=3",
            "redis://u:s3cret@h/s3cret",
            "rediss://u:s3cret@h/#insecure",
        ];
        for url in refused {
            let error = split(url).unwrap_err().error(1);
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{url}: {error:?}");
        }
    }
}
