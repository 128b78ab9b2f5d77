//! A headend on the wire: its stream in datagrams, in real time, with whatever can go wrong with it.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::headend::{Headend, PACKET_SIZE};
use crate::support::netns::Host;

/// How packets are put into datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// Seven packets.
    Raw,
    /// Seven packets with 16 bytes of parity behind each.
    WithParity,
    /// Seven packets behind a header of RTP.
    Rtp,
    /// The same, some datagrams later than those behind them, some twice.
    RtpDisturbed,
}

/// What is done to the packets of a datagram before they are sent.
pub type Fault = fn(&mut Vec<u8>);

/// A stream that is sent until it is stopped.
pub struct Feed {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Vec<u8>>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    fault: Mutex<Option<Fault>>,
}

impl Feed {
    /// Sends a stream from an address of a host to a group.
    pub fn start(
        host: &Host,
        (interface, from): (&str, &str),
        to: &str,
        carriage: Carriage,
        headend: Headend,
    ) -> Self {
        Self::start_at(Instant::now(), host, (interface, from), to, carriage, headend)
    }

    /// The same, with the first packet at a given time.
    pub fn start_at(
        start: Instant,
        host: &Host,
        from: (&str, &str),
        to: &str,
        carriage: Carriage,
        headend: Headend,
    ) -> Self {
        let socket = open(host, from, to);
        let shared = Arc::new(Shared::default());
        let link = Arc::clone(&shared);
        let thread = thread::spawn(move || run(&socket, carriage, headend, start, &link));
        Self { shared, thread: Some(thread) }
    }

    /// From now on this happens to what is sent; `None`: nothing.
    pub fn set_fault(&self, fault: Option<Fault>) {
        *self.shared.fault.lock().unwrap() = fault;
    }

    /// Sends nothing from now on, while time goes on.
    pub fn mute(&self) {
        self.set_fault(Some(Vec::clear));
    }

    /// Sends everything again.
    pub fn unmute(&self) {
        self.set_fault(None);
    }

    /// Ends it: the packets that were sent, each once and in their order.
    pub fn stop(mut self) -> Vec<u8> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("stopped once").join().expect("it sends")
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

/// A socket of a host that sends to a group, or to an address.
pub fn open(host: &Host, (interface, from): (&str, &str), to: &str) -> UdpSocket {
    let from: IpAddr = from.parse().expect("an address");
    let to: SocketAddr = to.parse().expect("an address and a port");
    host.run(|| {
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, None).unwrap();
        socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
        match from {
            IpAddr::V4(from) => socket.set_multicast_if_v4(&from).unwrap(),
            IpAddr::V6(_) => socket.set_multicast_if_v6(index(interface)).unwrap(),
        }
        socket.connect(&to.into()).unwrap();
        socket.into()
    })
}

/// The number of an interface of the calling thread's network.
pub fn index(interface: &str) -> u32 {
    let name = std::ffi::CString::new(interface).expect("a name");
    // SAFETY: a string that ends with zero, for the time of the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    assert_ne!(index, 0, "there is no {interface}");
    index
}

/// The first address of the sending host on each cable, with the interface.
pub const TX0: (&str, &str) = ("tx0", "10.71.0.2");
pub const TX1: (&str, &str) = ("tx1", "10.72.0.2");
/// The second address on the first cable.
pub const TX0_OTHER: (&str, &str) = ("tx0", "10.71.0.3");
pub const TX0_V6: (&str, &str) = ("tx0", "fd71::2");

fn run(
    socket: &UdpSocket,
    carriage: Carriage,
    mut headend: Headend,
    start: Instant,
    shared: &Shared,
) -> Vec<u8> {
    let mut sent = Vec::new();
    let mut wire = Wire { socket, carriage, sequence: 65_500, number: 0, held: Vec::new() };
    while !shared.stop.load(Ordering::Relaxed) {
        let due = start + Duration::from_micros(headend.elapsed_us());
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            thread::sleep(early);
        }
        let at_90khz = (headend.clock_27mhz() / 300) as u32;
        let mut packets = headend.next_packets(7);
        if let Some(fault) = *shared.fault.lock().unwrap() {
            fault(&mut packets);
        }
        if !packets.is_empty() {
            wire.send(&packets, at_90khz);
            sent.extend(packets);
        }
    }
    wire.release();
    sent
}

/// Datagrams on their way.
struct Wire<'a> {
    socket: &'a UdpSocket,
    carriage: Carriage,
    sequence: u16,
    /// Datagrams so far.
    number: u64,
    /// Those that are sent together, the first of them last.
    held: Vec<Vec<u8>>,
}

impl Wire<'_> {
    fn send(&mut self, packets: &[u8], at_90khz: u32) {
        let datagram = match self.carriage {
            Carriage::Raw => packets.to_vec(),
            Carriage::WithParity => {
                let (packets, _) = packets.as_chunks::<PACKET_SIZE>();
                packets.iter().flat_map(|packet| [&packet[..], &[0x5A; 16]].concat()).collect()
            }
            Carriage::Rtp | Carriage::RtpDisturbed => {
                [&rtp_header(self.sequence, at_90khz)[..], packets].concat()
            }
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.number += 1;
        if self.carriage != Carriage::RtpDisturbed {
            return self.put(&datagram);
        }
        match self.number % 16 {
            // One behind the three that follow it, and all at once: a machine that stalls in between would
            // make it late by time and not by place.
            5..=7 => self.held.push(datagram),
            8 => {
                self.held.push(datagram);
                self.held.rotate_left(1);
                self.release();
            }
            11 => {
                self.put(&datagram);
                self.put(&datagram);
            }
            _ => self.put(&datagram),
        }
    }

    fn release(&mut self) {
        for datagram in std::mem::take(&mut self.held) {
            self.put(&datagram);
        }
    }

    fn put(&self, datagram: &[u8]) {
        self.socket.send(datagram).expect("the interface is there");
    }
}

/// Version 2, payload type 33 (RFC 3551 6).
fn rtp_header(sequence: u16, at_90khz: u32) -> [u8; 12] {
    let mut header = [0x80, 33, 0, 0, 0, 0, 0, 0, 0xC0, 0xDE, 0x00, 0x01];
    header[2..4].copy_from_slice(&sequence.to_be_bytes());
    header[4..8].copy_from_slice(&at_90khz.to_be_bytes());
    header
}
