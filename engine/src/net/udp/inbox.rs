//! Room for what one `recvmmsg` brings, and the walk through it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::RawFd;

/// Messages that one receive takes at most.
pub const BATCH: usize = 16;

/// Buffers for the inputs of a core: one is enough, whatever the number of inputs.
///
/// Memory: 1 MiB of address space, of which only what was ever filled is backed by memory.
pub struct Inbox {
    buffers: Box<[u8]>,
    received: [Received; BATCH],
    count: usize,
}

/// What came with one message.
#[derive(Clone, Copy, Debug)]
struct Received {
    bytes: usize,
    /// Bytes of each datagram but the last.
    datagram_bytes: usize,
    sender: SocketAddr,
    arrived_ns: Option<u64>,
}

/// The datagrams of one receive.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    inbox: &'a Inbox,
}

/// Datagrams of one sender that the kernel has joined (UDP GRO), or a single one.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The payloads, one behind the other.
    pub bytes: &'a [u8],
    /// Bytes of each datagram but the last, which may be shorter. 0 only for an empty datagram.
    pub datagram_bytes: usize,
    /// Who sent it.
    pub sender: SocketAddr,
    /// When the kernel took the first of it, in ns since 1970, where time stamps are on.
    pub arrived_ns: Option<u64>,
}

/// One datagram.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Its payload.
    pub payload: &'a [u8],
    /// Who sent it.
    pub sender: SocketAddr,
    /// When the kernel took it (the first of its run), in ns since 1970, where time stamps are on.
    pub arrived_ns: Option<u64>,
}

impl Inbox {
    /// Empty buffers.
    pub fn new() -> Self {
        let nobody = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let nothing = Received { bytes: 0, datagram_bytes: 0, sender: nobody, arrived_ns: None };
        Self {
            buffers: vec![0; BATCH * MESSAGE_BYTES_MAX].into_boxed_slice(),
            received: [nothing; BATCH],
            count: 0,
        }
    }

    /// Takes what the socket has, without waiting; `dropped` gets the kernel's counter of datagrams
    /// that found no room, when there is news of it.
    pub(super) fn receive(&mut self, fd: RawFd, dropped: &mut Option<u32>) -> io::Result<usize> {
        self.count = 0;
        let mut names = [Name::EMPTY; BATCH];
        let mut controls = [Control([0; CONTROL_WORDS]); BATCH];
        // SAFETY: all-zero iovecs are valid.
        let mut slices: [libc::iovec; BATCH] = unsafe { std::mem::zeroed() };
        // SAFETY: all-zero headers are valid: no address, no control data, no slices.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        let buffers = self.buffers.chunks_exact_mut(MESSAGE_BYTES_MAX);
        let parts = names.iter_mut().zip(controls.iter_mut()).zip(slices.iter_mut()).zip(buffers);
        for (header, (((name, control), slice), buffer)) in headers.iter_mut().zip(parts) {
            *slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen = size_of::<Name>() as libc::socklen_t;
            header.msg_hdr.msg_iov = slice;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = size_of::<Control>() as _;
        }
        let count = receive_messages(fd, &mut headers)?;
        for ((header, name), received) in headers.iter().zip(&names).zip(&mut self.received) {
            let notes = Notes::of(&header.msg_hdr);
            let bytes = (header.msg_len as usize).min(MESSAGE_BYTES_MAX);
            let datagram_bytes = notes.segment_bytes.filter(|&size| size > 0).unwrap_or(bytes);
            let (sender, arrived_ns) = (name.address(), notes.arrived_ns);
            *received = Received { bytes, datagram_bytes, sender, arrived_ns };
            *dropped = notes.dropped.or(*dropped);
            self.count += 1;
            if self.count == count {
                break;
            }
        }
        Ok(count)
    }

    pub(super) fn batch(&self) -> Batch<'_> {
        Batch { inbox: self }
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").field("count", &self.count).finish_non_exhaustive()
    }
}

impl<'a> Batch<'a> {
    /// Messages: datagrams, or runs of joined ones.
    pub fn count(self) -> usize {
        self.inbox.count
    }

