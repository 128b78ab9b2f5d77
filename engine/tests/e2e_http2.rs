//! HTTP/2: curl, and a client of our own that does what no browser would. Chromium with hls.js speaks it
//! in `e2e_browser`.

mod support;

use std::io::{Read, Write};
use std::time::Duration;

use h2::Reason;
use support::flv;
use support::http2::Client;
use support::media::Media;
use support::peer::{self, Peer};
use support::secured::{Secured, Watching, assert_whole};
use support::witness::Publisher;
use support::{LIMIT, await_bytes, ffmpeg, hls, tls, wait_until};

/// As much as any client lets a server send.
const WINDOW: u32 = 1 << 20;

fn connect(secured: &Secured, window: u32) -> Client {
    let config = tls::Client::trusting(&secured.authority).config();
    Client::connect(config, secured.relay.listening("https"), window)
}

/// curl, told to speak HTTP/2, with what it wrote: `VERSION STATUS` behind each body.
fn curl(secured: &Secured, args: &[&str]) -> String {
    let fixed =
        ["-sS", "--http2", "--cacert", &secured.ca, "-w", "\n%{http_version} %{http_code}\n"];
    let played = peer::run(secured.relay.scratch(), "curl", &[&fixed[..], args].concat(), LIMIT);
    played.stdout
}

fn url(secured: &Secured, path: &str) -> String {
    format!("https://localhost:{}{path}", secured.relay.https_port())
}

/// The last segment of the only variant, as a path.
fn newest_segment(secured: &Secured) -> String {
    let address = secured.relay.http();
    let media = hls::media_path(address, "/live/test.m3u8?form=ts");
    let playlist = hls::await_200(address, &media).text();
    let last = playlist.lines().rfind(|line| line.contains(".ts")).expect("a segment");
    hls::resolve(&media, last)
}

#[test]
fn curl_gets_the_same_by_both_versions() {
    let secured = Secured::start("hls.segment_ms = 1000");
    let _publisher = secured.publish();
    let path = newest_segment(&secured);
    let address = url(&secured, &path);
    let (one, two) = (secured.files.file("one.ts"), secured.files.file("two.ts"));
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    assert!(curl(&secured, &["--http1.1", "-o", one, &address]).ends_with("\n1.1 200\n"));
    assert!(curl(&secured, &["-o", two, &address]).ends_with("\n2 200\n"));
    let (one, two) = (std::fs::read(one).unwrap(), std::fs::read(two).unwrap());
    assert!(one.len() > 10_000 && one == two, "{} and {} bytes", one.len(), two.len());

    let part = curl(&secured, &["-r", "0-187", "-o", "/dev/null", "-D", "-", &address]);
    assert!(part.contains(&format!("content-range: bytes 0-187/{}", one.len())), "{part}");
    let head = curl(&secured, &["-I", &address]);
    assert!(head.contains(&format!("content-length: {}", one.len())), "{head}");
    assert!(!head.contains("connection:"), "{head}");
    let gzip = curl(
        &secured,
        &["--compressed", "-D", "-", &url(&secured, "/live/test.hls/ts/index.m3u8")],
    );
    assert!(gzip.contains("content-encoding: gzip") && gzip.contains("#EXTINF"), "{gzip}");
    let etag = gzip.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
    assert!(etag.starts_with("W/\""), "{etag}");
    for (args, status) in [
        (&["-X", "DELETE", "/x"][..], 405),
        (&["/nothing"], 404),
        (&["/live/none.flv"], 404),
        (&["/live/test.hls/ts/1.ts"], 404),
    ] {
        let (path, args) = args.split_last().unwrap();
        let refused = curl(&secured, &[args, &[url(&secured, path).as_str()][..]].concat());
        assert!(refused.ends_with(&format!("\n2 {status}\n")), "{path}: {refused}");
    }
}

