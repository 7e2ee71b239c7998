//! A way to a server that can be cut: a TCP proxy on loopback.
//!
//! Knows nothing of what it carries, so that TLS and plain HTTP break alike.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

pub(super) struct Proxy {
    address: SocketAddr,
    target: SocketAddr,
    /// A task for each connection.
    carrying: Arc<Mutex<JoinSet<()>>>,
    /// Takes connections; nobody does while the way is down.
    accepting: Option<JoinHandle<()>>,
}

impl Proxy {
    pub(super) async fn start(target: SocketAddr) -> Self {
        let listener = listen().await;
        let mut proxy = Self {
            address: listener.local_addr().unwrap(),
            target,
            carrying: Arc::default(),
            accepting: None,
        };
        proxy.accept(listener);
        proxy
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks all connections; they are closed when it returns.
    pub(super) async fn cut(&self) {
        let mut carrying = std::mem::take(&mut *self.carrying.lock().unwrap());
        carrying.shutdown().await;
    }

    /// Breaks all connections and refuses others.
    pub(super) async fn down(&mut self) {
        if let Some(task) = self.accepting.take() {
            task.abort();
            // The listener is closed once the task is gone.
            let _ = task.await;
        }
        self.cut().await;
    }

    /// Takes connections again, where it did before.
    pub(super) async fn up(&mut self) {
        if self.accepting.is_none() {
            let listener = TcpListener::bind(self.address).await.unwrap();
            self.accept(listener);
        }
    }

    fn accept(&mut self, listener: TcpListener) {
        let (target, carrying) = (self.target, Arc::clone(&self.carrying));
        self.accepting = Some(tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                carrying.lock().unwrap().spawn(carry(socket, target));
            }
        }));
    }
}

async fn carry(mut socket: TcpStream, target: SocketAddr) {
    if let Ok(mut server) = TcpStream::connect(target).await {
        // Whichever side ends it: both are told by the sockets that go.
        let _ = copy_bidirectional(&mut socket, &mut server).await;
    }
}

/// Binds a port that the kernel gives to no outgoing connection, so that it is free after an outage.
async fn listen() -> TcpListener {
    let first = 20_000 + u16::try_from(std::process::id() % 5000).unwrap();
    for port in first..30_000 {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return listener;
        }
    }
    panic!("no free port");
}
