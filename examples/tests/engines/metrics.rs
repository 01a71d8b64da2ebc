//! `/metrics`: what moves, and when.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use libtest_mimic::{Completion, Trial};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::exposition::{self, Samples};
use crate::support::client::{Events, say};
use crate::support::engines::{Engine, Kind};
use crate::support::{Chat, within};

pub(crate) fn all() -> Vec<Trial> {
    let mut tests = crate::over_each![counters_move_with_what_happens];
    tests.extend(exposition::all());
    tests.push(Trial::test("metrics::the_page_names_the_metrics", || {
        tokio::runtime::Runtime::new()?.block_on(the_page_names_the_metrics());
        Ok(())
    }));
    tests.push(Trial::ignorable_test("metrics::promtool_has_no_complaint", || {
        let runtime = tokio::runtime::Runtime::new()?;
        Ok(runtime.block_on(promtool_has_no_complaint()))
    }));
    tests
}

/// The page of an instance.
async fn page(client: &Client, chat: &Chat) -> String {
    let answer = within("the metrics", client.get(chat.url(0, "/metrics")).send()).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(answer.headers()["content-type"], kind);
    answer.text().await.expect("a text")
}

async fn samples(client: &Client, chat: &Chat) -> Samples {
    let page = page(client, chat).await;
    exposition::read(&page).unwrap_or_else(|wrong| panic!("{wrong}\nin\n{page}"))
}

/// The instance's value of each metric without further labels.
fn values<const N: usize>(samples: &Samples, chat: &Chat, names: [&str; N]) -> [f64; N] {
    names.map(|name| samples[&format!("{name}{{chat_instance=\"{}\"}}", chat.names()[0])])
}

fn posts(samples: &Samples, chat: &Chat) -> [f64; 2] {
    ["everywhere", "this_instance_only"].map(|whom| {
        let labels = format!("chat_instance=\"{}\",delivered=\"{whom}\"", chat.names()[0]);
        samples[&format!("chat_posts_total{{{labels}}}")]
    })
}

const COUNTERS: [&str; 8] = [
    "pubsub_messages_sent_total",
    "pubsub_messages_received_total",
    "pubsub_messages_missed_total",
    "pubsub_messages_lost_total",
    "pubsub_messages_expired_total",
    "pubsub_frames_refused_total",
    "pubsub_gaps_total",
    "pubsub_reconnects_total",
];

const GAUGES: [&str; 5] =
    ["pubsub_connected", "pubsub_healthy", "pubsub_topics", "pubsub_subscriptions", "chat_readers"];

