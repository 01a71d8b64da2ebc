//! What the server lets this connection do, as far as it has said so.
//!
//! The server confirms nothing. It denies, by an error that names the subject and arrives before
//! whatever was sent behind the denied request comes back. So a question about a right is: send the
//! request, send a [mark](crate::marks) behind it, and when the mark is back, see whether a denial
//! came before it.
//!
//! A denial names a subject, and not the request. So it has to be known that none is on its way for
//! something that was sent before the question: see [`take_late_denials`](Rights::take_late_denials).

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_nats::Subject;
use hashbrown::{HashMap, HashSet};

/// Rights to publish that are remembered. With more, all are forgotten, and asked for again.
const MOST: usize = 65_536;

/// What may be denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Right {
    Publish,
    Subscribe,
}

/// What a denial means for the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Somebody asks for just this, and will see it.
    Asked,
    /// It was granted before: the server's settings have changed.
    Withdrawn,
    /// Nobody wants it any more.
    Unwanted,
}

/// The rights of one connection.
#[derive(Debug, Default)]
pub(crate) struct Rights(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// What is being asked for: by how many, and the server's denial.
    asked: HashMap<Right, HashMap<String, Asked>>,
    /// Ready to be used.
    publish: HashMap<String, Subject>,
    subscribe: HashSet<String>,
    /// Whether something was published by a right that is not remembered any more, so that denials of
    /// it may be on their way.
    late: bool,
}

#[derive(Debug, Default)]
struct Asked {
    by: usize,
    denial: Option<String>,
    denials: usize,
}

/// A question that is open until this is dropped.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    rights: &'a Rights,
    right: Right,
    name: &'a str,
}

impl Rights {
    /// Begins to ask. The request has to be sent after this.
    pub(crate) fn ask<'a>(&'a self, right: Right, name: &'a str) -> Question<'a> {
        let mut known = self.lock();
        known.asked.entry(right).or_default().entry(name.to_owned()).or_default().by += 1;
        Question { rights: self, right, name }
    }

    /// The subject, if it was granted, and not denied since.
    pub(crate) fn may_publish(&self, name: &str) -> Option<Subject> {
        self.lock().publish.get(name).cloned()
    }

    /// Whether there may be denials on their way of what was published before now; says so once. The
    /// caller waits for a mark, behind which there are none.
    pub(crate) fn take_late_denials(&self) -> bool {
        mem::take(&mut self.lock().late)
    }

    /// Whether it was granted, and neither denied nor given up since.
    pub(crate) fn may_subscribe(&self, name: &str) -> bool {
        self.lock().subscribe.contains(name)
    }

    /// A subscription was given up.
    pub(crate) fn forget_subscription(&self, name: &str) {
        self.lock().subscribe.remove(name);
    }

