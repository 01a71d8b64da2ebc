//! The chat on a bad day: over a backend that loses, refuses and hangs, as a test says.

mod support;

use std::time::Duration;

use backend_core::Error;
use backend_memory::MemoryBackend;
use backend_testkit::faulty::{Fate, Operation};
use backend_testkit::{Controls, Faulty, Gate, Rule};
use reqwest::Client;
use serde_json::{Value, json};

use crate::support::client::{Events, press, say};
use crate::support::served::Served;
use crate::support::within;

/// Two instances on one bus: alpha has the bad day, and bravo is well.
struct Chat {
    alpha: Served,
    bravo: Served,
    controls: Controls,
    client: Client,
}

impl Chat {
    async fn start() -> Self {
        let bus = MemoryBackend::new();
        let faulty = Faulty::new(bus.fork());
        let controls = faulty.controls();
        Self {
            alpha: Served::over("alpha", faulty).await,
            bravo: Served::over("bravo", bus).await,
            controls,
            client: Client::new(),
        }
    }

    async fn reader(&self, instance: &Served) -> Events {
        Events::open(&self.client, &instance.url("/rooms/lobby/events")).await
    }

    /// Posts at an instance: the status, and whom the sender is told to have reached.
    async fn say(&self, instance: &Served, text: &str) -> (u16, Value) {
        let url = instance.url("/rooms/lobby/messages");
        let (status, answer) = say(&self.client, &url, "Ada", text).await;
        (status, answer["delivered"].clone())
    }
}

fn everywhere() -> (u16, Value) {
    (200, json!("everywhere"))
}

fn this_instance_only() -> (u16, Value) {
    (202, json!("this instance only"))
}

/// The next message's text.
async fn text(reader: &mut Events) -> String {
    reader.next_message().await.1
}

impl Events {
    /// An event of this kind, and a status that tells of this health: they come in any order.
    async fn with_status_healthy(&mut self, healthy: bool, wanted: &str) -> Value {
        let (mut found, mut told) = (None, false);
        loop {
            match self.next().await.expect("the stream goes on") {
                (kind, data) if kind == "status" => told |= data["healthy"] == healthy,
                (kind, data) if kind == wanted => found = Some(data),
                (kind, data) => panic!("{kind}: {data}"),
            }
            if let (true, Some(found)) = (told, &found) {
                return found.clone();
            }
        }
    }
}

#[tokio::test]
async fn a_loss_shows_as_a_line_in_its_place_that_says_how_many() {
    let chat = Chat::start().await;
    chat.controls.add_rule(Rule::receive().topic("lobby").skip(1).times(1).lose());
    let mut at_alpha = chat.reader(&chat.alpha).await;
    for text in ["one", "two", "three"] {
        assert_eq!(chat.say(&chat.bravo, text).await, everywhere());
    }
    assert_eq!(text(&mut at_alpha).await, "one");
    let gap = json!({ "cause": "lagged", "missed": 1, "text": "1 message was missed" });
    assert_eq!(at_alpha.next_in_room().await, ("gap".into(), gap));
    assert_eq!(text(&mut at_alpha).await, "three");
}

#[tokio::test]
async fn an_outage_is_told_to_the_sender_and_on_the_page_and_so_is_its_end() {
    let chat = Chat::start().await;
    let mut at_alpha = chat.reader(&chat.alpha).await;
    let mut at_bravo = chat.reader(&chat.bravo).await;

    chat.controls.outage();
    assert_eq!(chat.say(&chat.alpha, "anybody?").await, this_instance_only());
    // The post has found it out; the backend says only when it is over.
    let message = at_alpha.with_status_healthy(false, "message").await;
    assert_eq!(message["text"], "anybody?");
    assert_eq!(chat.say(&chat.bravo, "Ada?").await, everywhere());

    chat.controls.recover();
    let gap = at_alpha.with_status_healthy(true, "gap").await;
    assert_eq!(gap["cause"], "reconnected");
    assert_eq!(chat.say(&chat.bravo, "welcome back").await, everywhere());
    assert_eq!(text(&mut at_alpha).await, "welcome back");
    assert_eq!(chat.say(&chat.alpha, "thanks").await, everywhere());
    for expected in ["Ada?", "welcome back", "thanks"] {
        assert_eq!(text(&mut at_bravo).await, expected);
    }
}

#[tokio::test]
async fn who_comes_during_an_outage_is_live_after_it() {
    let chat = Chat::start().await;
    chat.controls.outage();
    let mut at_alpha = chat.reader(&chat.alpha).await;
    at_alpha.status("live", false).await;

    chat.controls.recover();
    at_alpha.status("live", true).await;
    assert_eq!(chat.say(&chat.bravo, "hello").await, everywhere());
    assert_eq!(text(&mut at_alpha).await, "hello");
}

#[tokio::test]
async fn an_outage_is_seen_although_nobody_posts() {
    let chat = Chat::start().await;
    let mut at_alpha = chat.reader(&chat.alpha).await;
    at_alpha.status("healthy", true).await;
    chat.controls.outage();
    at_alpha.status("healthy", false).await;
    chat.controls.recover();
    at_alpha.with_status_healthy(true, "gap").await;
}