async fn counters_move_with_what_happens(kind: Kind) {
    let mut engine = Engine::start(kind).await;
    let process = async || Chat::start(&["--instances", "1", "--backend", &engine.url()]).await;
    let (here, there) = (process().await, process().await);
    let client = Client::new();
    let counters = async || values(&samples(&client, &here).await, &here, COUNTERS);
    let gauges = async || values(&samples(&client, &here).await, &here, GAUGES);

    assert_eq!(counters().await, [0.0; 8]);
    assert_eq!(gauges().await, [1.0, 1.0, 0.0, 0.0, 0.0]);
    let mut stream = Events::open(&client, &here.url(0, "/rooms/lobby/events")).await;
    assert_eq!(gauges().await, [1.0, 1.0, 1.0, 1.0, 1.0]);
    // As many series as before: a room is no label.
    let mut rooms = Vec::new();
    let before = samples(&client, &here).await.len();
    for number in 0..20 {
        let url = here.url(0, &format!("/rooms/room-{number}/events"));
        rooms.push(Events::open(&client, &url).await);
    }
    assert_eq!(gauges().await, [1.0, 1.0, 21.0, 21.0, 21.0]);
    assert_eq!(samples(&client, &here).await.len(), before);
    drop(rooms);

    // Traffic: two from there, one from here.
    let at = |chat: &Chat| chat.url(0, "/rooms/lobby/messages");
    for (chat, text) in [(&there, "one"), (&there, "two"), (&here, "three")] {
        assert_eq!(say(&client, &at(chat), "Ada", text).await.0, 200);
        assert_eq!(stream.next_message().await.1, text);
    }
    assert_eq!(counters().await, [1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let samples_there = samples(&client, &there).await;
    assert_eq!(values(&samples_there, &there, ["pubsub_messages_sent_total"]), [2.0]);
    assert_eq!(posts(&samples_there, &there), [2.0, 0.0]);

    // A stranger on the topic: three times garbage, and a numbering with a hole of three.
    let frame = |sequence: u64| {
        let message = json!({
            "id": format!("x-{sequence}"), "name": "Bo", "text": sequence.to_string(),
            "instance": "x", "time": 0
        });
        let numbering = json!({ "origin": "0f".repeat(16), "epoch": 0, "sequence": sequence });
        json!({ "numbering": numbering, "topic": "lobby", "data": message.to_string() }).to_string()
    };
    for text in ["", "garbage", "\u{7}", &frame(1), &frame(5)] {
        publish_raw(&engine, kind, "chat.lobby", text).await;
    }
    assert_eq!(stream.next_message().await.1, "1");
    let (event, gap) = stream.next_in_room().await;
    assert_eq!((event.as_str(), &gap["missed"]), ("gap", &Value::from(3)));
    assert_eq!(stream.next_message().await.1, "5");
    assert_eq!(counters().await, [1.0, 4.0, 3.0, 3.0, 0.0, 3.0, 1.0, 0.0]);

    // An outage, and its end.
    engine.kill();
    stream.status("healthy", false).await;
    assert_eq!(gauges().await[..2], [0.0, 0.0]);
    assert_eq!(say(&client, &at(&here), "Ada", "anybody?").await.0, 202);
    assert_eq!(stream.next_message().await.1, "anybody?");
    assert_eq!(posts(&samples(&client, &here).await, &here), [1.0, 1.0]);
    engine.start_again().await;
    assert_eq!(stream.back_again().await.len(), 1);
    assert_eq!(counters().await, [1.0, 4.0, 3.0, 3.0, 0.0, 3.0, 2.0, 1.0]);
    assert_eq!(gauges().await, [1.0, 1.0, 1.0, 1.0, 1.0]);
}

/// The page "Run it on more than one machine" names metrics that there are, and all of them.
async fn the_page_names_the_metrics() {
    let chat = Chat::start(&[]).await;
    let samples = samples(&Client::new(), &chat).await;
    let there: BTreeSet<_> =
        samples.keys().map(|sample| sample.split_once('{').expect("labels").0).collect();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/more-than-one-machine.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let words = page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named: BTreeSet<_> = words
        .filter(|word| word.starts_with("pubsub_") || word.starts_with("chat_"))
        // The label.
        .filter(|word| *word != "chat_instance")
        .collect();
    assert_eq!(named, there);
}

/// Publishes bytes as any client of the engine can; they have arrived at the server on return.
async fn publish_raw(engine: &Engine, kind: Kind, channel: &str, text: &str) {
    let length = text.len();
    let (request, answer) = match kind {
        Kind::Nats => (
            format!(
                "CONNECT {{\"verbose\":false}}\r\nPUB {channel} {length}\r\n{text}\r\nPING\r\n"
            ),
            "PONG\r\n",
        ),
        Kind::Redis => {
            let name = channel.len();
            let publish = "*3\r\n$7\r\nPUBLISH\r\n";
            (format!("{publish}${name}\r\n{channel}\r\n${length}\r\n{text}\r\n"), ":1\r\n")
        }
    };
    let mut socket = TcpStream::connect(engine.address()).await.expect("a connection");
    socket.write_all(request.as_bytes()).await.expect("bytes go out");
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).ends_with(answer) {
        let read = within("the server's answer", socket.read_buf(&mut seen)).await;
        assert_ne!(read.expect("bytes come in"), 0, "{}", String::from_utf8_lossy(&seen));
    }
}

/// Prometheus' own checker of names, types and texts, where it is installed.
async fn promtool_has_no_complaint() -> Completion {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = started else {
        return Completion::ignored_with(
            "needs promtool, which Debian has in the package prometheus",
        );
    };
    let chat = Chat::start(&[]).await;
    let page = page(&Client::new(), &chat).await;
    promtool.stdin.take().expect("piped").write_all(page.as_bytes()).expect("it reads");
    let output = promtool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
    Completion::Completed
}
