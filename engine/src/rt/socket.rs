//! Readiness of TCP sockets.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::future::poll_fn;
use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;

/// A connected, non-blocking TCP socket registered with this core's reactor.
///
/// Reads go through the reactor (`recv` first, `POLL_ADD` when empty). Writes are made by
/// [`crate::net`] as gathered `sendmsg`; only the wait for writability comes through here.
pub struct Socket {
    stream: TcpStream,
}

impl Socket {
    /// Registers `fd` with this core's reactor. Must be called on a data core.
    pub fn new(fd: OwnedFd) -> Self {
        // SAFETY: the descriptor is owned and moves into the stream, which closes it on drop.
        let stream = unsafe { TcpStream::from_raw_fd(fd.into_raw_fd()) };
        Self { stream }
    }

    /// The descriptor, valid as long as the socket lives.
    pub fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Reads into `buf`, or registers the task for readability. `Ready(Ok(0))` is the end of input.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }

    /// Sends a first part of `bytes`, or registers the task for writability. `bytes` must not be empty:
    /// it is what the socket is waiting to take, and the reactor learns of room only by sending it.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        debug_assert!(!bytes.is_empty(), "an empty send never waits");
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A pending poll holds the file in the kernel, so the close alone would send the FIN only at
        // the next turn of the reactor.
        // SAFETY: shutdown on a descriptor that this value owns.
        unsafe { libc::shutdown(self.fd(), libc::SHUT_RDWR) };
    }
}

/// Waits until `fd` is readable; for descriptors that are not TCP connections, such as listeners.
///
/// # Errors
/// The descriptor could not be duplicated.
///
/// # Cost
/// One `dup` and one `close`: use it where one wake-up serves many events.
pub async fn readable_once(fd: BorrowedFd<'_>) -> io::Result<()> {
    // A fresh stream arms its poll at construction. When that fires, the stream's own `recv` fails
    // (not connected, not a socket), which is all the same to us: the wait is over.
    let copy = fd.try_clone_to_owned()?;
    // SAFETY: the duplicate is owned and moves into the stream, which closes it on drop.
    let mut stream = unsafe { TcpStream::from_raw_fd(copy.into_raw_fd()) };
    let _ = poll_fn(|cx| Pin::new(&mut stream).poll_read(cx, &mut [])).await;
    Ok(())
}
