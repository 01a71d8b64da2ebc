//! Why a frame is not taken.

/// Why a frame was refused.
///
/// Anybody who may publish at the engine can put anything on a topic's channel, so a refused frame
/// is an everyday event: count it by its [`reason`](Self::reason), tell it once, and read on. It
/// says nothing about other frames.
///
/// The text quotes at most a short piece of a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// No bytes at all.
    #[error("an empty frame")]
    Empty,

    /// The first byte belongs to neither format: somebody else's message.
    #[error("a foreign frame: its first byte is {first:#04x}")]
    Foreign {
        /// That byte.
        first: u8,
    },

    /// A version that this crate does not know, perhaps a later one.
    #[error("a frame of the unknown version {version}")]
    Version {
        /// That version.
        version: u8,
    },

    /// The frame is shorter than what its head says.
    #[error("a truncated frame: {actual} bytes of {needed}")]
    Truncated {
        /// The least that there would have to be, in bytes.
        needed: u64,
        /// What there is, in bytes.
        actual: u64,
    },

    /// The frame is longer than what its head says.
    #[error("a frame with {extra} bytes too many")]
    Trailing {
        /// How many bytes are left over.
        extra: u64,
    },

    /// Flags that this version does not have.
    #[error("a frame with unknown flags: {flags:#010b}")]
    Flags {
        /// All flags of the frame.
        flags: u8,
    },

    /// A number that no frame has: sequences begin at 1.
    #[error("a frame with the sequence number 0")]
    Sequence,

    /// A ttl with a whole second, or more, of nanoseconds.
    #[error("a ttl with {nanoseconds} nanoseconds")]
    Ttl {
        /// That number.
        nanoseconds: u32,
    },

    /// A text that is not UTF-8.
    #[error("the {field} is not UTF-8")]
    Text {
        /// Which one: `topic`, `scope` or `id`.
        field: &'static str,
    },

    /// An object that is not an envelope, or not JSON at all.
    #[error("not an envelope in JSON: {0}")]
    Json(String),

    /// An envelope of another topic: two topics with one name at the engine, or a forged one.
    #[error("an envelope of another topic")]
    Topic,
}

impl Refused {
    /// The reason as one word, for counters and metrics: `empty`, `foreign`, `version`,
    /// `truncated`, `trailing`, `flags`, `sequence`, `ttl`, `text`, `json` or `topic`.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Foreign { .. } => "foreign",
            Self::Version { .. } => "version",
            Self::Truncated { .. } => "truncated",
            Self::Trailing { .. } => "trailing",
            Self::Flags { .. } => "flags",
            Self::Sequence => "sequence",
            Self::Ttl { .. } => "ttl",
            Self::Text { .. } => "text",
            Self::Json(_) => "json",
            Self::Topic => "topic",
        }
    }

    /// A parser likes to quote what it could not read; of that, the start is kept.
    pub(super) fn json(error: &serde_json::Error) -> Self {
        const KEPT: usize = 160;
        let mut text = error.to_string();
        if let Some((end, _)) = text.char_indices().nth(KEPT) {
            text.truncate(end);
            text.push('…');
            text.shrink_to_fit();
        }
        Self::Json(text)
    }
}
