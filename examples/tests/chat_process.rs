//! The chat as a process: its options, its complaints, and how it ends.

#![cfg(unix)]

mod support;

use std::time::Duration;

use reqwest::Client;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::{Events, flood, press, say};
use crate::support::{Chat, command, within};

/// Runs it to its end: exit code, output and complaints.
async fn run(options: &[&str]) -> (Option<i32>, String, String) {
    let output = within("the end of the process", command(options).output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Sends bytes over a connection of its own, which stays open.
async fn connection(chat: &Chat, bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect(chat.address(0)).await.expect("a connection");
    stream.write_all(bytes.as_bytes()).await.expect("bytes go out");
    stream
}

/// A post whose body stops half way, at a moment when the service waits for the rest of it.
async fn half_a_post(chat: &Chat) -> TcpStream {
    let head = "POST /rooms/lobby/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\
                expect: 100-continue\r\n\r\n";
    let mut stream = connection(chat, head).await;
    read_until(&mut stream, "100 Continue").await;
    stream.write_all(b"hal").await.expect("bytes go out");
    stream
}

/// Reads until the connection has brought `text`.
async fn read_until(stream: &mut TcpStream, text: &str) {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        let mut chunk = [0; 1024];
        let length = within(text, stream.read(&mut chunk)).await.expect("bytes come in");
        assert_ne!(length, 0, "it ended before {text:?}");
        seen.extend_from_slice(&chunk[..length]);
    }
}

#[tokio::test]
async fn a_body_that_announces_a_gigabyte_is_refused_before_it_is_sent() {
    let chat = Chat::start(&[]).await;
    let head =
        "POST /rooms/lobby/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n";
    let mut sender = connection(&chat, head).await;
    read_until(&mut sender, "HTTP/1.1 413 ").await;
}

async fn ends_within_a_second(signal: Signal) {
    let mut chat = Chat::start(&[]).await;
    let client = Client::new();

    // All kinds of clients that could keep a server from ending.
    let mut reader = Events::open(&client, &chat.url(0, "/rooms/lobby/events")).await;
    press(&client, &chat.url(1, "/partition")).await;
    let mut waiting = Events::open(&client, &chat.url(1, "/rooms/lobby/events")).await;
    let _silent = connection(&chat, "").await;
    let _half_a_head = connection(&chat, "GET /health HTT").await;
    let _half_a_body = half_a_post(&chat).await;
    let mut idle = connection(&chat, "GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await;
    read_until(&mut idle, "\"healthy\"").await;
    let mut reads_nothing =
        connection(&chat, "GET /rooms/lobby/events HTTP/1.1\r\nhost: x\r\n\r\n").await;
    read_until(&mut reads_nothing, "event: status").await;

    chat.signal(signal);
    let (status, taken, complaints) = chat.ended().await;
    assert_eq!(status.code(), Some(0), "{complaints}");
    assert!(taken < Duration::from_secs(1), "it took {taken:?}");
    assert!(!complaints.contains("panicked"), "{complaints}");

    // Both streams were ended in order: a last event, and the end of the body.
    for stream in [&mut reader, &mut waiting] {
        let mut last = None;
        while let Some((kind, _)) = stream.next().await {
            last = Some(kind);
        }
        assert_eq!(last.as_deref(), Some("bye"));
    }
}

#[tokio::test]
async fn ctrl_c_ends_it_within_a_second_whoever_is_connected() {
    ends_within_a_second(Signal::INT).await;
}

/// What it is sent fills every buffer on the way, so that its connection cannot be ended in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_ends_it_although_a_reader_has_stopped_reading() {
    let mut chat = Chat::start(&["--capacity", "8"]).await;
    let client = Client::new();
    let _stalled = Events::open(&client, &chat.url(0, "/rooms/lobby/events")).await;
    flood(&client, &chat.url(1, "/rooms/lobby/messages")).await;

    chat.signal(Signal::INT);
    let (status, taken, complaints) = chat.ended().await;
    assert_eq!(status.code(), Some(0), "{complaints}");
    assert!(taken < Duration::from_secs(1), "it took {taken:?}");
    assert!(complaints.contains("were cut"), "the reader's connection ended: {complaints:?}");
}

#[tokio::test]
async fn sigterm_ends_it_in_the_same_way() {
    ends_within_a_second(Signal::TERM).await;
}

#[tokio::test]
async fn without_clients_it_ends_without_a_complaint() {
    let mut chat = Chat::start(&["--instances", "16"]).await;
    chat.signal(Signal::INT);
    let (status, taken, complaints) = chat.ended().await;
    assert_eq!((status.code(), complaints.as_str()), (Some(0), ""));
    assert!(taken < Duration::from_secs(1), "it took {taken:?}");
}

#[tokio::test]
async fn a_second_ctrl_c_ends_it_at_once() {
    let mut chat = Chat::start(&[]).await;
    let client = Client::new();
    let mut reader = Events::open(&client, &chat.url(0, "/rooms/lobby/events")).await;
    // Keeps it for the whole time of grace.
    let _half_a_body = half_a_post(&chat).await;

    chat.signal(Signal::INT);
    while reader.next().await.is_some() {}
    chat.signal(Signal::INT);
    let (status, _, complaints) = chat.ended().await;
    assert_eq!(status.code(), Some(130), "{complaints}");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_a_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, output, complaint) = run(&["--port", &port, "--instances", "1"]).await;
    assert_eq!((code, output.as_str()), (Some(1), ""));
    for part in [&format!("port {port} is in use"), "--port N", "--port 0"] {
        assert!(complaint.contains(part), "{complaint}");
    }
}

