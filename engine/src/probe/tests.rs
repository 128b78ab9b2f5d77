//! Against senders on the loopback interface; groups are probed in namespaces (tests/e2e_probe.rs).

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use corelay_codecs::container::mpegts::mux::{self, Muxer};
use corelay_codecs::container::mpegts::packet::{Packet, Pid};
use corelay_codecs::{AccessUnit, CodecId, FlvBody, Timestamp, TrackId, UnitKind};
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
    assert!(begun.elapsed().as_secs() >= 5, "{:?}", begun.elapsed());
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
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(100));
            socket.send_to(b"OPTIONS sip:x SIP/2.0", ("127.0.0.1", port)).unwrap();
        }
    });
    let report = probe(&format!("udp://127.0.0.1:{port}"), 1);
    assert_eq!(report.verdict.level, Level::NoStream);
    assert!(report.verdict.text.contains("4f 50 54 49"), "{}", report.verdict.text);
}

/// Waits until a socket of UDP is bound to a port, and nothing waits in it.
fn await_queue(port: u16) {
    let place = format!("0100007F:{port:04X} ");
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let table = std::fs::read_to_string("/proc/net/udp").unwrap();
        // The bytes that wait to be sent and to be received, in hexadecimal.
        let mut ours = table.lines().filter(|line| line.contains(&place));
        if ours.any(|line| line.contains(" 00000000:00000000 ")) {
            return;
        }
        assert!(Instant::now() < deadline, "nobody reads port {port}: {table}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn rtp_and_raw_datagrams_are_told_apart_and_losses_counted() {
    let port = free_port();
    let stop = AtomicBool::new(false);
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            await_queue(port);
            for n in (0..40_u8).filter(|n| n % 10 != 5) {
                let header = [0x80, 33, 0, n, 0, 0, n, 0, 0xCA, 0xFE, 0, 1];
                let datagram = [&header[..], &packets(n.wrapping_mul(7), 7)].concat();
                socket.send_to(&datagram, ("127.0.0.1", port)).unwrap();
                thread::sleep(Duration::from_millis(5));
            }
            socket.send_to(&packets(0, 3), ("127.0.0.1", port)).unwrap();
            await_queue(port);
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

/// A PAT of these programs and the PIDs of their PMTs (ISO/IEC 13818-1 2.4.4.3).
fn pat(counter: u8, programs: &[(u16, u16)]) -> [u8; 188] {
    let mut section = vec![0, 0xB0, 9 + 4 * programs.len() as u8, 0, 1, 0xC1, 0, 0];
    for (number, pid) in programs {
        section.extend(number.to_be_bytes());
        section.extend((0xE000 | pid).to_be_bytes());
    }
    let crc = section.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 }
        })
    });
    section.extend(crc.to_be_bytes());
    let mut packet = [0xFF; 188];
    packet[..5].copy_from_slice(&[0x47, 0x40, 0, 0x10 | counter & 0x0F, 0]);
    packet[5..][..section.len()].copy_from_slice(&section);
    packet
}

/// Five seconds of sound in programs 1 and 2, and two packets missing in the first one.
fn two_programs() -> Vec<u8> {
    let pids = |base: u16| (Pid::new(base), Pid::new(base + 0x10), Pid::new(base + 0x11));
    let muxer = |program_number, base| {
        let (pmt_pid, video_pid, audio_pid) = pids(base);
        Muxer::new(mux::Settings {
            program_number,
            pmt_pid,
            video_pid,
            audio_pid,
            ..mux::Settings::default()
        })
    };
    let mut muxers = [muxer(1, 0x100), muxer(2, 0x400)];
    let unit = |kind, ms, payload: &[u8]| AccessUnit {
        track: TrackId::AUDIO,
        kind,
        codec: CodecId::Aac,
        dts: Timestamp::from_millis(ms),
        pts_offset: 0,
        payload: payload.to_vec().into(),
        flv: FlvBody::Build,
    };
    let (mut all, mut pats, mut sounds) = (Vec::new(), 0, 0);
    for ms in (0..5_000).step_by(20) {
        for (index, muxer) in muxers.iter_mut().enumerate() {
            let mut packets = Vec::new();
            if ms == 0 {
                muxer.write(&unit(UnitKind::Config, 0, &[0x11, 0x90]), &mut packets);
            }
            let frame = UnitKind::Frame { random_access: true };
            muxer.write(&unit(frame, ms, &[0x21; 300]), &mut packets);
            for packet in packets.chunks_exact(188) {
                let pid = Packet::parse(packet).unwrap().pid();
                sounds += u32::from(pid.value() == 0x111);
                match (pid, index) {
                    (Pid::PAT, 0) => {
                        all.extend(pat(pats, &[(1, 0x100), (2, 0x400)]));
                        pats += 1;
                    }
                    (Pid::PAT, _) => {}
                    _ if pid.value() == 0x111 && sounds % 100 == 50 => {}
                    _ => all.extend_from_slice(packet),
                }
            }
        }
    }
    all
}

#[test]
fn a_program_that_the_url_names_is_looked_at_alone() {
    let look_at = |fragment: &str| {
        let port = serve(two_programs());
        probe(&format!("tcp://127.0.0.1:{port}{fragment}"), 60)
    };
    let numbers = |report: &Report| {
        let stream = report.stream.as_ref().expect("a stream");
        let programs: Vec<u16> = stream.programs.iter().map(|program| program.number).collect();
        let pids: Vec<u16> = stream.pids.iter().map(|pid| pid.pid).collect();
        let errors: u64 = stream.pids.iter().map(|pid| pid.continuity_errors).sum();
        (programs, pids, errors > 0)
    };
    let whole = look_at("");
    let pids = vec![0, 0x11, 0x100, 0x111, 0x400, 0x411];
    assert_eq!((whole.program_number, numbers(&whole)), (None, (vec![1, 2], pids, true)));
    let first = look_at("#pnr=1");
    assert_eq!(numbers(&first), (vec![1], vec![0, 0x11, 0x100, 0x111], true));
    let second = look_at("#pnr=2");
    assert_eq!(second.program_number, Some(2));
    assert_eq!(numbers(&second), (vec![2], vec![0, 0x11, 0x400, 0x411], false));
    assert!(stream_packets(&second) < stream_packets(&whole));
    assert!(text::text(&second).contains("#pnr=2  program 2 alone, looked at for "));

    let other = look_at("#pnr=9");
    assert!(other.stream.is_none() && other.verdict.level == Level::Error);
    assert_eq!(other.verdict.text, "there is no program 9: the PAT has 1, 2");
    let port = serve(packets(0, 100));
    let other = probe(&format!("tcp://127.0.0.1:{port}#pnr=9"), 60);
    assert_eq!(other.verdict.text, "program 9 was not found: there is no PAT");
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
