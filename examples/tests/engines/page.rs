//! The settings on the page "Run it on more than one machine": servers start with them as they stand
//! there, and no word of the page is a password.

use std::collections::BTreeSet;
use std::process::Command;

use backend_core::{Backend, Error, Result};
use backend_nats::NatsBackend;
use backend_redis::RedisBackend;
use engine_harness::free_port;
use engine_harness::wait::until_it_says;
use libtest_mimic::Trial;
use reqwest::Client;
use tempfile::TempDir;

use crate::compose::{PASSWORD, talk, text_of};
use crate::support::Chat;
use crate::support::engines::{Engine, Kind};

pub(crate) fn all() -> Vec<Trial> {
    let mut tests = vec![Trial::test("page::it_shows_what_is_in_the_compose_files", || {
        it_shows_what_is_in_the_compose_files();
        Ok(())
    })];
    tests.push(Trial::test("page::it_shows_the_chat_s_log_filter", || {
        it_shows_the_chat_s_log_filter();
        Ok(())
    }));
    tests.push(Trial::test("page::it_shows_how_the_chat_chooses_its_backend", || {
        it_shows_how_the_chat_chooses_its_backend();
        Ok(())
    }));
    tests.push(Trial::test("page::it_shows_the_chat_s_commands", || {
        it_shows_the_chat_s_commands();
        Ok(())
    }));
    tests.push(Trial::test("page::it_shows_how_the_compose_files_are_run", || {
        it_shows_how_the_compose_files_are_run();
        Ok(())
    }));
    tests.push(crate::over(Kind::Nats, "the_page_s_settings_run", nats_runs));
    tests.push(crate::over(Kind::Redis, "the_page_s_settings_run", redis_runs));
    tests
}

fn page() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/more-than-one-machine.md");
    std::fs::read_to_string(page).expect("the page is there")
}

/// The blocks of one language in the section on an engine's server, as they stand there.
fn blocks(kind: Kind, language: &str) -> Vec<String> {
    let heading = match kind {
        Kind::Nats => "\n## 3. NATS",
        Kind::Redis => "\n## 4. Redis",
    };
    let page = page();
    let (_, section) = page.split_once(heading).expect(heading);
    let section = section.split("\n## ").next().expect("what comes before an end");
    let opens = format!("```{language}\n");
    let blocks = section.split(&opens).skip(1);
    blocks.map(|block| block.split("```").next().expect("an end").to_owned()).collect()
}

/// The file that a reader makes of the page.
fn settings(kind: Kind) -> String {
    blocks(kind, "conf").concat()
}

async fn nats_runs(kind: Kind) {
    let mut settings = settings(kind);
    for node in ["nats-1", "nats-2", "nats-3"] {
        let stands = format!("nats://{node}:6222");
        assert!(settings.contains(&stands), "{settings}");
        let nowhere = format!("nats://127.0.0.1:{}", free_port().expect("a free port"));
        settings = settings.replace(&stands, &nowhere);
    }
    let listens = format!("listen: \"127.0.0.1:{}\"", free_port().expect("a free port"));
    assert!(settings.contains("port: 6222"), "{settings}");
    let settings = settings.replace("port: 6222", &listens);

    let start = async |environment: &[(&str, &str)]| {
        let arguments = |_| ["-c", "nats.conf"].map(str::to_owned).to_vec();
        Engine::try_start(kind, environment, &[("nats.conf", &settings)], arguments).await
    };
    let refusal = start(&[]).await.expect_err("it does not start without a password");
    assert!(refusal.to_string().contains("'CHAT_PASSWORD'"), "{refusal}");

    // Made as the page says: any of these is taken.
    let [made] = &blocks(kind, "sh")[..] else { panic!("one way to make a password") };
    for _ in 0..5 {
        let password =
            sh(&format!("{made} printf %s \"$CHAT_PASSWORD\""), &TempDir::new().unwrap());
        let node = start(&[("CHAT_PASSWORD", &password)]).await.expect("it starts");
        log_in(kind, &node, &password).await.expect("it is the password");
    }
    let node = start(&[("CHAT_PASSWORD", PASSWORD)]).await.expect("it starts");
    no_word_of_the_page_is_a_password(kind, &node).await;
    chats_talk(kind, &[&node]).await;
}

