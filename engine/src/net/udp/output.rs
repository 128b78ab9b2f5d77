//! Sending: one connected socket per output.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use corelay_config::{DatagramAddress, Interface, UrlOptions};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::input::is_link_scope;
use super::send::{self, Outgoing};
use super::{Link, UdpError, option};

/// Where datagrams are sent to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpTarget {
    /// Group or unicast address, and port.
    pub address: SocketAddr,
    /// The interface; `None`: the routing table chooses.
    pub interface: Option<Interface>,
    /// The address to send from; `None`: the interface's.
    pub source: Option<IpAddr>,
    /// Time to live or hop limit; `None`: 1 for groups, the kernel's for unicast.
    pub ttl: Option<u8>,
    /// Traffic class, 0 to 63; `None`: the kernel's, 0.
    pub dscp: Option<u8>,
    /// Whether this machine hears the group too.
    pub is_looped: bool,
    /// SO_SNDBUF; `None`: the kernel's.
    pub send_buffer_bytes: Option<usize>,
    /// Let the kernel split joined datagrams (UDP GSO), where it can.
    pub joins_datagrams: bool,
}

impl UdpTarget {
    /// The target that a URL names.
    pub fn new(place: &DatagramAddress, options: &UrlOptions) -> Self {
        Self {
            address: place.address,
            interface: place.interface.clone(),
            source: options.sources.first().copied(),
            ttl: options.ttl,
            dscp: options.dscp,
            is_looped: options.multicast_loop.unwrap_or(true),
            send_buffer_bytes: options.send_buffer_bytes,
            joins_datagrams: true,
        }
    }
}

/// Counts since the output was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputCounters {
    /// Messages handed to the kernel: datagrams, or runs of joined ones.
    pub messages: u64,
    /// Datagrams handed to the kernel.
    pub datagrams: u64,
    /// Bytes of their payload.
    pub bytes: u64,
    /// Sends that stopped because the send buffer was full.
    pub full: u64,
    /// Sends that stopped because the interface's queue was full.
    pub no_buffers: u64,
    /// Times that the receiver's machine said that nobody listens there.
    pub refused: u64,
}

/// What a send did.
#[derive(Debug)]
pub struct Sent {
    /// How many of the datagrams the kernel took, from the first one on.
    pub datagrams: usize,
    /// Why not all of them.
    pub stop: Option<Stop>,
}

/// Why a send stopped.
#[derive(Debug)]
pub enum Stop {
    /// The send buffer is full (EAGAIN): wait until the descriptor is writable.
    Full,
    /// The interface's queue is full (ENOBUFS): the descriptor does not tell when to go on; try again
    /// after about a millisecond.
    NoBuffers,
    /// Anything else: the interface is down, the route is gone, the datagram is too long.
    Failed(io::Error),
}

/// An open output: [`send`](Self::send) or [`send_packed`](Self::send_packed).
#[derive(Debug)]
pub struct UdpOutput {
    socket: Socket,
    local: SocketAddr,
    joins_datagrams: bool,
    counters: OutputCounters,
}