    /// Takes an error of the server. `None`: it is no denial.
    pub(crate) fn hear(&self, error: &str) -> Option<Denied> {
        let mut known = self.lock();
        if error.to_ascii_lowercase().starts_with("maximum subscriptions exceeded") {
            // It names no subject: whoever asks now is told. One of them it is.
            for asked in known.asked.entry(Right::Subscribe).or_default().values_mut() {
                asked.denial = Some(error.to_owned());
            }
            return Some(Denied::Asked);
        }
        let (right, name) = parse(error)?;
        if let Some(asked) = known.asked.get_mut(&right).and_then(|asked| asked.get_mut(name)) {
            asked.denial = Some(error.to_owned());
            asked.denials += 1;
            return Some(Denied::Asked);
        }
        let granted = match right {
            Right::Publish => {
                let granted = known.publish.remove(name).is_some();
                known.late |= granted;
                granted
            }
            Right::Subscribe => known.subscribe.remove(name),
        };
        Some(match (granted, right) {
            (true, Right::Subscribe) => Denied::Withdrawn,
            // The next one to publish asks again.
            (true, Right::Publish) | (false, _) => Denied::Unwanted,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Question<'_> {
    /// How many denials have come by then.
    pub(crate) fn denials(&self) -> usize {
        let known = self.rights.lock();
        let asked = known.asked.get(&self.right).and_then(|asked| asked.get(self.name));
        asked.map_or(0, |asked| asked.denials)
    }

    /// The answer, once a mark behind the request is back: `Err` with what the server said.
    pub(crate) fn answer(&self) -> Result<(), String> {
        let mut known = self.rights.lock();
        let asked = known.asked.get(&self.right).and_then(|asked| asked.get(self.name));
        if let Some(denial) = asked.and_then(|asked| asked.denial.clone()) {
            return Err(denial);
        }
        match self.right {
            Right::Publish => {
                if known.publish.len() >= MOST {
                    known.publish = HashMap::new();
                    known.late = true;
                }
                known.publish.insert(self.name.to_owned(), Subject::from(self.name));
            }
            Right::Subscribe => {
                known.subscribe.insert(self.name.to_owned());
            }
        }
        Ok(())
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        let mut known = self.rights.lock();
        let Some(questions) = known.asked.get_mut(&self.right) else { return };
        if let Some(asked) = questions.get_mut(self.name) {
            asked.by -= 1;
            if asked.by == 0 {
                questions.remove(self.name);
            }
        }
    }
}

/// Reads `Permissions Violation for Subscription to "chat.orders"`.
fn parse(error: &str) -> Option<(Right, &str)> {
    let (what, rest) = error.split_once('"')?;
    let name = rest.split('"').next()?;
    let what = what.to_ascii_lowercase();
    let right = match what.strip_prefix("permissions violation for ")?.trim_end() {
        "publish to" => Right::Publish,
        "subscription to" => Right::Subscribe,
        _ => return None,
    };
    Some((right, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_SUBSCRIPTION: &str = r#"Permissions Violation for Subscription to "chat.orders""#;
    const NO_PUBLISH: &str = r#"Permissions Violation for Publish to "chat.orders""#;

    #[test]
    fn who_asks_is_told_and_nobody_else() {
        let rights = Rights::default();
        let orders = rights.ask(Right::Subscribe, "chat.orders");
        let prices = rights.ask(Right::Subscribe, "chat.prices");
        let publish = rights.ask(Right::Publish, "chat.orders");
        assert_eq!(rights.hear(NO_SUBSCRIPTION), Some(Denied::Asked));
        assert_eq!(orders.answer(), Err(NO_SUBSCRIPTION.to_owned()));
        assert_eq!(prices.answer(), Ok(()));
        assert_eq!(publish.answer(), Ok(()));
        drop(orders);
        assert_eq!(rights.ask(Right::Subscribe, "chat.orders").answer(), Ok(()));
    }

    #[test]
    fn a_right_can_be_withdrawn() {
        let rights = Rights::default();
        assert_eq!(rights.hear(NO_SUBSCRIPTION), Some(Denied::Unwanted));
        assert_eq!(rights.ask(Right::Subscribe, "chat.orders").answer(), Ok(()));
        assert_eq!(rights.hear(NO_SUBSCRIPTION), Some(Denied::Withdrawn));

        assert_eq!(rights.ask(Right::Subscribe, "chat.orders").answer(), Ok(()));
        rights.forget_subscription("chat.orders");
        assert_eq!(rights.hear(NO_SUBSCRIPTION), Some(Denied::Unwanted));

        assert_eq!(rights.ask(Right::Publish, "chat.orders").answer(), Ok(()));
        assert!(rights.may_publish("chat.orders").is_some());
        assert_eq!(rights.hear(NO_PUBLISH), Some(Denied::Unwanted));
        assert!(rights.may_publish("chat.orders").is_none());
    }

    #[test]
    fn a_withdrawn_right_has_late_denials() {
        let rights = Rights::default();
        {
            let orders = rights.ask(Right::Publish, "chat.orders");
            rights.hear(NO_PUBLISH);
            rights.hear(NO_PUBLISH);
            assert_eq!(orders.denials(), 2);
            assert!(!rights.take_late_denials(), "who asks hears them all");
        }
        assert_eq!(rights.ask(Right::Publish, "chat.orders").answer(), Ok(()));
        rights.hear(NO_PUBLISH);
        assert!(rights.take_late_denials());
        rights.hear(NO_PUBLISH);
        assert!(!rights.take_late_denials(), "it was one of those that were waited for");
        assert_eq!(rights.ask(Right::Publish, "chat.orders").denials(), 0);
    }

    #[test]
    fn a_full_account_is_told_to_all_who_subscribe() {
        let rights = Rights::default();
        let orders = rights.ask(Right::Subscribe, "chat.orders");
        let publish = rights.ask(Right::Publish, "chat.orders");
        assert_eq!(rights.hear("maximum subscriptions exceeded"), Some(Denied::Asked));
        assert!(orders.answer().is_err());
        assert_eq!(publish.answer(), Ok(()));
    }

    #[test]
    fn other_errors_are_no_denials() {
        for error in ["", "Stale Connection", "Permissions Violation", "Unknown \"chat.orders\""] {
            assert_eq!(Rights::default().hear(error), None, "{error}");
        }
    }
}