#[test]
fn curl_publishes_with_a_length_and_without() {
    let secured = Secured::start("");
    let file = secured.files.file("input.ts");
    let media = Media::AudioVideo.path();
    let args = ["-v", "error", "-i", media.to_str().unwrap(), "-c", "copy", "-f", "mpegts"];
    let args = [&args[..], &[file.to_str().unwrap()]].concat();
    peer::run(secured.relay.scratch(), "ffmpeg", &args, LIMIT);
    // With a length, and with none: what comes from a pipe ends with the stream.
    for input in [file.to_str().unwrap(), "-"] {
        let curl = format!(
            "curl --http2 -sS --cacert {} -T {input} -w '%{{http_version}} %{{http_code}}' {} < {}",
            secured.ca,
            url(&secured, "/live/up.ts"),
            file.display()
        );
        let sent = peer::run(secured.relay.scratch(), "sh", &["-c", &curl], LIMIT);
        assert_eq!(sent.stdout.trim(), "2 200", "{}", sent.output());
    }
    let said = || {
        let log = secured.relay.log();
        let packets = std::fs::metadata(&file).unwrap().len() / 188;
        log.matches(&format!(" {packets} packets, 0 sync losses, 0 continuity errors")).count()
    };
    wait_until("both were taken whole", LIMIT, || said() == 2);
}

#[test]
fn one_connection_plays_several_streams_and_asks_for_more_until_they_end() {
    let secured = Secured::start("applications.default.publisher_grace_ms = 0");
    let publisher = secured.publish();
    let other = Publisher::start(secured.relay.rtmp(), "live", "other", Media::AudioVideo.tags());
    secured.relay.await_publisher("live", "other");
    let mut client = connect(&secured, WINDOW);
    let asked = ["test", "other", "test"].map(|name| client.ask(&format!("/live/{name}.flv")));
    let mut replies = asked.map(|asked| client.reply(asked));
    let mut bodies = [(); 3].map(|()| Vec::new());
    while bodies.iter().any(|body| body.len() < 60_000) {
        for (reply, body) in replies.iter_mut().zip(&mut bodies) {
            body.extend_from_slice(&client.read(&mut reply.body).unwrap().expect("live"));
        }
        let (status, _, page) = client.get("/status");
        assert_eq!(status, 200);
        assert!(text(&page).contains("live/test"));
    }
    for reply in &replies {
        assert_eq!(
            (reply.status, &reply.fields["content-type"]),
            (200, &"video/x-flv".parse().unwrap())
        );
    }
    // The end of a stream is no fault: the connection goes on.
    publisher.stop();
    let [first, second, third] = replies;
    bodies[0].extend(client.rest_of(first));
    bodies[2].extend(client.rest_of(third));
    assert_eq!(client.get("/status").0, 200);
    other.stop();
    bodies[1].extend(client.rest_of(second));
    bodies.iter().for_each(|body| assert!(assert_whole(body) > 20));
    await_no_viewers(&secured);
}

