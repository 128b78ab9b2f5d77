//! Bad input, item by item: a clear log line, one connection closed at most, memory back to where it
//! was, and a stream beside it that notices nothing.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::amf::Amf;
use support::flv::{self, AUDIO, SCRIPT, Tag, VIDEO};
use support::media::Media;
use support::relay::Relay;
use support::rtmp::{self, Rtmp};
use support::witness::{Publisher, Witness};
use support::{LIMIT, http, raise_open_files, wait_until};

/// Memory that may come and go with a busy stream, in KiB.
const BREATH_KIB: u64 = 12 << 10;

/// Runs an attack beside a stream that must not notice. The attack runs twice: the first time may
/// warm something up, the second must not add to it.
fn beside_a_witness(settings: &str, attack: impl Fn(&Relay)) {
    let relay = Relay::start(settings);
    let witness = Witness::start(&relay);
    attack(&relay);
    wait_until("the attackers are gone", LIMIT, || relay.connections() <= 2);
    let (fds, rss) = (relay.open_fds(), relay.rss_kib());
    attack(&relay);
    wait_until("the attackers are gone", LIMIT, || relay.connections() <= 2);
    wait_until("the descriptors are closed", LIMIT, || relay.open_fds() <= fds);
    let after = relay.rss_kib();
    assert!(after < rss + BREATH_KIB, "memory grew from {rss} KiB to {after} KiB");
    witness.assert_unharmed();
}

/// Sends bytes on a fresh connection and waits until the relay has closed it.
fn closes_after(relay: &Relay, bytes: &[u8]) {
    let mut socket = http::open(relay.rtmp());
    let _ = socket.write_all(bytes); // It may be closed while we write.
    assert_closed(&mut socket);
}

fn assert_closed(socket: &mut TcpStream) {
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
            Err(error) => panic!("the connection was not closed: {error}"),
        }
    }
}

