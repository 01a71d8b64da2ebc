//! A chat that runs as several instances: the job that this workspace is for.
//!
//! ```text
//! cargo run --bin chat
//! ```
//!
//! It starts two instances of one service, each a web server of its own with its own place on the
//! bus, and prints their addresses. Open one address in each of two browser windows and talk. A
//! room is a topic, taken from the path: `/rooms/lobby`, `/rooms/kitchen`. The page has a button
//! that cuts its instance off the bus and one that heals it, so that you can watch an outage.
//!
//! It works from a shell as well (`-d` posts what you type, `-N` shows events as they come):
//!
//! ```text
//! curl -N http://127.0.0.1:3000/rooms/lobby/events
//! curl -d 'hello from a shell' 'http://127.0.0.1:3001/rooms/lobby/messages?name=Ada'
//! curl -H 'content-type: application/json' -d '{"name":"Ada","text":"hello"}' http://127.0.0.1:3001/rooms/lobby/messages
//! curl http://127.0.0.1:3000/health
//! curl -X POST http://127.0.0.1:3000/partition
//! curl -X POST http://127.0.0.1:3000/heal
//! ```
//!
//! # How to read it
//!
//! The files in the order in which a message goes through them:
//!
//! | file | what it does |
//! |---|---|
//! | `options.rs` | the command line |
//! | `lib.rs` | all of the following, as a library, so that tests can put another backend under it |
//! | `server.rs` | the routes, and what each answers |
//! | `body.rs` | a request's body, whole and not too large |
//! | `room.rs` | which room names are valid |
//! | `message.rs` | what may be posted, and what travels in an envelope |
//! | `refusal.rs` | how a request is refused: a status and a sentence |
//! | `instance.rs` | one instance: its hub, its health, its own readers. **Start here** to see the crates at work |
//! | `readers.rs` | how many people read a room on this instance |
//! | `events.rs` | one open event stream: messages, gaps and status in one order |
//! | `page.rs` | the page, from `page.html`, `page.css`, `page.js` |
//! | `shutdown.rs` | Ctrl-C and SIGTERM |
//!
//! The service knows the bus through `Hub` and `Subscription` alone. Only [`run`] and the two
//! buttons know that it is the memory backend; a service over an engine has no such buttons, and
//! connects here instead of forking.

mod options;
mod shutdown;

use std::io::{self, ErrorKind, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use backend_memory::MemoryBackend;
use chat_service::{Instance, Peer, Service, router};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::options::Options;
use crate::shutdown::Signals;

/// How long open connections get to end by themselves after Ctrl-C.
///
/// Event streams end at once, because their subscriptions do. This is for the others: a client
/// that connected and never asked, or one that does not read what it is sent.
const GRACE: Duration = Duration::from_millis(500);

/// What the instances are called, in order.
const NAMES: [&str; options::MOST_INSTANCES] = [
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett",
    "kilo", "lima", "mike", "november", "oscar", "papa",
];

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse_or_exit();
    match run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the instances, waits for Ctrl-C, and ends them.
async fn run(options: &Options) -> io::Result<()> {
    // Before anything is announced, so that no signal finds the process unprepared.
    let mut signals = Signals::listen()?;

    // Every port is bound before anything is announced: all instances run, or none.
    let mut listeners = Vec::new();
    let mut peers = Vec::new();
    for (name, port) in NAMES.into_iter().zip(options.ports()) {
        let listener = bind(port).await?;
        peers.push(Peer { name, url: format!("http://{}", listener.local_addr()?) });
        listeners.push(listener);
    }
    let peers: Arc<[Peer]> = peers.into();

    // The first backend makes the bus; every fork of it is another instance on the same bus.
    let bus = MemoryBackend::builder().capacity(options.capacity).build();
    let instances: Vec<_> = peers
        .iter()
        .map(|peer| Arc::new(Instance::new(peer.name, bus.fork(), options.capacity)))
        .collect();

    let (stop, _) = watch::channel(());
    let mut servers = JoinSet::new();
    for (listener, instance) in listeners.into_iter().zip(&instances) {
        let service = Service::new(Arc::clone(instance), Arc::clone(&peers));
        let mut stopped = stop.subscribe();
        servers.spawn(
            axum::serve(listener, router(service))
                .with_graceful_shutdown(async move {
                    // Ends when `stop` is dropped.
                    while stopped.changed().await.is_ok() {}
                })
                .into_future(),
        );
    }
    // Nobody needs to read this: the service runs on when standard output is closed.
    let _ = announce(&mut io::stdout(), &peers);

    signals.recv().await;
    tokio::spawn(async move {
        signals.recv().await;
        std::process::exit(shutdown::INTERRUPTED);
    });

    // Closing a hub ends its subscriptions, and with them every event stream on its instance.
    for instance in &instances {
        if let Err(error) = instance.close().await {
            eprintln!("chat: closing instance {}: {error}", instance.name());
        }
    }
    drop(stop);
    let all_ended = async { while servers.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all_ended).await.is_err() {
        eprintln!("chat: some connections did not end by themselves and were cut");
    }
    Ok(())
}

async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| {
        let text = match error.kind() {
            ErrorKind::AddrInUse => format!(
                "port {port} is in use by another program\n\
                 choose others with --port N, or any free ones with --port 0"
            ),
            _ => format!(
                "cannot listen on port {port}: {error}\n\
                 choose others with --port N, or any free ones with --port 0"
            ),
        };
        io::Error::new(error.kind(), text)
    })
}

fn announce(out: &mut impl Write, peers: &[Peer]) -> io::Result<()> {
    for Peer { name, url } in peers {
        writeln!(out, "{name:<8} {url}")?;
    }
    writeln!(
        out,
        "\nOpen each in a browser window of its own and talk, or read along in a shell:"
    )?;
    if let Some(Peer { url, .. }) = peers.first() {
        writeln!(out, "  curl -N {url}/rooms/lobby/events")?;
    }
    writeln!(out, "Ctrl-C ends it.")?;
    out.flush()
}
