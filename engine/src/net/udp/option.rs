//! Socket options and memberships that socket2 has not.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use socket2::SockAddr;

/// An option whose value is an `int`.
pub(super) fn set_int(socket: &impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    set(socket, level, name, &value)
}

/// Joins a group on an interface (0: the routing table chooses), from any sender or from one.
pub(super) fn join(
    socket: &impl AsFd,
    group: IpAddr,
    link_index: u32,
    sender: Option<IpAddr>,
) -> io::Result<()> {
    change_membership(socket, group, link_index, sender, MCAST_JOIN_SOURCE_GROUP, MCAST_JOIN_GROUP)
}

/// Takes back what [`join`] did.
pub(super) fn leave(
    socket: &impl AsFd,
    group: IpAddr,
    link_index: u32,
    sender: Option<IpAddr>,
) -> io::Result<()> {
    change_membership(
        socket,
        group,
        link_index,
        sender,
        MCAST_LEAVE_SOURCE_GROUP,
        MCAST_LEAVE_GROUP,
    )
}

/// Whether groups that other sockets have joined are heard too.
pub(super) fn set_hear_all_groups(socket: &impl AsFd, is_ipv4: bool, hear: bool) -> io::Result<()> {
    let (level, name) = match is_ipv4 {
        true => (libc::IPPROTO_IP, libc::IP_MULTICAST_ALL),
        false => (libc::IPPROTO_IPV6, IPV6_MULTICAST_ALL),
    };
    set_int(socket, level, name, i32::from(hear))
}

/// The interface that datagrams to groups leave on.
pub(super) fn set_multicast_link(
    socket: &impl AsFd,
    is_ipv4: bool,
    link_index: u32,
) -> io::Result<()> {
    let index = i32::try_from(link_index).unwrap_or(0);
    if !is_ipv4 {
        return set_int(socket, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, index);
    }
    let any = libc::in_addr { s_addr: 0 };
    let request = libc::ip_mreqn { imr_multiaddr: any, imr_address: any, imr_ifindex: index };
    set(socket, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request)
}

fn change_membership(
    socket: &impl AsFd,
    group: IpAddr,
    link_index: u32,
    sender: Option<IpAddr>,
    with_sender: i32,
    without: i32,
) -> io::Result<()> {
    let level = if group.is_ipv4() { libc::IPPROTO_IP } else { libc::IPPROTO_IPV6 };
    let (gr_interface, gr_group) = (link_index, storage(group));
    match sender {
        None => set(socket, level, without, &GroupRequest { gr_interface, gr_group }),
        Some(sender) => {
            let gr_source = storage(sender);
            let request = GroupSourceRequest { gr_interface, gr_group, gr_source };
            set(socket, level, with_sender, &request)
        }
    }
}

/// `struct group_req` (RFC 3678 5.1).
#[derive(Clone, Copy)]
#[repr(C)]
struct GroupRequest {
    gr_interface: u32,
    gr_group: libc::sockaddr_storage,
}

/// `struct group_source_req` (RFC 3678 5.1).
#[derive(Clone, Copy)]
#[repr(C)]
struct GroupSourceRequest {
    gr_interface: u32,
    gr_group: libc::sockaddr_storage,
    gr_source: libc::sockaddr_storage,
}

fn storage(address: IpAddr) -> libc::sockaddr_storage {
    let address = SockAddr::from(SocketAddr::new(address, 0));
    // SAFETY: an all-zero sockaddr_storage is valid.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    // SAFETY: a SockAddr is at least as long as it says, and never longer than a sockaddr_storage.
    unsafe {
        std::ptr::copy_nonoverlapping(
            address.as_ptr().cast::<u8>(),
            (&raw mut storage).cast::<u8>(),
            address.len() as usize,
        );
    };
    storage
}

fn set<T: Copy>(socket: &impl AsFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    // SAFETY: the kernel reads at most the size given from a value that lives here.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

const MCAST_JOIN_GROUP: i32 = libc::MCAST_JOIN_GROUP;
const MCAST_LEAVE_GROUP: i32 = libc::MCAST_LEAVE_GROUP;
const MCAST_JOIN_SOURCE_GROUP: i32 = libc::MCAST_JOIN_SOURCE_GROUP;
const MCAST_LEAVE_SOURCE_GROUP: i32 = libc::MCAST_LEAVE_SOURCE_GROUP;
/// include/uapi/linux/in6.h; since Linux 4.20.
const IPV6_MULTICAST_ALL: i32 = 29;
