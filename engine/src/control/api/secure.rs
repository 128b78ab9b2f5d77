//! The admin API by HTTPS.
//!
//! Invariants
//! - A peer that does not shake hands holds up nobody else, and is sent away.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::net::tls::Entrance;

/// A listener whose connections have shaken hands.
pub(super) struct SecureListener {
    listener: TcpListener,
    entrance: Entrance,
    handshakes: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl SecureListener {
    pub(super) fn new(listener: TcpListener, entrance: Entrance) -> Self {
        Self { listener, entrance, handshakes: JoinSet::new() }
    }

    fn begin(&mut self, socket: TcpStream, peer: SocketAddr) {
        let handshake = TlsAcceptor::from(self.entrance.config()).accept(socket);
        self.handshakes.spawn(async move {
            match tokio::time::timeout(HANDSHAKE, handshake).await {
                Ok(Ok(stream)) => return Some((stream, peer)),
                Ok(Err(error)) => tracing::warn!("admin API: no TLS with {peer}: {error}"),
                Err(_) => tracing::warn!("admin API: no TLS with {peer} in {HANDSHAKE:?}"),
            }
            None
        });
    }
}

impl Listener for SecureListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let has_room = self.handshakes.len() < HANDSHAKES_MAX;
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(accepted)) = done {
                        return accepted;
                    }
                }
                (socket, peer) = Listener::accept(&mut self.listener), if has_room => {
                    self.begin(socket, peer);
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// How long a peer may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes under way; others wait in the listener's queue.
const HANDSHAKES_MAX: usize = 64;
