//! The subjects of the adapter itself, in its namespace.

use async_nats::Subject;
use backend_engine::name::Names;
use uuid::Uuid;

use crate::peers::Id;

/// `chat.~~nats.hello` and `chat.~~nats.connection.…`: a permission for `chat.~~nats.>` covers all of
/// them.
#[derive(Clone, Debug)]
pub(crate) struct Subjects {
    /// Where every connection listens.
    pub(crate) hello: Subject,
    /// What no server takes, for its wildcard is not the last part. The client does not look.
    pub(crate) refused: Subject,
    /// What a connection's own begins with.
    own: String,
}

impl Subjects {
    pub(crate) fn new(names: &Names) -> Self {
        let prefix = names.internal("nats");
        Self {
            hello: Subject::from(format!("{prefix}.hello")),
            refused: Subject::from(format!("{prefix}.>.refused")),
            own: format!("{prefix}.connection."),
        }
    }

    /// Where a connection gets its marks and answers.
    pub(crate) fn of(&self, connection: Id) -> Subject {
        Subject::from(format!("{}{}", self.own, Uuid::from_bytes(connection).simple()))
    }

    /// Whether an error of the server says that one of these may not be used.
    pub(crate) fn are_meant(&self, error: &str) -> bool {
        error.contains(self.hello.as_str()) || error.contains(&self.own)
    }

    /// Whether an error of the server is about what it was sent to be refused.
    pub(crate) fn is_refusal(&self, error: &str) -> bool {
        error.eq_ignore_ascii_case("invalid subject") || error.contains(self.refused.as_str())
    }
}