    /// What was received, in order, with the kernel's joining left as it is.
    pub fn runs(self) -> impl Iterator<Item = Run<'a>> {
        let buffers = self.inbox.buffers.chunks_exact(MESSAGE_BYTES_MAX);
        let received = self.inbox.received.iter().take(self.inbox.count);
        received.zip(buffers).map(|(received, buffer)| Run {
            bytes: buffer.get(..received.bytes).unwrap_or_default(),
            datagram_bytes: received.datagram_bytes,
            sender: received.sender,
            arrived_ns: received.arrived_ns,
        })
    }

    /// The datagrams, in order.
    pub fn datagrams(self) -> impl Iterator<Item = Datagram<'a>> {
        self.runs().flat_map(Run::datagrams)
    }

    /// There may be more to receive at once.
    pub fn is_full(self) -> bool {
        self.inbox.count == BATCH
    }

    /// Nothing was received.
    pub fn is_empty(self) -> bool {
        self.inbox.count == 0
    }
}

impl<'a> Run<'a> {
    /// Number of datagrams.
    pub fn count(self) -> usize {
        self.bytes.len().div_ceil(self.datagram_bytes.max(1)).max(1)
    }

    /// Its datagrams, in order.
    pub fn datagrams(self) -> impl Iterator<Item = Datagram<'a>> {
        let Self { bytes, datagram_bytes, sender, arrived_ns } = self;
        // An empty datagram is one too.
        let empty = bytes.is_empty().then_some(bytes);
        let payloads = empty.into_iter().chain(bytes.chunks(datagram_bytes.max(1)));
        payloads.map(move |payload| Datagram { payload, sender, arrived_ns })
    }
}

fn receive_messages(fd: RawFd, headers: &mut [libc::mmsghdr; BATCH]) -> io::Result<usize> {
    loop {
        // SAFETY: every header points to a name, a slice and control data that live in the caller, with
        // their sizes; a stale descriptor only yields an error.
        let count = unsafe {
            libc::recvmmsg(
                fd,
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        if count >= 0 {
            return Ok(count as usize);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// What the kernel says beside the bytes.
#[derive(Default)]
struct Notes {
    segment_bytes: Option<usize>,
    dropped: Option<u32>,
    arrived_ns: Option<u64>,
}

impl Notes {
    fn of(header: &libc::msghdr) -> Self {
        let mut notes = Self::default();
        // SAFETY: the header was filled by the kernel, and its control data lives in the caller.
        let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
        while !next.is_null() {
            // SAFETY: not null, so a whole control message header within the control data.
            let message = unsafe { *next };
            // SAFETY: as above.
            let data = unsafe { libc::CMSG_DATA(next) };
            match (message.cmsg_level, message.cmsg_type) {
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    // SAFETY: the kernel writes an int here (udp(7)); it may be unaligned.
                    let bytes = unsafe { data.cast::<libc::c_int>().read_unaligned() };
                    notes.segment_bytes = usize::try_from(bytes).ok();
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    // SAFETY: the kernel writes a u32 here (socket(7)); it may be unaligned.
                    notes.dropped = Some(unsafe { data.cast::<u32>().read_unaligned() });
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    // SAFETY: the kernel writes a timespec here (socket(7)); it may be unaligned.
                    let time = unsafe { data.cast::<libc::timespec>().read_unaligned() };
                    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
                    let ns = u64::try_from(time.tv_nsec).unwrap_or(0);
                    notes.arrived_ns = Some(seconds.saturating_mul(1_000_000_000) + ns);
                }
                _ => {}
            }
            // SAFETY: the header and the message are valid, as above.
            next = unsafe { libc::CMSG_NXTHDR(header, next) };
        }
        notes
    }
}

/// A sender's address as the kernel writes it.
#[derive(Clone, Copy)]
#[repr(C)]
union Name {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl Name {
    // SAFETY: all-zero addresses are valid.
    const EMPTY: Self = unsafe { std::mem::zeroed() };

    fn address(&self) -> SocketAddr {
        // SAFETY: every field begins with the family, and all of it was initialized.
        match i32::from(unsafe { self.family }) {
            libc::AF_INET6 => {
                // SAFETY: the family says so.
                let name = unsafe { self.v6 };
                let address = Ipv6Addr::from(name.sin6_addr.s6_addr);
                SocketAddr::new(IpAddr::V6(address), u16::from_be(name.sin6_port))
            }
            _ => {
                // SAFETY: plain numbers, all of them initialized.
                let name = unsafe { self.v4 };
                let address = Ipv4Addr::from_bits(u32::from_be(name.sin_addr.s_addr));
                SocketAddr::new(IpAddr::V4(address), u16::from_be(name.sin_port))
            }
        }
    }
}

/// Control data: segment size, drop counter and time stamp, with their headers.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u64; CONTROL_WORDS]);

const CONTROL_WORDS: usize = 16;
/// More than any datagram, or run of joined ones, has.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
