//! The compose files: what is in them, and that the real servers and the chat take it.
//!
//! No containers are made here. The servers' settings, the chat's options and its URL are taken from
//! the files as they stand; only hosts and ports become those of this machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use engine_harness::free_port;
use libtest_mimic::Trial;
use reqwest::Client;
use serde::Deserialize;
use tokio::time::timeout;

use crate::support::client::{Events, say};
use crate::support::engines::{Engine, Kind};
use crate::support::{Chat, command, within};

pub(crate) fn all() -> Vec<Trial> {
    let mut tests = crate::over_each![the_file_has_all_that_it_names];
    tests.push(crate::over(Kind::Nats, "the_compose_file_runs", nats_runs));
    tests.push(crate::over(Kind::Redis, "the_compose_file_runs", redis_runs));
    tests
}

/// What is read of a compose file.
#[derive(Debug, Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
    configs: BTreeMap<String, Config>,
}

#[derive(Debug, Deserialize)]
struct Service {
    command: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    ports: Vec<String>,
    #[serde(default)]
    configs: Vec<Mounted>,
    #[serde(default)]
    depends_on: Vec<String>,
    build: Option<Build>,
}

#[derive(Debug, Deserialize)]
struct Mounted {
    source: String,
    target: String,
}

#[derive(Debug, Deserialize)]
struct Build {
    context: String,
    dockerfile: String,
}

#[derive(Debug, Deserialize)]
struct Config {
    content: String,
}

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/compose");

/// Of the passwords that the files ask for.
pub(crate) const PASSWORD: &str = "s3cret";

impl Compose {
    /// The file of an engine, with its variables filled in.
    fn of(kind: Kind) -> Self {
        let text = text_of(kind);
        let mut filled = String::new();
        let mut rest = text.as_str();
        while let Some((before, variable)) = rest.split_once("${") {
            let (variable, after) = variable.split_once('}').expect("a variable has an end");
            // None of them has a value that everybody knows.
            let (name, _) = variable.split_once(":?").expect("it is required");
            assert!(name.ends_with("_PASSWORD"), "{name}");
            filled.extend([before, PASSWORD]);
            rest = after;
        }
        assert!(!rest.contains('$'), "a dollar sign that is no variable");
        filled.push_str(rest);
        serde_saphyr::from_str(&filled).expect("it is a compose file")
    }

    /// The services that run this program, by their names.
    fn services(&self, of_the_engine: bool) -> impl Iterator<Item = (&str, &Service)> {
        let wanted = move |service: &Service| service.build.is_none() == of_the_engine;
        self.services
            .iter()
            .filter(move |(_, service)| wanted(service))
            .map(|(name, service)| (name.as_str(), service))
    }

    /// The settings of the engine's servers.
    fn settings(&self, kind: Kind) -> &str {
        &self.configs[kind.scheme()].content
    }

    /// Starts the chat's processes by their options and environment.
    async fn chats(&self, hosts: &[(&str, String)]) -> Vec<Chat> {
        let mut chats = Vec::new();
        for (name, service) in self.services(false) {
            let mut url = service.environment["CHAT_BACKEND"].clone();
            for (host, address) in hosts {
                assert!(url.contains(host), "{url} names {host}");
                url = url.replace(host, address);
            }
            let options = without(without(&service.command, "--port"), "--listen");
            let options: Vec<_> = options.iter().map(String::as_str).collect();
            let chat = Chat::start_with("0", &options, &[("CHAT_BACKEND", &url)]).await;
            assert_eq!(chat.names(), [name]);
            chats.push(chat);
        }
        assert_eq!(chats.len(), 2);
        chats
    }
}

pub(crate) fn text_of(kind: Kind) -> String {
    let file = Path::new(FOLDER).join(format!("{}.yaml", kind.scheme()));
    std::fs::read_to_string(file).expect("the file is there")
}

/// Options but for one, which has a value.
fn without(options: impl AsRef<[String]>, left_out: &str) -> Vec<String> {
    let mut options = options.as_ref().to_vec();
    let at = options.iter().position(|option| option == left_out).expect(left_out);
    options.drain(at..at + 2);
    options
}

async fn the_file_has_all_that_it_names(kind: Kind) {
    let compose = Compose::of(kind);
    let mut ports = Vec::new();
    for (name, service) in &compose.services {
        for Mounted { source, target } in &service.configs {
            assert!(compose.configs.contains_key(source), "{name}: {source}");
            assert!(service.command.contains(target), "{name} reads {target}");
        }
        for other in &service.depends_on {
            assert!(compose.services.contains_key(other), "{name}: {other}");
        }
        if let Some(Build { context, dockerfile }) = &service.build {
            let file = Path::new(FOLDER).join(context).join(dockerfile);
            assert!(file.is_file(), "{name}: {}", file.display());
            // The port that it listens on is the one that is published.
            let at = service.command.iter().position(|option| option == "--port").expect("a port");
            let port = &service.command[at + 1];
            assert_eq!(service.ports, [format!("{port}:{port}")], "{name}");
            ports.push(port);
        } else {
            assert!(service.ports.is_empty(), "{name}: nobody reaches the engine from outside");
        }
    }
    ports.dedup();
    assert_eq!(ports.len(), 2);
    let (engines, chats) = (compose.services(true).count(), compose.services(false).count());
    assert_eq!((engines, chats), (if kind == Kind::Nats { 3 } else { 2 }, 2));
}

