//! The chat, over HTTP: both directions, outages, refusals, and how it ends.

mod support;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::support::client::{Events, answer, flood, press, say};
use crate::support::{Chat, within};

fn message(name: &str, text: &str, instance: &str) -> (String, String, String) {
    (name.into(), text.into(), instance.into())
}

#[tokio::test]
async fn what_is_said_on_one_instance_is_heard_on_all() {
    let chat = Chat::start(&["--instances", "3"]).await;
    assert_eq!(chat.names(), ["alpha", "bravo", "charlie"]);
    let client = Client::new();
    let mut readers = Vec::new();
    for n in 0..3 {
        readers.push(Events::open(&client, &chat.url(n, "/rooms/lobby/events")).await);
    }

    let said = [
        (0, "Ada", "hello"),
        (1, "Bo", "<script>alert(1)</script> & ünï ☕🎉"),
        (2, "Cy", "two\nlines"),
    ];
    for (n, name, text) in said {
        let (status, answer) =
            say(&client, &chat.url(n, "/rooms/lobby/messages"), name, text).await;
        assert_eq!((status, &answer["delivered"]), (200, &json!("everywhere")));
        for reader in &mut readers {
            assert_eq!(reader.next_message().await, message(name, text, chat.names()[n]));
        }
    }
}

#[tokio::test]
async fn a_message_has_an_id_of_its_own_and_the_time_and_the_sender_is_told_both() {
    let chat = Chat::start(&[]).await;
    let client = Client::new();
    let mut there = Events::open(&client, &chat.url(1, "/rooms/lobby/events")).await;
    let mut ids = std::collections::HashSet::new();
    for _ in 0..20 {
        let (_, answer) = say(&client, &chat.url(0, "/rooms/lobby/messages"), "Ada", "same").await;
        let (_, heard) = there.next_in_room().await;
        assert_eq!(answer["message"], heard);
        assert!(ids.insert(heard["id"].to_string()), "{heard}");
        let age = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_millis()
            .abs_diff(heard["time"].as_u64().unwrap().into());
        assert!(age < 60_000, "{heard}");
    }
}

#[tokio::test]
async fn rooms_are_separate() {
    let chat = Chat::start(&[]).await;
    let client = Client::new();
    let mut lobby = Events::open(&client, &chat.url(0, "/rooms/lobby/events")).await;
    for room in ["kitchen", "lobb", "lobby2", "Lobby"] {
        let (status, _) =
            say(&client, &chat.url(1, &format!("/rooms/{room}/messages")), "Ada", "elsewhere")
                .await;
        assert_eq!(status, 200);
    }
    say(&client, &chat.url(1, "/rooms/lobby/messages"), "Ada", "here").await;
    assert_eq!(lobby.next_message().await, message("Ada", "here", "bravo"));
}

#[tokio::test]
async fn curl_posts_the_text_as_it_is() {
    let chat = Chat::start(&[]).await;
    let client = Client::new();
    let mut lobby = Events::open(&client, &chat.url(0, "/rooms/lobby/events")).await;
    let form = "application/x-www-form-urlencoded";
    for (query, name) in [("", "anonymous"), ("?name=Ada%20L", "Ada L")] {
        let url = chat.url(1, &format!("/rooms/lobby/messages{query}"));
        let (status, _) =
            answer(client.post(url).header("content-type", form).body("a=b & c%20d")).await;
        assert_eq!(status, 200);
        assert_eq!(lobby.next_message().await, message(name, "a=b & c%20d", "bravo"));
    }
}

