//! The other instances of the namespace, as far as this connection knows them, and a question that
//! each of them answers.
//!
//! A server tells nobody about the others' traffic. Two things depend on it, nevertheless:
//!
//! * What another instance published before `subscribe` was called may still be in that instance's
//!   queue when the server takes the subscription, and must not be seen (clause D3).
//! * In a cluster, the server that another instance is connected to learns of the subscription a
//!   moment later than this one's, and what is published there in between is lost (clause D4).
//!
//! Both are settled by an answer of that instance. The question reaches its server behind the news of
//! the subscription; the answer goes out behind everything that it had published. So a *round* asks
//! all instances and waits for those that are known: who connects says hello, and is known to all;
//! and who answers is known to the one who asked. One that does not answer in time is forgotten, and
//! is known again when it is heard again. At worst, a dead instance costs one wait.
//!
//! A hello comes back to its sender, too, behind everything that was on its way to this connection.
//! So a round does what a [mark](crate::marks) does, besides.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::timeout;
use uuid::Uuid;

/// Instances that are remembered; strangers cannot make it grow beyond. Others are not waited for.
const MOST: usize = 4_096;

/// A connection that has just been made does not know whom to wait for. It has heard them all when
/// nobody new answers for so long, and for two more ways to the server and back: as long as an
/// instance that is as far away as this one needs for its answer.
const QUIET: Duration = Duration::from_millis(20);

/// Which instance, connection or round: random, like an origin.
pub(crate) type Id = [u8; 16];

/// What is said where everybody listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// Who am I, on which connection do I wait for your answer, to which round?
    Hello { instance: Id, connection: Id, round: Id },
    /// I have closed; wait for me no more.
    Bye { instance: Id },
}

/// What is said to one connection: I am here, and this is the round that you asked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) instance: Id,
    pub(crate) round: Id,
}

impl Word {
    pub(crate) fn encode(self) -> Bytes {
        match self {
            Self::Hello { instance, connection, round } => {
                [&[1][..], &instance, &connection, &round].concat().into()
            }
            Self::Bye { instance } => [&[2][..], &instance].concat().into(),
        }
    }

    /// `None` for a stranger's.
    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        match payload.split_first()? {
            (1, ids) => {
                let (instance, ids) = ids.split_first_chunk()?;
                let (connection, round) = ids.split_first_chunk()?;
                let round = round.try_into().ok()?;
                Some(Self::Hello { instance: *instance, connection: *connection, round })
            }
            (2, instance) => Some(Self::Bye { instance: instance.try_into().ok()? }),
            _ => None,
        }
    }
}

impl Answer {
    pub(crate) fn encode(self) -> Bytes {
        [self.instance, self.round].concat().into()
    }

    /// `None` for a mark, or a stranger's.
    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let (instance, round) = payload.split_first_chunk()?;
        Some(Self { instance: *instance, round: round.try_into().ok()? })
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Peers {
    instance: Id,
    connection: Id,
    known: Mutex<Known>,
    /// Something was heard; one task waits for it.
    heard: Notify,
}

#[derive(Debug, Default)]
struct Known {
    peers: HashSet<Id>,
    /// The round that is going on, and who has answered. There is one at a time.
    round: Id,
    is_back: bool,
    answered: HashSet<Id>,
}

impl Peers {
    pub(crate) fn new(instance: Id, connection: Id) -> Self {
        Self { instance, connection, known: Mutex::default(), heard: Notify::new() }
    }

    /// Begins a round, with this to say. It ends the one before.
    pub(crate) fn begin(&self) -> Word {
        let round = Uuid::new_v4().into_bytes();
        let mut known = self.lock();
        known.round = round;
        known.is_back = false;
        known.answered.clear();
        Word::Hello { instance: self.instance, connection: self.connection, round }
    }

    pub(crate) fn bye(&self) -> Word {
        Word::Bye { instance: self.instance }
    }

    /// Waits until the hello is back, and so all that was sent to this connection before it.
    pub(crate) async fn is_back(&self) {
        self.until(|known| known.is_back).await;
    }

    /// Waits until all that are known have answered. Who has not after `patience` is forgotten.
    pub(crate) async fn have_answered(&self, patience: Duration) {
        let all = self.until(|known| known.peers.is_subset(&known.answered));
        if timeout(patience, all).await.is_err() {
            let mut known = self.lock();
            let Known { peers, answered, .. } = &mut *known;
            peers.retain(|peer| answered.contains(peer));
            tracing::debug!("some instances have not answered, and are not waited for any more");
        }
    }

    /// Waits until nobody new answers any more, for `patience` at most. It takes `round_trip` to the
    /// server and back.
    pub(crate) async fn are_known(&self, round_trip: Duration, patience: Duration) {
        let quiet = async {
            loop {
                let before = self.lock().answered.len();
                let another = self.until(|known| known.answered.len() > before);
                if timeout(QUIET + 2 * round_trip, another).await.is_err() {
                    return;
                }
            }
        };
        // Then there are more than can be heard of in time.
        let _ = timeout(patience, quiet).await;
    }

    /// Takes what was said to all. The answer, and the connection that waits for it, if there is one.
    pub(crate) fn hear(&self, payload: &[u8]) -> Option<(Id, Answer)> {
        let mut known = self.lock();
        let answer = match Word::decode(payload)? {
            Word::Hello { instance, round, .. } if instance == self.instance => {
                known.is_back |= round == known.round;
                None
            }
            Word::Hello { instance, connection, round } => {
                known.meet(instance);
                Some((connection, Answer { instance: self.instance, round }))
            }
            Word::Bye { instance } => {
                known.peers.remove(&instance);
                None
            }
        };
        drop(known);
        self.heard.notify_one();
        answer
    }

