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
    state: watch::Sender<State>,
    _stop: DropGuard,
}

/// From one change of the wire to the next.
#[derive(Clone, Debug)]
struct State {
    wire: Wire,
    /// The connections that end by the next change. Those after a change are not among them: a
    /// client may be there again at once.
    connections: TaskTracker,
    /// Those of them that carry something.
    carrying: TaskTracker,
}

impl State {
    fn new(wire: Wire) -> Self {
        Self { wire, connections: TaskTracker::new(), carrying: TaskTracker::new() }
    }
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
        let state = watch::Sender::new(State::new(Wire::Whole));
        let stop = CancellationToken::new();
        let accept = accept(listener, (target, delay), state.clone(), stop.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept));
        Ok(Self { address, state, _stop: stop.drop_guard() })
    }

    /// Changes the wire. All connections so far end by a change, unless the wire falls silent. When
    /// this returns, nothing comes through them any more.
    pub async fn set(&self, wire: Wire) {
        let mut ending = None;
        self.state.send_if_modified(|state| {
            if state.wire == wire {
                return false;
            }
            let before = std::mem::replace(state, State::new(wire));
            ending = Some(if wire == Wire::Silent {
                // They stay until the next change.
                state.connections = before.connections;
                before.carrying
            } else {
                before.connections
            });
            true
        });
        if let Some(ending) = ending {
            ending.close();
            ending.wait().await;
        }
    }
}

async fn accept(
    listener: TcpListener,
    to: (SocketAddr, Duration),
    state: watch::Sender<State>,
    stop: CancellationToken,
) {
    while let Ok((socket, _)) = listener.accept().await {
        let mut changes = state.subscribe();
        // With the state locked: a change that this connection does not know of waits for it.
        let (wire, token, carries) = {
            let state = changes.borrow_and_update();
            (state.wire, state.connections.token(), state.carrying.token())
        };
        let connection = connection(socket, to, (wire, changes), carries);
        let connection = stop.clone().run_until_cancelled_owned(connection);
        tokio::spawn(async move {
            let _token = token;
            connection.await;
        });
    }
}

async fn connection(
    mut near: TcpStream,
    (target, delay): (SocketAddr, Duration),
    (mut wire, mut changes): (Wire, watch::Receiver<State>),
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
    if wire == Wire::Whole {
        tokio::select! {
            _ = &mut carry => return,
            changed = changes.changed() => {
                wire = changed.map_or(Wire::Cut, |()| changes.borrow_and_update().wire);
            }
        }
    }
    drop(carries);
    // Silent: both sockets stay open, and nobody reads them.
    if wire == Wire::Silent {
        let _ = changes.changed().await;
    }
}