#[tokio::test]
async fn what_is_not_valid_is_refused_with_the_reason_and_nothing_of_it_is_said() {
    let chat = Chat::start(&[]).await;
    let client = Client::new();
    let mut lobby = Events::open(&client, &chat.url(0, "/rooms/lobby/events")).await;
    let messages = chat.url(0, "/rooms/lobby/messages");
    let json =
        |body: String| client.post(&messages).header("content-type", "application/json").body(body);
    let named = |name: &str| client.post(&messages).json(&json!({ "name": name, "text": "x" }));
    let long_room = chat.url(0, &format!("/rooms/{}/messages", "x".repeat(65)));

    let refused = [
        (client.post(&messages).body(" \n"), 400, "empty"),
        (json(r#"{"name":"Ada","text":""}"#.into()), 400, "empty"),
        (client.post(&messages).body("ä".repeat(2_001)), 413, "at most 2000"),
        (client.post(&messages).body("x".repeat(66_000)), 413, "at most 65536 bytes"),
        (client.post(&messages).body("x".repeat(3_000_000)), 413, "at most 65536 bytes"),
        (client.post(&messages).body(&b"caf\xe9"[..]), 400, "not UTF-8"),
        (json("{".into()), 400, "not the JSON"),
        (json(r#"{"text":"x","nmae":"Ada"}"#.into()), 400, "unknown field `nmae`"),
        (named(""), 400, "1 to 32 characters"),
        (named(&"x".repeat(33)), 400, "1 to 32 characters"),
        (client.post(format!("{messages}?name=a&name=b")).body("x"), 400, "duplicate field `name`"),
        (
            client
                .post(&messages)
                .header("content-type", "multipart/form-data; boundary=x")
                .body("x"),
            415,
            "application/json",
        ),
        (client.post(&messages).header("content-encoding", "gzip").body("x"), 415, "encoded"),
        (client.post(chat.url(0, "/rooms/a%20b/messages")).body("x"), 400, "1 to 64 characters"),
        (client.post(chat.url(0, "/rooms/%ff/messages")).body("x"), 400, "1 to 64 characters"),
        (client.post(long_room).body("x"), 400, "1 to 64 characters"),
        (client.get(chat.url(0, "/rooms/%3Cb%3E")), 400, "1 to 64 characters"),
        (client.get(chat.url(0, "/rooms/k%C3%BCche/events")), 400, "1 to 64 characters"),
        (client.get(chat.url(0, "/rooms/")), 404, "/rooms/lobby"),
        (client.get(chat.url(0, "/nothing")), 404, "/rooms/lobby"),
        (client.get(&messages), 405, "POST"),
        (client.get(chat.url(0, "/partition")), 405, "POST"),
    ];
    for (request, status, reason) in refused {
        let what = format!("{request:?}");
        let (actual, body) = answer(request).await;
        let error = body["error"].as_str().unwrap_or_default();
        assert!(actual == status && error.contains(reason), "{what}: {actual} {body}");
    }

    let (status, _) = say(&client, &messages, "Ada", &"🎉".repeat(2_000)).await;
    assert_eq!(status, 200);
    assert_eq!(lobby.next_message().await, message("Ada", &"🎉".repeat(2_000), "alpha"));
}

#[tokio::test]
async fn an_outage_costs_only_the_others_and_shows_as_a_gap() {
    let chat = Chat::start(&[]).await;
    let client = Client::new();
    let mut alpha = Events::open(&client, &chat.url(0, "/rooms/lobby/events")).await;
    let mut bravo = Events::open(&client, &chat.url(1, "/rooms/lobby/events")).await;
    let [to_alpha, to_bravo] = [0, 1].map(|n| chat.url(n, "/rooms/lobby/messages"));

    let (status, report) = press(&client, &chat.url(0, "/partition")).await;
    assert_eq!((status, &report["healthy"]), (200, &json!(false)));
    alpha.status("healthy", false).await;

    let (status, answer) = say(&client, &to_alpha, "Ada", "anybody?").await;
    assert_eq!((status, &answer["delivered"]), (202, &json!("this instance only")));
    assert_eq!(alpha.next_message().await, message("Ada", "anybody?", "alpha"));
    let (status, answer) = say(&client, &to_bravo, "Bo", "Ada?").await;
    assert_eq!((status, &answer["delivered"]), (200, &json!("everywhere")));

    let (status, report) = press(&client, &chat.url(0, "/heal")).await;
    assert_eq!((status, &report["healthy"]), (200, &json!(true)));
    assert_eq!(
        alpha.next_in_room().await,
        (
            "gap".into(),
            json!({ "cause": "reconnected", "missed": null, "text": "messages may be missing here" })
        )
    );
    say(&client, &to_alpha, "Ada", "back").await;
    assert_eq!(alpha.next_message().await, message("Ada", "back", "alpha"));
    say(&client, &to_bravo, "Bo", "welcome").await;
    assert_eq!(alpha.next_message().await, message("Bo", "welcome", "bravo"));

    for expected in [("Bo", "Ada?", "bravo"), ("Ada", "back", "alpha"), ("Bo", "welcome", "bravo")]
    {
        assert_eq!(bravo.next_message().await, message(expected.0, expected.1, expected.2));
    }
}

#[tokio::test]
async fn who_comes_during_an_outage_is_told_so_and_gets_messages_after_it() {
    let chat = Chat::start(&[]).await;
    let client = Client::new();
    press(&client, &chat.url(0, "/partition")).await;

    let mut alpha = Events::open(&client, &chat.url(0, "/rooms/lobby/events")).await;
    let (kind, status) = alpha.next().await.unwrap();
    assert_eq!(kind, "status");
    assert_eq!(
        status,
        json!({ "instance": "alpha", "healthy": false, "live": false, "readers": 1 })
    );

    press(&client, &chat.url(0, "/heal")).await;
    assert_eq!(alpha.status("live", true).await["healthy"], true);
    say(&client, &chat.url(1, "/rooms/lobby/messages"), "Bo", "hello").await;
    assert_eq!(alpha.next_message().await, message("Bo", "hello", "bravo"));
}

#[tokio::test]
async fn health_tells_a_load_balancer_whether_the_instance_hears_the_others() {
    let chat = Chat::start(&[]).await;
    let client = Client::new();
    let _reader = Events::open(&client, &chat.url(0, "/rooms/kitchen/events")).await;
    let health = || answer(client.get(chat.url(0, "/health")));

    let (status, report) = health().await;
    assert_eq!((status, &report["healthy"]), (200, &json!(true)));
    assert_eq!(
        (&report["instance"], &report["readers"]),
        (&json!("alpha"), &json!({ "kitchen": 1 }))
    );

    press(&client, &chat.url(0, "/partition")).await;
    let (status, report) = health().await;
    assert_eq!((status, &report["healthy"]), (503, &json!(false)));
    assert_eq!(answer(client.get(chat.url(1, "/health"))).await.0, 200);

    press(&client, &chat.url(0, "/heal")).await;
    assert_eq!(health().await.0, 200);
}

#[tokio::test]
async fn the_number_of_readers_follows_who_comes_and_goes() {
    let chat = Chat::start(&[]).await;
    let client = Client::new();
    let mut first = Events::open(&client, &chat.url(0, "/rooms/lobby/events")).await;
    first.status("readers", 1).await;
    let second = Events::open(&client, &chat.url(0, "/rooms/lobby/events")).await;
    first.status("readers", 2).await;
    let _elsewhere = Events::open(&client, &chat.url(1, "/rooms/lobby/events")).await;
    drop(second);
    first.status("readers", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_did_not_keep_up_is_told_exactly_how_many_it_missed() {
    let chat = Chat::start(&["--capacity", "8"]).await;
    let client = Client::new();
    let mut slow = Events::open(&client, &chat.url(0, "/rooms/lobby/events")).await;
    let url = chat.url(1, "/rooms/lobby/messages");
    let posted = flood(&client, &url).await;
    say(&client, &url, "Bo", "the end").await;

    let (mut heard, mut missed) = (0, 0);
    loop {
        let (kind, data) = slow.next_in_room().await;
        match kind.as_str() {
            "message" if data["text"] == "the end" => break,
            "message" => heard += 1,
            "gap" => {
                let number = data["missed"].as_u64().expect("an overflow is counted");
                assert_eq!(data["cause"], "lagged");
                let one = number == 1;
                let text = if one {
                    "1 message was missed".into()
                } else {
                    format!("{number} messages were missed")
                };
                assert_eq!(data["text"], Value::from(text));
                missed += number;
            }
            other => panic!("{other}: {data}"),
        }
    }
    assert!(missed > 0, "the reader kept up");
    assert_eq!(heard + missed, posted);
}

#[tokio::test]
async fn the_page_is_of_its_room_and_instance_and_loads_nothing_from_elsewhere() {
    let chat = Chat::start(&[]).await;
    let client = Client::new();
    let get = |path: &str| {
        let request = client.get(chat.url(0, path)).send();
        async move { within("a page", request).await.expect("an answer") }
    };

    let page = get("/").await;
    assert_eq!(page.url().path(), "/rooms/lobby");

    let page = get("/rooms/Tea-Room_7").await;
    assert_eq!(page.status(), StatusCode::OK);
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let html = page.text().await.unwrap();
    for part in
        [r#"data-room="Tea-Room_7""#, r#"data-instance="alpha""#, &chat.url(1, "/rooms/Tea-Room_7")]
    {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    assert!(!html.contains("{{"), "{html}");

    for (path, content_type) in
        [("/page.css", "text/css"), ("/page.js", "text/javascript"), ("/icon.svg", "image/svg+xml")]
    {
        assert!(html.contains(path), "{path}");
        let asset = get(path).await;
        assert_eq!(
            (asset.status(), &asset.headers()["content-type"]),
            (StatusCode::OK, &content_type.parse().unwrap())
        );
        let text = asset.text().await.unwrap().replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("://"), "{path}");
    }
}
