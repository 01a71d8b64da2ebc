//! The clauses of the contract, as values that checks and messages can name.

use std::fmt;

/// Where the contract can be read; each clause has an anchor of its id.
const CONTRACT: &str = "https://docs.rs/backend-core/latest/backend_core/index.html";

macro_rules! clauses {
    ($($(#[$doc:meta])* $id:ident $($claimed:ident)? $title:literal, $text:literal;)*) => {
        /// One clause of the [contract](backend_core#the-contract).
        ///
        /// Every [check](crate::Check) names the clauses that it holds a backend to, and every clause
        /// has at least one check.
        ///
        /// ```
        /// use backend_testkit::Clause;
        ///
        /// assert_eq!(Clause::D2.to_string(), "D2 never echoed");
        /// assert_eq!(Clause::from_id("D2"), Some(Clause::D2));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Clause {
            $($(#[$doc])* $id,)*
        }

        impl Clause {
            /// Every clause, in the contract's order.
            pub const ALL: &'static [Self] = &[$(Self::$id),*];

            /// The short name that the documentation uses too, such as `D2`.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$id => stringify!($id),)* }
            }

            /// What it is about, in a few words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$id => $title,)* }
            }

            /// What it says, in full.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$id => $text,)* }
            }

            /// Whether a backend is held to it only where it [claims](crate::Claims) to keep it.
            #[must_use]
            pub const fn is_claimed(self) -> bool {
                match self { $(Self::$id => !concat!("", $(stringify!($claimed))?).is_empty(),)* }
            }
        }
    };
}

