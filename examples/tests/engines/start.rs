//! What the chat says when it does not get onto the bus: at once, what to do, and no password.

use std::time::{Duration, Instant};

use engine_harness::free_port;
use libtest_mimic::Trial;

use crate::support::engines::{Engine, Kind};
use crate::support::{Chat, command, within};

pub(crate) fn all() -> Vec<Trial> {
    crate::over_each![
        who_is_turned_away_is_told_without_the_password,
        a_server_that_is_not_there_is_told_at_once,
        a_server_that_does_not_answer_is_told_within_seconds,
        the_url_may_come_from_the_environment,
        roots_that_cannot_be_read_are_named,
        ctrl_c_ends_the_wait_for_a_server_that_does_not_answer,
    ]
}

/// A user, and its password in an URL and in full.
const CREDENTIALS: &str = "ada:s3cr%3At";

/// Runs it to its end, which is a failure; gives its complaint.
async fn complaint(backend: &str, further: &[&str]) -> String {
    let options = [&["--port", "0", "--backend", backend], further].concat();
    let started = Instant::now();
    let output = within("the end of the process", command(&options).output()).await.unwrap();
    let complaint = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(output.stdout.is_empty(), "nothing is announced");
    // Its operations take 5 s at most; more than that is the machine's.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(!complaint.contains("s3cr") && !complaint.contains("ada"), "{complaint}");
    complaint
}

fn has_advice(kind: Kind, complaint: &str) {
    for part in [kind.program(), "--backend URL", "--backend memory:"] {
        assert!(complaint.contains(part), "{complaint}");
    }
}

async fn who_is_turned_away_is_told_without_the_password(kind: Kind) {
    let arguments = move |_| match kind {
        Kind::Nats => ["--user", "ada", "--pass", "another"].map(str::to_owned).to_vec(),
        Kind::Redis => ["--requirepass", "another"].map(str::to_owned).to_vec(),
    };
    let engine = Engine::start_with(kind, arguments).await;
    let at = engine.address();
    let said = complaint(&format!("{}://{CREDENTIALS}@{at}", kind.scheme()), &[]).await;
    assert!(said.contains(&at.to_string()), "{said}");
    has_advice(kind, &said);
}

async fn a_server_that_is_not_there_is_told_at_once(kind: Kind) {
    let port = free_port().expect("a free port");
    let url = format!("{}://{CREDENTIALS}@127.0.0.1:{port}", kind.scheme());
    let said = complaint(&url, &[]).await;
    assert!(said.contains(&port.to_string()), "{said}");
    has_advice(kind, &said);
}

async fn a_server_that_does_not_answer_is_told_within_seconds(kind: Kind) {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = silent.local_addr().unwrap();
    let said = complaint(&format!("{}://{CREDENTIALS}@{at}", kind.scheme()), &[]).await;
    has_advice(kind, &said);
}

async fn the_url_may_come_from_the_environment(kind: Kind) {
    let engine = Engine::start(kind).await;
    let chat =
        Chat::start_with("0", &["--instances", "1"], &[("CHAT_BACKEND", &engine.url())]).await;
    assert!(chat.names()[0].starts_with("chat-"), "{:?}", chat.names());

    let url = format!("http://{CREDENTIALS}@h");
    let output = command(&[]).env("CHAT_BACKEND", url).output();
    let output = within("the end of the process", output).await.unwrap();
    let complaint = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(complaint.contains("memory:") && !complaint.contains("s3cr"), "{complaint}");
}

async fn roots_that_cannot_be_read_are_named(kind: Kind) {
    let engine = Engine::start(kind).await;
    let said = complaint(&engine.url(), &["--tls-roots", "/nowhere/roots.pem"]).await;
    assert!(said.contains("/nowhere/roots.pem"), "{said}");
}

async fn ctrl_c_ends_the_wait_for_a_server_that_does_not_answer(kind: Kind) {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = silent.local_addr().unwrap();
    let url = format!("{}://{at}", kind.scheme());
    let mut child = command(&["--port", "0", "--backend", &url]).spawn().expect("it starts");
    let (_connection, _) = within("it connects", silent.accept()).await.expect("a connection");
    let id = rustix::process::Pid::from_raw(child.id().expect("it runs").cast_signed());
    let started = Instant::now();
    rustix::process::kill_process(id.expect("an id"), rustix::process::Signal::INT).unwrap();
    let status = within("the end of the process", child.wait()).await.expect("a child");
    assert_eq!(status.code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}
