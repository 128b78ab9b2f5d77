//! Unicast on the loopback interface; groups are tested in namespaces (tests/e2e_udp.rs).

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use corelay_config::{Endpoint, Interface, MediaUrl, Side};

use super::*;

fn input(url: &str) -> Result<UdpInput, UdpError> {
    UdpInput::open(&source(url))
}

fn source(url: &str) -> UdpSource {
    let url = MediaUrl::parse(url, Side::Input).unwrap();
    let Endpoint::Udp(place) = &url.endpoint else { panic!("{url}") };
    UdpSource { receive_buffer_bytes: 1 << 20, ..UdpSource::new(place, &url.options) }
}

/// An input on a port of the kernel's choice.
fn loopback(change: impl Fn(&mut UdpSource)) -> UdpInput {
    let mut source = source("udp://127.0.0.1:1");
    source.address.set_port(0);
    change(&mut source);
    UdpInput::open(&source).unwrap()
}

fn target(to: SocketAddr) -> UdpTarget {
    let url = MediaUrl::parse(&format!("udp://{to}"), Side::Output).unwrap();
    let Endpoint::Udp(place) = &url.endpoint else { panic!("{url}") };
    UdpTarget::new(place, &url.options)
}

/// Receives until `count` datagrams are there: their payloads and senders.
fn receive(input: &mut UdpInput, inbox: &mut Inbox, count: usize) -> Vec<(Vec<u8>, SocketAddr)> {
    let mut got = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(10);
    while got.len() < count {
        match input.receive(inbox) {
            Ok(batch) => {
                got.extend(batch.datagrams().map(|one| (one.payload.to_vec(), one.sender)));
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
                assert!(Instant::now() < deadline, "{} of {count} arrived", got.len());
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    got
}

fn numbered(count: usize, bytes: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| [&(n as u32).to_be_bytes()[..], &vec![n as u8; bytes - 4]].concat())
        .collect()
}

#[test]
fn datagrams_arrive_in_order_with_their_sizes_and_sender() {
    let mut input = loopback(|_| {});
    let mut output = UdpOutput::open(&target(input.local_address())).unwrap();
    let sizes = [1_316, 1_316, 1_316, 188, 1_316, 4, 60_000, 1_316];
    let payloads: Vec<Vec<u8>> = sizes.iter().map(|&size| vec![size as u8; size]).collect();
    let datagrams: Vec<_> =
        payloads.iter().map(|payload| Outgoing { header: &[], payload }).collect();
    let sent = output.send(&datagrams);
    assert_eq!((sent.datagrams, sent.stop.is_none()), (8, true));
    let got = receive(&mut input, &mut Inbox::new(), 8);
    for ((bytes, sender), payload) in got.iter().zip(&payloads) {
        assert_eq!((bytes, *sender), (payload, output.local_address()));
    }
    assert_eq!(input.counters().datagrams, 8);
    assert_eq!(input.counters().bytes, sizes.iter().sum::<usize>() as u64);
}

#[test]
fn runs_are_joined_for_the_kernel_and_by_it() {
    let mut input = loopback(|_| {});
    let mut output = UdpOutput::open(&target(input.local_address())).unwrap();
    assert!(output.joins_datagrams(), "the kernel has UDP_SEGMENT");
    let payloads = numbered(100, 1_316);
    let sent = output.send_packed(&payloads.concat(), 1_316);
    assert_eq!(sent.datagrams, 100);
    // A call takes 64, and 49 of this size fit a message: 49 and 15, then 36.
    assert_eq!((output.counters().messages, output.counters().datagrams), (3, 100));
    let got = receive(&mut input, &mut Inbox::new(), 100);
    assert!(got.iter().map(|(bytes, _)| bytes).eq(payloads.iter()));
    assert_eq!(input.counters().datagrams, 100);
    assert!(input.counters().messages < 20, "joined: {:?}", input.counters());
}

#[test]
fn without_joining_every_datagram_is_a_message() {
    let mut input = loopback(|source| source.joins_datagrams = false);
    let to = target(input.local_address());
    let mut output = UdpOutput::open(&UdpTarget { joins_datagrams: false, ..to }).unwrap();
    let payloads = numbered(100, 1_316);
    assert_eq!(output.send_packed(&payloads.concat(), 1_316).datagrams, 100);
    assert_eq!(output.counters().messages, 100);
    let got = receive(&mut input, &mut Inbox::new(), 100);
    assert!(got.iter().map(|(bytes, _)| bytes).eq(payloads.iter()));
    assert_eq!(input.counters().messages, 100);
}

#[test]
fn joined_datagrams_reach_a_receiver_that_knows_nothing_of_it() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut output = UdpOutput::open(&target(receiver.local_addr().unwrap())).unwrap();
    let header = [0x80, 33, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    let payload = [0x47; 1_316];
    let datagram = Outgoing { header: &header, payload: &payload };
    assert_eq!(output.send(&[datagram; 10]).datagrams, 10);
    assert_eq!(output.counters().messages, 1);
    let mut buffer = [0; 2_000];
    for _ in 0..10 {
        let bytes = receiver.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..bytes], [&header[..], &payload].concat());
    }
}

#[test]
fn datagrams_longer_than_the_mtu_are_sent_without_joining() {
    let mut input = loopback(|_| {});
    let mut output = UdpOutput::open(&target(input.local_address())).unwrap();
    // The loopback's MTU is 65,536, so there is no room for the headers of these.
    let payload = vec![7; 65_507];
    let datagram = Outgoing { header: &[], payload: &payload };
    assert_eq!(output.send(&[datagram]).datagrams, 1);
    assert_eq!(receive(&mut input, &mut Inbox::new(), 1)[0].0, payload);
    let long = vec![7; 65_508];
    let sent = output.send(&[Outgoing { header: &[], payload: &long }]);
    assert!(matches!(sent.stop, Some(Stop::Failed(_))) && sent.datagrams == 0, "{sent:?}");
}

