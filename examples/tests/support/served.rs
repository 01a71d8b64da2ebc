//! One instance of the chat in this process, over a backend of the test's choice.

use std::net::Ipv4Addr;
use std::sync::Arc;

use backend_core::Backend;
use chat_service::{Instance, Peer, Service, router};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A running instance; ended when dropped.
#[derive(Debug)]
pub(crate) struct Served {
    url: String,
    server: JoinHandle<()>,
}

impl Served {
    /// Starts it on a free port.
    pub(crate) async fn over(name: &str, backend: impl Backend + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let instance = Arc::new(Instance::over(name, Arc::new(backend), 64));
        let service =
            Service::new(instance, Arc::new([Peer { name: name.to_owned(), url: url.clone() }]));
        let server = tokio::spawn(async move {
            axum::serve(listener, router(service)).await.expect("it serves until it is ended");
        });
        Self { url, server }
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}