#[tokio::test]
async fn who_could_not_subscribe_in_time_tries_again() {
    let chat = Chat::start().await;
    let timeout = || Error::Timeout(Duration::from_secs(1));
    chat.controls.add_rule(Rule::subscribe().times(2).fail_with(timeout));
    let mut at_alpha = chat.reader(&chat.alpha).await;
    // The backend is well, as far as it knows: no change of its health brings the end.
    let status = at_alpha.status("live", false).await;
    assert_eq!(status["healthy"], true);
    at_alpha.status("live", true).await;
    assert_eq!(chat.say(&chat.bravo, "hello").await, everywhere());
    assert_eq!(text(&mut at_alpha).await, "hello");
}

#[tokio::test]
async fn a_slow_subscribe_loses_nothing_of_what_is_owed() {
    let chat = Chat::start().await;
    let gate = Gate::new();
    chat.controls.add_rule(Rule::subscribe().times(1).hold(&gate));

    let opening = chat.reader(&chat.alpha);
    let meanwhile = async {
        within("the subscribe", gate.until_reached(1)).await;
        // This instance's own readers are served by itself, so this one is not lost.
        assert_eq!(chat.say(&chat.alpha, "while it opens").await, everywhere());
        gate.open();
    };
    let (mut at_alpha, ()) = tokio::join!(opening, meanwhile);
    assert_eq!(chat.say(&chat.bravo, "after").await, everywhere());
    let mut seen = [text(&mut at_alpha).await, text(&mut at_alpha).await];
    seen.sort();
    assert_eq!(seen, ["after", "while it opens"]);
}

#[tokio::test]
async fn a_post_that_fails_once_stays_here_and_the_next_one_goes_out() {
    let chat = Chat::start().await;
    let reset = || Error::unavailable("connection reset");
    chat.controls.add_rule(Rule::publish().times(1).fail_with(reset));
    let mut at_alpha = chat.reader(&chat.alpha).await;
    let mut at_bravo = chat.reader(&chat.bravo).await;

    assert_eq!(chat.say(&chat.alpha, "first").await, this_instance_only());
    assert_eq!(chat.say(&chat.alpha, "second").await, everywhere());
    assert_eq!([text(&mut at_alpha).await, text(&mut at_alpha).await], ["first", "second"]);
    assert_eq!(text(&mut at_bravo).await, "second");

    let recording = chat.controls.recording();
    let publishes: Vec<_> = recording
        .records()
        .iter()
        .filter(|record| record.operation == Operation::Publish)
        .map(|record| record.fate.clone())
        .collect();
    let refused = Fate::Refused("the backend is unavailable: connection reset".into());
    assert_eq!(publishes, [refused, Fate::Passed], "{recording}");
}

#[tokio::test]
async fn a_post_that_fails_for_good_reaches_nobody_and_its_sender_is_told() {
    let chat = Chat::start().await;
    chat.controls.add_rule(Rule::publish().times(1).fail_with(|| Error::backend("disk full")));
    let mut at_alpha = chat.reader(&chat.alpha).await;
    let url = chat.alpha.url("/rooms/lobby/messages");
    let (status, answer) = say(&chat.client, &url, "Ada", "first").await;
    assert_eq!((status, &answer["error"]), (500, &json!("backend error: disk full")));
    assert_eq!(chat.say(&chat.alpha, "second").await, everywhere());
    assert_eq!(text(&mut at_alpha).await, "second");
}

#[tokio::test]
async fn a_post_that_hangs_holds_up_nobody_else() {
    let chat = Chat::start().await;
    let gate = Gate::new();
    chat.controls.add_rule(Rule::publish().times(1).hold(&gate));
    let mut at_alpha = chat.reader(&chat.alpha).await;

    let slow = chat.say(&chat.alpha, "slow");
    let others = async {
        within("the publish", gate.until_reached(1)).await;
        assert_eq!(chat.say(&chat.bravo, "from bravo").await, everywhere());
        assert_eq!(chat.say(&chat.alpha, "quick").await, everywhere());
        let mut seen = [text(&mut at_alpha).await, text(&mut at_alpha).await];
        seen.sort();
        assert_eq!(seen, ["from bravo", "quick"]);
        gate.open();
    };
    let (answered, ()) = tokio::join!(slow, others);
    assert_eq!(answered, everywhere());
    assert_eq!(text(&mut at_alpha).await, "slow");
}

#[tokio::test]
async fn an_unanswered_post_may_have_arrived() {
    let chat = Chat::start().await;
    let timeout = || Error::Timeout(Duration::from_secs(1));
    chat.controls.add_rule(Rule::publish().times(1).send_and_fail_with(timeout));
    let mut at_bravo = chat.reader(&chat.bravo).await;
    let (status, _) = chat.say(&chat.alpha, "sent all the same").await;
    assert_eq!(status, 202);
    assert_eq!(text(&mut at_bravo).await, "sent all the same");
}

#[tokio::test]
async fn a_reader_that_leaves_releases_its_subscription() {
    let chat = Chat::start().await;
    let reader = chat.reader(&chat.alpha).await;
    drop(reader);
    let released = chat.controls.until(|step| step.operation == Operation::Release);
    let released = within("the release", released).await;
    assert_eq!(released.topic.as_deref(), Some("lobby"));
}

#[tokio::test]
async fn the_buttons_are_refused_where_the_backend_has_none() {
    let chat = Chat::start().await;
    for button in ["/partition", "/heal"] {
        let (status, answer) = press(&chat.client, &chat.alpha.url(button)).await;
        assert_eq!(status, 501, "{answer}");
    }
}
