//! What is done with a connection's bytes: one receive, one gathered send, the end of our side.
//!
//! Both go to the kernel by syscall(2): `recv` and `sendmsg` of the library are points where a thread may
//! be cancelled, and say so before and after each call.

use std::io::{self, IoSlice};
use std::os::fd::RawFd;
use std::ptr::{null, null_mut};

/// Slices that one send takes (`IOV_MAX`).
pub const SLICES_MAX: usize = 1_024;
const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// Sends as much of `slices` as the socket takes now, without waiting and without a signal.
///
/// # Errors
/// `WouldBlock` when the socket takes nothing now; anything else means that the connection is gone.
pub fn send(fd: RawFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    // SAFETY: an all-zero msghdr is valid: no address, no control data, no slices.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // An IoSlice has the layout of an iovec (guaranteed by std), and the kernel only reads them.
    message.msg_iov = slices.as_ptr().cast_mut().cast();
    message.msg_iovlen = slices.len().min(SLICES_MAX);
    loop {
        let sent = match slices {
            // A single slice needs no list that the kernel would have to copy first.
            // SAFETY: the slice is live for the duration of the call; a stale descriptor only yields an
            // error.
            [one] => unsafe {
                let (nobody, bytes) = (null::<libc::sockaddr>(), one.as_ptr());
                libc::syscall(libc::SYS_sendto, fd, bytes, one.len(), FLAGS, nobody, 0usize)
            },
            // SAFETY: the same of what `message` points at.
            _ => unsafe { libc::syscall(libc::SYS_sendmsg, fd, &raw const message, FLAGS) },
        };
        if sent >= 0 {
            return Ok(sent as usize);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Receives what there is, up to the length of `buffer`, without waiting. 0 is the end of input.
///
/// # Errors
/// `WouldBlock` when there is nothing now; anything else means that the connection is gone.
pub fn receive(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        // SAFETY: the buffer is live and has the length given; a stale descriptor only yields an error.
        let received = unsafe {
            let (bytes, flags) = (buffer.as_mut_ptr(), libc::MSG_DONTWAIT);
            let (from, size) = (null_mut::<libc::sockaddr>(), null_mut::<libc::socklen_t>());
            libc::syscall(libc::SYS_recvfrom, fd, bytes, buffer.len(), flags, from, size)
        };
        if received >= 0 {
            return Ok(received as usize);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Lets input gather until there are `bytes` of it before the socket is reported as readable
/// (SO_RCVLOWAT); its end is reported at once.
pub fn set_low_water(fd: RawFd, bytes: usize) {
    let bytes = bytes as libc::c_int;
    // SAFETY: the kernel copies one int that lives here; a stale descriptor only yields an error.
    unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const bytes).cast(),
            size_of_val(&bytes) as libc::socklen_t,
        )
    };
}

/// Ends our side of a connection: what was sent still arrives, and the peer sees the end of it.
pub fn shut_output(fd: RawFd) {
    // SAFETY: no pointers; a stale descriptor only yields an error.
    unsafe { libc::shutdown(fd, libc::SHUT_WR) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn slices_arrive_in_order_and_a_full_socket_would_block() {
        let (a, mut b) = UnixStream::pair().unwrap();
        let sent = send(a.as_raw_fd(), &[IoSlice::new(b"one"), IoSlice::new(b"two")]).unwrap();
        let mut got = [0; 6];
        b.read_exact(&mut got).unwrap();
        assert_eq!((sent, &got), (6, b"onetwo"));
        let big = vec![0u8; 1 << 20];
        let error = loop {
            if let Err(error) = send(a.as_raw_fd(), &[IoSlice::new(&big)]) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(b);
        let error = send(a.as_raw_fd(), &[IoSlice::new(b"x")]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn more_slices_than_the_kernel_takes_are_a_partial_send() {
        let (a, _b) = UnixStream::pair().unwrap();
        let slices = vec![IoSlice::new(b"x"); SLICES_MAX + 10];
        assert_eq!(send(a.as_raw_fd(), &slices).unwrap(), SLICES_MAX);
    }
}