#[tokio::test]
async fn a_bad_option_is_refused_with_what_is_allowed() {
    for (options, part) in [
        (&["--port", "70000"][..], "0..=65535"),
        (&["--port", "65535"], "--port 65534 or lower"),
        (&["--port", "many"], "'--port <N>'"),
        (&["--instances", "0"], "1..=16"),
        (&["--capacity", "-1"], "'--capacity <N>'"),
        (&["--port", "-1"], "0..=65535"),
        (&["--capacity", "0"], "1..=1000000"),
        (&["--bogus"], "--bogus"),
        (&["lobby"], "lobby"),
        (&["--backend", "kafka://h"], "memory:, nats://HOST:PORT"),
        (&["--backend", "127.0.0.1:4222"], "none of these in front of its host"),
        (&["--backend", "localhost:4222"], "none of these in front of its host"),
        (&["--backend", "memory://x"], "memory:, nats://HOST:PORT"),
        (&["--backend", "nets://h"], "valkey://"),
        (&["--backend", ""], "what was given is empty"),
        (&["--namespace", "x"], "--backend URL"),
        (&["--tls-roots", "x"], "--backend URL"),
        (&["--name", "a b"], "1 to 32 characters"),
        (&["--listen", "localhost"], "'--listen <ADDRESS>'"),
    ] {
        let (code, output, complaint) = run(options).await;
        assert_eq!((code, output.as_str()), (Some(2), ""), "{options:?}: {complaint}");
        assert!(complaint.contains(part), "{options:?}: {complaint}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_url_is_said_without_its_password() {
    for (options, code) in [
        (&["--backend", "nats://ada:s3cret@h:x"][..], 1),
        (&["--backend", "redis://ada:s3cret@h/lobby"], 1),
        (&["--backend", "redis://ada:s3cret@h,nats://h"], 1),
        (&["--backend", "http://ada:s3cret@h"], 2),
        (&["--backend=ada:s3cret@h"], 2),
        // A slip of the keyboard: it is quoted, and the URL with it.
        (&["nats://ada:s3cret@h"], 2),
        (&["--port", "nats://ada:s3cret@h"], 2),
        (&["--backed", "nats://ada:s3cret@h"], 2),
    ] {
        let options = [&["--instances", "1"], options].concat();
        let (ended, output, complaint) = run(&options).await;
        assert_eq!((ended, output.as_str()), (Some(code), ""), "{options:?}: {complaint}");
        for secret in ["s3cret", "ada"] {
            assert!(!complaint.contains(secret), "{options:?}: {complaint}");
        }
        assert!(complaint.contains("--"), "{options:?}: no way out in {complaint}");
    }
}

#[tokio::test]
async fn an_address_of_another_machine_is_refused_with_a_way_out() {
    // TEST-NET-1: nobody has it.
    let (code, output, complaint) = run(&["--listen", "192.0.2.1", "--port", "0"]).await;
    assert_eq!((code, output.as_str()), (Some(1), ""));
    assert!(complaint.contains("192.0.2.1") && complaint.contains("--listen"), "{complaint}");
}

#[tokio::test]
async fn on_all_addresses_it_announces_one_that_a_browser_can_open() {
    let chat = Chat::start(&["--listen", "0.0.0.0"]).await;
    assert!(chat.address(0).starts_with("localhost:"), "{}", chat.address(0));
    let answer = within("an answer", Client::new().get(chat.url(1, "/health")).send()).await;
    assert_eq!(answer.unwrap().status(), 200);
}

#[tokio::test]
async fn a_name_of_ones_own_is_on_the_page_and_in_the_ids() {
    let chat = Chat::start(&["--name", "tea", "--instances", "1"]).await;
    assert_eq!(chat.names(), ["tea"]);
    let url = chat.url(0, "/rooms/lobby/messages");
    let (_, answer) = say(&Client::new(), &url, "Ada", "hello").await;
    assert_eq!(answer["message"]["instance"], "tea");
    assert!(answer["message"]["id"].as_str().unwrap().starts_with("tea-"), "{answer}");
}

#[tokio::test]
async fn help_names_every_option() {
    let (code, output, complaint) = run(&["--help"]).await;
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    for option in [
        "--instances <N>",
        "--port <N>",
        "--capacity <N>",
        "--backend <URL>",
        "CHAT_BACKEND",
        "--namespace <NAME>",
        "--tls-roots <FILE>",
        "--name <NAME>",
        "--listen <ADDRESS>",
        "--help",
    ] {
        assert!(output.contains(option), "{output}");
    }
}
