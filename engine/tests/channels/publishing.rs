//! What is published by RTMP and HTTP: as datagrams, and for every viewer.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use corelay_codecs::container::mpegts::analysis::{self, Analyser};

use super::headend::PACKET_SIZE;
use super::listener::{Heard, Listener, payloads};
use super::packets::{cut, is_random_access, pcr, pid, since};
use super::support::media::Media;
use super::support::netns::{self, Network};
use super::support::peer::{self, Peer};
use super::support::relay::Relay;
use super::support::witness::{Publisher, Witness};
use super::support::{LIMIT, Scratch, http, ts, wait_until};
use super::{assert_codecs, assert_probed_there, headend};

#[test]
fn what_is_published_leaves_paced() {
    netns::inside("publishing::what_is_published_leaves_paced", |network: &Network| {
        let relay = Relay::start(
            "[[channel]]
             name = \"live/a\"
             output = [\"udp://rx1@239.2.6.1:1234\"]",
        );
        network.sender().ip("route add 224.0.0.0/4 dev tx1");
        let listener = Listener::join(network.sender(), "tx1", "239.2.6.1:1234");
        let tags = Media::AudioVideo.tags();
        let publisher = Publisher::start(relay.rtmp(), "live", "a", tags);
        wait_until("it leaves", LIMIT, || listener.bytes() > 0);
        assert_probed_there(network, &relay, "udp://239.2.6.1:1234?localaddr=10.72.0.2");
        thread::sleep(Duration::from_secs(2));
        let heard = listener.stop();
        publisher.stop();

        let first = heard[0].at_us;
        let settled = heard.iter().skip_while(|one| one.at_us < first + 1_000_000);
        let settled: Vec<&Heard> = settled.collect();
        let gaps = settled.windows(2).map(|pair| pair[1].at_us - pair[0].at_us);
        let mut gaps: Vec<u64> = gaps.collect();
        gaps.sort_unstable();
        // Where the media begins anew it pauses by itself, and a busy machine makes pauses too.
        let long = gaps[gaps.len() * 9 / 10];
        assert!(long <= 50_000, "{gaps:?} us between two datagrams");
        let bytes = payloads(&heard);
        let clocks: Vec<u64> = cut(&bytes).iter().filter_map(pcr).collect();
        assert!(clocks.len() > 100, "{} PCRs", clocks.len());
        for pair in clocks.windows(2) {
            let step = since(pair[0], pair[1]);
            assert!((1..=27_000 * 42).contains(&step), "a PCR {step} ticks behind another");
        }
        let totals = analysed(&heard).totals;
        assert_eq!((totals.counter_errors, totals.sync_losses), (0, 0), "{totals:?}");
    });
}

/// What the analyser says of what was heard.
fn analysed(heard: &[Heard]) -> analysis::Snapshot {
    let mut analyser = Analyser::new(analysis::Settings::default());
    heard.iter().for_each(|one| analyser.packets(&one.payload, one.at_us));
    analyser.snapshot()
}

/// The test media as a transport stream that lasts, for publishers.
fn post_with_ffmpeg(relay: &Relay, method: &str, name: &str) -> Peer {
    let (path, url) = (Media::AudioVideo.path(), relay.ts_url("live", name));
    let input = ["-v", "warning", "-nostdin", "-re", "-stream_loop", "-1", "-i"];
    let output = ["-c", "copy", "-f", "mpegts", "-method", method, &url];
    Peer::spawn(
        relay.scratch(),
        "ffmpeg",
        &[&input[..], &[path.to_str().unwrap()], &output].concat(),
    )
}

#[test]
fn what_ffmpeg_posts_is_a_stream_for_every_viewer() {
    let relay = Relay::start("");
    let methods = ["POST", "PUT"];
    let _publishers = methods.map(|method| post_with_ffmpeg(&relay, method, method));
    let probe = |method: &str| {
        relay.await_publisher("live", method);
        let urls = [
            relay.rtmp_url("live", method),
            relay.flv_url("live", method),
            relay.ts_url("live", method),
        ];
        let probes = urls.map(|url| {
            let scratch = Scratch::new("probe");
            thread::spawn(move || assert_codecs(&scratch, &url, &["aac", "h264"]))
        });
        probes.into_iter().for_each(|probe| probe.join().unwrap());
        let stream = relay.stream("live", method).unwrap();
        assert_eq!(stream["publisher"]["protocol"], "http", "{stream:#}");
    };
    thread::scope(|scope| {
        let probe = &probe;
        for method in methods {
            scope.spawn(move || probe(method));
        }
    });
}

#[test]
fn a_file_that_curl_uploads_reaches_its_viewer_whole_and_is_answered() {
    let relay =
        Relay::start("http.play_wait_ms = 30000\napplications.default.publisher_grace_ms = 0");
    let address = relay.http();
    let file = ts::path();
    let sent = std::fs::read(&file).unwrap();
    for name in ["put", "post"] {
        let path = format!("/live/{name}.ts");
        let viewer = thread::spawn(move || {
            let mut viewer = http::Viewer::open(address, &path);
            viewer.read_to_end();
            viewer.bytes
        });
        wait_until("the viewer waits", LIMIT, || relay.connections() == 1);
        let url = relay.ts_url("live", name);
        let data = format!("@{}", file.display());
        let how = match name {
            "put" => ["-T", file.to_str().unwrap()],
            _ => ["--data-binary", data.as_str()],
        };
        // Slower than it can be, as a stream would come.
        let args = ["-sS", "--limit-rate", "400k", "-w", "%{http_code}", "-o", "/dev/null"];
        let args = [&args[..], &how, &[url.as_str()]].concat();
        let curl = peer::run(relay.scratch(), "curl", &args, LIMIT);
        assert_eq!(curl.stdout, "200", "{}", curl.output());
        let got = viewer.join().unwrap();
        let packets = cut(&got);
        assert_eq!(pid(&packets[0]), 0, "PAT first");
        assert!(is_random_access(&packets[2]), "then a random access point");
        assert!(sent.ends_with(&got[2 * PACKET_SIZE..]), "{} bytes", got.len());
        assert!(got.len() > sent.len() * 3 / 4, "{} bytes of {}", got.len(), sent.len());
        relay.await_no_clients();
    }
}

/// A publisher by POST with a chunked body.
struct Post(TcpStream);

impl Post {
    fn start(relay: &Relay, path: &str) -> Self {
        let mut socket = http::open(relay.http());
        let head = "HTTP/1.1\r\nHost: relay\r\nTransfer-Encoding: chunked\r\n\r\n";
        write!(socket, "POST {path} {head}").unwrap();
        Self(socket)
    }

    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        write!(self.0, "{:x}\r\n", bytes.len())?;
        self.0.write_all(&[bytes, b"\r\n"].concat())
    }

    /// The status of the answer, if it is there within a while.
    fn status(&mut self, limit: Duration) -> Option<u16> {
        self.0.set_read_timeout(Some(limit)).unwrap();
        let mut head = [0; 4_096];
        match self.0.read(&mut head) {
            Ok(size) => String::from_utf8_lossy(&head[..size]).split(' ').nth(1)?.parse().ok(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                None
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_second_publisher_is_refused_or_takes_over_as_the_policy_says() {
    let relay = Relay::start(
        "http.play_wait_ms = 30000
         applications.named.first = { takeover = \"first_wins\" }",
    );
    let soon = Duration::from_millis(300);
    let mut headend = headend(1, 3_000_000);
    let mut next = || headend.next_ms(400);
    for (app, first_goes_on) in [("first", true), ("live", false)] {
        let path = format!("/{app}/a.ts");
        let mut first = Post::start(&relay, &path);
        first.send(&next()).unwrap();
        relay.await_publisher(app, "a");
        let peer = |relay: &Relay| relay.stream(app, "a").unwrap()["publisher"]["peer"].clone();
        let before = peer(&relay);
        let mut second = Post::start(&relay, &path);
        second.send(&next()).unwrap();
        if first_goes_on {
            assert_eq!(second.status(LIMIT), Some(503), "{path}: the second is refused");
            assert_eq!(first.status(soon), None, "{path}: the first goes on");
            assert_eq!(peer(&relay), before);
        } else {
            assert_eq!(first.status(LIMIT), Some(503), "{path}: the first is told");
            assert_eq!(second.status(soon), None, "{path}: the second goes on");
            wait_until("the second is shown", LIMIT, || peer(&relay) != before);
        }
        let mut last = if first_goes_on { first } else { second };
        last.send(&next()).unwrap();
        last.0.write_all(b"0\r\n\r\n").unwrap();
        assert_eq!(last.status(LIMIT), Some(200), "{path}: answered at its end");
    }
}

#[test]
fn a_post_of_something_else_is_refused_and_disturbs_nobody() {
    let relay = Relay::start("ts.unsynced_bytes_max = \"16 KiB\"");
    let witness = Witness::start(&relay);
    let mut random = 1_u32;
    let mut noise = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 24) as u8
    };
    for _ in 0..3 {
        let mut post = Post::start(&relay, "/live/junk.ts");
        let junk: Vec<u8> = (0..200_000).map(|_| noise()).collect();
        // The relay may close while we write.
        let _ = post.send(&junk);
        assert_eq!(post.status(LIMIT), Some(415));
    }
    relay.await_log(&["bytes; `unsynced_bytes_max` is 16384"]);
    for (path, status) in [("/live/junk.flv", 4), ("/junk", 4)] {
        let request =
            format!("POST {path} HTTP/1.1\r\nHost: relay\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(http::request(relay.http(), &request).status / 100, status, "{path}");
    }
    witness.assert_unharmed();
}