#[test]
fn empty_datagrams_are_datagrams() {
    let mut input = loopback(|_| {});
    let mut output = UdpOutput::open(&target(input.local_address())).unwrap();
    let nothing = Outgoing { header: &[], payload: &[] };
    assert_eq!(output.send(&[nothing; 3]).datagrams, 3);
    let got = receive(&mut input, &mut Inbox::new(), 3);
    assert!(got.iter().all(|(bytes, _)| bytes.is_empty()));
    assert_eq!(input.counters().datagrams, 3);
}

#[test]
fn what_finds_no_room_is_counted_by_the_kernel() {
    let mut input = loopback(|source| {
        source.receive_buffer_bytes = 16 << 10;
        source.joins_datagrams = false;
    });
    let mut output = UdpOutput::open(&target(input.local_address())).unwrap();
    let payloads = numbered(1_000, 1_316);
    assert_eq!(output.send_packed(&payloads.concat(), 1_316).datagrams, 1_000);
    let mut inbox = Inbox::new();
    while input.receive(&mut inbox).is_ok() {}
    let received = input.counters().datagrams;
    assert!((1..900).contains(&received), "{received} found room");
    // The kernel tells with the next datagram.
    assert_eq!(output.send_packed(&payloads[0], 1_316).datagrams, 1);
    receive(&mut input, &mut inbox, 1);
    assert_eq!(input.counters().kernel_drops, 1_000 - received);
}

#[test]
fn arrival_times_are_told_where_asked_for() {
    let mut input = loopback(|source| source.has_timestamps = true);
    let mut output = UdpOutput::open(&target(input.local_address())).unwrap();
    let now_ns = || {
        let now = std::time::SystemTime::now();
        now.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
    };
    let mut inbox = Inbox::new();
    // The kernel turns stamping on a while after it was asked to, and until then stamps at the receive.
    let is_stamped_at_arrival = (0..50).any(|_| {
        let before = now_ns();
        output.send_packed(&[1; 188], 188);
        std::thread::sleep(Duration::from_millis(50));
        let batch = input.receive(&mut inbox).unwrap();
        assert!(!batch.is_full() && !batch.is_empty());
        let arrived = batch.datagrams().next().unwrap().arrived_ns.unwrap();
        assert!((before..=now_ns()).contains(&arrived), "{arrived}");
        arrived < before + 40_000_000
    });
    assert!(is_stamped_at_arrival);
}

#[test]
fn a_receiver_that_is_gone_stops_nothing() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut output = UdpOutput::open(&target(receiver.local_addr().unwrap())).unwrap();
    drop(receiver);
    for _ in 0..20 {
        let sent = output.send_packed(&[0; 1_316], 1_316);
        assert_eq!((sent.datagrams, sent.stop.is_none()), (1, true));
    }
    assert!(output.counters().refused > 0, "{:?}", output.counters());
}

#[test]
fn ttl_class_and_source_are_set() {
    let input = loopback(|_| {});
    let url =
        format!("udp://lo@{}#ttl=7&dscp=ef&src=127.0.0.9&sndbuf=65536", input.local_address());
    let url = MediaUrl::parse(&url, Side::Output).unwrap();
    let Endpoint::Udp(place) = &url.endpoint else { panic!("{url}") };
    let output = UdpOutput::open(&UdpTarget::new(place, &url.options)).unwrap();
    let socket = socket2::SockRef::from(&output);
    assert_eq!((socket.ttl_v4().unwrap(), socket.tos_v4().unwrap()), (7, 46 << 2));
    assert_eq!(socket.send_buffer_size().unwrap(), 2 * 65_536);
    assert_eq!(output.local_address().ip().to_string(), "127.0.0.9");
}

#[test]
fn a_unicast_port_is_not_shared() {
    let first = loopback(|_| {});
    let error = UdpInput::open(&UdpSource {
        address: first.local_address(),
        ..source("udp://127.0.0.1:1")
    });
    assert!(matches!(error, Err(UdpError::InUse(_))), "{error:?}");
}

#[test]
fn every_mistake_is_one_sentence_with_its_remedy() {
    let error = input("udp://nosuch0@239.1.1.1").unwrap_err().to_string();
    assert!(error.starts_with("there is no interface nosuch0; this machine has "), "{error}");
    assert!(error.contains("lo"), "{error}");
    let error = input("udp://192.0.2.1@239.1.1.1").unwrap_err().to_string();
    assert!(error.starts_with("there is no interface 192.0.2.1;"), "{error}");
    let error = input("udp://192.0.2.1:5000").unwrap_err().to_string();
    assert!(error.starts_with("this machine has no address 192.0.2.1;"), "{error}");
    let with_senders =
        UdpSource { senders: vec!["10.0.0.1".parse().unwrap()], ..source("udp://127.0.0.1:5000") };
    let error = UdpInput::open(&with_senders).unwrap_err().to_string();
    assert!(error.starts_with("127.0.0.1 is no multicast group"), "{error}");
}

#[test]
fn interfaces_are_found_by_name_and_by_address() {
    let by_name = Link::find(&Interface::Name("lo".to_owned())).unwrap();
    let by_address = Link::find(&Interface::Address("127.0.0.1".parse().unwrap())).unwrap();
    assert_eq!(by_name, by_address);
    assert!(by_name.is_up && by_name.index > 0 && by_name.is_present());
    assert_eq!(Link::toward("127.0.0.1".parse().unwrap()).unwrap().name, "lo");
    let gone = Link { name: "lo".to_owned(), index: 9_999, ..by_name };
    assert!(!gone.is_present());
}
