//! Datagrams: sockets for them, and batches with the kernel's time of arrival.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::socket;

/// What a datagram of a transport stream carries: seven packets.
pub const DATAGRAM_BYTES: usize = 7 * 188;

/// A socket that sends; groups through the interface of that address, and heard on this machine.
///
/// # Errors
/// Out of descriptors, or no interface has the address.
pub fn sender(for_address: SocketAddr, interface: Ipv4Addr) -> io::Result<OwnedFd> {
    let socket = open(for_address)?;
    socket.set_send_buffer_size(BUFFER_BYTES)?;
    if for_address.ip().is_multicast() {
        socket.set_multicast_if_v4(&interface)?;
        socket.set_multicast_loop_v4(true)?;
    }
    Ok(socket.into())
}

/// A socket that is bound to `address` and hears nothing else, and stamps what arrives; a group is
/// joined on the interface of that address.
///
/// # Errors
/// The address is taken, is not of this machine, or is an IPv6 group.
pub fn receiver(address: SocketAddr, interface: Ipv4Addr) -> io::Result<OwnedFd> {
    let socket = open(address)?;
    force_receive_buffer(&socket, BUFFER_BYTES)?;
    if address.ip().is_multicast() {
        let IpAddr::V4(group) = address.ip() else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "only IPv4 groups are joined"));
        };
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.set_multicast_all_v4(false)?;
        socket.join_multicast_v4(&group, &interface)?;
    } else {
        socket.bind(&address.into())?;
    }
    socket::stamp_arrivals(socket.as_raw_fd())?;
    Ok(socket.into())
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let kind = Type::DGRAM.nonblocking().cloexec();
    Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))
}

/// Beyond the limit for everybody where the process may, else up to it.
fn force_receive_buffer(socket: &Socket, bytes: usize) -> io::Result<()> {
    let size = bytes as libc::c_int;
    // SAFETY: the option's value is a live int of the length given.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            (&raw const size).cast(),
            size_of_val(&size) as libc::socklen_t,
        )
    };
    if done < 0 { socket.set_recv_buffer_size(bytes) } else { Ok(()) }
}

/// Datagrams that the kernel has thrown away because nobody read them in time (SO_MEMINFO).
pub fn dropped(fd: RawFd) -> u64 {
    let mut info = [0_u32; MEMINFO_DROPS + 1];
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into a live array of that size.
    let done = unsafe {
        let place = info.as_mut_ptr().cast();
        libc::getsockopt(fd, libc::SOL_SOCKET, SO_MEMINFO, place, &mut length)
    };
    if done < 0 { 0 } else { info[MEMINFO_DROPS].into() }
}

/// Datagrams to be sent together, [`DATAGRAM_BYTES`] each.
#[derive(Debug)]
pub struct Outgoing {
    datagrams: Vec<([u8; DATAGRAM_BYTES], SockAddr)>,
    count: usize,
}

impl Outgoing {
    /// An empty batch.
    pub fn new() -> Self {
        let nowhere = SockAddr::from(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0));
        Self { datagrams: vec![([0; DATAGRAM_BYTES], nowhere); BATCH], count: 0 }
    }

    /// Room for one more datagram to `address`; `None` when the batch is full.
    pub fn push(&mut self, address: &SockAddr) -> Option<&mut [u8; DATAGRAM_BYTES]> {
        let (bytes, to) = self.datagrams.get_mut(self.count)?;
        self.count += 1;
        to.clone_from(address);
        Some(bytes)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// True when there is no room for another one.
    pub fn is_full(&self) -> bool {
        self.count == BATCH
    }

    /// Sends all of them and is empty then. Returns how many the kernel took: the others are lost.
    pub fn send(&mut self, fd: RawFd) -> usize {
        let count = std::mem::take(&mut self.count).min(BATCH);
        let mut slices = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
        // SAFETY: all-zero headers are valid: no addresses, no slices, no control data.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        let batch = self.datagrams.iter_mut().take(count);
        for ((header, slice), (bytes, to)) in headers.iter_mut().zip(&mut slices).zip(batch) {
            *slice = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
            header.msg_hdr.msg_name = to.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = to.len();
            header.msg_hdr.msg_iov = slice;
            header.msg_hdr.msg_iovlen = 1;
        }
        let (mut done, mut sent) = (0, 0);
        while let Some(rest) = headers.get_mut(done..count).filter(|rest| !rest.is_empty()) {
            let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
            // SAFETY: the headers point at addresses and slices that outlive the call.
            let taken =
                unsafe { libc::sendmmsg(fd, rest.as_mut_ptr(), rest.len() as libc::c_uint, flags) };
            // An error is that of the first one, as when nobody listens there yet: leave it out.
            let taken = usize::try_from(taken).ok().filter(|taken| *taken > 0);
            sent += taken.unwrap_or(0);
            done += taken.unwrap_or(1);
        }
        sent
    }
}

impl Default for Outgoing {
    fn default() -> Self {
        Self::new()
    }
}

/// Datagrams that arrived.
#[derive(Debug)]
pub struct Incoming {
    datagrams: Vec<[u8; SLOT_BYTES]>,
    /// Length and time of arrival, in nanoseconds of `CLOCK_REALTIME`, of those read last.
    seen: Vec<(usize, Option<u64>)>,
}

impl Incoming {
    /// Room for a batch.
    pub fn new() -> Self {
        Self { datagrams: vec![[0; SLOT_BYTES]; BATCH], seen: Vec::with_capacity(BATCH) }
    }

