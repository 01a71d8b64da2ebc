//! Two processes on one engine, which is killed under them and comes back.

use engine_harness::{Proxy, Wire};
use libtest_mimic::Trial;
use reqwest::Client;
use serde_json::{Value, json};

use crate::support::client::{Events, answer, press, say};
use crate::support::engines::{Engine, Kind};
use crate::support::{Chat, within};

pub(crate) fn all() -> Vec<Trial> {
    crate::over_each![
        what_is_said_in_one_process_is_heard_in_the_other,
        namespaces_do_not_hear_each_other,
        a_killed_engine_is_seen_survived_and_told,
        an_engine_that_falls_silent_is_seen_too,
        who_comes_during_an_outage_is_live_after_it,
        processes_are_replaced_one_by_one_without_a_gap,
        processes_end_in_order_while_the_engine_is_dead,
    ]
}

/// One process with one instance.
async fn process(url: &str) -> Chat {
    Chat::start(&["--instances", "1", "--backend", url]).await
}

async fn lobby(client: &Client, chat: &Chat) -> Events {
    Events::open(client, &chat.url(0, "/rooms/lobby/events")).await
}

/// Posts to the lobby: the status, and whom the message was handed to.
async fn post(client: &Client, chat: &Chat, text: &str) -> (u16, Value) {
    let url = chat.url(0, "/rooms/lobby/messages");
    let (status, answer) = say(client, &url, "Ada", text).await;
    (status, answer["delivered"].clone())
}

fn everywhere() -> (u16, Value) {
    (200, json!("everywhere"))
}

async fn health(client: &Client, chat: &Chat) -> u16 {
    answer(client.get(chat.url(0, "/health"))).await.0
}

async fn what_is_said_in_one_process_is_heard_in_the_other(kind: Kind) {
    let engine = Engine::start(kind).await;
    let chats = [process(&engine.url()).await, process(&engine.url()).await];
    let client = Client::new();
    let mut streams = [lobby(&client, &chats[0]).await, lobby(&client, &chats[1]).await];

    let mut ids = std::collections::HashSet::new();
    for (chat, text) in [(&chats[0], "hello ☕"), (&chats[1], "<b>two</b>\nlines")] {
        assert_eq!(post(&client, chat, text).await, everywhere());
        for stream in &mut streams {
            let (_, message) = stream.next_in_room().await;
            assert_eq!(
                (&message["text"], &message["instance"]),
                (&json!(text), &json!(chat.names()[0]))
            );
            ids.insert(message["id"].to_string());
        }
    }
    assert_eq!(ids.len(), 2);
    assert_ne!(chats[0].names(), chats[1].names());
    let port = chats[0].address(0).rsplit_once(':').expect("host and port").1;
    assert_eq!(chats[0].names(), [format!("chat-{port}")]);

    // An engine cannot be cut off by a button, and there is none.
    let page = within("a page", client.get(chats[0].url(0, "/rooms/lobby")).send()).await;
    let page = page.expect("an answer").text().await.expect("a text");
    assert!(page.contains(&format!("on chat-{port}</title>")) && !page.contains("partition"));
    for button in ["/partition", "/heal"] {
        assert_eq!(press(&client, &chats[0].url(0, button)).await.0, 501);
    }
}

async fn namespaces_do_not_hear_each_other(kind: Kind) {
    let engine = Engine::start(kind).await;
    let apart = ["--backend", &engine.url(), "--instances", "1", "--namespace", "other"];
    let chats = [process(&engine.url()).await, process(&engine.url()).await];
    let other = Chat::start(&apart).await;
    let client = Client::new();
    let mut here = lobby(&client, &chats[0]).await;
    let mut there = lobby(&client, &other).await;
    assert_eq!(post(&client, &other, "in the other").await, everywhere());
    assert_eq!(post(&client, &chats[1], "in this").await, everywhere());
    assert_eq!(here.next_message().await.1, "in this");
    assert_eq!(post(&client, &other, "in the other, too").await, everywhere());
    for expected in ["in the other", "in the other, too"] {
        assert_eq!(there.next_message().await.1, expected);
    }
}

async fn a_killed_engine_is_seen_survived_and_told(kind: Kind) {
    let mut engine = Engine::start(kind).await;
    let mut chats = [process(&engine.url()).await, process(&engine.url()).await];
    let client = Client::new();
    let mut streams = [lobby(&client, &chats[0]).await, lobby(&client, &chats[1]).await];
    let mut complaints = chats[0].complaints();

    for round in 0..3 {
        engine.kill();
        // Nobody posts anything: it is seen all the same.
        for (chat, stream) in chats.iter().zip(&mut streams) {
            stream.status("healthy", false).await;
            assert_eq!(health(&client, chat).await, 503);
        }
        for (chat, stream) in chats.iter().zip(&mut streams) {
            let text = format!("into the void {round}");
            let receipt = post(&client, chat, &text).await;
            assert_eq!(receipt, (202, json!("this instance only")));
            assert_eq!(stream.next_message().await.1, text);
        }

        engine.start_again().await;
        for (chat, stream) in chats.iter().zip(&mut streams) {
            let gaps = stream.back_again().await;
            let expected = json!({
                "cause": "reconnected", "missed": null, "text": "messages may be missing here"
            });
            assert_eq!(gaps, [expected]);
            assert_eq!(health(&client, chat).await, 200);
        }
        // Both are well, so each hears the other, and nothing stale comes before that.
        for chat in &chats {
            let text = format!("back {round} at {}", chat.names()[0]);
            assert_eq!(post(&client, chat, &text).await, everywhere());
            for stream in &mut streams {
                assert_eq!(stream.next_message().await.1, text);
            }
        }
    }

    // The log has a line for each, in this order: the outage, and its end.
    for level in ["WARN", "INFO"] {
        let told = format!("{level} backend_");
        loop {
            let line = within(&told, complaints.next_line()).await;
            let line = line.expect("text").expect("a line");
            // The adapter's own: an outage is no error to it, as it is to the client below.
            assert!(line.contains(" backend_") && !line.contains("ERROR"), "{line}");
            if line.contains(&told) {
                break;
            }
        }
    }
}

