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
//! Over an engine, instances are processes, on one machine or many. Start a NATS server (or a Redis
//! server, and say `redis://127.0.0.1`), and then two of these:
//!
//! ```text
//! cargo run --bin chat -- --instances 1 --port 3000 --backend nats://127.0.0.1
//! cargo run --bin chat -- --instances 1 --port 3001 --backend nats://127.0.0.1
//! ```
//!
//! There are no buttons then. Kill the server, and start it again: the pages show the outage, the gap
//! and the return. `docs/more-than-one-machine.md` says what it takes to run such a thing for real.
//!
//! It works from a shell as well (`-d` posts what you type, `-N` shows events as they come):
//!
//! ```text
//! curl -N http://127.0.0.1:3000/rooms/lobby/events
//! curl -d 'hello from a shell' 'http://127.0.0.1:3001/rooms/lobby/messages?name=Ada'
//! curl -H 'content-type: application/json' -d '{"name":"Ada","text":"hello"}' http://127.0.0.1:3001/rooms/lobby/messages
//! curl http://127.0.0.1:3000/health
//! curl http://127.0.0.1:3000/metrics
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
//! | `bus.rs` | which backend it is: the one place that knows NATS, Redis and memory |
//! | `lib.rs` | all of the following, as a library, so that tests can put another backend under it |
//! | `server.rs` | the routes, and what each answers |
//! | `body.rs` | a request's body, whole and not too large |
//! | `room.rs` | which room names are valid |
//! | `message.rs` | what may be posted, and what travels in an envelope |
//! | `refusal.rs` | how a request is refused: a status and a sentence |
//! | `instance.rs` | one instance: its hub, its health, its own readers. **Start here** to see the crates at work |
//! | `readers.rs` | how many people read a room on this instance |
//! | `events.rs` | one open event stream: messages, gaps and status in one order |
//! | `metrics.rs` | the counters of an instance, for Prometheus |
//! | `page.rs` | the page, from `page.html`, `page.css`, `page.js` |
//! | `shutdown.rs` | Ctrl-C and SIGTERM |
//!
//! The service knows the bus through `Hub` and `Subscription` alone, and the backend as
//! `Arc<dyn Backend>`. Only `bus.rs` knows which one it is; and the two buttons, which are for the
//! memory backend.

mod bus;
mod options;
mod shutdown;

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chat_service::{Instance, Peer, Service, router};
use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing_subscriber::EnvFilter;

use crate::options::Options;
use crate::shutdown::Signals;

/// How long open connections get to end by themselves after Ctrl-C.
///
/// Event streams end at once, because their subscriptions do. This is for the others: a client
/// that connected and never asked, or one that does not read what it is sent.
const GRACE: Duration = Duration::from_millis(500);

/// How long the instances get to leave the bus: an engine that answers no more must not keep them.
const FAREWELL: Duration = Duration::from_secs(2);

/// What is told on standard error unless `RUST_LOG` says otherwise: connections that are lost and
/// come back, what was refused, and whatever else went wrong. Not what the client of NATS says: it
/// gives up a connection, and the adapter makes another.
const TOLD: &str = "warn,backend_engine=info,backend_nats=info,backend_redis=info,async_nats=off";

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse_or_exit();
    tell_on_stderr();
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
    let mut addresses = Vec::new();
    for port in options.ports() {
        let listener = bind(options.listen, port).await?;
        addresses.push(listener.local_addr()?);
        listeners.push(listener);
    }
    let ports: Vec<_> = addresses.iter().map(SocketAddr::port).collect();
    let names = options.names(&ports);
    let peers = names.iter().zip(addresses);
    let peers: Arc<[Peer]> =
        peers.map(|(name, at)| Peer { name: name.clone(), url: url(at) }).collect();

    let connecting = bus::connect(&options.backend, options.engine(), &names, options.capacity);
    let instances = tokio::select! {
        instances = connecting => instances.map_err(io::Error::other)?,
        () = signals.recv() => return Ok(()),
    };

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
    let _ = announce(&mut io::stdout(), &peers, options.is_over_an_engine());

    signals.recv().await;
    tokio::spawn(async move {
        signals.recv().await;
        std::process::exit(shutdown::INTERRUPTED);
    });

    // Closing a hub ends its subscriptions, and with them every event stream on its instance.
    join_all(instances.iter().map(|instance| leave(instance))).await;
    drop(stop);
    let all_ended = async { while servers.join_next().await.is_some() {} };
    if timeout(GRACE, all_ended).await.is_err() {
        eprintln!("chat: some connections did not end by themselves and were cut");
    }
    Ok(())
}

async fn leave(instance: &Instance) {
    match timeout(FAREWELL, instance.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => eprintln!("chat: closing instance {}: {error}", instance.name()),
        Err(_) => eprintln!("chat: instance {} has left without an answer", instance.name()),
    }
}

/// Shows what the adapters tell, in a line each.
fn tell_on_stderr() {
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let filter = if asked.is_empty() { TOLD } else { &asked };
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|error| {
        eprintln!("chat: {} is not as it should be: {error}", EnvFilter::DEFAULT_ENV);
        EnvFilter::new(TOLD)
    });
    tracing_subscriber::fmt()
        .compact()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}

async fn bind(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((address, port)).await.map_err(|error| {
        let text = match error.kind() {
            ErrorKind::AddrInUse => format!(
                "port {port} is in use by another program\n\
                 choose others with --port N, or any free ones with --port 0"
            ),
            ErrorKind::AddrNotAvailable => format!(
                "{address} is no address of this machine\n\
                 choose one that is with --listen ADDRESS; 0.0.0.0 is all of them"
            ),
            _ => format!(
                "cannot listen on port {port}: {error}\n\
                 choose others with --port N, or any free ones with --port 0"
            ),
        };
        io::Error::new(error.kind(), text)
    })
}

/// Where a browser on this machine finds what listens at an address.
fn url(at: SocketAddr) -> String {
    if at.ip().is_unspecified() {
        return format!("http://localhost:{}", at.port());
    }
    format!("http://{at}")
}

fn announce(out: &mut impl Write, peers: &[Peer], over_an_engine: bool) -> io::Result<()> {
    for Peer { name, url } in peers {
        writeln!(out, "{name:<9} {url}")?;
    }
    writeln!(
        out,
        "\nOpen each in a browser window of its own and talk, or read along and write in a shell:"
    )?;
    if let (Some(here), Some(there)) = (peers.first(), peers.last()) {
        writeln!(out, "  curl -N {}/rooms/lobby/events", here.url)?;
        writeln!(
            out,
            "  curl -d 'hello from a shell' '{}/rooms/lobby/messages?name=Ada'",
            there.url
        )?;
    }
    if over_an_engine {
        writeln!(
            out,
            "Others that are started with the same --backend, and another --port, hear it."
        )?;
    }
    writeln!(out, "Ctrl-C ends it.")?;
    out.flush()
}
