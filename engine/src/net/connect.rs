//! Connections that we open: begun without waiting, finished when the socket has room.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::listener::{TcpOptions, configure};

/// Begins to connect. The socket is ready for output once the attempt is over, one way or the other:
/// [`finish_connect`] tells which. Until then a send would block.
///
/// # Errors
/// It fails at once: no descriptors, no route, no such address family.
pub fn connect(address: SocketAddr, tcp: &TcpOptions) -> io::Result<OwnedFd> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    if tcp.receive_buffer_bytes > 0 {
        // Must be set before the window is negotiated.
        socket.set_recv_buffer_size(tcp.receive_buffer_bytes)?;
    }
    configure(&socket, tcp);
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}

/// Finishes an attempt to connect, once the socket is ready for output.
///
/// # Errors
/// Why there is no connection.
pub fn finish_connect(fd: RawFd) -> io::Result<()> {
    // SAFETY: the descriptor is the caller's connection and stays open during this call; a stale one
    // only yields an error.
    let socket = unsafe { BorrowedFd::borrow_raw(fd) };
    let socket = SockRef::from(&socket);
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    let peer = socket.peer_addr()?;
    // Where nobody listens on a port of the range that the kernel takes ours from, an attempt meets
    // itself in the end (RFC 9293 3.5, simultaneous open), and retries go on for ever.
    if socket.local_addr()?.as_socket() == peer.as_socket() {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Shutdown, TcpListener};
    use std::os::fd::AsRawFd;
    use std::time::{Duration, Instant};

    use crate::net;
    use crate::rt::{Poller, Ready, Watch};

    fn options() -> TcpOptions {
        TcpOptions::from_config(&corelay_config::Config::shipped().tcp)
    }

    /// Waits until the attempt is over.
    fn await_room(socket: &OwnedFd) -> Ready {
        let mut poller = Poller::new().unwrap();
        poller.registry().add(socket.as_raw_fd(), 1, Watch::Connection).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            poller.wait(Duration::from_millis(100));
            if let Some(ready) = poller.ready().find(|ready| ready.room) {
                return ready;
            }
            assert!(Instant::now() < deadline, "the attempt is not over");
        }
    }

    #[test]
    fn a_connection_is_there_once_the_socket_has_room() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = connect(listener.local_addr().unwrap(), &options()).unwrap();
        let ready = await_room(&socket);
        assert!(!ready.ended);
        finish_connect(socket.as_raw_fd()).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        let socket = SockRef::from(&socket);
        assert!(socket.nonblocking().unwrap() && socket.tcp_nodelay().unwrap());
        theirs.shutdown(Shutdown::Both).unwrap();
    }

    #[test]
    fn a_refusal_is_told_as_such() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let socket = connect(address, &options()).unwrap();
        assert!(await_room(&socket).ended);
        let error = finish_connect(socket.as_raw_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_send_before_the_connection_is_there_would_block() {
        // A network without anybody: the attempt stays under way, or fails at once without a route.
        let Ok(socket) = connect("192.0.2.1:9".parse().unwrap(), &options()) else { return };
        let sent = net::send(socket.as_raw_fd(), &[io::IoSlice::new(b"x")]);
        let kind = sent.unwrap_err().kind();
        let unreachable = [io::ErrorKind::NetworkUnreachable, io::ErrorKind::HostUnreachable];
        assert!(kind == io::ErrorKind::WouldBlock || unreachable.contains(&kind), "{kind:?}");
    }

    #[test]
    fn a_connection_to_itself_is_none() {
        // What an unlucky choice of port makes of a retry: bound and connected to the same address.
        let probe = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = probe.local_addr().unwrap();
        drop(probe);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.connect(&address.into()).unwrap();
        let error = finish_connect(socket.as_raw_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