/// A pulled plug, seen from afar: no connection breaks, and nothing comes any more.
async fn an_engine_that_falls_silent_is_seen_too(kind: Kind) {
    let engine = Engine::start(kind).await;
    let proxy = Proxy::to(engine.address()).await.expect("a proxy");
    let behind = process(&format!("{}://{}", kind.scheme(), proxy.address)).await;
    let beside = process(&engine.url()).await;
    let client = Client::new();
    let mut stream = lobby(&client, &behind).await;
    let mut others = lobby(&client, &beside).await;

    proxy.set(Wire::Silent).await;
    // Nobody knows yet; the sender learns that there was no answer.
    let receipt = post(&client, &behind, "is anybody there?").await;
    assert_eq!(receipt, (202, json!("this instance only")));
    let mut seen = Vec::new();
    while seen.len() < 2 {
        match stream.next().await.expect("the stream goes on") {
            (kind, data) if kind == "status" && data["healthy"] == false => seen.push(kind),
            (kind, data) if kind == "message" => {
                assert_eq!(data["text"], "is anybody there?");
                seen.push(kind);
            }
            (kind, data) => assert_eq!(kind, "status", "{data}"),
        }
    }
    assert_eq!(health(&client, &behind).await, 503);
    // The other one is none the worse for it.
    assert_eq!(health(&client, &beside).await, 200);
    assert_eq!(post(&client, &beside, "quiet over there").await, everywhere());
    assert_eq!(others.next_message().await.1, "quiet over there");

    proxy.set(Wire::Whole).await;
    assert_eq!(stream.back_again().await.len(), 1);
    assert_eq!(post(&client, &beside, "welcome back").await, everywhere());
    assert_eq!(stream.next_message().await.1, "welcome back");
}

async fn who_comes_during_an_outage_is_live_after_it(kind: Kind) {
    let mut engine = Engine::start(kind).await;
    let chats = [process(&engine.url()).await, process(&engine.url()).await];
    let client = Client::new();
    engine.kill();
    let mut late = lobby(&client, &chats[0]).await;
    late.status("live", false).await;
    late.status("healthy", false).await;

    engine.start_again().await;
    late.status("live", true).await;
    let mut there = lobby(&client, &chats[1]).await;
    there.status("live", true).await;
    assert_eq!(post(&client, &chats[1], "welcome").await, everywhere());
    assert_eq!(late.next_message().await.1, "welcome");
}

/// A rolling restart: what the others say meanwhile is not lost to those who stay.
async fn processes_are_replaced_one_by_one_without_a_gap(kind: Kind) {
    let engine = Engine::start(kind).await;
    let stays = process(&engine.url()).await;
    let client = Client::new();
    let mut stream = lobby(&client, &stays).await;
    for round in 0..3 {
        let mut goes = process(&engine.url()).await;
        let text = format!("from process {round}");
        assert_eq!(post(&client, &goes, &text).await, everywhere());
        // No gap: `next_message` would not take it for a message.
        assert_eq!(stream.next_message().await.1, text);
        goes.signal(rustix::process::Signal::TERM);
        let (status, _, complaints) = goes.ended().await;
        assert_eq!(status.code(), Some(0), "{complaints}");
        // That it was connected may be told.
        let complaints: Vec<_> =
            complaints.lines().filter(|line| !line.contains(" INFO ")).collect();
        assert!(complaints.is_empty(), "{complaints:?}");
    }
}

async fn processes_end_in_order_while_the_engine_is_dead(kind: Kind) {
    let mut engine = Engine::start(kind).await;
    let mut chat = process(&engine.url()).await;
    let client = Client::new();
    let mut stream = lobby(&client, &chat).await;
    engine.kill();
    stream.status("healthy", false).await;
    chat.signal(rustix::process::Signal::TERM);
    let (status, taken, complaints) = chat.ended().await;
    assert_eq!(status.code(), Some(0), "{complaints}");
    assert!(taken < std::time::Duration::from_secs(2), "it took {taken:?}");
    assert!(!complaints.contains("panicked"), "{complaints}");
    let mut last = None;
    while let Some((kind, _)) = stream.next().await {
        last = Some(kind);
    }
    assert_eq!(last.as_deref(), Some("bye"));
}