#[test]
fn a_playlist_that_waits_holds_up_no_segment() {
    let secured = Secured::start("hls.segment_ms = 1000");
    let _publisher = secured.publish();
    let mut client = connect(&secured, WINDOW);
    // Once more where the machine was so busy that nothing had to wait.
    wait_until("a segment overtakes a playlist", LIMIT, || {
        let newest = newest_segment(&secured);
        let (folder, file) = newest.rsplit_once('/').unwrap();
        let number: u64 = file.strip_suffix(".ts").unwrap().parse().unwrap();
        let playlist = format!("{folder}/index.m3u8?low_latency");
        let awaited = format!("\n{}.ts", number + 2);
        let waiting = client.ask(&format!("{playlist}&_HLS_msn={}", number + 2));
        assert_eq!(client.get(&newest).0, 200);
        let early = client.get(&playlist);
        let reply = client.reply(waiting);
        let (status, late) = (reply.status, client.rest_of(reply));
        assert!(status == 200 && text(&late).contains(&awaited), "{}", text(&late));
        !text(&early.2).contains(&awaited)
    });
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_stream_that_is_not_read_is_given_up_and_its_connection_goes_on() {
    let secured = Secured::start("http.write_timeout_ms = 1500");
    let _publisher = secured.publish();
    let mut client = connect(&secured, 16 << 10);
    let asked = client.ask("/live/test.flv");
    let mut reply = client.reply(asked);
    let line = wait_for_line(&mut client, &secured, "is given up");
    assert!(line.contains("stream 1 ") && line.contains("write_timeout_ms"), "{line}");
    let error = loop {
        match client.read(&mut reply.body) {
            Ok(part) => assert!(part.is_some(), "the stream ended as if it were whole"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.reason(), Some(Reason::CANCEL), "{error}");
    assert_eq!(client.get("/status").0, 200);
    await_no_viewers(&secured);
}

fn await_no_viewers(secured: &Secured) {
    let viewers = || secured.relay.metric("corelay_viewers", "");
    wait_until("nobody watches", LIMIT, || viewers() == Some(0.0));
}

/// Asks for the status now and then, which is answered, until the log says something.
fn wait_for_line(client: &mut Client, secured: &Secured, what: &str) -> String {
    let mut line = None;
    wait_until(what, LIMIT, || {
        assert_eq!(client.get("/status").0, 200);
        client.rest(Duration::from_millis(50));
        line = secured.relay.log().lines().find(|line| line.contains(what)).map(str::to_owned);
        line.is_some()
    });
    line.unwrap()
}

#[test]
fn a_viewer_whose_window_is_shut_skips_whole_groups_of_pictures() {
    let secured = Secured::start(
        "applications.default.behind_ms_max = 1500\n applications.default.skips_max = 1000",
    );
    let _publisher = secured.publish();
    let mut client = connect(&secured, 16 << 10);
    let asked = client.ask("/live/test.flv");
    let mut reply = client.reply(asked);
    let skips = || secured.relay.metric("corelay_skips_total", "behind_time").unwrap();
    wait_until("it skips", LIMIT, || skips() >= 2.0);
    let mut bytes = Vec::new();
    wait_until("it has what follows the skips", LIMIT, || {
        for _ in 0..50 {
            bytes.extend_from_slice(&client.read(&mut reply.body).unwrap().expect("live"));
        }
        !flv::landings(&bytes).is_empty()
    });
    assert!(flv::landings(&bytes).iter().all(|is_keyframe| *is_keyframe));
}

#[test]
fn a_peer_may_not_have_more_streams_than_it_is_told() {
    let secured = Secured::start("http.http2_streams_max = 3\n http.play_wait_ms = 600000");
    let mut client = connect(&secured, WINDOW);
    client.rest(Duration::from_millis(300));
    let waiting = [(); 3].map(|()| client.ask("/live/later.flv"));
    wait_until("all of them wait", LIMIT, || {
        client.rest(Duration::from_millis(20));
        secured.relay.metric("corelay_viewers", "") == Some(3.0)
    });
    let mut fourth = client.ask("/status");
    assert!(client.is_pending(&mut fourth), "a fourth stream was opened");
    // Who gives one up may have another.
    drop(waiting);
    assert_eq!(client.reply(fourth).status, 200);
    await_no_viewers(&secured);
}

#[test]
fn requests_that_are_taken_back_at_once_cost_their_sender_the_connection_and_nobody_else() {
    let secured = Secured::start("");
    let _publisher = secured.publish();
    let witness = Watching::start(secured.play());
    let mut client = connect(&secured, WINDOW);
    client.rest(Duration::from_millis(100));
    for _ in 0..2_000 {
        if !client.ask_and_forget("/live/test.flv") {
            break;
        }
    }
    let error = client.await_end().expect_err("the server has had enough");
    assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM), "{error}");
    secured.relay.await_log(&["closed for protocol", "HTTP/2"]);
    wait_until("the witness is alone", LIMIT, || {
        secured.relay.metric("corelay_viewers", "") == Some(1.0)
    });
    assert!(assert_whole(&witness.stop()) > 0);
}

#[test]
fn what_is_no_http_2_ends_its_connection_with_a_reason() {
    let secured = Secured::start("http.request_timeout_ms = 1000");
    let _publisher = secured.publish();
    let witness = Watching::start(secured.play());
    let mut config = tls::Client::trusting(&secured.authority).config();
    std::sync::Arc::get_mut(&mut config).unwrap().alpn_protocols = vec![b"h2".to_vec()];
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    // A frame of HEADERS on stream 0; SETTINGS of 5 bytes; one that is longer than any may be.
    let frames =
        [&[0, 0, 0, 1, 4, 0, 0, 0, 0][..], &[0, 0, 5, 4, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5], &[0xff; 9]];
    let settings = &[0, 0, 0, 4, 0, 0, 0, 0, 0][..];
    let broken = frames.map(|frame| [&preface[..], settings, frame].concat());
    let mut words = broken.to_vec();
    words.push(b"GET /live/test.flv HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec());
    for (count, words) in words.iter().enumerate() {
        let mut stream =
            tls::connect(&config, secured.relay.listening("https"), "localhost").unwrap();
        stream.write_all(words).unwrap();
        let mut answer = Vec::new();
        // A close without close_notify is one, too.
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1"), "{}", String::from_utf8_lossy(&answer));
        wait_until("it is counted", LIMIT, || {
            let failures = secured.relay.metric("corelay_failures_total", "reason=\"protocol\"");
            failures == Some((count + 1) as f64)
        });
    }
    // Half a preface, and none: the time for a request runs out.
    for words in [&preface[..10], b"", &[preface, settings].concat()] {
        let mut stream =
            tls::connect(&config, secured.relay.listening("https"), "localhost").unwrap();
        stream.write_all(words).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let timeouts = || secured.relay.metric("corelay_failures_total", "reason=\"timeout\"");
    wait_until("all of them are counted", LIMIT, || timeouts() == Some(3.0));
    assert!(assert_whole(&witness.stop()) > 0);
}

#[test]
fn a_connection_that_asks_no_more_is_told_goodbye() {
    let secured = Secured::start("http.keep_alive_timeout_ms = 500");
    let mut client = connect(&secured, WINDOW);
    assert_eq!(client.get("/status").0, 200);
    client.await_end().expect("GOAWAY without an error");
    secured.relay.await_no_clients();
    assert_eq!(secured.relay.metric("corelay_failures_total", "reason=\"timeout\""), Some(0.0));
}

#[test]
fn a_setting_leaves_it_at_http_1_1() {
    let secured = Secured::start("http.http2 = false");
    let answer = curl(&secured, &[&url(&secured, "/status")]);
    assert!(answer.ends_with("\n1.1 200\n"), "{answer}");
}

#[test]
fn curl_plays_a_transport_stream_that_ffmpeg_decodes() {
    let secured = Secured::start("applications.default.publisher_grace_ms = 0");
    let publisher = secured.publish();
    let file = secured.files.file("play.ts");
    let out = file.to_str().unwrap();
    let args = ["--http2", "-s", "--cacert", &secured.ca, "-o", out];
    let address = url(&secured, "/live/test.ts");
    let args = [&args[..], &[&address]].concat();
    let player = Peer::spawn(secured.relay.scratch(), "curl", &args);
    await_bytes(&file, 200_000);
    publisher.stop();
    assert!(player.wait(LIMIT).succeeded());
    let tracks = ffmpeg::probe(secured.relay.scratch(), out);
    assert_eq!(tracks.len(), 2, "{tracks:?}");
    assert!(ffmpeg::decode(secured.relay.scratch(), out, 1) > 20);
}

#[test]
fn gstreamer_plays_hls() {
    let secured = Secured::start("hls.segment_ms = 1000");
    let _publisher = secured.publish();
    let raw = secured.files.file("pictures.yuv");
    let pipeline = format!(
        "-q souphttpsrc location={} ssl-strict=false ! hlsdemux ! decodebin ! videoconvert ! \
         video/x-raw,format=I420 ! filesink location={}",
        url(&secured, "/live/test.m3u8"),
        raw.display()
    );
    let args: Vec<&str> = pipeline.split_whitespace().collect();
    let player = Peer::spawn(secured.relay.scratch(), "gst-launch-1.0", &args);
    wait_until("50 pictures are decoded", LIMIT, || {
        std::fs::metadata(&raw).is_ok_and(|file| file.len() >= 50 * 320 * 180 * 3 / 2)
    });
    let said = player.stop().output();
    assert!(!said.contains("WARN") && !said.contains("ERROR"), "{said}");
    assert!(secured.relay.metric("corelay_http2_connections_total", "") >= Some(1.0));
}