clauses! {
    /// Reaches every linked instance.
    D1 "reaches every linked instance",
        "A publish reaches every live subscription to exactly that topic on every other linked \
         instance.";
    /// Never echoed.
    D2 "never echoed",
        "No subscription of the publishing instance sees the publish. This is keyed on the \
         instance, not on a connection, and holds after a reconnect too.";
    /// Live only.
    D3 "live only",
        "A subscription sees nothing that was published before `subscribe` was called.";
    /// Ready on return.
    D4 "ready on return",
        "Once `subscribe` has returned, every publish that starts later, on any linked \
         instance, is delivered: no warm-up, no sleep.";
    /// At most once.
    D5 "at most once",
        "No envelope is delivered twice to one subscription. Two equal envelopes are still two.";
    /// Nobody subscribed is fine.
    D6 "nobody subscribed is fine",
        "Publishing with nobody subscribed is `Ok`. `Ok` means handed to the bus or engine, not \
         delivered.";
    /// Isolation.
    D7 "isolation",
        "Topics match byte for byte. Prefixes, case, trailing space, NFC against NFD, `*` `>` \
         `#` `?` `[a]`, dots and control characters are ordinary; the empty string is a topic; \
         a topic of 1 KiB is accepted. Unlinked buses never meet. Nothing is filtered by scope.";
    /// Fidelity.
    D8 "fidelity",
        "Topic, data (any bytes, none too), scope, ttl and id arrive exactly as published; an \
         empty string is not an absent one.";
    /// First in, first out.
    O1 "first in, first out",
        "What one instance publishes to one topic arrives in the order in which it was \
         published.";
    /// Total order.
    O2 claimed "total order",
        "All subscriptions to a topic see the envelopes of all publishers in one and the same \
         order.";
    /// Order after an overflow.
    O3 "order after an overflow",
        "What arrives after an overflow is still in order.";
    /// Publish never waits.
    L1 "publish never waits",
        "A publish never waits for a subscriber, and a slow subscriber harms nobody else.";
    /// Loss is told.
    L2 "loss is told",
        "Loss is never silent: the subscription gets a `Gap`, in band, at the place where the \
         envelopes are missing, with their exact number where the backend can know it; one \
         `Gap` per episode.";
    /// The oldest go first.
    L3 "the oldest go first",
        "After a gap comes the newest that the buffer kept. A stalled subscription recovers. \
         Memory stays bounded.";
    /// Unsubscribe ends the streams.
    U1 "unsubscribe ends the streams",
        "`unsubscribe` ends every stream of this instance on that topic: what was accepted \
         before is still handed out, then `None`. An unknown topic is `Ok`.";
    /// A fresh start.
    U2 "a fresh start",
        "Subscribing again after `unsubscribe` starts afresh.";
    /// Independent subscriptions.
    U3 "independent subscriptions",
        "Several subscriptions to one topic on one instance are independent, and each sees \
         everything.";
    /// Drop releases.
    U4 "drop releases",
        "Dropping a subscription releases it at once, on a quiet topic too, and outside any \
         runtime too.";
    /// Close ends everything.
    C1 "close ends everything",
        "`close` ends every stream of the instance, drained first; it wakes blocked readers, is \
         idempotent, and safe to race.";
    /// Closed stays closed.
    C2 "closed stays closed",
        "After `close`, publish, subscribe and unsubscribe give `Error::Closed`, every time.";
    /// Others go on.
    C3 "others go on",
        "Other instances go on after one has closed.";
    /// The last handle closes.
    C4 "the last handle closes",
        "Dropping the last handle of an instance closes it.";
    /// A dropped subscribe leaves nothing.
    X1 "a dropped subscribe leaves nothing",
        "Dropping a `subscribe` future at any point leaves nothing behind.";
    /// A dropped publish is all or none.
    X2 "a dropped publish is all or none",
        "What a dropped `publish` future stood for was delivered to all or to none.";
    /// A dropped recv loses nothing.
    X3 "a dropped recv loses nothing",
        "Dropping a `recv` future loses no event.";
    /// Health over a life.
    H1 "health over a life",
        "An instance is healthy when fresh, and not after `close`.";
    /// Healthy means deliverable.
    H2 "healthy means deliverable",
        "Healthy means that a publish would be delivered, the receive path included.";
    /// One callback per recovery.
    H3 "one callback per recovery",
        "Every registered callback fires once per unhealthy-to-healthy edge, in order of \
         registration, after every topic is live again; never on first connect, from healthy to \
         healthy, or after `close`.";
    /// Callbacks are free.
    H4 "callbacks are free",
        "A callback may call back into the backend; a panicking one harms neither the others \
         nor the backend; no lock is held while they run.";
    /// Subscriptions survive an outage.
    H5 "subscriptions survive an outage",
        "The same stream goes on after an outage, with a `Gap` of unknown size once its topic \
         is live again.";
    /// Operations never hang.
    H6 "operations never hang",
        "During an outage operations fail quickly with `Error::Unavailable`, or succeed; they \
         never hang, and never queue without bound. A publish that was `Unavailable` reached nobody, \
         and will not; where nobody knows, as of one that the outage meets half way, the error is \
         `Unconfirmed` or `Timeout`.";
    /// Recovery keeps the books.
    H7 "recovery keeps the books",
        "What was unsubscribed during an outage stays so, and a second outage during recovery \
         is survived.";
    /// Ttl counts from receipt.
    T1 "ttl counts from receipt",
        "A ttl is relative: it is counted on a monotonic clock from the moment the receiving \
         process got the envelope.";
    /// Expired is not lost.
    T2 "expired is not lost",
        "An expired envelope is not handed out; it is counted, and it is no `Gap`. No ttl and a \
         ttl of zero both mean that it never expires.";
}

impl Clause {
    /// The clause with this id.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|clause| clause.id() == id)
    }

    /// Whether it is about something that must not arrive.
    pub(crate) const fn forbids(self) -> bool {
        matches!(self, Self::D2 | Self::D3 | Self::D5 | Self::D7)
    }

    /// Where it can be read, among the others.
    #[must_use]
    pub fn url(self) -> String {
        format!("{CONTRACT}#{}", self.id())
    }
}

/// The id and the title.
impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id(), self.title())
    }
}
