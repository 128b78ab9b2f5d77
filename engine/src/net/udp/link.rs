//! Network interfaces: which there are, and which one is meant.

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use corelay_config::Interface;

use super::UdpError;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// `eth1`.
    pub name: String,
    /// The kernel's number of it, which another interface of the same name does not get.
    pub index: u32,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// It is set up.
    pub is_up: bool,
    /// It has a carrier.
    pub is_running: bool,
    /// It takes part in multicast.
    pub is_multicast: bool,
}

impl Link {
    /// Every interface of this machine.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn all() -> io::Result<Vec<Self>> {
        let mut head: *mut libc::ifaddrs = std::ptr::null_mut();
        // SAFETY: writes one pointer that lives here.
        if unsafe { libc::getifaddrs(&raw mut head) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut links: Vec<Self> = Vec::new();
        let mut next = head;
        while !next.is_null() {
            // SAFETY: a list from getifaddrs, not yet freed; each entry is valid.
            let entry = unsafe { &*next };
            links_add(&mut links, entry);
            next = entry.ifa_next;
        }
        // SAFETY: from getifaddrs, freed once, not used below.
        unsafe { libc::freeifaddrs(head) };
        Ok(links)
    }

    /// The interface that was named, or has the address.
    ///
    /// # Errors
    /// There is none.
    pub fn find(wanted: &Interface) -> Result<Self, UdpError> {
        let links =
            Self::all().map_err(|error| UdpError::other("cannot list interfaces", error))?;
        let available = links.iter().map(|link| link.name.clone()).collect();
        let is_it = |link: &Self| match wanted {
            Interface::Name(name) => link.name == *name,
            Interface::Address(address) => link.addresses.contains(address),
        };
        links
            .into_iter()
            .find(is_it)
            .ok_or_else(|| UdpError::NoSuchInterface { wanted: wanted.to_string(), available })
    }

    /// The interface that the routing table chooses for an address.
    pub fn toward(address: IpAddr) -> Option<Self> {
        let any = match address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        // Connecting a datagram socket sends nothing: the kernel only looks for the way.
        let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
        socket.connect(SocketAddr::new(address, 9)).ok()?;
        let own = socket.local_addr().ok()?.ip();
        Self::all().ok()?.into_iter().find(|link| link.addresses.contains(&own))
    }

    /// It still exists, and is not another one of the same name.
    pub fn is_present(&self) -> bool {
        index_of(&self.name) == Some(self.index)
    }
}

/// The kernel's number of the interface with this name.
fn index_of(name: &str) -> Option<u32> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: a string with its zero byte that lives here.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// Takes one entry of the kernel's list, which has one per interface and address.
fn links_add(links: &mut Vec<Link>, entry: &libc::ifaddrs) {
    // SAFETY: every entry has a name that ends with a zero byte.
    let name = unsafe { CStr::from_ptr(entry.ifa_name) }.to_string_lossy().into_owned();
    let position = links.iter().position(|link| link.name == name).or_else(|| {
        let has = |flag: libc::c_int| entry.ifa_flags & flag as libc::c_uint != 0;
        let link = Link {
            index: index_of(&name)?,
            name,
            addresses: Vec::new(),
            is_up: has(libc::IFF_UP),
            is_running: has(libc::IFF_RUNNING),
            is_multicast: has(libc::IFF_MULTICAST),
        };
        links.push(link);
        Some(links.len() - 1)
    });
    let link = position.and_then(|position| links.get_mut(position));
    if let (Some(link), Some(address)) = (link, address_of(entry.ifa_addr)) {
        link.addresses.push(address);
    }
}

fn address_of(address: *const libc::sockaddr) -> Option<IpAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: not null, so it points to an address of the family that it says, with its length.
    match i32::from(unsafe { (*address).sa_family }) {
        libc::AF_INET => {
            // SAFETY: the family says so.
            let address = unsafe { *address.cast::<libc::sockaddr_in>() };
            Some(IpAddr::V4(Ipv4Addr::from_bits(u32::from_be(address.sin_addr.s_addr))))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says so.
            let address = unsafe { *address.cast::<libc::sockaddr_in6>() };
            Some(IpAddr::V6(Ipv6Addr::from(address.sin6_addr.s6_addr)))
        }
        _ => None,
    }
}