    /// Reads what has arrived, in place of what was read before, and returns how many those are: 0
    /// when nothing is there. Longer ones than 2,048 bytes are cut.
    ///
    /// # Errors
    /// Those of `recvmmsg(2)`.
    pub fn receive(&mut self, fd: RawFd) -> io::Result<usize> {
        self.seen.clear();
        let mut controls = [MaybeUninit::<[u64; CONTROL_WORDS]>::uninit(); BATCH];
        let mut slices = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
        // SAFETY: all-zero headers are valid: no addresses, no slices, no control data.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        let places = self.datagrams.iter_mut().zip(&mut controls);
        for ((header, slice), (bytes, control)) in headers.iter_mut().zip(&mut slices).zip(places) {
            *slice = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
            header.msg_hdr.msg_iov = slice;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = size_of_val(control);
        }
        let (flags, no_limit) = (libc::MSG_DONTWAIT, std::ptr::null_mut());
        let room = headers.len() as libc::c_uint;
        // SAFETY: the headers point at live buffers of the lengths given.
        let count = unsafe { libc::recvmmsg(fd, headers.as_mut_ptr(), room, flags, no_limit) };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(0) } else { Err(error) };
        };
        for header in headers.iter().take(count) {
            let bytes = (header.msg_len as usize).min(SLOT_BYTES);
            self.seen.push((bytes, socket::arrival_ns(&header.msg_hdr)));
        }
        Ok(count)
    }

    /// Those read last, with their times of arrival in nanoseconds of `CLOCK_REALTIME`, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<u64>)> {
        let both = self.datagrams.iter().zip(&self.seen);
        both.map(|(bytes, (length, arrived_ns))| {
            (bytes.get(..*length).unwrap_or(bytes), *arrived_ns)
        })
    }
}

impl Default for Incoming {
    fn default() -> Self {
        Self::new()
    }
}

/// Datagrams per call: 7 ms of a hundred streams of 8 Mbit/s are 530.
pub const BATCH: usize = 64;
/// Larger than any datagram of seven packets, with an RTP header too.
const SLOT_BYTES: usize = 2_048;
/// Room for a time stamp and what else is switched on.
const CONTROL_WORDS: usize = 8;
/// The receiver looks every few milliseconds; this is a third of a second of 40 Mbit/s.
const BUFFER_BYTES: usize = 4 << 20;
/// Not in the libc crate: asm-generic/socket.h, linux/sock_diag.h.
const SO_MEMINFO: libc::c_int = 55;
const MEMINFO_DROPS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock;
    use socket2::SockRef;
    use std::time::Duration;

    const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    fn local(fd: &OwnedFd) -> SocketAddr {
        SockRef::from(fd).local_addr().unwrap().as_socket().unwrap()
    }

    #[test]
    fn a_batch_arrives_in_order_with_the_time_it_arrived() {
        let to = receiver(LOOPBACK, Ipv4Addr::LOCALHOST).unwrap();
        let from = sender(LOOPBACK, Ipv4Addr::LOCALHOST).unwrap();
        // The kernel begins to stamp a moment after the first socket asks for it.
        std::thread::sleep(Duration::from_millis(50));
        let address = SockAddr::from(local(&to));
        let mut outgoing = Outgoing::new();
        for number in 0..BATCH {
            outgoing.push(&address).unwrap().fill(number as u8);
        }
        assert!(outgoing.is_full() && outgoing.push(&address).is_none());
        let before_ns = clock::realtime_ns();
        assert_eq!(outgoing.send(from.as_raw_fd()), BATCH);
        let after_ns = clock::realtime_ns();
        assert_eq!(outgoing.count(), 0);
        std::thread::sleep(Duration::from_millis(50));
        let mut incoming = Incoming::new();
        assert_eq!(incoming.receive(to.as_raw_fd()).unwrap(), BATCH);
        for (number, (bytes, arrived_ns)) in incoming.iter().enumerate() {
            assert_eq!((bytes.len(), usize::from(bytes[0])), (DATAGRAM_BYTES, number));
            let arrived_ns = arrived_ns.unwrap();
            assert!((before_ns..=after_ns).contains(&arrived_ns), "{arrived_ns}");
        }
        assert_eq!(incoming.receive(to.as_raw_fd()).unwrap(), 0);
        assert_eq!((incoming.iter().count(), dropped(to.as_raw_fd())), (0, 0));
    }

    #[test]
    fn datagrams_that_nobody_reads_are_counted_by_the_kernel() {
        let to = receiver(LOOPBACK, Ipv4Addr::LOCALHOST).unwrap();
        SockRef::from(&to).set_recv_buffer_size(4_096).unwrap();
        let from = sender(LOOPBACK, Ipv4Addr::LOCALHOST).unwrap();
        let address = SockAddr::from(local(&to));
        let mut outgoing = Outgoing::new();
        while let Some(room) = outgoing.push(&address) {
            room.fill(1);
        }
        assert_eq!(outgoing.send(from.as_raw_fd()), BATCH);
        let received = Incoming::new().receive(to.as_raw_fd()).unwrap() as u64;
        assert!(received < BATCH as u64);
        assert_eq!(received + dropped(to.as_raw_fd()), BATCH as u64);
    }

    #[test]
    fn what_nobody_takes_does_not_stop_the_rest() {
        let to = receiver(LOOPBACK, Ipv4Addr::LOCALHOST).unwrap();
        let gone = local(&receiver(LOOPBACK, Ipv4Addr::LOCALHOST).unwrap());
        let from = sender(LOOPBACK, Ipv4Addr::LOCALHOST).unwrap();
        let mut outgoing = Outgoing::new();
        for _ in 0..10 {
            outgoing.push(&gone.into()).unwrap().fill(1);
            outgoing.push(&local(&to).into()).unwrap().fill(2);
        }
        outgoing.send(from.as_raw_fd());
        assert_eq!(Incoming::new().receive(to.as_raw_fd()).unwrap(), 10);
    }
}
