//! Against senders on the loopback interface; groups are probed in namespaces (tests/e2e_probe.rs).

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use corelay_config::{MediaUrl, Side};

use super::{Arguments, Level, Report, look, text};

fn arguments(url: &str, seconds: u64) -> Arguments {
    let url = MediaUrl::parse(url, Side::Probe).unwrap();
    Arguments { url, seconds: Some(seconds), json: false }
}

fn probe(url: &str, seconds: u64) -> Report {
    look(&arguments(url, seconds), &AtomicBool::new(false)).unwrap()
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A packet of a PID that no table names.
fn packet(counter: u8) -> [u8; 188] {
    let mut packet = [0xAA; 188];
    packet[..4].copy_from_slice(&[0x47, 0x01, 0x00, 0x10 | counter & 0x0F]);
    packet
}

fn packets(first: u8, count: u8) -> Vec<u8> {
    (0..count).flat_map(|n| packet(first.wrapping_add(n))).collect()
}

#[test]
fn a_silent_port_is_said_after_five_seconds_at_most() {
    let port = free_port();
    let begun = Instant::now();
    let report = probe(&format!("udp://127.0.0.1:{port}"), 60);
    assert!((5..8).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert_eq!(report.verdict.level, Level::Silent);
    let text = text::text(&report);
    let wanted = format!("Verdict: SILENT: nothing came to port {port} within 5 s");
    assert!(text.contains(&wanted), "{text}");
}

#[test]
fn datagrams_that_are_no_transport_stream_are_shown() {
    let port = free_port();
    thread::spawn(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(100));
            socket.send_to(b"OPTIONS sip:x SIP/2.0", ("127.0.0.1", port)).unwrap();
        }
    });
    let report = probe(&format!("udp://127.0.0.1:{port}"), 1);
    assert_eq!(report.verdict.level, Level::NoStream);
    assert!(report.verdict.text.contains("4f 50 54 49"), "{}", report.verdict.text);
}

#[test]
fn rtp_and_raw_datagrams_are_told_apart_and_losses_counted() {
    let port = free_port();
    let stop = AtomicBool::new(false);
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            thread::sleep(Duration::from_millis(300));
            for n in (0..40_u8).filter(|n| n % 10 != 5) {
                let header = [0x80, 33, 0, n, 0, 0, n, 0, 0xCA, 0xFE, 0, 1];
                let datagram = [&header[..], &packets(n.wrapping_mul(7), 7)].concat();
                socket.send_to(&datagram, ("127.0.0.1", port)).unwrap();
                thread::sleep(Duration::from_millis(5));
            }
            socket.send_to(&packets(0, 3), ("127.0.0.1", port)).unwrap();
            thread::sleep(Duration::from_millis(300));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        look(&arguments(&format!("rtp://127.0.0.1:{port}"), 60), &stop).unwrap()
    });
    assert_eq!(report.ended, "interrupted");
    let rtp = report.source.rtp.as_ref().unwrap();
    assert_eq!((rtp.received, rtp.lost, rtp.payload_type), (36, 4, 33));
    assert_eq!(rtp.ssrc, "0xcafe0001");
    let datagrams = report.source.datagrams.as_ref().unwrap();
    assert_eq!((datagrams.framing, datagrams.count), ("raw and rtp", 37));
    assert_eq!(datagrams.packets, [(7, 36), (3, 1)]);
    assert_eq!(report.verdict.level, Level::Error);
    let stream = report.stream.as_ref().unwrap();
    assert_eq!((stream.packets, stream.pids[0].pid), (36 * 7 + 3, 256));
    let text = text::text(&report);
    assert!(text.contains("4 RTP packets are lost (10.00 %)"), "{text}");
    serde_json::to_value(&report).unwrap();
}

/// Serves one connection with these bytes.
fn serve(bytes: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        if bytes.starts_with(b"HTTP") {
            let mut request = [0; 1_024];
            let count = stream.read(&mut request).unwrap();
            assert!(request[..count].starts_with(b"GET /x.ts?a=b HTTP/1.1\r\nHost: 127.0.0.1:"));
        }
        // In pieces that end anywhere.
        for piece in bytes.chunks(997) {
            if stream.write_all(piece).is_err() {
                return;
            }
        }
    });
    port
}

fn stream_packets(report: &Report) -> u64 {
    report.stream.as_ref().map_or(0, |stream| stream.packets)
}

#[test]
fn connections_are_aligned_and_their_end_is_said() {
    let garbage = vec![1, 2, 3];
    let port = serve([garbage, packets(0, 100)].concat());
    let report = probe(&format!("tcp://127.0.0.1:{port}"), 10);
    assert_eq!((stream_packets(&report), report.ended.as_str()), (100, "the source ended"));
    assert_eq!(report.source.skipped_bytes, 3);
    assert_eq!(report.source.packet_bytes, Some(188));
}

#[test]
fn http_bodies_are_read_plain_in_chunks_and_behind_a_redirect() {
    let plain = b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n".to_vec();
    let port = serve([plain, packets(0, 100)].concat());
    let report = probe(&format!("http://127.0.0.1:{port}/x.ts?a=b"), 10);
    assert_eq!(stream_packets(&report), 100);

    let mut chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n".to_vec();
    for chunk in packets(0, 100).chunks(1_001) {
        chunked.extend_from_slice(format!("{:X};x=y\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\nnot of the body");
    let port = serve(chunked);
    let report = probe(&format!("http://127.0.0.1:{port}/x.ts?a=b"), 10);
    assert_eq!((stream_packets(&report), report.source.bytes), (100, 18_800));

    let to = format!("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{}/x.ts?a=b\r\n\r\n", {
        serve([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), packets(0, 50)].concat())
    });
    let port = serve(to.into_bytes());
    let report = probe(&format!("http://127.0.0.1:{port}/x.ts?a=b"), 10);
    assert_eq!(stream_packets(&report), 50);
}

#[test]
fn what_is_no_stream_is_one_sentence() {
    for (answer, message) in [
        ("HTTP/1.1 404 Not Found\r\n\r\n", "answered 404 Not Found; check the path"),
        ("HTTP/1.1 302 Found\r\nLocation: https://x/\r\n\r\n", "which cannot be followed"),
        ("HTTPS rather not", "does not speak HTTP"),
    ] {
        let port = serve(answer.as_bytes().to_vec());
        let url = arguments(&format!("http://127.0.0.1:{port}/x.ts?a=b"), 5);
        let error = look(&url, &AtomicBool::new(false)).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let url = arguments("rtmp://127.0.0.1/live/x", 5);
    let error = look(&url, &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(error.starts_with("rtmp:// carries no transport stream"), "{error}");
    let url = arguments("/no/such/file.ts", 5);
    let error = look(&url, &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(error.starts_with("cannot read /no/such/file.ts: "), "{error}");
}
