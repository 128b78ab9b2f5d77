//! Readiness of all descriptors of a core.
//!
//! glommio 0.9 enters the kernel about ten times to park and to wake up (preemption timers, their
//! cancellation, the link between its rings), and every poll armed in its ring makes each of these dearer.
//! So the descriptors of a core stand in one epoll set: a single call waits, collects everything that is
//! ready, and re-arms nothing. The reactor gets its turn once per tick ([`super::let_io_in`]).
//!
//! Invariants
//! - A connection is reported when something has changed, once: its owner remembers what is left to do.
//! - Closing a descriptor takes it out of the set; a report that was under way names its old token.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

/// How a descriptor is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Input, room for output and the end, each reported when it begins.
    Connection,
    /// Reported as long as there are connections to accept.
    Listener,
    /// Reported once per ring.
    Doorbell,
    /// Datagrams, reported when more come.
    Datagrams,
}

/// What is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// What the descriptor was added with.
    pub token: u64,
    /// There may be input, or its end.
    pub input: bool,
    /// There may be room for output.
    pub room: bool,
    /// The peer has ended, or the socket has failed: reading goes on until it says so.
    pub ended: bool,
}

/// What is watched: the part of a poller that others may change.
#[derive(Clone, Debug)]
pub struct Registry(Rc<OwnedFd>);

/// See the module.
#[derive(Debug)]
pub struct Poller {
    set: Registry,
    events: Vec<libc::epoll_event>,
    ready: usize,
}

impl Registry {
    /// Watches `fd` until it is closed, and reports it with `token`.
    ///
    /// # Errors
    /// The kernel refuses: `fs.epoll.max_user_watches` is reached, or there is no memory.
    pub fn add(&self, fd: RawFd, token: u64, watch: Watch) -> io::Result<()> {
        let events = match watch {
            Watch::Connection => libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET,
            Watch::Listener => libc::EPOLLIN,
            Watch::Doorbell | Watch::Datagrams => libc::EPOLLIN | libc::EPOLLET,
        };
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: the kernel copies one event that lives here.
        check(unsafe {
            libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event)
        })?;
        Ok(())
    }

    /// Stops watching `fd`, which stays open.
    pub fn remove(&self, fd: RawFd) {
        // SAFETY: the event is not read for this operation.
        unsafe {
            libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut())
        };
    }
}

impl Poller {
    /// An empty set.
    ///
    /// # Errors
    /// The process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked before it is owned.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: a fresh descriptor that nothing else owns.
        let set = Registry(Rc::new(unsafe { OwnedFd::from_raw_fd(fd) }));
        Ok(Self { set, events: vec![libc::epoll_event { events: 0, u64: 0 }; BATCH], ready: 0 })
    }

    /// What is watched.
    pub fn registry(&self) -> &Registry {
        &self.set
    }

    /// Waits up to `timeout` for something to be ready, and collects it. True when there is something.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(timeout.subsec_nanos()),
        };
        // SAFETY: the buffer has room for as many events as are asked for, and the timespec lives here.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.set.0.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.len(),
                &raw const timeout,
                std::ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        // The only error possible is a signal: then nothing is ready yet.
        self.ready = usize::try_from(count).unwrap_or(0);
        self.ready > 0
    }

    /// What the last wait has collected.
    pub fn ready(&self) -> impl Iterator<Item = Ready> + '_ {
        self.events[..self.ready].iter().map(|event| {
            // The struct is packed on some architectures: read by value.
            let (events, token) = (event.events as i32, event.u64);
            let ended = events & (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) != 0;
            Ready {
                token,
                input: ended || events & libc::EPOLLIN != 0,
                room: events & libc::EPOLLOUT != 0,
                ended,
            }
        })
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Descriptors collected by one wait: about a millisecond of work.
const BATCH: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    const NOW: Duration = Duration::ZERO;

    fn watched() -> (Poller, UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let poller = Poller::new().unwrap();
        poller.registry().add(ours.as_raw_fd(), 7, Watch::Connection).unwrap();
        (poller, ours, theirs)
    }

    fn only(poller: &Poller) -> Ready {
        let all: Vec<Ready> = poller.ready().collect();
        assert_eq!(all.len(), 1, "{all:?}");
        all[0]
    }

    #[test]
    fn a_connection_is_reported_once_per_change() {
        let (mut poller, mut ours, mut theirs) = watched();
        assert!(poller.wait(NOW));
        let first = only(&poller);
        assert_eq!((first.token, first.input, first.room), (7, false, true));
        assert!(!poller.wait(NOW), "nothing has changed");
        theirs.write_all(b"x").unwrap();
        assert!(poller.wait(NOW) && only(&poller).input);
        assert!(!poller.wait(NOW), "unread input is not reported again");
        theirs.write_all(b"y").unwrap();
        assert!(poller.wait(NOW) && only(&poller).input, "more input is");
        ours.read_exact(&mut [0; 2]).unwrap();
        drop(theirs);
        assert!(poller.wait(NOW) && only(&poller).ended);
    }

    #[test]
    fn room_is_reported_after_a_full_socket_was_read() {
        let (mut poller, mut ours, mut theirs) = watched();
        poller.wait(NOW);
        let mut written = 0;
        while let Ok(bytes) = ours.write(&[0; 65_536]) {
            written += bytes;
        }
        poller.wait(NOW);
        theirs.read_exact(&mut vec![0; written]).unwrap();
        assert!(poller.wait(NOW) && only(&poller).room);
    }

    #[test]
    fn a_wait_ends_at_its_timeout_and_a_closed_descriptor_is_gone() {
        let (mut poller, ours, theirs) = watched();
        poller.wait(NOW);
        drop(ours);
        drop(theirs);
        let begun = std::time::Instant::now();
        assert!(!poller.wait(Duration::from_micros(1_500)));
        assert!(begun.elapsed() >= Duration::from_micros(1_500));
    }
}
