//! TCP listeners: one per core on the same address, the kernel spreads the connections.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// What every accepted connection gets.
#[derive(Clone, Debug)]
pub struct TcpOptions {
    /// Length of the accept queue.
    pub backlog: u32,
    /// Send small writes at once (TCP_NODELAY).
    pub nodelay: bool,
    /// Idle time before keep-alive probes; zero turns them off.
    pub keepalive_idle: Duration,
    /// Time between probes.
    pub keepalive_interval: Duration,
    /// Unanswered probes after which the connection is given up.
    pub keepalive_count: u32,
    /// How long sent data may stay unacknowledged (TCP_USER_TIMEOUT); zero is the kernel's default.
    pub user_timeout: Duration,
    /// SO_SNDBUF; 0 leaves it to the kernel.
    pub send_buffer_bytes: usize,
    /// SO_RCVBUF; 0 leaves it to the kernel.
    pub receive_buffer_bytes: usize,
}

impl TcpOptions {
    /// The options of the configuration.
    pub fn from_config(tcp: &corelay_config::Tcp) -> Self {
        Self {
            backlog: tcp.backlog,
            nodelay: tcp.nodelay,
            keepalive_idle: Duration::from_secs(tcp.keepalive_idle_s),
            keepalive_interval: Duration::from_secs(tcp.keepalive_interval_s),
            keepalive_count: tcp.keepalive_count,
            user_timeout: Duration::from_millis(tcp.user_timeout_ms),
            send_buffer_bytes: tcp.send_buffer_bytes,
            receive_buffer_bytes: tcp.receive_buffer_bytes,
        }
    }
}

/// The listening sockets of one address, one for each core that serves it.
#[derive(Debug)]
pub struct Bound {
    /// The address, with the port that the kernel chose where 0 was asked for.
    pub address: SocketAddr,
    /// One socket per core, in the order asked for.
    pub sockets: Vec<OwnedFd>,
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody listens there already, perhaps another instance of ourselves.
    #[error(
        "cannot listen on {0}: another process listens there already; stop it or choose another port"
    )]
    InUse(SocketAddr),
    /// Privileged port without the capability.
    #[error(
        "cannot listen on {0}: permission denied; ports below 1024 need CAP_NET_BIND_SERVICE or root"
    )]
    Denied(SocketAddr),
    /// The address is not one of this machine's.
    #[error("cannot listen on {0}: this machine has no such address")]
    NoSuchAddress(SocketAddr),
    /// The kernel has no such kind of address.
    #[error("cannot listen on {0}: this machine has no IPv6")]
    NoFamily(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {0}: {1}")]
    Other(SocketAddr, io::Error),
}

/// Opens `count` listening sockets on `address`.
///
/// # Errors
/// See [`ListenError`]. A second instance is refused although SO_REUSEPORT would let it in.
pub fn bind(address: SocketAddr, count: usize, tcp: &TcpOptions) -> Result<Bound, ListenError> {
    let blame = |address| move |error: io::Error| ListenError::from_io(address, error);
    // A socket without SO_REUSEPORT cannot be bound where one with it listens: this is the probe for
    // another instance, and it chooses the port where the kernel is asked to.
    let probe = open(address, false).map_err(blame(address))?;
    probe.bind(&address.into()).map_err(blame(address))?;
    let chosen = probe.local_addr().map_err(blame(address))?;
    let address = chosen.as_socket().expect("bound to an internet address");
    drop(probe);
    let sockets = (0..count)
        .map(|_| {
            let socket = open(address, true)?;
            socket.bind(&address.into())?;
            if tcp.receive_buffer_bytes > 0 {
                // Inherited by accepted sockets, and must be set before the window is negotiated.
                socket.set_recv_buffer_size(tcp.receive_buffer_bytes)?;
            }
            socket.listen(i32::try_from(tcp.backlog).unwrap_or(i32::MAX))?;
            Ok(OwnedFd::from(socket))
        })
        .collect::<io::Result<Vec<_>>>()
        .map_err(blame(address))?;
    Ok(Bound { address, sockets })
}

/// Takes the next connection off a listener's queue; `None` when it is empty.
///
/// # Errors
/// The accept failed: out of descriptors or memory, or a peer that is gone already.
pub fn accept(listener: &OwnedFd, tcp: &TcpOptions) -> io::Result<Option<(OwnedFd, SocketAddr)>> {
    // socket2's accept sets close-on-exec in the same call; non-blocking needs one more.
    let (socket, peer) = match SockRef::from(listener).accept() {
        Ok(accepted) => accepted,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        Err(error) => return Err(error),
    };
    socket.set_nonblocking(true)?;
    configure(&socket, tcp);
    let peer = peer.as_socket().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    Ok(Some((OwnedFd::from(socket), peer)))
}

/// Applies the options; a connection that is gone already fails here and is noticed on its first read.
pub(super) fn configure(socket: &Socket, tcp: &TcpOptions) {
    let _ = socket.set_tcp_nodelay(tcp.nodelay);
    if !tcp.keepalive_idle.is_zero() {
        let keepalive = TcpKeepalive::new()
            .with_time(tcp.keepalive_idle)
            .with_interval(tcp.keepalive_interval)
            .with_retries(tcp.keepalive_count);
        let _ = socket.set_tcp_keepalive(&keepalive);
    }
    if !tcp.user_timeout.is_zero() {
        let _ = socket.set_tcp_user_timeout(Some(tcp.user_timeout));
    }
    if tcp.send_buffer_bytes > 0 {
        let _ = socket.set_send_buffer_size(tcp.send_buffer_bytes);
    }
}

fn open(address: SocketAddr, reuse_port: bool) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        // IPv4 has listeners of its own.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

impl ListenError {
    /// Sorts the kernel's answer.
    pub(crate) fn from_io(address: SocketAddr, error: io::Error) -> Self {
        if error.raw_os_error() == Some(libc::EAFNOSUPPORT) {
            return Self::NoFamily(address);
        }
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address),
            io::ErrorKind::PermissionDenied => Self::Denied(address),
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress(address),
            _ => Self::Other(address, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> TcpOptions {
        TcpOptions {
            backlog: 16,
            nodelay: true,
            keepalive_idle: Duration::from_secs(60),
            keepalive_interval: Duration::from_secs(10),
            keepalive_count: 3,
            user_timeout: Duration::from_secs(10),
            send_buffer_bytes: 0,
            receive_buffer_bytes: 0,
        }
    }

    #[test]
    fn several_cores_listen_on_one_port_and_another_instance_is_refused() {
        let bound = bind("127.0.0.1:0".parse().unwrap(), 3, &options()).unwrap();
        assert_eq!(bound.sockets.len(), 3);
        assert_ne!(bound.address.port(), 0);
        let error = bind(bound.address, 3, &options()).unwrap_err();
        assert!(matches!(error, ListenError::InUse(_)), "{error}");
        drop(bound.sockets);
        bind(bound.address, 1, &options()).unwrap();
    }

    #[test]
    fn accepting_drains_the_queue_and_then_says_so() {
        let bound = bind("127.0.0.1:0".parse().unwrap(), 1, &options()).unwrap();
        let client = std::net::TcpStream::connect(bound.address).unwrap();
        let (_, peer) = accept(&bound.sockets[0], &options()).unwrap().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert!(accept(&bound.sockets[0], &options()).unwrap().is_none());
    }

    #[test]
    fn a_foreign_address_is_named_as_such() {
        let error = bind("192.0.2.1:0".parse().unwrap(), 1, &options()).unwrap_err();
        assert!(matches!(error, ListenError::NoSuchAddress(_)), "{error}");
    }
}