/// What one says, the other hears: now, or as soon as both have seen that a server is dead and have
/// found another. Nothing tells of the latter, for it may not concern them: so they say it again.
pub(crate) async fn talk(client: &Client, chats: &[Chat], round: &str) {
    for (here, there) in [(&chats[0], &chats[1]), (&chats[1], &chats[0])] {
        let mut stream = Events::open(client, &there.url(0, "/rooms/lobby/events")).await;
        let url = here.url(0, "/rooms/lobby/messages");
        let heard = async {
            for number in 0.. {
                let text = format!("{round} from {}, {number}", here.names()[0]);
                let (status, _) = say(client, &url, "Ada", &text).await;
                let heard = async { while stream.next_message_or_gap().await != text {} };
                if status == 200 && timeout(Duration::from_millis(500), heard).await.is_ok() {
                    return;
                }
            }
        };
        within(round, heard).await;
    }
}

async fn nats_runs(kind: Kind) {
    let compose = Compose::of(kind);
    let names: Vec<_> = compose.services(true).map(|(name, _)| name).collect();
    let routes: Vec<_> =
        names.iter().map(|_| format!("nats://127.0.0.1:{}", free_port().unwrap())).collect();
    let mut nodes = Vec::new();
    for (index, (_, service)) in compose.services(true).enumerate() {
        let mut settings = compose.settings(kind).replace("http: 127.0.0.1:8222", "");
        for (name, route) in names.iter().zip(&routes) {
            let stands = format!("nats://{name}:6222");
            assert!(settings.contains(&stands), "{settings}");
            settings = settings.replace(&stands, route);
        }
        let port = routes[index].rsplit_once(':').expect("a port").1;
        let settings = settings.replace("port: 6222", &format!("listen: \"127.0.0.1:{port}\""));
        // Found by a server whose working folder is that of the file.
        let command = with_file(&service.command, "/etc/nats/nats.conf", "nats.conf");
        nodes.push(Engine::start_in(kind, &[("nats.conf", &settings)], |_| command.clone()).await);
    }
    let hosts: Vec<_> =
        names.iter().copied().zip(nodes.iter().map(|node| node.address().to_string())).collect();
    let chats = compose.chats(&hosts).await;
    let client = Client::new();
    talk(&client, &chats, "at first").await;

    // What the permissions do not cover is told, and nobody gets in.
    let url = format!("nats://chat:{PASSWORD}@{}", nodes[0].address());
    let options = ["--port", "0", "--namespace", "other", "--backend", &url];
    let output = within("the end", command(&options).output()).await.expect("it runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("other.~~nats") && !complaint.contains(PASSWORD), "{complaint}");

    // Each node in turn is killed and comes back; whoever was on it goes to another one.
    for (index, name) in names.iter().enumerate() {
        nodes[index].kill();
        talk(&client, &chats, &format!("without {name}")).await;
        nodes[index].start_again().await;
    }
}

async fn redis_runs(kind: Kind) {
    let compose = Compose::of(kind);
    let names: Vec<_> = compose.services(true).map(|(name, _)| name).collect();
    let settings = compose.settings(kind).to_owned();
    let mut servers = Vec::<Engine>::new();
    for (_, service) in compose.services(true) {
        let mut command = with_file(&service.command, "/etc/redis/redis.conf", "redis.conf");
        assert_eq!(command.remove(0), kind.program());
        if let Some(master) = servers.first() {
            let replicaof = command.split_off(1);
            assert_eq!(replicaof, ["--replicaof", names[0], "6379"]);
            let port = master.address().port().to_string();
            command.extend(["--replicaof".to_owned(), "127.0.0.1".to_owned(), port]);
        }
        servers
            .push(Engine::start_in(kind, &[("redis.conf", &settings)], |_| command.clone()).await);
    }
    let hosts: Vec<_> =
        names.iter().copied().zip(servers.iter().map(|at| at.address().to_string())).collect();
    // The replica has let itself in.
    let admin = format!("AUTH admin {PASSWORD}");
    loop {
        let said = servers[1].ask(&[&admin, "INFO replication"]).await;
        if said.contains("master_link_status:up") {
            break;
        }
        assert!(said.contains("role:slave"), "{said}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let chats = compose.chats(&hosts).await;
    let client = Client::new();
    talk(&client, &chats, "at first").await;

    // What the ACL does not cover is told.
    let url = format!("redis://chat:{PASSWORD}@{}", servers[0].address());
    let options = ["--instances", "1", "--namespace", "other", "--backend", &url];
    let other = Chat::start(&options).await;
    let (status, answer) =
        say(&client, &other.url(0, "/rooms/lobby/messages"), "Ada", "in the other").await;
    assert_eq!(status, 500, "{answer}");
    assert!(answer["error"].as_str().is_some_and(|said| said.contains("permissions")), "{answer}");

    servers[0].kill();
    let said = servers[1].ask(&[&admin, "REPLICAOF NO ONE"]).await;
    assert!(said.contains("+OK\r\n+OK"), "{said}");
    talk(&client, &chats, "after the failover").await;
}

/// A command in which a file stands elsewhere.
fn with_file(command: &[String], path: &str, file: &str) -> Vec<String> {
    let at = command.iter().position(|part| part == path).expect(path);
    let mut command = command.to_vec();
    command[at] = file.to_owned();
    command
}