async fn redis_runs(kind: Kind) {
    let [hash, file] = &blocks(kind, "sh")[..] else { panic!("a hash, and a file") };
    let folder = TempDir::new().expect("a folder");
    let hash = sh(hash, &folder);
    sh(file, &folder);
    let shown = std::fs::read_to_string(folder.path().join("masterauth.conf")).expect("a file");

    let page = settings(kind);
    let mut settings = page.clone();
    for place in ["SHA256_OF_CHAT_PASSWORD", "SHA256_OF_ADMIN_PASSWORD"] {
        assert!(settings.contains(place), "{settings}");
        settings = settings.replace(place, hash.trim_end());
    }
    let start = async |settings: &str, shown: &[(&str, &str)], further: &[&str]| {
        let files = [&[("redis.conf", settings)], shown].concat();
        let arguments = |_| [&["redis.conf"], further].concat().into_iter().map(str::to_owned);
        Engine::try_start(kind, &[], &files, |port| arguments(port).collect()).await
    };
    let shown = [("masterauth.conf", shown.as_str())];
    let refusal = start(&page, &shown, &[]).await.expect_err("a place is no hash");
    assert!(refusal.to_string().contains("'chat'"), "{refusal}");
    let refusal = start(&settings, &[], &[]).await.expect_err("a file is missing");
    assert!(refusal.to_string().contains("masterauth.conf"), "{refusal}");

    let master = start(&settings, &shown, &[]).await.expect("it starts");
    let at = master.address().port().to_string();
    let replica = start(&settings, &shown, &["--replicaof", "127.0.0.1", &at]).await;
    let replica = replica.expect("it starts");
    let admin = format!("AUTH admin {PASSWORD}");
    let linked = until_it_says("the replica has its master", async || {
        let says = replica.ask(&[&admin, "INFO replication"]).await;
        Ok(says.contains("master_link_status:up"))
    });
    linked.await.expect("it finds its master");
    no_word_of_the_page_is_a_password(kind, &master).await;
    chats_talk(kind, &[&master, &replica]).await;
}

/// Runs what stands on the page, with the passwords in its environment; gives what it prints.
fn sh(command: &str, folder: &TempDir) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-euc", command]).current_dir(folder.path());
    let output = shell.envs([("CHAT_PASSWORD", PASSWORD), ("ADMIN_PASSWORD", PASSWORD)]).output();
    let output = output.expect("there is a shell");
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).expect("it prints text")
}

async fn log_in(kind: Kind, server: &Engine, password: &str) -> Result<()> {
    let url = server.url();
    match kind {
        Kind::Nats => {
            let builder = NatsBackend::builder().servers(url).namespace("chat");
            builder.user_and_password("chat", password).connect().await?.close().await
        }
        Kind::Redis => {
            let builder = RedisBackend::builder().servers(url).namespace("chat");
            builder.user_and_password("chat", password).connect().await?.close().await
        }
    }
}

/// Whatever is copied, and forgotten to be replaced, lets nobody in.
async fn no_word_of_the_page_is_a_password(kind: Kind, server: &Engine) {
    log_in(kind, server, PASSWORD).await.expect("this is the password");
    let text = [blocks(kind, "conf"), blocks(kind, "sh")].concat().concat();
    let mut words: BTreeSet<_> = ["", "${CHAT_PASSWORD}", "$CHAT_PASSWORD"].into();
    for word in text.split_whitespace() {
        // With what stands around it in a setting, and without.
        let quoted = word.trim_start_matches(['>', '#', '<']);
        words.extend([word, quoted, quoted.trim_matches(['"', '\'', ',', ';'])]);
    }
    assert!(words.len() > 60, "{words:?}");
    for word in words {
        match log_in(kind, server, word).await {
            Err(Error::Unavailable(_)) => {}
            other => panic!("{word:?} as a password: {other:?}"),
        }
    }
}

