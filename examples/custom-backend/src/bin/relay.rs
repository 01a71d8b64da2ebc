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
    // Before the address is out: whoever reads that may ask to stop at once.
    let asked_to_stop = asked_to_stop()?;
    let stop = CancellationToken::new();
    if arguments.end_with_stdin {
        let stop = stop.clone();
        // A thread of its own, which need not be joined: nothing can interrupt its read.
        std::thread::spawn(move || {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            stop.cancel();
        });
    }
    println!("{}", listener.local_addr()?);

    let serving = tokio::spawn(relay::serve(listener, stop.clone()));
    stop.run_until_cancelled(asked_to_stop).await;
    stop.cancel();
    serving.await?
}

/// What becomes ready at Ctrl-C, and at what a process manager sends.
#[cfg(unix)]
fn asked_to_stop() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// What becomes ready at Ctrl-C.
#[cfg(not(unix))]
fn asked_to_stop() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move { drop(interrupt.recv().await) })
}
