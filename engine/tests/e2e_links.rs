//! Connections that the relay opens: streams pushed to other servers, and pulled from them.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use support::flv::{self, AUDIO, VIDEO};
use support::media::Media;
use support::nginx::Nginx;
use support::relay::Relay;
use support::rtmp::Rtmp;
use support::{LIMIT, ffmpeg, http, ts, wait_for, wait_until};

/// A channel without inputs that sends what is published under its name.
fn pushing(output: &str) -> String {
    format!(
        "applications.default.publisher_grace_ms = 0
         iptv.retry_min_ms = 100
         iptv.retry_max_ms = 300
         [[channel]]
         name = \"live/a\"
         output = [\"{output}\"]"
    )
}

#[test]
fn a_push_by_rtmp_goes_through_nginx_frame_for_frame() {
    let last = Relay::start("applications.default.publisher_grace_ms = 0");
    let nginx = Nginx::start(last.scratch(), &format!("{}/live", last.rtmp()));
    let mut player = Rtmp::play(last.rtmp(), "live", "pushed").expect("it may wait");
    let first = Relay::start(&pushing(&nginx.url("pushed")));
    let publisher =
        ffmpeg::publish(first.scratch(), Media::AudioVideo, &first.rtmp_url("live", "a"));

    let received = player.collect_to_end();
    assert!(publisher.wait(LIMIT).succeeded());
    let sent = Media::AudioVideo.tags();
    let video = flv::assert_run(VIDEO, &sent, &received);
    let audio = flv::assert_run(AUDIO, &sent, &received);
    assert_eq!(video.first + video.count, flv::frames(&sent, VIDEO).len(), "to the last picture");
    assert_eq!(audio.first + audio.count, flv::frames(&sent, AUDIO).len(), "to the last sound");
    assert!(video.count > 50, "{video:?}");
    let says = |tag: &flv::Tag, word: &[u8]| tag.body.windows(word.len()).any(|part| part == word);
    let is_metadata = |tag: &&flv::Tag| tag.kind == 18 && says(tag, b"onMetaData");
    let metadata: Vec<_> = received.iter().filter(is_metadata).collect();
    assert!(!metadata.is_empty() && metadata.iter().all(|tag| says(tag, b"width")), "{metadata:?}");
}

#[test]
fn a_push_by_tcp_is_a_stream_of_its_receiver() {
    let receiver = Relay::start(
        "applications.default.publisher_grace_ms = 0
         http.play_wait_ms = 30000",
    );
    let address = receiver.http();
    let viewer = thread::spawn(move || {
        let mut viewer = http::Viewer::open(address, "/live/ts.flv");
        viewer.read_to_end();
        viewer.bytes
    });
    wait_until("the viewer waits", LIMIT, || receiver.connections() == 1);
    let sender = Relay::start(&pushing(&format!("tcp://{}", receiver.ts())));
    let publisher =
        ffmpeg::publish(sender.scratch(), Media::AudioVideo, &sender.rtmp_url("live", "a"));
    assert!(publisher.wait(LIMIT).succeeded());
    let got = receiver.scratch().file("got.flv");
    std::fs::write(&got, viewer.join().unwrap()).unwrap();
    let sent = ffmpeg::picture_hashes(receiver.scratch(), &Media::AudioVideo.path());
    assert_eq!(ffmpeg::picture_hashes(receiver.scratch(), &got), sent);
    receiver.await_log(&["0 sync losses", "0 continuity errors"]);
}

#[test]
fn a_receiver_that_comes_late_or_returns_is_found() {
    // Bound all the time, so that nobody else gets the port, and refused while nobody listens.
    let place = bind("127.0.0.1:0".parse().unwrap());
    let address = place.local_addr().unwrap().as_socket().unwrap();
    let relay = Relay::start(&pushing(&format!("tcp://{address}")));
    let _publisher =
        ffmpeg::publish_forever(relay.scratch(), Media::AudioVideo, &relay.rtmp_url("live", "a"));
    relay.await_publisher("live", "a");
    relay.await_log(&["Connection refused"]);
    for _ in 0..3 {
        let listener = bind(address);
        listener.listen(1).unwrap();
        let (mut socket, _) = accept(&listener.into());
        let mut packets = [0; 10 * 188];
        socket.read_exact(&mut packets).unwrap();
        assert!(packets.chunks(188).all(|packet| packet[0] == 0x47));
    }
}

/// A socket at an address that it shares with others of this test.
fn bind(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

#[test]
fn a_pull_follows_redirects_and_takes_chunks_off() {
    let file = std::fs::read(ts::path()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let relay = Relay::start(&format!(
        "http.play_wait_ms = 30000
         [[channel]]
         name = \"iptv/news\"
         input = [\"http://localhost:{}/here.ts\"]",
        address.port()
    ));
    let (mut socket, request) = accept(&listener);
    assert!(request.starts_with("GET /here.ts HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nHost: localhost:{}\r\n", address.port())), "{request}");
    socket.write_all(b"HTTP/1.1 302 Found\r\nLocation: there.ts?t=1\r\n\r\n").unwrap();
    let (mut socket, request) = accept(&listener);
    assert!(request.starts_with("GET /there.ts?t=1 HTTP/1.1\r\n"), "{request}");
    let mut viewer = http::open(relay.http());
    viewer.write_all(b"GET /iptv/news.ts HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    wait_until("the viewer waits", LIMIT, || relay.connections() >= 2);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nTransfer-Encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).unwrap();
    for (number, piece) in file.chunks(7_777).enumerate() {
        write!(socket, "{:x};n={number}\r\n", piece.len()).unwrap();
        socket.write_all(&[piece, b"\r\n"].concat()).unwrap();
        thread::sleep(Duration::from_millis(10));
    }
    let mut got = Vec::new();
    let wanted = file.len() - file.len() / 8;
    while got.len() < wanted || !got.ends_with(&file[file.len() - 188..]) {
        let mut piece = [0; 65_536];
        let count = viewer.read(&mut piece).expect("it goes on");
        assert!(count > 0, "closed at {} bytes", got.len());
        got.extend_from_slice(&piece[..count]);
    }
    assert!(got.ends_with(&file[file.len() - wanted..]), "byte for byte");
}

#[test]
fn a_pull_is_shown_without_its_secret_and_with_its_tables_where_they_are_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = Relay::start(&format!(
        "[[channel]]
         name = \"iptv/news\"
         input = [\"http://{0}/a.ts?key=sesame#pnr=7\", \"http://{0}/b.ts?key=sesame\"]
         output = [\"rtmp://127.0.0.1:9/live/news?key=sesame\"]",
        listener.local_addr().unwrap()
    ));
    let serve = |mut socket: TcpStream| {
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n").unwrap();
        socket.write_all(&std::fs::read(ts::path()).unwrap()).unwrap();
        socket
    };
    let sockets = [accept(&listener), accept(&listener)];
    assert!(sockets.iter().all(|(_, request)| request.contains("?key=sesame HTTP/1.1\r\n")));
    let open = sockets.map(|(socket, _)| serve(socket));
    relay.await_log(&["channel iptv/news input http://127.0.0.1:", "/a.ts?...#pnr=7 has packets"]);
    relay
        .await_log(&["channel iptv/news output rtmp://127.0.0.1:9/live/news?...", "not connected"]);

    let listed = relay.stream("iptv", "news").unwrap();
    let transport = |stream: &Value| stream["inputs"][0]["transport"]["programs"][0].clone();
    assert_eq!(transport(&listed), Value::Null);
    let one = wait_for("the service has a name", LIMIT, || {
        let one = relay.api(&format!("/api/v1/streams/{}", listed["id"].as_str().unwrap()));
        (transport(&one["stream"])["name"] == ts::SERVICE.0).then_some(one)
    });
    let codecs = one["stream"]["tracks"].as_array().unwrap().iter();
    let codecs: Vec<_> = codecs.map(|track| track["codec"].as_str().unwrap()).collect();
    assert_eq!(codecs, ["H264", "AAC"]);
    let all = relay.api("/api/v1/streams?analysis=1");
    assert_eq!(transport(&all["streams"][0])["name"], ts::SERVICE.0);
    assert!(relay.metric("corelay_ts_pcr_interval_max_seconds", "iptv/news").is_some());

    drop(open);
    let channels = relay.api("/api/v1/channels");
    for told in [relay.log(), one.to_string(), all.to_string(), channels.to_string()] {
        assert!(told.contains("/a.ts?...") && !told.contains("sesame"), "{told}");
    }
}

#[test]
fn what_cannot_be_pulled_is_said_once_with_its_reason() {
    let [listener, silent] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    let relay = Relay::start(&format!(
        "iptv.retry_min_ms = 100
         iptv.retry_max_ms = 200
         iptv.silence_timeout_ms = 500
         [[channel]]
         name = \"iptv/none\"
         input = [\"http://{address}/none.ts\"]
         [[channel]]
         name = \"iptv/nobody\"
         input = [\"http://nobody.invalid/none.ts\"]
         [[channel]]
         name = \"iptv/silent\"
         input = [\"http://{}/none.ts?key=sesame\"]",
        silent.local_addr().unwrap()
    ));
    let (mut silent, _) = accept(&silent);
    silent.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 188\r\n\r\n").unwrap();
    for _ in 0..5 {
        let (mut socket, _) = accept(&listener);
        socket.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
    }
    let line = relay.await_log(&["the server answered 404 Not Found"]);
    assert!(line.contains("WARN"), "{line}");
    relay.await_log(&["nobody.invalid has no address"]);
    relay.await_log(&["channel iptv/silent input", "no more of the body within 500 ms"]);
    let log = relay.log();
    let warnings = log.lines().filter(|line| line.contains("WARN") && line.contains("404"));
    assert_eq!(warnings.count(), 1, "{log}");
    assert!(!log.contains("sesame"), "{log}");
}

/// The next connection, and the head of its request if it has one.
fn accept(listener: &TcpListener) -> (TcpStream, String) {
    listener.set_nonblocking(true).unwrap();
    let mut accepted: Option<(TcpStream, SocketAddr)> = None;
    wait_until("the relay connects", LIMIT, || {
        accepted = listener.accept().ok();
        accepted.is_some()
    });
    let (socket, _) = accepted.unwrap();
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let mut first = [0];
    let mut request = String::new();
    if socket.peek(&mut first).is_ok() && first == *b"G" && !is_transport_stream(&socket) {
        let mut reader = BufReader::with_capacity(1, socket.try_clone().unwrap());
        while !request.ends_with("\r\n\r\n") {
            reader.read_line(&mut request).unwrap();
        }
    }
    (socket, request)
}

/// `G` is also the sync byte.
fn is_transport_stream(socket: &TcpStream) -> bool {
    let mut start = [0; 4];
    !matches!(socket.peek(&mut start), Ok(4) if &start == b"GET ")
}