impl UdpOutput {
    /// Opens the socket and connects it to the target.
    ///
    /// # Errors
    /// See [`UdpError`].
    pub fn open(target: &UdpTarget) -> Result<Self, UdpError> {
        let ip = target.address.ip();
        let link = target.interface.as_ref().map(Link::find).transpose()?;
        let kind = Type::DGRAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(target.address), kind, Some(Protocol::UDP))
            .map_err(|error| UdpError::of_bind(target.address, error))?;
        configure(&socket, target)
            .map_err(|error| UdpError::other("cannot set up a socket", error))?;
        let index = link.as_ref().map_or(0, |link| link.index);
        if let Some(link) = &link {
            choose_link(&socket, ip, link)?;
        }
        if let Some(source) = source_address(target, link.as_ref())? {
            let bound = socket.bind(&scoped(SocketAddr::new(source, 0), index));
            bound.map_err(|error| UdpError::of_bind(SocketAddr::new(source, 0), error))?;
        }
        let connected = socket.connect(&scoped(target.address, index));
        connected.map_err(|error| UdpError::of_route(target.address, error))?;
        let local = socket.local_addr().ok().and_then(|local| local.as_socket());
        let local = local.unwrap_or_else(|| SocketAddr::new(any(ip.is_ipv4()), 0));
        let joins_datagrams = target.joins_datagrams && can_split(&socket);
        Ok(Self { socket, local, joins_datagrams, counters: OutputCounters::default() })
    }

    /// Sends datagrams in order, as many as the kernel takes now.
    ///
    /// Cost: one system call for each 64 datagrams, no allocation.
    pub fn send(&mut self, datagrams: &[Outgoing<'_>]) -> Sent {
        let mut sent = 0;
        let mut refusals = 0;
        while let Some(rest) = datagrams.get(sent..).filter(|rest| !rest.is_empty()) {
            match send::send_some(self.socket.as_raw_fd(), rest, self.joins_datagrams) {
                Ok(progress) => {
                    refusals = 0;
                    self.count(rest, &progress);
                    sent += progress.datagrams;
                }
                Err(error) => match self.stop_for(error, &mut refusals) {
                    Some(stop) => return Sent { datagrams: sent, stop: Some(stop) },
                    None => continue,
                },
            }
        }
        Sent { datagrams: sent, stop: None }
    }

    /// Sends `bytes` cut into datagrams of `datagram_bytes`, the last one may be shorter, as many as
    /// the kernel takes now. For transport streams: 7 x 188 bytes.
    ///
    /// Cost: as [`send`](Self::send).
    pub fn send_packed(&mut self, bytes: &[u8], datagram_bytes: usize) -> Sent {
        let nothing: &[u8] = &[];
        let mut batch = [Outgoing { header: nothing, payload: nothing }; send::DATAGRAMS_MAX];
        let mut total = 0;
        let mut payloads = bytes.chunks(datagram_bytes.max(1)).peekable();
        while payloads.peek().is_some() {
            let mut count = 0;
            for (slot, payload) in batch.iter_mut().zip(payloads.by_ref()) {
                slot.payload = payload;
                count += 1;
            }
            let sent = self.send(batch.get(..count).unwrap_or_default());
            total += sent.datagrams;
            if sent.stop.is_some() {
                return Sent { datagrams: total, stop: sent.stop };
            }
        }
        Sent { datagrams: total, stop: None }
    }

    /// Counts so far.
    pub fn counters(&self) -> OutputCounters {
        self.counters
    }

    /// The address and port that datagrams are sent from.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Datagrams are joined for the kernel to split (UDP GSO).
    pub fn joins_datagrams(&self) -> bool {
        self.joins_datagrams
    }

    fn count(&mut self, datagrams: &[Outgoing<'_>], progress: &send::Progress) {
        self.counters.messages += progress.messages as u64;
        self.counters.datagrams += progress.datagrams as u64;
        let sent = datagrams.iter().take(progress.datagrams);
        let bytes: usize = sent.map(|sent| sent.header.len() + sent.payload.len()).sum();
        self.counters.bytes += bytes as u64;
    }

    /// `None`: the same datagrams are tried once more.
    fn stop_for(&mut self, error: io::Error, refusals: &mut u32) -> Option<Stop> {
        match error.raw_os_error() {
            // Told of datagrams that were sent before, one by one; the present ones were not tried.
            Some(libc::ECONNREFUSED) if *refusals < REFUSALS_MAX => {
                *refusals += 1;
                self.counters.refused += 1;
                None
            }
            // The device has no checksum offload, or the datagrams are longer than its MTU.
            Some(libc::EIO | libc::EINVAL) if self.joins_datagrams => {
                self.joins_datagrams = false;
                None
            }
            Some(libc::EAGAIN) => {
                self.counters.full += 1;
                Some(Stop::Full)
            }
            Some(libc::ENOBUFS) => {
                self.counters.no_buffers += 1;
                Some(Stop::NoBuffers)
            }
            _ => Some(Stop::Failed(error)),
        }
    }
}

impl AsFd for UdpOutput {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for UdpOutput {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn configure(socket: &Socket, target: &UdpTarget) -> io::Result<()> {
    let is_ipv4 = target.address.is_ipv4();
    let is_group = target.address.ip().is_multicast();
    let ttl = target.ttl.map(u32::from);
    match (is_ipv4, is_group) {
        (true, true) => socket.set_multicast_ttl_v4(ttl.unwrap_or(1))?,
        (false, true) => socket.set_multicast_hops_v6(ttl.unwrap_or(1))?,
        // A time to live of 0 for unicast means the kernel's own.
        (true, false) => ttl.filter(|&ttl| ttl > 0).map_or(Ok(()), |ttl| socket.set_ttl_v4(ttl))?,
        (false, false) => ttl.map_or(Ok(()), |ttl| socket.set_unicast_hops_v6(ttl))?,
    }
    match is_ipv4 {
        true => socket.set_multicast_loop_v4(target.is_looped)?,
        false => socket.set_multicast_loop_v6(target.is_looped)?,
    }
    if let Some(class) = target.dscp.map(|dscp| u32::from(dscp) << 2) {
        match is_ipv4 {
            true => socket.set_tos_v4(class)?,
            false => socket.set_tclass_v6(class)?,
        }
    }
    if let Some(bytes) = target.send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    Ok(())
}

fn choose_link(socket: &Socket, ip: IpAddr, link: &Link) -> Result<(), UdpError> {
    if ip.is_multicast() {
        let chosen = option::set_multicast_link(socket, ip.is_ipv4(), link.index);
        chosen.map_err(|error| UdpError::other(format!("cannot send on {}", link.name), error))?;
    }
    let bound = socket.bind_device(Some(link.name.as_bytes()));
    bound.map_err(|error| UdpError::of_device(&link.name, error))
}

/// The address to send from, where it is not left to the kernel.
fn source_address(target: &UdpTarget, link: Option<&Link>) -> Result<Option<IpAddr>, UdpError> {
    let is_ipv4 = target.address.is_ipv4();
    if target.source.is_some() {
        return Ok(target.source);
    }
    if let Some(Interface::Address(address)) = target.interface
        && address.is_ipv4() == is_ipv4
    {
        return Ok(Some(address));
    }
    match link {
        // The kernel would send from an address of another interface.
        Some(link) if !link.addresses.iter().any(|own| own.is_ipv4() == is_ipv4) => {
            let family = if is_ipv4 { "IPv4" } else { "IPv6" };
            Err(UdpError::NoAddressOn { name: link.name.clone(), family })
        }
        _ => Ok(None),
    }
}

fn scoped(address: SocketAddr, link_index: u32) -> SockAddr {
    match address {
        SocketAddr::V6(mut six) if is_link_scope(six.ip()) => {
            six.set_scope_id(link_index);
            SockAddr::from(SocketAddr::V6(six))
        }
        other => SockAddr::from(other),
    }
}

/// The kernel has UDP GSO: 4.18 and newer.
fn can_split(socket: &Socket) -> bool {
    option::set_int(socket, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok()
}

fn any(is_ipv4: bool) -> IpAddr {
    match is_ipv4 {
        true => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        false => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// Answers to earlier datagrams that may be met in a row, before a send gives up.
const REFUSALS_MAX: u32 = 64;