#[test]
fn garbage_instead_of_a_handshake() {
    beside_a_witness("", |relay| {
        for first in [0_u8, 1, 4, 22, 128, 255] {
            closes_after(relay, &vec![first; 4000]);
        }
        closes_after(relay, b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n");
        closes_after(relay, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
        relay.await_log(&["HTTP"]);
    });
}

#[test]
fn a_version_that_is_not_spoken_is_told_from_garbage() {
    let relay = Relay::start("");
    closes_after(&relay, &[6; 1537]);
    relay.await_log(&["RTMPE"]);
}

#[test]
fn half_a_handshake_and_silence() {
    beside_a_witness("rtmp.handshake_timeout_ms = 700", |relay| {
        let sockets = [0, 1, 2, 1000, 1536, 1537, 2000].map(|count| {
            let mut bytes = vec![0; count];
            if let Some(version) = bytes.first_mut() {
                *version = 3;
            }
            let mut socket = http::open(relay.rtmp());
            socket.write_all(&bytes).unwrap();
            socket
        });
        sockets.into_iter().for_each(|mut socket| assert_closed(&mut socket));
        relay.await_log(&["handshake"]);
    });
}

#[test]
fn a_chunk_size_of_16_mib_and_one_of_zero() {
    beside_a_witness("", |relay| {
        for size in [0_u32, 0x0100_0000, 0x7fff_ffff, 0xffff_ffff] {
            let mut peer = Rtmp::connect(relay.rtmp(), "live").unwrap();
            let _ = peer.send(1, 0, 0, &size.to_be_bytes());
            assert!(peer.is_closed_within(LIMIT), "chunk size {size} was accepted");
        }
        relay.await_log(&["chunk_size_in_max"]);
    });
}

#[test]
fn the_largest_chunk_size_allowed_costs_nothing_until_it_is_used() {
    let relay = Relay::start("");
    let before = relay.rss_kib();
    let mut peers = Vec::new();
    for _ in 0..50 {
        let mut peer = Rtmp::connect(relay.rtmp(), "live").unwrap();
        peer.set_chunk_size(10 << 20).unwrap();
        // A message that promises 4 MB, and brings a hundred bytes of them.
        let mut bytes = rtmp::header(6, VIDEO, 1, 0, (4 << 20) - 1);
        bytes.extend_from_slice(&[0x17; 100]);
        peer.raw(&bytes).unwrap();
        peers.push(peer);
    }
    std::thread::sleep(Duration::from_secs(1));
    let after = relay.rss_kib();
    assert!(after < before + BREATH_KIB, "50 promises took {} KiB", after - before);
}

#[test]
fn a_message_that_claims_to_be_huge() {
    beside_a_witness("", |relay| {
        // RTMP can say 16 MiB, a WebSocket frame and Content-Length any number.
        let mut peer = Rtmp::publish(relay.rtmp(), "live", "huge").unwrap();
        let mut bytes = rtmp::header(6, VIDEO, 1, 0, 0xff_ffff);
        bytes.extend_from_slice(&[0; 4096]);
        let _ = peer.raw(&bytes);
        assert!(peer.is_closed_within(LIMIT), "a message of 16 MiB was accepted");
        relay.await_log(&["message_bytes_max"]);

        let mut socket = http::open(relay.http());
        let upgrade = "GET /live/witness.flv HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\n\
                       Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        socket.write_all(upgrade.as_bytes()).unwrap();
        let mut frame = vec![0x82, 0xff];
        frame.extend_from_slice(&(2_u64 << 30).to_be_bytes());
        frame.extend_from_slice(&[0; 100]);
        let _ = socket.write_all(&frame);
        assert_closed(&mut socket);

        let mut socket = http::open(relay.http());
        let post =
            "GET /live/witness.flv HTTP/1.1\r\nHost: relay\r\nContent-Length: 2147483648\r\n\r\n";
        socket.write_all(post.as_bytes()).unwrap();
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    });
}

/// The tags with their times put through a function.
fn retimed(tags: &[Tag], time: impl Fn(usize, u32) -> u32) -> Vec<Tag> {
    let mut tags = tags.to_vec();
    for (index, tag) in tags.iter_mut().enumerate() {
        tag.timestamp_ms = time(index, tag.timestamp_ms);
    }
    tags
}

#[test]
fn timestamps_that_jump_and_run_backward() {
    let relay = Relay::start("");
    let tags = Media::AudioVideo.tags();
    type Clock = fn(usize, u32) -> u32;
    let clocks: [(&str, Clock); 6] = [
        ("wraps", |_, time| time.wrapping_add(u32::MAX - 2000)),
        ("jumps an hour forward", |index, time| time + if index > 100 { 3_600_000 } else { 0 }),
        ("jumps an hour back", |index, time| time + if index > 100 { 0 } else { 3_600_000 }),
        ("is negative", |_, time| time.wrapping_sub(1_000_000)),
        ("stands still", |_, _| 7),
        ("is noise", |index, _| (index as u32).wrapping_mul(2_654_435_761)),
    ];
    for (what, clock) in clocks {
        let name = what.replace(' ', "-");
        let mut player = Rtmp::play(relay.rtmp(), "live", &name).unwrap();
        let mut publisher = Rtmp::publish(relay.rtmp(), "live", &name).unwrap();
        for tag in retimed(&tags, clock).iter().take(300) {
            publisher.send_tag(tag, tag.timestamp_ms).unwrap();
        }
        // Nothing is lost, and for the viewer time goes forward, from about 0.
        let received = player.collect(290);
        for kind in [AUDIO, VIDEO] {
            flv::assert_monotonic(&received, kind);
            let got = flv::frames(&received, kind);
            let sent = flv::frames(&tags[..300], kind);
            let same = got.iter().zip(&sent).all(|(out, put)| out.body == put.body);
            assert!(same && !got.is_empty(), "{what}: kind {kind} came out changed");
            let last = got.last().unwrap().timestamp_ms;
            assert!(what == "is noise" || last < 60_000, "{what}: it ends at {last} ms");
        }
    }
}

#[test]
fn amf_nested_ten_thousand_deep() {
    beside_a_witness("", |relay| {
        let mut body = Vec::new();
        Amf::Text("connect").encode(&mut body);
        Amf::Number(1.0).encode(&mut body);
        for _ in 0..10_000 {
            body.extend_from_slice(&[3, 0, 1, b'a']); // An object whose member `a` is
        }
        let mut peer = Rtmp::open(relay.rtmp()).unwrap();
        let _ = peer.send(20, 0, 0, &body);
        assert!(peer.is_closed_within(LIMIT), "it was accepted");

        // The same as metadata of a publisher: dropped, or the end of that publisher, no more.
        let mut body = Vec::new();
        Amf::Text("onMetaData").encode(&mut body);
        for _ in 0..10_000 {
            body.extend_from_slice(&[3, 0, 1, b'a']);
        }
        let tag = Tag { kind: SCRIPT, timestamp_ms: 0, body };
        let mut peer = Rtmp::publish(relay.rtmp(), "live", "nested").unwrap();
        let _ = peer.send_tag(&tag, 0);
        drop(peer);
        assert_eq!(http::get(relay.admin(), "/healthz").status, 200);
    });
}

#[test]
fn arrays_that_claim_four_billion_members() {
    beside_a_witness("", |relay| {
        for marker in [8_u8, 10] {
            let mut body = Vec::new();
            Amf::Text("connect").encode(&mut body);
            Amf::Number(1.0).encode(&mut body);
            body.push(marker);
            body.extend_from_slice(&[0xff; 4]);
            let mut peer = Rtmp::open(relay.rtmp()).unwrap();
            let _ = peer.send(20, 0, 0, &body);
            // Nothing of it is a connect that could be accepted: closed, or answered with an error.
            let answer = peer.next().map(|message| message.command()).unwrap_or_default();
            assert!(answer.is_empty() || answer == "_error", "marker {marker}: {answer}");
        }
    });
}

#[test]
fn a_chunk_stream_without_a_first_header() {
    beside_a_witness("", |relay| {
        for format in 1..=3_u8 {
            let mut peer = Rtmp::connect(relay.rtmp(), "live").unwrap();
            let mut bytes = vec![format << 6 | 9];
            bytes.extend_from_slice(&[0, 0, 1, 0, 0, 4, 9, 1, 2, 3, 4]);
            let _ = peer.raw(&bytes);
            assert!(peer.is_closed_within(LIMIT), "format {format} was accepted");
        }
    });
}

#[test]
fn more_chunk_streams_than_allowed() {
    beside_a_witness("rtmp.chunk_streams_max = 16", |relay| {
        let mut peer = Rtmp::connect(relay.rtmp(), "live").unwrap();
        let mut bytes = Vec::new();
        for id in 0..64 {
            bytes.extend_from_slice(&[0, id]); // Two-byte ids from 64 on, each left unfinished.
            bytes.extend_from_slice(&rtmp::header(0, VIDEO, 1, 0, 100_000)[1..]);
            bytes.extend_from_slice(&[0; 128]);
        }
        let _ = peer.raw(&bytes);
        assert!(peer.is_closed_within(LIMIT), "64 chunk streams were accepted");
        relay.await_log(&["chunk_streams_max"]);
    });
}

#[test]
fn a_publisher_that_sends_nothing() {
    beside_a_witness("applications.named.quiet.publisher_idle_timeout_ms = 700", |relay| {
        let mut peer = Rtmp::publish(relay.rtmp(), "quiet", "test").unwrap();
        assert!(peer.is_closed_within(LIMIT), "it is still connected");
        relay.await_log(&["publisher_idle_timeout_ms"]);
    });
}

#[test]
fn a_player_that_never_reads() {
    // The stream is much larger than what the kernel buffers for a connection.
    let relay = Relay::start(
        "rtmp.write_timeout_ms = 3000
         tcp.send_buffer_bytes = 65536
         applications.default.behind_bytes_max = 8000000
         applications.default.log_bytes_max = 12000000",
    );
    let witness = Witness::start(&relay);
    let mut tags = Media::AudioVideo.tags();
    for tag in tags.iter_mut().filter(|tag| tag.kind == VIDEO && tag.is_media()) {
        tag.body.resize(60_000, 0); // 12 Mbit/s
    }
    let publisher = Publisher::start(relay.rtmp(), "live", "large", tags.clone());
    let mut reader = Rtmp::play(relay.rtmp(), "live", "large").unwrap();
    let stuck = Rtmp::play(relay.rtmp(), "live", "large").unwrap();
    let started = Instant::now();
    let received = reader.collect(600);
    flv::assert_run(VIDEO, &tags, &received);
    relay.await_log(&["write_timeout_ms"]);
    wait_until("the stuck player is closed", LIMIT, || relay.connections() == 4);
    println!("closed after {:?}; {} KiB resident", started.elapsed(), relay.rss_kib());
    assert!(relay.rss_kib() < 120 << 10, "{} KiB resident", relay.rss_kib());
    assert!(publisher.is_publishing());
    let blocked = relay.metric("corelay_blocked_total", "").unwrap();
    assert!(blocked < 5_000.0, "a full socket was tried {blocked} times: it must be waited for");
    drop(stuck);
    witness.assert_unharmed();
}

#[test]
fn a_player_that_reads_too_slowly_skips_whole_groups() {
    let relay = Relay::start(
        "tcp.send_buffer_bytes = 65536
         applications.default.behind_bytes_max = 1000000
         applications.default.log_bytes_max = 4194304
         applications.default.skips_max = 1000",
    );
    let mut tags = Media::AudioVideo.tags();
    for tag in tags.iter_mut().filter(|tag| tag.kind == VIDEO && tag.is_media()) {
        tag.body.resize(60_000, 0); // 12 Mbit/s
    }
    let _publisher = Publisher::start(relay.rtmp(), "live", "large", tags.clone());
    let mut player = Rtmp::play(relay.rtmp(), "live", "large").unwrap();
    let mut received = player.collect(40);
    let skips = || relay.metric("corelay_skips_total", "").unwrap();
    wait_until("it is far behind", LIMIT, || skips() >= 2.0);
    let sent = flv::frames(&tags, VIDEO);
    let index = |tag: &Tag| sent.iter().position(|put| put.body == tag.body).expect("one of ours");
    let mut skipped = 0;
    // What was on its way to it, the skips, and a group behind them.
    while skipped == 0 {
        assert!(received.len() < 2_000, "it skipped nothing in {} frames", received.len());
        received.extend(player.collect(75));
        let got = flv::frames(&received, VIDEO);
        for pair in got.windows(2) {
            let (before, after) = (index(pair[0]), index(pair[1]));
            if (before + 1) % sent.len() != after {
                skipped += 1;
                assert!(pair[1].is_keyframe(), "picture {after} follows {before}: no whole groups");
            }
        }
    }
    flv::assert_monotonic(&received, VIDEO);
    flv::assert_monotonic(&received, AUDIO);
}

#[test]
fn ten_thousand_connections_that_say_nothing() {
    let wanted = 10_000;
    let allowed = raise_open_files(wanted + 1000);
    assert!(allowed > 3000, "this process may open only {allowed} files: raise ulimit -n");
    let count = wanted.min(allowed - 500);
    let relay = Relay::start(
        "limits.connections_max = 20000
         limits.connections_per_ip_max = 20000
         rtmp.handshake_timeout_ms = 20000",
    );
    let witness = Witness::start(&relay);
    let (fds, rss) = (relay.open_fds(), relay.rss_kib());
    let silent: Vec<TcpStream> = (0..count)
        .map(|index| {
            let address = if index % 2 == 0 { relay.rtmp() } else { relay.http() };
            http::open(address)
        })
        .collect();
    wait_until("all are accepted", LIMIT, || relay.open_fds() >= fds + count * 9 / 10);
    let each = (relay.rss_kib().saturating_sub(rss) << 10) / count as u64;
    println!("{count} silent connections, {each} bytes each");
    assert!(each < 8 << 10, "{each} bytes for a connection that says nothing");
    for mut socket in silent {
        assert_closed(&mut socket); // By the relay, when their time is over.
    }
    wait_until("the descriptors are closed", LIMIT, || relay.open_fds() <= fds);
    witness.assert_unharmed();
}

#[test]
fn a_thousand_connects_and_disconnects_a_second() {
    beside_a_witness("", |relay| {
        let started = Instant::now();
        for index in 0..3000_u32 {
            let due = started + Duration::from_millis(u64::from(index));
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let address = if index % 2 == 0 { relay.rtmp() } else { relay.http() };
            let socket = socket2::Socket::from(http::open(address));
            if index % 3 == 0 {
                let _ = socket.set_linger(Some(Duration::ZERO)); // A reset.
            }
        }
        println!("3000 connects in {:?}", started.elapsed());
    });
}

#[test]
fn commands_that_nobody_knows_are_answered_and_nobody_is_closed() {
    let relay = Relay::start("");
    let mut peer = Rtmp::connect(relay.rtmp(), "live").unwrap();
    peer.command(0, "doSomethingStrange", 9.0, &[Amf::Null, Amf::Boolean(true)]).unwrap();
    let answer = loop {
        let message = peer.next().unwrap();
        if message.kind == 20 && message.command() != "onBWDone" {
            break message;
        }
    };
    assert_eq!(answer.command(), "_error");
    peer.create_stream().expect("the connection goes on");
}

#[test]
fn requests_that_come_a_byte_at_a_time_are_cut_off() {
    beside_a_witness("http.request_timeout_ms = 1000", |relay| {
        let mut socket = http::open(relay.http());
        for byte in b"GET /live/test.flv HTTP/1.1\r\nHost: r".iter().cycle().take(200) {
            if socket.write_all(&[*byte]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_closed(&mut socket);
    });
}
