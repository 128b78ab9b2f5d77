//! TLS when peers do wrong: no TLS where it is spoken, TLS where it is not, halves of handshakes, storms
//! of them, viewers that do not read. Whoever plays beside them notices nothing.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use support::flv;
use support::secured::{Secured, Watching, assert_whole, get};
use support::tls::{self, Client};
use support::{LIMIT, http, wait_until};

/// Reads until the relay closes; false when it does not within the rig's limit.
fn is_closed(socket: &mut TcpStream) -> bool {
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// A client's first flight.
fn hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

/// TLS failures counted for a reason.
fn failures(secured: &Secured, reason: &str) -> f64 {
    let label = format!("reason=\"{reason}\"");
    secured.relay.metric("corelay_tls_failures_total", &label).unwrap()
}

#[test]
fn plain_bytes_on_a_tls_port_cost_their_sender_the_connection_and_nobody_else() {
    let secured = Secured::start("");
    let _publisher = secured.publish();
    let viewer = Watching::start(secured.play());
    let kinds = [
        ("https", &b"GET / HTTP/1.1\r\n\r\n"[..]),
        ("rtmps", &[3; 1537]),
        ("ts-tls", &[0x47; 188]),
    ];
    for (kind, words) in kinds {
        let mut socket = TcpStream::connect(secured.relay.listening(kind)).unwrap();
        socket.write_all(words).unwrap();
        assert!(is_closed(&mut socket), "{kind}");
        let byte = format!("{:#04x}", words[0]);
        secured.relay.await_log(&["closed for tls", "does not speak TLS", &byte]);
    }
    assert_eq!(failures(&secured, "not_tls"), 3.0);
    viewer.await_more(SECOND_BYTES);
    assert!(assert_whole(&viewer.stop()) >= 20);
}

/// What a second of the test's stream takes, generously.
const SECOND_BYTES: usize = 60_000;

#[test]
fn tls_on_a_plain_port_is_refused_by_the_protocol() {
    let secured = Secured::start("rtmp.handshake_timeout_ms = 2000");
    let hello = hello(&Client::trusting(&secured.authority).config());
    let mut socket = http::open(secured.relay.http());
    socket.write_all(&hello).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer, and the end");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let mut socket = TcpStream::connect(secured.relay.rtmp()).unwrap();
    socket.write_all(&hello).unwrap();
    assert!(is_closed(&mut socket));
    secured.relay.await_no_clients();
    assert_eq!(secured.relay.metric("corelay_tls_connections", ""), Some(0.0));
}

#[test]
fn half_a_handshake_ends_by_its_timeout_and_others_go_on() {
    let secured = Secured::start("tls.handshake_timeout_ms = 1500");
    let _publisher = secured.publish();
    let viewer = Watching::start(secured.play());
    let hello = hello(&Client::trusting(&secured.authority).config());
    let address = secured.relay.listening("https");
    // Nothing, a part of the first flight, and all of it without what must follow.
    let parts = [&[][..], &hello[..hello.len() / 2], &hello[..]];
    let began = Instant::now();
    let mut sockets = parts.map(|part| {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(part).unwrap();
        socket
    });
    assert!(sockets.iter_mut().all(is_closed));
    assert!(began.elapsed() >= Duration::from_millis(1_400), "{:?}", began.elapsed());
    secured.relay.await_log(&["closed for timeout", "tls.handshake_timeout_ms"]);
    wait_until("they are counted", LIMIT, || failures(&secured, "timeout") == 3.0);
    // Who leaves by itself is counted apart, be it by a reset.
    for (count, linger) in [(1.0, None), (2.0, Some(Duration::ZERO))] {
        let mut socket = TcpStream::connect(address).unwrap();
        socket2::SockRef::from(&socket).set_linger(linger).unwrap();
        socket.write_all(&hello).unwrap();
        drop(socket);
        wait_until("it is counted", LIMIT, || failures(&secured, "peer_left") == count);
    }
    viewer.await_more(SECOND_BYTES);
    assert!(assert_whole(&viewer.stop()) >= 20);
}

#[test]
fn a_record_that_is_garbage_ends_an_established_connection() {
    let secured = Secured::start("");
    let mut stream = secured.connect();
    // Whole in its framing, and not encrypted with the right key.
    stream.sock.write_all(&[23, 3, 3, 0, 32]).unwrap();
    stream.sock.write_all(&[0x5a; 32]).unwrap();
    let error = stream.read(&mut [0; 16]).expect_err("an alert");
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
    secured.relay.await_log(&["closed for tls", "TLS violated"]);
    assert_eq!(failures(&secured, "violation"), 1.0);
}

/// Opens many connections at once that all send their first flight, and leaves them when every one of
/// them has been answered.
fn burst(address: SocketAddr, hello: &[u8], count: usize) {
    let connect = |_| {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.write_all(hello).unwrap();
        socket
    };
    let mut sockets: Vec<TcpStream> = (0..count).map(connect).collect();
    for socket in &mut sockets {
        socket.read_exact(&mut [0; 5]).expect("a ServerHello");
    }
}

#[test]
fn a_storm_of_handshakes_takes_nothing_from_those_who_play() {
    let secured = Secured::start("tls.handshake_budget_us = 500\ntls.handshake_timeout_ms = 60000");
    let publisher = secured.publish();
    let address = secured.relay.listening("https");
    let mut viewers = Vec::new();
    for _ in 0..10 {
        viewers.push(Watching::start(secured.play()));
        let mut plain = http::open(secured.relay.http());
        get(&mut plain, "/live/test.flv");
        viewers.push(Watching::start(plain));
    }
    let began_ms = publisher.sent_ms();
    let mut config = Client::trusting(&secured.authority).config();
    Arc::get_mut(&mut config).unwrap().resumption = Resumption::disabled();
    let storms: Vec<_> = (0..2)
        .map(|_| {
            let config = Arc::clone(&config);
            std::thread::spawn(move || {
                for _ in 0..5 {
                    burst(address, &hello(&config), 100);
                }
                for _ in 0..300 {
                    tls::connect(&config, address, "localhost").expect("it is served in its turn");
                }
            })
        })
        .collect();
    storms.into_iter().for_each(|storm| storm.join().unwrap());
    let stormed_ms = publisher.sent_ms() - began_ms;
    for viewer in &viewers {
        viewer.await_more(SECOND_BYTES);
    }
    for viewer in viewers {
        let pictures = assert_whole(&viewer.stop());
        // What was published meanwhile, at 25 pictures a second, less the second in which it ended.
        let expected = (stormed_ms / 40).saturating_sub(25) as usize;
        assert!(pictures >= expected, "{pictures} pictures in {stormed_ms} ms");
    }
    let relay = &secured.relay;
    assert_eq!(relay.metric("corelay_skips_total", ""), Some(0.0));
    // A client has shaken hands a moment before the relay has.
    let handshakes = || relay.metric("corelay_tls_handshakes_total", "full");
    wait_until("all are counted", LIMIT, || handshakes() >= Some(610.0));
    assert_eq!(handshakes(), Some(610.0));
    assert!(relay.metric("corelay_tls_deferred_total", "") > Some(0.0));
    wait_until("the storm is over", LIMIT, || relay.connections() == 1);
}

#[test]
fn a_viewer_that_does_not_read_for_a_while_skips_whole_groups_of_pictures() {
    let secured = Secured::start(
        "applications.default.behind_ms_max = 1500\n applications.default.skips_max = 1000\n\
         tcp.send_buffer_bytes = 16384",
    );
    let _publisher = secured.publish();
    let witness = Watching::start(secured.play());
    let mut slow = secured.play();
    let skips = || secured.relay.metric("corelay_skips_total", "behind_time").unwrap();
    wait_until("it skips", LIMIT, || skips() >= 2.0);
    let mut bytes = Vec::new();
    wait_until("it has what follows the skips", LIMIT, || {
        let mut buffer = [0; 16 << 10];
        let count = slow.read(&mut buffer).expect("it is not sent away");
        bytes.extend_from_slice(&buffer[..count]);
        !flv::landings(&bytes).is_empty()
    });
    assert!(flv::landings(&bytes).iter().all(|is_keyframe| *is_keyframe));
    assert_whole(&witness.stop());
}
