//! What a host hears of a group: every datagram, when it came, and with which TTL.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::feed::index;
use crate::support::netns::Host;

/// One datagram.
#[derive(Clone, Debug)]
pub struct Heard {
    /// When the kernel had it, in us of the machine's clock.
    pub at_us: u64,
    /// Time to live, or hop limit.
    pub ttl: i32,
    pub payload: Vec<u8>,
}

/// Listens until it is stopped.
pub struct Listener {
    stop: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    heard: Arc<Mutex<Vec<Heard>>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Joins a group on an interface of a host.
    pub fn join(host: &Host, interface: &str, group: &str) -> Self {
        let group: SocketAddr = group.parse().expect("an address and a port");
        let socket = host.run(|| open(interface, group));
        let (stop, bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (flag, count, all) = (Arc::clone(&stop), Arc::clone(&bytes), Arc::clone(&heard));
        let thread = thread::spawn(move || listen(&socket, &flag, &count, &all));
        Self { stop, bytes, heard, thread: Some(thread) }
    }

    /// Bytes of payload so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether what was heard last ends so.
    pub fn ends_with(&self, end: &[u8]) -> bool {
        self.heard.lock().unwrap().last().is_some_and(|one| one.payload.ends_with(end))
    }

    /// Ends it: everything that was heard.
    pub fn stop(mut self) -> Vec<Heard> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("stopped once").join().expect("it listens");
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The payloads in a row.
pub fn payloads(heard: &[Heard]) -> Vec<u8> {
    heard.iter().flat_map(|one| one.payload.iter().copied()).collect()
}

fn open(interface: &str, group: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&group.into()).unwrap();
    let _ = socket.set_recv_buffer_size(4 << 20);
    set(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS);
    match group.ip() {
        IpAddr::V4(ip) => {
            set(&socket, libc::IPPROTO_IP, libc::IP_RECVTTL);
            let on = socket2::InterfaceIndexOrAddress::Index(index(interface));
            socket.join_multicast_v4_n(&ip, &on).unwrap();
        }
        IpAddr::V6(ip) => {
            set(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT);
            socket.join_multicast_v6(&ip, index(interface)).unwrap();
        }
    }
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    socket
}

/// Switches a boolean option on.
fn set(socket: &Socket, level: i32, option: i32) {
    let one: libc::c_int = 1;
    let size = size_of_val(&one) as libc::socklen_t;
    // SAFETY: an open descriptor, and an integer of that size.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const one).cast(), size)
    };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

fn listen(socket: &Socket, stop: &AtomicBool, bytes: &AtomicU64, all: &Mutex<Vec<Heard>>) {
    while !stop.load(Ordering::Relaxed) {
        if let Some(heard) = receive(socket) {
            bytes.fetch_add(heard.payload.len() as u64, Ordering::Relaxed);
            all.lock().unwrap().push(heard);
        }
    }
}

/// One datagram; `None` when none comes for a while.
fn receive(socket: &Socket) -> Option<Heard> {
    let mut payload = vec![0_u8; 66_000];
    let mut control = [0_u64; 32];
    let mut part = libc::iovec { iov_base: payload.as_mut_ptr().cast(), iov_len: payload.len() };
    // SAFETY: all zeros is a message without anything.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    // SAFETY: the buffers that the message names live until the end of this function.
    let size = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
    payload.truncate(usize::try_from(size).ok()?);
    payload.shrink_to_fit();
    let (mut at_us, mut ttl) = (0, -1);
    // SAFETY: the kernel has filled in the message, and its headers are walked as it left them.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while let Some(one) = header.as_ref() {
            let data = libc::CMSG_DATA(header);
            match (one.cmsg_level, one.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let time = data.cast::<libc::timespec>().read_unaligned();
                    at_us = time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000;
                }
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    ttl = data.cast::<libc::c_int>().read_unaligned();
                }
                _ => {}
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    Some(Heard { at_us, ttl, payload })
}
