//! The relay, as a process of its own.

use std::io;
use std::net::SocketAddr;

use clap::Parser;
use custom_backend::relay;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Passes on what one instance of a service publishes to all the others.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// Where to listen; port 0 takes any that is free. The address is printed.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,

    /// End when standard input does, and so with the process that holds its other end.
    #[arg(long)]
    end_with_stdin: bool,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(arguments.listen).await?;
    println!("{}", listener.local_addr()?);

    let stop = CancellationToken::new();
    let serving = tokio::spawn(relay::serve(listener, stop.clone()));
    if arguments.end_with_stdin {
        let stop = stop.clone();
        // A thread of its own, which need not be joined: no signal can interrupt its read.
        std::thread::spawn(move || {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            stop.cancel();
        });
    }
    tokio::select! {
        stopped = stopped() => stopped?,
        () = stop.cancelled() => {}
    }
    stop.cancel();
    serving.await?
}

/// Waits for Ctrl-C, or for what a process manager sends.
async fn stopped() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
