//! The relay by itself, asked and annoyed by clients that speak its protocol.

mod support;

use std::process::Command;

use backend_core::MessageEnvelope;
use custom_backend::frame::{self, MAX_FRAME, Reply, Request};
use uuid::Uuid;

use support::client::Client;
use support::relay::Relay;

async fn client(relay: &Relay, instance: Uuid) -> Client {
    Client::connect(relay.address, instance).await.expect("the relay is there")
}

fn publish(data: impl Into<bytes::Bytes>) -> Request {
    Request::Publish(MessageEnvelope::new("news", data))
}

fn subscribe() -> Request {
    Request::Subscribe("news".into())
}

async fn expect_done(client: &mut Client, request: &Request) {
    let reply = client.ask(request).await.expect("an answer");
    assert!(matches!(reply, Reply::Done), "{reply:?}");
}

async fn expect_message(client: &mut Client, data: &str) {
    match client.reply().await.expect("a message") {
        Reply::Message(envelope) => assert_eq!(envelope.data(), data),
        other => panic!("{other:?} in place of {data}"),
    }
}

#[tokio::test]
async fn a_newer_connection_of_an_instance_takes_the_place_of_the_older() {
    let relay = Relay::start().await.expect("a relay");
    let (id, other) = (Uuid::new_v4(), Uuid::new_v4());
    let mut reader = client(&relay, other).await;
    expect_done(&mut reader, &subscribe()).await;
    let mut old = client(&relay, id).await;
    expect_done(&mut old, &subscribe()).await;

    let mut new = client(&relay, id).await;
    old.reply().await.expect_err("the older connection has ended");
    // Too late, as what is still on its way there would be.
    let _ = old.send(frame::encode(&publish("by the older")).expect("a frame")).await;
    assert_eq!(reader.topics(id).await.expect("a number"), 0, "it starts afresh");
    expect_done(&mut reader, &publish("for the older")).await;
    expect_done(&mut new, &Request::Ping).await;
    expect_done(&mut new, &subscribe()).await;
    expect_done(&mut new, &publish("by the newer")).await;
    expect_message(&mut reader, "by the newer").await;
}

#[tokio::test]
async fn who_talks_nonsense_is_disconnected_and_nobody_else_is() {
    let relay = Relay::start().await.expect("a relay");
    let mut reader = client(&relay, Uuid::new_v4()).await;
    expect_done(&mut reader, &subscribe()).await;
    let hello = Request::Hello { version: u8::MAX, instance: Uuid::new_v4() };
    let unknown_version = frame::encode(&hello).expect("a frame").to_vec();
    let ping = frame::encode(&Request::Ping).expect("a frame").to_vec();

    for first in [vec![], vec![0xff; 100], unknown_version, ping] {
        let mut client = Client::silent(relay.address).await.expect("the relay is there");
        client.send(first).await.expect("the relay is there");
        client.reply().await.expect_err("no such hello");
    }
    let twice = Request::Hello { version: frame::VERSION, instance: Uuid::new_v4() };
    let twice = frame::encode(&twice).expect("a frame").to_vec();
    for later in [vec![], vec![0xff; 100], vec![3, 200], twice] {
        let mut client = client(&relay, Uuid::new_v4()).await;
        client.send(later).await.expect("the relay is there");
        client.reply().await.expect_err("no such request");
    }
    let mut publisher = client(&relay, Uuid::new_v4()).await;
    expect_done(&mut publisher, &publish("still here")).await;
    expect_message(&mut reader, "still here").await;
}

#[tokio::test]
async fn who_does_not_read_is_disconnected_and_nobody_waits() {
    let relay = Relay::start().await.expect("a relay");
    let (slow, quick) = (Uuid::new_v4(), Uuid::new_v4());
    let mut never_reads = client(&relay, slow).await;
    expect_done(&mut never_reads, &subscribe()).await;
    let mut reads = client(&relay, quick).await;
    expect_done(&mut reads, &subscribe()).await;
    let mut publisher = client(&relay, Uuid::new_v4()).await;
    // What the sockets of both sides and the queue hold together is far less than this.
    let most = 1 << 30;
    let data = vec![7; MAX_FRAME / 16];
    let mut sent = 0;
    while publisher.topics(slow).await.expect("a number") == 1 {
        assert!(sent < most, "{sent} bytes wait for somebody who reads none");
        expect_done(&mut publisher, &publish(data.clone())).await;
        sent += data.len();
        let reply = reads.reply().await.expect("a message");
        assert!(matches!(reply, Reply::Message(_)), "{reply:?}");
    }
    assert_eq!(publisher.topics(quick).await.expect("a number"), 1);
}

#[test]
fn it_explains_itself() {
    let relay = env!("CARGO_BIN_EXE_relay");
    let help = Command::new(relay).arg("--help").output().expect("it starts");
    assert!(help.status.success());
    let text = String::from_utf8(help.stdout).expect("text");
    assert!(text.contains("--listen") && text.contains("--end-with-stdin"), "{text}");
}

#[cfg(unix)]
#[tokio::test]
async fn asked_to_stop_it_ends_its_connections_and_itself() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let relay = Relay::start().await.expect("a relay");
        let mut connected = client(&relay, Uuid::new_v4()).await;
        rustix::process::kill_process(relay.pid(), signal).expect("it is there");
        connected.reply().await.expect_err("the relay ends its connections");
        let status = tokio::task::spawn_blocking(move || relay.wait()).await.expect("no panic");
        assert!(status.expect("it ends").success());
    }
}

#[tokio::test]
async fn it_ends_with_who_has_started_it() {
    let mut relay = Relay::start().await.expect("a relay");
    relay.let_go();
    let status = tokio::task::spawn_blocking(move || relay.wait()).await.expect("no panic");
    assert!(status.expect("it ends").success());
}
