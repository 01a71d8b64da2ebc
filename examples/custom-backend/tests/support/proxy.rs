//! A wire that can be cut: a TCP proxy between one instance and its relay.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

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
    pub address: SocketAddr,
    state: watch::Sender<State>,
    _stop: DropGuard,
}

/// From one change of the wire to the next.
#[derive(Clone, Debug)]
struct State {
    wire: Wire,
    /// Those that end by the next change. Those after it are not among them: a client may be there
    /// again at once.
    connections: TaskTracker,
}

impl Proxy {
    pub async fn to(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let whole = State { wire: Wire::Whole, connections: TaskTracker::new() };
        let (state, stop) = (watch::Sender::new(whole), CancellationToken::new());
        let accept = accept(listener, target, state.clone(), stop.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept));
        Ok(Self { address, state, _stop: stop.drop_guard() })
    }

    /// Changes the wire. All connections so far end by a change, unless the wire falls silent: when
    /// this returns, nothing comes through them any more.
    pub async fn set(&self, wire: Wire) {
        let mut ending = None;
        self.state.send_if_modified(|state| {
            let changes = state.wire != wire;
            state.wire = wire;
            if changes && wire != Wire::Silent {
                ending = Some(std::mem::take(&mut state.connections));
            }
            changes
        });
        if let Some(ending) = ending {
            ending.close();
            ending.wait().await;
        }
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    state: watch::Sender<State>,
    stop: CancellationToken,
) {
    while let Ok((socket, _)) = listener.accept().await {
        let mut changes = state.subscribe();
        // With the state locked: a change that this connection does not know of waits for it.
        let (wire, token) = {
            let state = changes.borrow_and_update();
            (state.wire, state.connections.token())
        };
        let connection = connection(socket, target, wire, changes);
        let connection = stop.clone().run_until_cancelled_owned(connection);
        tokio::spawn(async move {
            let _token = token;
            connection.await;
        });
    }
}

async fn connection(
    mut near: TcpStream,
    target: SocketAddr,
    mut wire: Wire,
    mut changes: watch::Receiver<State>,
) {
    let mut carry = pin!(async {
        let mut far = TcpStream::connect(target).await?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        copy_bidirectional(&mut near, &mut far).await
    });
    if wire == Wire::Whole {
        tokio::select! {
            _ = &mut carry => return,
            changed = changes.changed() => {
                wire = changed.map_or(Wire::Cut, |()| changes.borrow_and_update().wire);
            }
        }
    }
    // Silent: both sockets stay open, and nobody reads them.
    if wire == Wire::Silent {
        let _ = changes.changed().await;
    }
}