    /// Takes an answer.
    pub(crate) fn answered(&self, answer: Answer) {
        let mut known = self.lock();
        if known.meet(answer.instance) && answer.round == known.round {
            known.answered.insert(answer.instance);
        }
        drop(known);
        self.heard.notify_one();
    }

    async fn until(&self, holds: impl Fn(&Known) -> bool) {
        while !holds(&self.lock()) {
            self.heard.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Whether it is known from now on.
    fn meet(&mut self, instance: Id) -> bool {
        let room = self.peers.len() < MOST;
        if room {
            self.peers.insert(instance);
        }
        room || self.peers.contains(&instance)
    }
}

#[cfg(test)]
mod tests {
    use backend_engine::name::Names;
    use futures_util::FutureExt;

    use super::*;
    use crate::subjects::Subjects;

    const HERE: Id = [0; 16];
    const THERE: Id = [1; 16];
    const NEVER: Duration = Duration::from_secs(3_600);

    fn hello(from: Id) -> Word {
        Word::Hello { instance: from, connection: [7; 16], round: [8; 16] }
    }

    fn round(word: Word) -> Id {
        let Word::Hello { round, .. } = word else { panic!("{word:?} begins no round") };
        round
    }

    /// The bytes of the example on the page that specifies them.
    fn example(name: &str) -> Vec<u8> {
        const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/wire.md"));
        let (_, behind) = PAGE.split_once(&format!("<!-- {name} -->\n```text\n")).unwrap();
        let digits: String = behind.lines().next().unwrap().split(' ').collect();
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        (0..digits.len()).step_by(2).map(byte).collect()
    }

    #[test]
    fn the_page_of_the_wire_says_what_is_sent() {
        let id = |first: u8| std::array::from_fn(|at| first + at as u8);
        let (instance, connection, round) = (id(0), id(0x10), id(0x20));
        let hello = Word::Hello { instance, connection, round };
        assert_eq!(hello.encode(), example("nats-hello"));
        let answer = Answer { instance: id(0xF0), round };
        assert_eq!(answer.encode(), example("nats-answer"));
        let peers = Peers::new(id(0xF0), [9; 16]);
        assert_eq!(peers.hear(&example("nats-hello")), Some((connection, answer)));
        let subjects = Subjects::new(&Names::new("chat"));
        assert_eq!(subjects.hello.as_str(), "chat.~~nats.hello");
        let own = "chat.~~nats.connection.101112131415161718191a1b1c1d1e1f";
        assert_eq!(subjects.of(connection).as_str(), own);
    }

    #[tokio::test]
    async fn a_round_waits_for_all_that_are_known_and_nobody_else() {
        let peers = Peers::new(HERE, [9; 16]);
        let begun = peers.begin();
        assert!(peers.is_back().now_or_never().is_none());
        assert_eq!(peers.hear(&begun.encode()), None);
        assert!(peers.is_back().now_or_never().is_some());
        assert!(peers.have_answered(NEVER).now_or_never().is_some());

        let answer = Answer { instance: HERE, round: [8; 16] };
        assert_eq!(peers.hear(&hello(THERE).encode()), Some(([7; 16], answer)));
        let begun = peers.begin();
        assert!(peers.have_answered(NEVER).now_or_never().is_none());
        peers.answered(Answer { instance: THERE, round: [8; 16] });
        assert!(peers.have_answered(NEVER).now_or_never().is_none(), "that was another round");
        peers.answered(Answer { instance: THERE, round: round(begun) });
        assert!(peers.have_answered(NEVER).now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_is_gone_or_silent_is_not_waited_for() {
        let peers = Peers::new(HERE, [9; 16]);
        peers.hear(&hello(THERE).encode());
        peers.begin();
        peers.have_answered(Duration::ZERO).await;
        assert!(peers.have_answered(NEVER).now_or_never().is_some());

        peers.hear(&hello(THERE).encode());
        assert!(peers.have_answered(NEVER).now_or_never().is_none());
        peers.hear(&Word::Bye { instance: THERE }.encode());
        assert!(peers.have_answered(NEVER).now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_answers_is_known() {
        let peers = Peers::new(HERE, [9; 16]);
        let begun = peers.begin();
        peers.answered(Answer { instance: THERE, round: round(begun) });
        peers.are_known(Duration::ZERO, NEVER).await;
        peers.begin();
        assert!(peers.have_answered(NEVER).now_or_never().is_none());
    }

    #[test]
    fn strangers_are_not_heard_and_fill_no_memory() {
        let peers = Peers::new(HERE, [9; 16]);
        for length in 0..100 {
            for first in 0..=3 {
                let mut payload = vec![5; length];
                if let Some(byte) = payload.first_mut() {
                    *byte = first;
                }
                let known = Word::decode(&payload).is_some();
                assert_eq!(known, matches!((first, length), (1, 49) | (2, 17)), "{payload:?}");
                assert_eq!(Answer::decode(&payload).is_some(), length == 32);
            }
        }
        for _ in 0..2 * MOST {
            peers.hear(&hello(Uuid::new_v4().into_bytes()).encode());
        }
        assert_eq!(peers.lock().peers.len(), MOST);
    }
}
