//! The engine's name for a topic.
//!
//! A topic is any string (clause D7); a name is what every engine takes as it is, and nothing in it
//! means anything to any of them: not `*`, `>`, `[a]`, a dot, a space or a line feed of the topic.
//!
//! A name has two parts with a dot between them, the namespace and the topic. Each is in percent
//! form: ASCII letters, digits, `_` and `-` stand for themselves, every other byte of its UTF-8 is
//! written as `%` and two hexadecimal digits in upper case; an empty one is `~`, which no percent
//! form contains. So the dot is the only one, and can be told: different topics have different
//! names, and two namespaces have none in common, whatever they contain, and also where one is the
//! beginning of the other. Since the namespace is the first token, a NATS permission for `chat.>`
//! and a Redis ACL for `&chat.*` cover exactly one.
//!
//! | topic, in the namespace `chat` | name |
//! |---|---|
//! | `orders` | `chat.orders` |
//! | `orders.>` | `chat.orders%2E%3E` |
//! | `käse` | `chat.k%C3%A4se` |
//! | the empty one | `chat.~` |
//! | 300 times `a` | `chat.~mDX6a_TiCpueqBJQYwLpiYJyGmz40srmevVxKb8hrpA` |
//!
//! What would be longer than [`LONGEST`] gets a digest in place of the topic: `~` and the SHA-256 of
//! the topic's UTF-8 in base64 (URL alphabet, not padded). Where the namespace is so long that this
//! is too long, too, the whole name is a digest: `~` and that of what the name would have been. A
//! digest tells topics apart as well as SHA-256 does; besides, the topic is in every
//! [frame](crate::wire), and [`Frame::expect_topic`](crate::wire::Frame::expect_topic) compares it.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

/// The length in bytes that no name exceeds, unless [`Driver::longest_name`](crate::Driver::longest_name)
/// says otherwise.
pub const LONGEST: usize = 200;

/// `~` and 32 bytes in base64.
const DIGEST: usize = 1 + 43;

/// The least that every name has room in: an [internal](Names::internal) one has a second `~`.
const SHORTEST: usize = 1 + DIGEST;

/// What percent form escapes: everything but ASCII letters, digits, `_` and `-`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-');

/// Makes the names of one namespace.
///
/// Instances with equal namespaces (and equal limits) on one engine are linked; others never meet.
/// The [module](self) says what a name looks like.
///
/// ```
/// use backend_engine::name::Names;
///
/// let names = Names::new("chat");
/// assert_eq!(names.name("orders").as_str(), "chat.orders");
/// assert_eq!(names.name("orders.>").as_str(), "chat.orders%2E%3E");
/// assert_eq!(names.name("").as_str(), "chat.~");
/// assert!(names.name(&"a".repeat(1_000)).as_str().starts_with("chat.~"));
///
/// // An engine whose names are short, such as PostgreSQL with its 63 bytes.
/// let short = Names::within("chat", 63);
/// assert!(short.name(&"a".repeat(60)).as_str().len() <= 63);
/// ```
#[derive(Clone, Debug)]
pub struct Names {
    /// The namespace in percent form, and the dot.
    prefix: Box<str>,
    longest: usize,
}

impl Names {
    /// Names of up to [`LONGEST`] bytes. Any string is a namespace, the empty one too.
    #[must_use]
    pub fn new(namespace: &str) -> Self {
        Self::within(namespace, LONGEST)
    }

    /// Names of up to `longest` bytes.
    ///
    /// # Panics
    /// If `longest` is less than 45, which is the length of a digest in an [internal](Self::internal)
    /// name.
    #[must_use]
    pub fn within(namespace: &str, longest: usize) -> Self {
        assert!(longest >= SHORTEST, "{longest} bytes are too few: a name may have {SHORTEST}");
        let mut prefix = String::new();
        push_percent_form(&mut prefix, namespace);
        prefix.push('.');
        Self { prefix: prefix.into_boxed_str(), longest }
    }

    /// The name of a topic: always the same, and no other topic's.
    ///
    /// Of ASCII letters, digits and `_ - % ~ .` only, and never empty; with at most one dot, which
    /// is neither the first nor the last byte.
    #[must_use]
    pub fn name(&self, topic: &str) -> EngineName {
        let mut name = String::with_capacity(self.prefix.len() + topic.len().min(self.longest));
        name.push_str(&self.prefix);
        push_percent_form(&mut name, topic);
        if name.len() > self.longest {
            if self.prefix.len() + DIGEST <= self.longest {
                name.truncate(self.prefix.len());
                push_digest(&mut name, topic);
            } else {
                let whole = std::mem::take(&mut name);
                push_digest(&mut name, &whole);
            }
        }
        EngineName(name.into())
    }

    /// A name for an adapter's own use, such as instances that greet each other: no topic of any
    /// namespace has it.
    ///
    /// It is `~~` and `word` in percent form in place of the topic. Where that is too long, the whole
    /// name is `~~` and the digest of what it would have been.
    ///
    /// ```
    /// use backend_engine::name::Names;
    ///
    /// assert_eq!(Names::new("chat").internal("hello").as_str(), "chat.~~hello");
    /// ```
    #[must_use]
    pub fn internal(&self, word: &str) -> EngineName {
        let mut name = format!("{}~~", self.prefix);
        push_percent_form(&mut name, word);
        if name.len() > self.longest {
            let whole = std::mem::replace(&mut name, "~".to_owned());
            push_digest(&mut name, &whole);
        }
        EngineName(name.into())
    }
}

fn push_percent_form(into: &mut String, text: &str) {
    if text.is_empty() {
        into.push('~');
    }
    into.extend(utf8_percent_encode(text, ESCAPED));
}

fn push_digest(into: &mut String, text: &str) {
    into.push('~');
    URL_SAFE_NO_PAD.encode_string(Sha256::digest(text), into);
}

/// What the engine calls a topic; made by [`Names`].
///
/// Cloning it is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EngineName(Arc<str>);

impl EngineName {
    /// The name, as the engine is to be given it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for EngineName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// So that a map of names can be asked for what the engine says.
impl Borrow<str> for EngineName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}
