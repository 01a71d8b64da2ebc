//! Who the instance says it is.

use std::fmt;
use std::path::PathBuf;

use async_nats::{ConnectOptions, ServerAddr};
use backend_core::Error;
use nkeys::{KeyPair, KeyPairType};
use percent_encoding::percent_decode_str;

/// What is shown to the server. `Debug` shows none of it.
#[derive(Clone, Default)]
pub(crate) enum Auth {
    #[default]
    None,
    User {
        name: String,
        password: String,
    },
    Token(String),
    /// The seed.
    Nkey(String),
    /// A file with a JWT and its seed.
    File(PathBuf),
}

impl Auth {
    /// A seed that is none is the caller's mistake; a file may become right later.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Self::Nkey(seed) = self else { return Ok(()) };
        let is_of_a_user = |pair: KeyPair| matches!(pair.key_pair_type(), KeyPairType::User);
        if KeyPair::from_seed(seed).is_ok_and(is_of_a_user) {
            return Ok(());
        }
        Err(Error::backend(
            "what is given as an nkey is not the seed of a user, which begins with SU",
        ))
    }

    /// # Errors
    /// What is wrong with the file.
    pub(crate) async fn apply(&self, options: ConnectOptions) -> Result<ConnectOptions, String> {
        Ok(match self {
            Self::None => options,
            Self::User { name, password } => {
                options.user_and_password(name.clone(), password.clone())
            }
            Self::Token(token) => options.token(token.clone()),
            Self::Nkey(seed) => options.nkey(seed.clone()),
            Self::File(file) => {
                let why = |why| format!("no credentials in {}: {why}", file.display());
                let text = tokio::fs::read_to_string(file)
                    .await
                    .map_err(|error| why(error.to_string()))?;
                options.credentials(&text).map_err(|error| why(error.to_string()))?
            }
        })
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::User { .. } => "User(…)",
            Self::Token(_) => "Token(…)",
            Self::Nkey(_) => "Nkey(…)",
            Self::File(_) => "File(…)",
        })
    }
}

/// What is wrong with a URL. It holds no part of it: there may be a password in it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wrong {
    Invalid(&'static str),
    /// It is another's URL; whose, if that can be shown.
    Scheme(Option<&'static str>),
}

/// What the URLs of others begin with that may be among those of NATS.
const FOREIGN: [&str; 11] =
    ["amqp", "http", "https", "kafka", "memory", "mqtt", "redis", "rediss", "valkey", "ws", "wss"];

impl Wrong {
    /// The error to return for the URL of this number; the first is 1.
    pub(crate) fn error(self, number: usize) -> Error {
        match self {
            Self::Invalid(why) => Error::backend(format!(
                "URL {number} is not that of a NATS server, as nats://host:4222 is one: {why}"
            )),
            Self::Scheme(scheme) => Error::Unsupported(format!(
                "URL {number} {}: all servers of an instance are of NATS, as nats://host:4222 or \
                 tls://host:4222",
                match scheme {
                    Some(scheme) => format!("is a {scheme}:// one"),
                    None => "begins with something else than nats:// or tls://".to_owned(),
                }
            )),
        }
    }
}

/// A URL's server and credentials: `nats://user:password@host:port`, or `nats://token@host:port`.
///
/// The client takes no notice of credentials in a URL, and shows the URL in errors and logs: so they
/// are taken out.
pub(crate) fn split(url: &str) -> Result<(ServerAddr, Auth), Wrong> {
    let invalid = Wrong::Invalid;
    let url = url.trim();
    if url.is_empty() {
        return Err(invalid("it is empty"));
    }
    // Without one, the client takes it for nats://.
    if let Some((scheme, _)) = url.split_once("://")
        && !["nats", "tls"].iter().any(|ours| scheme.eq_ignore_ascii_case(ours))
    {
        let known = |foreign: &&str| scheme.eq_ignore_ascii_case(foreign);
        return Err(Wrong::Scheme(FOREIGN.into_iter().find(known)));
    }
    let server: ServerAddr = url.parse().map_err(|_| invalid("it cannot be read"))?;
    if !matches!(server.scheme(), "nats" | "tls") {
        return Err(Wrong::Scheme(None));
    }
    if server.host().is_empty() {
        return Err(invalid("it has no host"));
    }
    let decode = |text: &str| {
        let text = percent_decode_str(text).decode_utf8();
        text.map(String::from).map_err(|_| invalid("the credentials are not UTF-8"))
    };
    let auth = match (server.username(), server.password()) {
        (None, None) => Auth::None,
        (Some(token), None) => Auth::Token(decode(token)?),
        (name, Some(password)) => {
            Auth::User { name: decode(name.unwrap_or_default())?, password: decode(password)? }
        }
    };
    let mut url = server.into_inner();
    // Refused only where there is no host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let server = ServerAddr::from_url(url).map_err(|_| invalid("it cannot be read"))?;
    Ok((server, auth))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_of_the_url_and_decoded() {
        let (server, auth) = split("nats://al%40ice:p%3Aa%2Fss@example.com:4333").unwrap();
        assert_eq!(server.as_url_str(), "nats://example.com:4333");
        assert!(matches!(&auth, Auth::User { name, password }
            if name == "al@ice" && password == "p:a/ss"));
        let shown = format!("{server:?} {auth:?}");
        assert!(!shown.contains("ice") && !shown.contains("a/ss"), "{shown}");

        let (server, auth) = split("tls://s3cr%25t@example.com").unwrap();
        assert_eq!((server.host(), server.port()), ("example.com", 4222));
        assert!(matches!(&auth, Auth::Token(token) if token == "s3cr%t"));

        let (server, auth) = split("localhost:4333").unwrap();
        assert_eq!(server.as_url_str(), "nats://localhost:4333");
        assert!(auth.is_none());
    }

    #[test]
    fn what_is_no_url_is_refused_without_quoting_it() {
        let refused =
            ["", "nats://", "ws://u:s3cret@h", "http://u:s3cret@h", "nats://u:s3cret@h:x"];
        for url in refused.into_iter().chain(["nats://u%FF:s3cret@h", "redis://u:s3cret@h"]) {
            let error = split(url).unwrap_err().error(1);
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{url}: {error:?}");
        }
    }
}
