//! Receiving: one socket per input.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use corelay_config::{DatagramAddress, Interface, UrlOptions};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::inbox::{Batch, Inbox};
use super::{Link, UdpError, option};

/// What is listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpSource {
    /// Group or own address (unspecified: all of them), and port; 0 lets the kernel choose one.
    pub address: SocketAddr,
    /// The interface; `None`: the routing table chooses one for a group, all of them for unicast.
    pub interface: Option<Interface>,
    /// The only senders that are heard; empty: all. For groups.
    pub senders: Vec<IpAddr>,
    /// SO_RCVBUF: how much may wait while the core does something else. The kernel's limit
    /// (net.core.rmem_max) holds unless the process has CAP_NET_ADMIN.
    pub receive_buffer_bytes: usize,
    /// Ask the kernel to join datagrams (UDP GRO).
    pub joins_datagrams: bool,
    /// Ask the kernel when each message arrived (SO_TIMESTAMPNS). On a machine where nobody else asks,
    /// the first ones after the opening have the time of their receive instead.
    pub has_timestamps: bool,
}

impl UdpSource {
    /// The source that a URL names.
    pub fn new(place: &DatagramAddress, options: &UrlOptions) -> Self {
        Self {
            address: place.address,
            interface: place.interface.clone(),
            senders: options.sources.clone(),
            receive_buffer_bytes: options.receive_buffer_bytes.unwrap_or(RECEIVE_BUFFER_BYTES),
            joins_datagrams: true,
            has_timestamps: false,
        }
    }
}

/// Counts since the input was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputCounters {
    /// Messages: datagrams, or runs that the kernel has joined.
    pub messages: u64,
    /// Datagrams.
    pub datagrams: u64,
    /// Bytes of payload.
    pub bytes: u64,
    /// Datagrams that the kernel dropped for lack of room in the receive buffer (SO_RXQ_OVFL), as far
    /// as it said so: with the next datagram that found room.
    pub kernel_drops: u64,
}

/// An open input: [`receive`](Self::receive) whenever the descriptor is readable, until the batch is
/// not full. Dropping it leaves the group.
#[derive(Debug)]
pub struct UdpInput {
    socket: Socket,
    source: UdpSource,
    local: SocketAddr,
    link: Option<Link>,
    counters: InputCounters,
    /// The kernel's counter, which wraps.
    drops_seen: u32,
    last_sender: Option<IpAddr>,
}

impl UdpInput {
    /// Opens the socket, binds it to the address, and joins the group if it is one.
    ///
    /// # Errors
    /// See [`UdpError`].
    pub fn open(source: &UdpSource) -> Result<Self, UdpError> {
        let ip = source.address.ip();
        let is_group = ip.is_multicast();
        if !is_group && !source.senders.is_empty() {
            return Err(UdpError::SendersWithoutGroup(ip));
        }
        let named = source.interface.as_ref().map(Link::find).transpose()?;
        let socket = open_socket(source)?;
        // By index, an IPv6 group is joined but not bound: other interfaces would be heard too.
        if let Some(link) = named.as_ref().filter(|_| !is_group || ip.is_ipv6()) {
            let bound = socket.bind_device(Some(link.name.as_bytes()));
            bound.map_err(|error| UdpError::of_device(&link.name, error))?;
        }
        let index = named.as_ref().map_or(0, |link| link.index);
        let address = bind_address(source.address, index);
        socket.bind(&address).map_err(|error| UdpError::of_bind(source.address, error))?;
        let local = socket.local_addr().ok().and_then(|local| local.as_socket());
        let local = local.unwrap_or(source.address);
        let link = named.or_else(|| if is_group { Link::toward(ip) } else { None });
        let input = Self {
            socket,
            source: source.clone(),
            local,
            link,
            counters: InputCounters::default(),
            drops_seen: 0,
            last_sender: None,
        };
        if is_group {
            input.join(index)?;
        }
        Ok(input)
    }

