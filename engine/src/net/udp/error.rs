//! Why a datagram socket cannot be opened: one sentence with its remedy.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum UdpError {
    /// The interface was named, and there is none of that name or address.
    #[error("there is no interface {wanted}; this machine has {}", available.join(", "))]
    NoSuchInterface {
        /// What was written.
        wanted: String,
        /// The names there are.
        available: Vec<String>,
    },
    /// The interface is another one than the socket was opened on: it went away and came back.
    #[error("interface {name} was replaced by another one of that name; open the socket anew")]
    InterfaceReplaced {
        /// Its name.
        name: String,
    },
    /// The interface has no address of the family.
    #[error("interface {name} has no {family} address; give it one, or choose another interface")]
    NoAddressOn {
        /// Its name.
        name: String,
        /// `IPv4` or `IPv6`.
        family: &'static str,
    },
    /// The routing table has no way to the address.
    #[error("there is no route to {0}; name the interface, as in udp://eth1@..., or add a route")]
    NoRoute(IpAddr),
    /// The address to receive on or to send from is not this machine's.
    #[error("this machine has no address {0}; use one of its own, or a multicast group")]
    NoSuchAddress(IpAddr),
    /// Somebody receives there already, and does not share.
    #[error("cannot receive on {0}: another program does already; stop it or choose another port")]
    InUse(SocketAddr),
    /// Privileged port, or a group or interface that may not be used.
    #[error("{doing}: permission denied; run with {capability}")]
    Denied {
        /// What was tried.
        doing: String,
        /// The capability that allows it.
        capability: &'static str,
    },
    /// The kernel's limit of groups or senders is reached.
    #[error("cannot join {0}: the kernel's limit is reached; raise {1}")]
    TooManyMemberships(IpAddr, &'static str),
    /// The kernel has no such kind of address.
    #[error("{0} cannot be used: this machine has no IPv6")]
    NoFamily(SocketAddr),
    /// Senders can be chosen for groups only.
    #[error("{0} is no multicast group, so its senders cannot be chosen; leave src out")]
    SendersWithoutGroup(IpAddr),
    /// Anything else.
    #[error("{doing}: {error}")]
    Other {
        /// What was tried.
        doing: String,
        /// What the kernel answered.
        error: io::Error,
    },
}

impl UdpError {
    pub(super) fn other(doing: impl Into<String>, error: io::Error) -> Self {
        Self::Other { doing: doing.into(), error }
    }

    /// Sorts the kernel's answer to opening or binding.
    pub(super) fn of_bind(address: SocketAddr, error: io::Error) -> Self {
        if error.raw_os_error() == Some(libc::EAFNOSUPPORT) {
            return Self::NoFamily(address);
        }
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address),
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress(address.ip()),
            io::ErrorKind::PermissionDenied => Self::Denied {
                doing: format!("cannot use port {}", address.port()),
                capability: "CAP_NET_BIND_SERVICE, or as root",
            },
            _ => Self::other(format!("cannot bind to {address}"), error),
        }
    }

    /// Sorts the kernel's answer to a join.
    pub(super) fn of_join(group: IpAddr, has_senders: bool, error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENODEV | libc::ENETUNREACH) => Self::NoRoute(group),
            Some(libc::ENOBUFS | libc::ENOMEM) => {
                let setting = match (group.is_ipv4(), has_senders) {
                    (true, false) => "net.ipv4.igmp_max_memberships",
                    (true, true) => "net.ipv4.igmp_max_msf",
                    (false, _) => "net.ipv6.mld_max_msf",
                };
                Self::TooManyMemberships(group, setting)
            }
            _ => Self::other(format!("cannot join {group}"), error),
        }
    }

    /// Sorts the kernel's answer to choosing where datagrams go.
    pub(super) fn of_route(address: SocketAddr, error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENODEV) => {
                Self::NoRoute(address.ip())
            }
            Some(libc::EAFNOSUPPORT) => Self::NoFamily(address),
            Some(libc::EACCES) => Self::Denied {
                doing: format!("cannot send to {address}: it is a broadcast address"),
                capability: "a unicast or multicast address instead",
            },
            _ => Self::other(format!("cannot send to {address}"), error),
        }
    }

    /// Sorts the kernel's answer to binding to a device.
    pub(super) fn of_device(name: &str, error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM) => Self::Denied {
                doing: format!("cannot bind to interface {name}"),
                capability: "CAP_NET_RAW, or on Linux 5.7 or newer",
            },
            _ => Self::other(format!("cannot bind to interface {name}"), error),
        }
    }
}
