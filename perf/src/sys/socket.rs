//! TCP connections of players and publishers: non-blocking, read in three ways.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::clock;

/// Begins to connect. The socket becomes writable when the connection is made or has failed.
///
/// # Errors
/// Out of descriptors or ports, or refused at once.
pub fn connect(address: SocketAddr, receive_buffer_bytes: Option<usize>) -> io::Result<OwnedFd> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if let Some(bytes) = receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}

/// Why the connection attempt of a socket failed, if it did.
pub fn take_error(fd: BorrowedFd<'_>) -> Option<io::Error> {
    SockRef::from(&fd).take_error().unwrap_or_else(Some)
}

/// Has the kernel stamp what arrives, for [`read_stamped`].
///
/// # Errors
/// The descriptor is no socket.
pub fn stamp_arrivals(fd: RawFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is a live int of the length given.
    let done = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Throws away what has arrived, up to `bytes_max` (at most 1 GiB), and returns how much that was.
/// 0 is the end.
///
/// # Errors
/// `WouldBlock` when nothing is there; anything else ends the connection.
///
/// # Cost
/// The kernel frees its buffers and copies nothing (`MSG_TRUNC`, tcp(7)).
pub fn discard(fd: RawFd, bytes_max: usize) -> io::Result<usize> {
    let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    // SAFETY: with MSG_TRUNC a TCP socket writes nothing to the buffer, so it may be null.
    let taken =
        unsafe { libc::recv(fd, std::ptr::null_mut(), bytes_max.min(DISCARD_BYTES_MAX), flags) };
    outcome(taken)
}

/// Reads into `buffer` and says when that came in, in [`clock::now_us`] time: by the kernel's stamp
/// on the last segment read, so that a busy reader does not count as a late sender; without a stamp
/// by the clock.
///
/// # Errors
/// As [`discard`].
pub fn read_stamped(fd: RawFd, buffer: &mut [u8]) -> io::Result<(usize, u64)> {
    let mut slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = MaybeUninit::<[u64; CONTROL_WORDS]>::uninit();
    // SAFETY: an all-zero msghdr is valid: no address, no control data, no slices.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut slice;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = CONTROL_WORDS * 8;
    // SAFETY: the header points at live buffers with their lengths.
    let taken = unsafe { libc::recvmsg(fd, &mut message, libc::MSG_DONTWAIT) };
    let bytes = outcome(taken)?;
    let arrived_us = arrival_ns(&message).and_then(|realtime_ns| {
        let realtime_us = i64::try_from(realtime_ns / 1_000).ok()?;
        u64::try_from(realtime_us - clock::realtime_minus_monotonic_us()).ok()
    });
    Ok((bytes, arrived_us.unwrap_or_else(clock::now_us)))
}

/// The kernel's stamp among the control data that `recvmsg` left in `message`, in nanoseconds of
/// `CLOCK_REALTIME`.
pub(super) fn arrival_ns(message: &libc::msghdr) -> Option<u64> {
    // SAFETY: recvmsg has set the control length to what it wrote, and the buffer still lives; the
    // macros stay within it.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !control.is_null() {
        // SAFETY: not null, so a whole header within the control data.
        let header = unsafe { &*control };
        if header.cmsg_level == libc::SOL_SOCKET && header.cmsg_type == libc::SCM_TIMESTAMPNS {
            // SAFETY: a control message of this type carries a timespec; its place is not aligned
            // for certain.
            let time: libc::timespec =
                unsafe { libc::CMSG_DATA(control).cast::<libc::timespec>().read_unaligned() };
            return u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).ok();
        }
        // SAFETY: as above.
        control = unsafe { libc::CMSG_NXTHDR(message, control) };
    }
    None
}

/// Reads into `buffer`. 0 is the end.
///
/// # Errors
/// As [`discard`].
pub fn read(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is live and writable for the length given.
    outcome(unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT) })
}

/// Sends a first part of `bytes` and returns how much that was.
///
/// # Errors
/// As [`discard`].
pub fn send(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the bytes are live and only read.
    outcome(unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) })
}

/// A descriptor for a call of this module.
pub fn raw(fd: &OwnedFd) -> RawFd {
    fd.as_raw_fd()
}

fn outcome(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// More than any socket buffer holds, and less than one call may ask for.
const DISCARD_BYTES_MAX: usize = 1 << 30;

/// Room for a few control messages, aligned as they must be.
const CONTROL_WORDS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    fn pair() -> (TcpStream, OwnedFd) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fd = connect(listener.local_addr().unwrap(), None).unwrap();
        (listener.accept().unwrap().0, fd)
    }

    #[test]
    fn discarded_bytes_are_counted_and_gone() {
        let (mut peer, fd) = pair();
        assert!(take_error(std::os::fd::AsFd::as_fd(&fd)).is_none());
        peer.write_all(&[7; 1000]).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(discard(raw(&fd), 400).unwrap(), 400);
        assert_eq!(discard(raw(&fd), usize::MAX).unwrap(), 600);
        let error = discard(raw(&fd), usize::MAX).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(peer);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(discard(raw(&fd), usize::MAX).unwrap(), 0);
    }

    #[test]
    fn the_arrival_is_when_the_bytes_came_and_not_when_they_are_read() {
        let (mut peer, fd) = pair();
        stamp_arrivals(raw(&fd)).unwrap();
        // The kernel begins to stamp a moment after the first socket asks for it.
        std::thread::sleep(Duration::from_millis(50));
        let sent_us = clock::now_us();
        peer.write_all(b"hello").unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let mut buffer = [0; 16];
        let (bytes, arrived_us) = read_stamped(raw(&fd), &mut buffer).unwrap();
        assert_eq!(&buffer[..bytes], b"hello");
        let took_us = arrived_us.saturating_sub(sent_us);
        assert!(took_us < 50_000, "stamped {took_us} us after it was sent");
    }
}
