//! Readiness of many sockets, edge-triggered.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// An epoll instance. Sockets are reported by the token they were added with.
///
/// Readiness is edge-triggered: a socket is reported again only after more has come, so whoever is
/// told of one reads until it is empty. Closing a descriptor takes it out.
#[derive(Debug)]
pub struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

/// What a socket is ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The token of the socket.
    pub token: usize,
    /// It can be read, or it has ended.
    pub readable: bool,
    /// It can be written, or it has ended.
    pub writable: bool,
    /// The peer has ended it; what came before can still be read.
    pub ended: bool,
}

impl Epoll {
    /// A new instance.
    ///
    /// # Errors
    /// The process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked before it is owned.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor that nothing else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_PER_WAIT] })
    }

    /// Adds a socket, for reading and writing.
    ///
    /// # Errors
    /// The descriptor is not a socket, or is there already.
    pub fn add(&self, fd: RawFd, token: usize) -> io::Result<()> {
        let events = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET) as u32;
        self.control(libc::EPOLL_CTL_ADD, fd, events, token)
    }

    /// Watches only for reading from here on.
    ///
    /// # Errors
    /// The descriptor was not added.
    pub fn read_only(&self, fd: RawFd, token: usize) -> io::Result<()> {
        let events = (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET) as u32;
        self.control(libc::EPOLL_CTL_MOD, fd, events, token)
    }

    /// Watches only for the end from here on.
    ///
    /// # Errors
    /// The descriptor was not added.
    pub fn end_only(&self, fd: RawFd, token: usize) -> io::Result<()> {
        let events = (libc::EPOLLRDHUP | libc::EPOLLET) as u32;
        self.control(libc::EPOLL_CTL_MOD, fd, events, token)
    }

    fn control(&self, operation: i32, fd: RawFd, events: u32, token: usize) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: token as u64 };
        // SAFETY: the event is a live variable, which the kernel only reads.
        let done = unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd, &mut event) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Waits until something is ready, at most `timeout_us`, and returns how much is.
    ///
    /// # Errors
    /// Those of `epoll_pwait2(2)`; an interruption is none, and returns 0.
    pub fn wait(&mut self, timeout_us: u64) -> io::Result<usize> {
        let timeout = libc::timespec {
            tv_sec: (timeout_us / 1_000_000) as i64,
            tv_nsec: (timeout_us % 1_000_000) as i64 * 1_000,
        };
        let none = std::ptr::null::<libc::sigset_t>();
        // SAFETY: the events are a live array of the given length; the timeout is live; no mask.
        let ready = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.fd.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.len() as i32,
                &timeout,
                none,
                0usize,
            )
        };
        if ready >= 0 {
            return Ok(ready as usize);
        }
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::Interrupted { Ok(0) } else { Err(error) }
    }

    /// One of the results of the last [`wait`](Self::wait), by its number.
    pub fn ready(&self, index: usize) -> Option<Ready> {
        let event = self.events.get(index)?;
        let bits = event.events as i32;
        let over = libc::EPOLLERR | libc::EPOLLHUP | libc::EPOLLRDHUP;
        Some(Ready {
            token: event.u64 as usize,
            readable: bits & (libc::EPOLLIN | over) != 0,
            writable: bits & (libc::EPOLLOUT | libc::EPOLLERR | libc::EPOLLHUP) != 0,
            ended: bits & over != 0,
        })
    }
}

/// Enough to pick up a burst to a thousand players in one call.
const EVENTS_PER_WAIT: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_socket_is_reported_once_per_arrival_by_its_token() {
        let (a, mut b) = UnixStream::pair().unwrap();
        let mut epoll = Epoll::new().unwrap();
        epoll.add(a.as_raw_fd(), 7).unwrap();
        epoll.read_only(a.as_raw_fd(), 7).unwrap();
        assert_eq!(epoll.wait(1_000).unwrap(), 0);
        b.write_all(b"x").unwrap();
        assert_eq!(epoll.wait(1_000_000).unwrap(), 1);
        let expected = Ready { token: 7, readable: true, writable: false, ended: false };
        assert_eq!(epoll.ready(0), Some(expected));
        assert_eq!(epoll.wait(1_000).unwrap(), 0, "nothing new has come");
        drop(b);
        assert_eq!(epoll.wait(1_000_000).unwrap(), 1);
        assert!(epoll.ready(0).unwrap().readable && epoll.ready(0).unwrap().ended);
    }
}