async fn chats_talk(kind: Kind, servers: &[&Engine]) {
    let url =
        |server: &&Engine| format!("{}://chat:{PASSWORD}@{}", kind.scheme(), server.address());
    let urls = servers.iter().map(url).collect::<Vec<_>>().join(",");
    let options = ["--instances", "1", "--backend", &urls];
    let chats = [Chat::start(&options).await, Chat::start(&options).await];
    talk(&Client::new(), &chats, "by the page").await;
}

fn it_shows_the_chat_s_log_filter() {
    let source = include_str!("../../src/chat/main.rs");
    let (_, filter) = source.split_once("const TOLD: &str = \"").expect("there is a filter");
    let filter = filter.split('"').next().expect("what comes before an end");
    assert!(page().contains(&format!("\n```text\n{filter}\n```\n")), "{filter}");
}

fn it_shows_how_the_chat_chooses_its_backend() {
    let source = include_str!("../../src/chat/bus.rs");
    let page = page();
    let pieces = page.split("\n<!-- bus.rs -->\n```rust,ignore\n").skip(1);
    let pieces: Vec<_> = pieces.filter_map(|piece| piece.split("```").next()).collect();
    assert_eq!(pieces.len(), 2);
    for piece in pieces {
        // In the file it is part of a function.
        let piece: String = piece.lines().map(|line| format!("    {line}\n")).collect();
        assert!(source.contains(&piece), "not in bus.rs:\n{piece}");
    }
}

fn it_shows_the_chat_s_commands() {
    let page = page();
    let source = include_str!("../../src/chat/main.rs");
    let shown: Vec<_> = page.lines().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(shown.len(), 4);
    for line in shown {
        assert!(source.contains(&format!("//! {line}\n")), "{line}");
    }
}

/// The page quotes settings, and no others than those that are tried out, here, in `compose` and in
/// `tls`. What it says on passwords is as here.
fn it_shows_what_is_in_the_compose_files() {
    let mut files = [Kind::Nats, Kind::Redis].map(text_of).concat();
    files.extend(crate::tls::SETTINGS);
    let files = files.replace(":?choose a password", "");
    let files = files
        .replace("\"${CHAT_PASSWORD}\"", "$CHAT_PASSWORD")
        .replace(">${CHAT_PASSWORD}", "#SHA256_OF_CHAT_PASSWORD")
        .replace(">${ADMIN_PASSWORD}", "#SHA256_OF_ADMIN_PASSWORD")
        .replace("masterauth ${ADMIN_PASSWORD}", "include masterauth.conf");
    let tried: BTreeSet<_> = files.lines().map(str::trim).collect();
    let page = page();
    let mut blocks = 0;
    for block in page.split("```conf\n").skip(1) {
        let block = block.split("```").next().expect("what comes before an end");
        blocks += 1;
        for line in block.lines().filter(|line| !line.trim().is_empty()) {
            assert!(tried.contains(line.trim()), "not in the compose files: {line}");
        }
    }
    assert!(blocks >= 4, "{blocks} blocks of settings");
}

/// Each command works in any terminal: the file that the first one makes has all the passwords that
/// the compose files ask for, and is where Compose looks for it, beside them.
fn it_shows_how_the_compose_files_are_run() {
    let page = page();
    let (_, section) = page.split_once("\n## 11. ").expect("a section on them");
    let blocks = section.split("```sh\n").skip(1);
    let blocks: Vec<_> = blocks.filter_map(|block| block.split("```").next()).collect();
    let [passwords, nats, redis] = blocks[..] else { panic!("{blocks:?}") };

    let folder = TempDir::new().expect("a folder");
    std::fs::create_dir_all(folder.path().join("examples/compose")).expect("a folder");
    sh(passwords, &folder);
    let made = folder.path().join("examples/compose/.env");
    let made = std::fs::read_to_string(made).expect("a file beside the compose files");
    for (kind, commands) in [(Kind::Nats, nats), (Kind::Redis, redis)] {
        let text = text_of(kind);
        for line in passwords.lines().chain(commands.lines()) {
            assert!(text.contains(&format!("#   {line}\n")), "not in the compose file: {line}");
        }
        for variable in text.split("${").skip(1) {
            let name = variable.split([':', '}']).next().expect("a name");
            let line = made.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            assert!(line.is_some_and(|password| password.len() == 32), "{name} in {made}");
        }
    }
}