    /// Takes what has arrived, without waiting: up to [`BATCH`](super::BATCH) messages.
    ///
    /// Cost: one system call, no allocation.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing. Anything else is what the network said (the interface went
    /// down, for example); the socket stays usable.
    pub fn receive<'a>(&mut self, inbox: &'a mut Inbox) -> io::Result<Batch<'a>> {
        let mut dropped = None;
        inbox.receive(self.socket.as_raw_fd(), &mut dropped)?;
        if let Some(dropped) = dropped {
            self.counters.kernel_drops += u64::from(dropped.wrapping_sub(self.drops_seen));
            self.drops_seen = dropped;
        }
        let batch = inbox.batch();
        for run in batch.runs() {
            self.counters.messages += 1;
            self.counters.datagrams += run.count() as u64;
            self.counters.bytes += run.bytes.len() as u64;
            self.last_sender = Some(run.sender.ip());
        }
        Ok(batch)
    }

    /// Makes this machine tell its routers and switches anew that it wants the group, without losing
    /// a datagram. Nothing to do for unicast.
    ///
    /// The kernel reports (IGMPv3, MLDv2) only what changes for the whole machine, so that a second
    /// socket that joins and leaves the group as this one did is not heard of at all; and a socket
    /// that leaves and joins misses what arrives in between. Therefore a second socket makes the
    /// change: for all senders, it joins from the present one while this socket leaves and joins; for
    /// chosen senders, it joins from all, and leaves. Networks that speak IGMPv2 get no report; there
    /// the router's own queries keep the membership.
    ///
    /// # Errors
    /// The interface has gone ([`UdpError::NoSuchInterface`]) or is another one
    /// ([`UdpError::InterfaceReplaced`]): open the input anew. Or the kernel refuses.
    pub fn rejoin(&mut self) -> Result<(), UdpError> {
        let group = self.source.address.ip();
        if !group.is_multicast() {
            return Ok(());
        }
        let index = self.check_link()?;
        let doing = |error| UdpError::of_join(group, true, error);
        let cover = cover_socket(group).map_err(doing)?;
        if !self.source.senders.is_empty() {
            option::join(&cover, group, index, None).map_err(doing)?;
            return Ok(());
        }
        if let Some(sender) = self.last_sender {
            option::join(&cover, group, index, Some(sender)).map_err(doing)?;
            // For a moment it hears what the second socket has joined.
            option::set_hear_all_groups(&self.socket, group.is_ipv4(), true).map_err(doing)?;
        }
        let left = option::leave(&self.socket, group, index, None);
        let joined = option::join(&self.socket, group, index, None);
        let isolated = option::set_hear_all_groups(&self.socket, group.is_ipv4(), false);
        left.and(joined).and(isolated).map_err(doing)
    }

    /// Counts so far.
    pub fn counters(&self) -> InputCounters {
        self.counters
    }

    /// The interface: the one that was named, or the one that the routing table chose for the group.
    pub fn link(&self) -> Option<&Link> {
        self.link.as_ref()
    }

    /// Where it is bound, with the port that the kernel chose where 0 was asked for.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// What it was opened for.
    pub fn source(&self) -> &UdpSource {
        &self.source
    }

    /// Bytes that may wait, as the kernel grants them (it counts its own overhead too).
    pub fn receive_buffer_bytes(&self) -> usize {
        self.socket.recv_buffer_size().unwrap_or(0)
    }

    fn join(&self, index: u32) -> Result<(), UdpError> {
        let (group, senders) = (self.source.address.ip(), &self.source.senders);
        let isolate = option::set_hear_all_groups(&self.socket, group.is_ipv4(), false);
        isolate.map_err(|error| UdpError::other("cannot keep other groups out", error))?;
        if senders.is_empty() {
            let joined = option::join(&self.socket, group, index, None);
            return joined.map_err(|error| UdpError::of_join(group, false, error));
        }
        for sender in senders {
            let joined = option::join(&self.socket, group, index, Some(*sender));
            joined.map_err(|error| UdpError::of_join(group, true, error))?;
        }
        Ok(())
    }

    /// The index to join on, if the interface that was named is still the same.
    fn check_link(&self) -> Result<u32, UdpError> {
        let Some(wanted) = &self.source.interface else {
            return Ok(0);
        };
        let now = Link::find(wanted)?;
        match &self.link {
            Some(link) if link.index == now.index => Ok(now.index),
            _ => Err(UdpError::InterfaceReplaced { name: now.name }),
        }
    }
}

impl AsFd for UdpInput {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for UdpInput {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn open_socket(source: &UdpSource) -> Result<Socket, UdpError> {
    let address = source.address;
    let kind = Type::DGRAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))
        .map_err(|error| UdpError::of_bind(address, error))?;
    let doing = |error| UdpError::other("cannot set up a socket", error);
    if address.ip().is_multicast() {
        // Several inputs, and other programs, may receive the same group.
        socket.set_reuse_address(true).map_err(doing)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true).map_err(doing)?;
    }
    let on = |name| option::set_int(&socket, libc::SOL_SOCKET, name, 1);
    on(libc::SO_RXQ_OVFL).map_err(doing)?;
    if source.has_timestamps {
        on(libc::SO_TIMESTAMPNS).map_err(doing)?;
    }
    let bytes = i32::try_from(source.receive_buffer_bytes).unwrap_or(i32::MAX);
    if option::set_int(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes).is_err() {
        // Without the capability, as far as net.core.rmem_max goes.
        let _ = socket.set_recv_buffer_size(source.receive_buffer_bytes);
    }
    if source.joins_datagrams {
        // Kernels before 5.0 have none: datagrams then come one by one.
        let _ = option::set_int(&socket, libc::SOL_UDP, libc::UDP_GRO, 1);
    }
    Ok(socket)
}

/// Groups of link-local scope are bound to with their interface.
fn bind_address(address: SocketAddr, link_index: u32) -> SockAddr {
    match address {
        SocketAddr::V6(mut six) if is_link_scope(six.ip()) => {
            six.set_scope_id(link_index);
            SockAddr::from(SocketAddr::V6(six))
        }
        other => SockAddr::from(other),
    }
}

pub(super) fn is_link_scope(address: &std::net::Ipv6Addr) -> bool {
    // RFC 4291 2.7: the scope is the low half of the second byte.
    let scope = address.octets()[1] & 0x0F;
    (address.is_multicast() && scope <= 2) || address.is_unicast_link_local()
}

/// A socket that has memberships and receives nothing.
fn cover_socket(group: IpAddr) -> io::Result<Socket> {
    let domain = if group.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    Socket::new(domain, Type::DGRAM.cloexec(), Some(Protocol::UDP))
}

/// About 400 ms of an 80 Mbit/s stream, as the kernel counts.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
