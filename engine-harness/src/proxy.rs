//! A wire that can be cut: a TCP proxy between one client and a server.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::delay;

/// What the wire does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// It carries everything, both ways.
    Whole,
    /// Connections break, and new ones are refused.
    Cut,
    /// Connections stay, and nothing comes through: what a pulled plug looks like from afar.
    Silent,
}

/// A proxy to one address; it ends, with its connections, when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where clients connect.
    pub address: SocketAddr,
    wire: watch::Sender<Wire>,
    connections: TaskTracker,
    /// Those of them that carry something.
    carrying: TaskTracker,
    _stop: DropGuard,
}

impl Proxy {
    /// A proxy on a port of its own. Every connection to it becomes one to `target`.
    ///
    /// # Errors
    /// No port could be opened.
    pub async fn to(target: SocketAddr) -> io::Result<Self> {
        Self::with_delay(target, Duration::ZERO).await
    }

    /// The same, and whatever it carries arrives so much later, in each direction and in order.
    ///
    /// # Errors
    /// No port could be opened.
    pub async fn with_delay(target: SocketAddr, delay: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let wire = watch::Sender::new(Wire::Whole);
        let (connections, carrying) = (TaskTracker::new(), TaskTracker::new());
        let stop = CancellationToken::new();
        let accept = accept(
            listener,
            (target, delay),
            wire.clone(),
            connections.clone(),
            carrying.clone(),
            stop.clone(),
        );
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept));
        Ok(Self { address, wire, connections, carrying, _stop: stop.drop_guard() })
    }

    /// Changes the wire. All connections so far end by a change, unless the wire falls silent. When
    /// this returns, nothing comes through them any more.
    pub async fn set(&self, wire: Wire) {
        let changed = self.wire.send_if_modified(|now| std::mem::replace(now, wire) != wire);
        if changed {
            let ending = if wire == Wire::Silent { &self.carrying } else { &self.connections };
            ending.close();
            ending.wait().await;
            ending.reopen();
        }
    }
}

async fn accept(
    listener: TcpListener,
    (target, delay): (SocketAddr, Duration),
    wire: watch::Sender<Wire>,
    connections: TaskTracker,
    carrying: TaskTracker,
    stop: CancellationToken,
) {
    while let Ok((socket, _)) = listener.accept().await {
        // In this order: a change that this connection does not know of waits for it.
        let carries = carrying.token();
        let connection = connection(socket, (target, delay), wire.subscribe(), carries);
        connections.spawn(stop.clone().run_until_cancelled_owned(connection));
    }
}

async fn connection(
    mut near: TcpStream,
    (target, delay): (SocketAddr, Duration),
    mut wire: watch::Receiver<Wire>,
    carries: TaskTrackerToken,
) {
    let mut carry = pin!(async {
        let mut far = TcpStream::connect(target).await?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        if delay.is_zero() {
            return copy_bidirectional(&mut near, &mut far).await.map(|_| ());
        }
        delay::carry(&mut near, &mut far, delay).await
    });
    let mut now = *wire.borrow_and_update();
    if now == Wire::Whole {
        tokio::select! {
            _ = &mut carry => return,
            changed = wire.changed() => {
                now = changed.map_or(Wire::Cut, |()| *wire.borrow_and_update());
            }
        }
    }
    drop(carries);
    // Silent: both sockets stay open, and nobody reads them.
    if now == Wire::Silent {
        let _ = wire.changed().await;
    }
}
