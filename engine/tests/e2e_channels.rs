//! Channels between two hosts: what comes in on one interface leaves on another, byte for byte, and is
//! there for every kind of viewer.

#[allow(dead_code, unreachable_pub)]
#[path = "support/feed.rs"]
mod feed;
#[allow(dead_code, unreachable_pub)]
#[path = "support/headend.rs"]
mod headend;
#[allow(dead_code, unreachable_pub)]
#[path = "support/listener.rs"]
mod listener;
#[allow(dead_code, unreachable_pub)]
#[path = "support/packets.rs"]
mod packets;
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use corelay_codecs::container::mpegts::analysis::{self, Analyser};
use feed::{Carriage, Feed, TX0, TX0_OTHER, TX0_V6, TX1};
use headend::{Headend, PACKET_SIZE, Role, Settings, digest_per_pid};
use listener::{Heard, Listener, payloads};
use packets::{cut, is_random_access, pcr, pid, since};
use support::media::{self, Media};
use support::netns::{self, Network};
use support::peer::{self, Peer};
use support::relay::Relay;
use support::witness::{Publisher, Witness};
use support::{LIMIT, Scratch, ffmpeg, http, ts, wait_until};

/// The stream of a headend; other seeds have other content.
fn headend(seed: u64, rate_bps: u64) -> Headend {
    let video_bps = rate_bps - 1_500_000;
    Headend::new(Settings { seed, rate_bps, video_bps, ..Settings::default() })
}

/// A channel with one input.
fn channel(name: &str, input: &str, outputs: &[&str]) -> String {
    format!("[[channel]]\nname = \"{name}\"\ninput = [\"{input}\"]\noutput = {outputs:?}\n")
}

/// Starts a relay, and waits until it listens on all inputs.
fn start(settings: &str, inputs: usize) -> Relay {
    let relay = Relay::start(settings);
    wait_until("the inputs are open", LIMIT, || {
        let log = relay.log();
        let open = log.lines().filter(|line| line.contains(" input ") && line.contains(" is open"));
        open.count() >= inputs
    });
    relay
}

/// Waits for the last bytes, and gives what was heard.
fn heard_of(listener: Listener, bytes: usize) -> Vec<Heard> {
    let deadline = Instant::now() + Duration::from_secs(5);
    while listener.bytes() < bytes as u64 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    // So that more than was sent would be seen.
    thread::sleep(Duration::from_millis(100));
    listener.stop()
}

/// # Panics
/// When they are not the same, with where.
fn assert_same(what: &str, got: &[u8], sent: &[u8]) {
    if got == sent {
        return;
    }
    let at = got.iter().zip(sent).position(|(one, other)| one != other);
    let at = at.unwrap_or_else(|| got.len().min(sent.len()));
    panic!("{what}: {} bytes of {}, other from byte {at} on", got.len(), sent.len());
}

/// What an RTP receiver sees: the packets, after every header was checked.
fn assert_rtp(heard: &[Heard]) -> Vec<u8> {
    let first = &heard[0];
    let field =
        |one: &Heard, at: usize| u32::from_be_bytes(one.payload[at..at + 4].try_into().unwrap());
    let sequence = |one: &Heard| u16::from_be_bytes([one.payload[2], one.payload[3]]);
    let mut packets = Vec::new();
    for (number, one) in heard.iter().enumerate() {
        assert_eq!(one.payload[..2], [0x80, 33], "version 2, payload type 33, nothing else");
        assert_eq!(sequence(one), sequence(first).wrapping_add(number as u16), "no gap");
        assert_eq!(field(one, 8), field(first, 8), "one source");
        let clock_us = i64::from(field(one, 4).wrapping_sub(field(first, 4)) as i32) * 100 / 9;
        let early_us = clock_us - (one.at_us - first.at_us) as i64;
        assert!(early_us.abs() < 60_000, "datagram {number}: {early_us} us before its time");
        packets.extend_from_slice(&one.payload[12..]);
    }
    packets
}

/// # Panics
/// When a viewer got something else than the tables and the stream from a random access point on.
fn assert_view(got: &[u8], sent: &[u8]) {
    let packets = cut(&got[..got.len() / PACKET_SIZE * PACKET_SIZE]);
    assert!(packets.len() > 100, "{} packets", packets.len());
    let pmt = headend(0, 2_000_000).pid(Role::Pmt);
    let tables: Vec<u16> = packets.iter().take(2).map(pid).collect();
    assert_eq!(tables, [0, pmt], "PAT and PMT first");
    assert!(is_random_access(&packets[2]), "then a random access point");
    let from = cut(sent).iter().position(|packet| packet == &packets[2]);
    let from = (from.expect("it was sent") + 1) * PACKET_SIZE;
    let rest = &got[3 * PACKET_SIZE..];
    assert_same("the viewer", rest, &sent[from..(from + rest.len()).min(sent.len())]);
}

/// # Panics
/// When ffprobe does not find these codecs.
fn assert_codecs(scratch: &Scratch, url: &str, expected: &[&str]) {
    let tracks = ffmpeg::probe(scratch, url);
    let mut codecs: Vec<_> = tracks.iter().filter_map(|one| one["codec_name"].as_str()).collect();
    codecs.sort_unstable();
    assert_eq!(codecs, expected, "{url}");
}

#[test]
fn a_group_leaves_as_another_one_byte_for_byte_and_is_there_for_viewers() {
    let name = "a_group_leaves_as_another_one_byte_for_byte_and_is_there_for_viewers";
    netns::inside(name, |network: &Network| {
        let outputs = ["udp://rx1@239.2.0.1:1234#ttl=16", "rtp://rx1@239.2.0.2:1234"];
        let relay = start(&channel("iptv/one", "udp://rx0@239.1.1.1:1234", &outputs), 1);
        let raw = Listener::join(network.sender(), "tx1", "239.2.0.1:1234");
        let rtp = Listener::join(network.sender(), "tx1", "239.2.0.2:1234");
        let headend = headend(1, 5_000_000);
        let pids = headend.pids();
        let begun = Instant::now();
        let feed = Feed::start(network.sender(), TX0, "239.1.1.1:1234", Carriage::Raw, headend);
        thread::sleep(Duration::from_millis(1_500));
        let address = relay.http();
        let viewer = thread::spawn(move || {
            let mut viewer = http::Viewer::open(address, "/iptv/one.ts");
            assert!(viewer.read_to(1_000_000), "the stream ended early");
            viewer.bytes
        });
        for url in [relay.rtmp_url("iptv", "one"), relay.flv_url("iptv", "one")] {
            assert_codecs(relay.scratch(), &url, &["aac", "h264"]);
        }
        let viewed = viewer.join().unwrap();
        thread::sleep(Duration::from_secs(6).saturating_sub(begun.elapsed()));
        let sent = feed.stop();

        let raw = heard_of(raw, sent.len());
        assert_same("the group", &payloads(&raw), &sent);
        assert!(raw.iter().all(|one| one.payload.len() == 7 * PACKET_SIZE && one.ttl == 16));
        let rtp = heard_of(rtp, sent.len() + raw.len() * 12);
        let packets = assert_rtp(&rtp);
        assert_same("RTP", &packets, &sent);
        assert!(rtp.iter().all(|one| one.payload.len() == 12 + 7 * PACKET_SIZE && one.ttl == 1));
        let digests = digest_per_pid(&sent);
        assert_eq!(digest_per_pid(&packets), digests);
        assert!(pids.iter().all(|(pid, role)| digests.contains_key(pid) || *role == Role::Tdt));
        assert_view(&viewed, &sent);

        let stream = relay.stream("iptv", "one").unwrap();
        assert_eq!(stream["essence"], "transport", "{stream:#}");
        let input = &stream["inputs"][0];
        assert_eq!(input["socket"]["kernel_drops"], 0, "{input:#}");
    });
}

/// Sends a stream into a channel for three seconds, and compares what comes out.
fn assert_passes(
    network: &Network,
    from: (&str, &str),
    groups: [&str; 2],
    carriage: Carriage,
) -> Relay {
    let [to, out] = groups;
    let input =
        format!("{}://rx0@{to}", if carriage == Carriage::RtpDisturbed { "rtp" } else { "udp" });
    let relay = start(&channel("iptv/one", &input, &[&format!("udp://rx1@{out}#ttl=3")]), 1);
    let listener = Listener::join(network.sender(), "tx1", out);
    let feed = Feed::start(network.sender(), from, to, carriage, headend(2, 5_000_000));
    thread::sleep(Duration::from_secs(3));
    let sent = feed.stop();
    let heard = heard_of(listener, sent.len());
    assert_same(out, &payloads(&heard), &sent);
    assert!(heard.iter().all(|one| one.payload.len() == 7 * PACKET_SIZE), "7 packets each");
    assert!(heard.iter().all(|one| one.ttl == 3), "TTL or hop limit");
    relay
}

#[test]
fn rtp_that_comes_late_and_twice_leaves_in_order_and_whole() {
    netns::inside(
        "rtp_that_comes_late_and_twice_leaves_in_order_and_whole",
        |network: &Network| {
            let groups = ["239.1.1.2:1234", "239.2.0.3:1234"];
            let relay = assert_passes(network, TX0, groups, Carriage::RtpDisturbed);
            let stream = relay.stream("iptv", "one").unwrap();
            let rtp = &stream["inputs"][0]["rtp"];
            assert_eq!(rtp["lost"], 0, "{rtp:#}");
            assert!(rtp["duplicates"].as_u64() > Some(20), "{rtp:#}");
            assert!(rtp["reordered"].as_u64() > Some(20), "{rtp:#}");
        },
    );
}

#[test]
fn a_group_of_ipv6_leaves_as_another_one() {
    netns::inside("a_group_of_ipv6_leaves_as_another_one", |network: &Network| {
        let groups = ["[ff1e::71:1]:1234", "[ff1e::72:1]:1234"];
        assert_passes(network, TX0_V6, groups, Carriage::Raw);
    });
}

#[test]
fn packets_with_parity_leave_without_it() {
    netns::inside("packets_with_parity_leave_without_it", |network: &Network| {
        let groups = ["239.1.1.3:1234", "239.2.0.4:1234"];
        assert_passes(network, TX0, groups, Carriage::WithParity);
    });
}

#[test]
fn groups_on_one_port_and_senders_of_one_group_do_not_mix() {
    netns::inside("groups_on_one_port_and_senders_of_one_group_do_not_mix", |network: &Network| {
        let inputs = [
            "udp://rx0@239.1.2.1:1234",
            "udp://rx0@239.1.2.2:1234",
            "udp://rx0@232.1.2.3:1234#src=10.71.0.2",
        ];
        let outputs = ["239.2.2.1:1234", "239.2.2.2:1234", "239.2.2.3:1234"];
        let settings: String = (inputs.iter().zip(outputs).enumerate())
            .map(|(number, (input, output))| {
                channel(&format!("iptv/{number}"), input, &[&format!("udp://rx1@{output}")])
            })
            .collect();
        let relay = start(&settings, 3);
        let sender = network.sender();
        let listeners = outputs.map(|output| Listener::join(sender, "tx1", output));
        let rate = 2_000_000;
        let stranger =
            Feed::start(sender, TX0_OTHER, "232.1.2.3:1234", Carriage::Raw, headend(9, rate));
        let feeds: Vec<Feed> = (["239.1.2.1:1234", "239.1.2.2:1234", "232.1.2.3:1234"].into_iter())
            .zip(3..)
            .map(|(to, seed)| Feed::start(sender, TX0, to, Carriage::Raw, headend(seed, rate)))
            .collect();
        thread::sleep(Duration::from_millis(2_500));
        let sent: Vec<Vec<u8>> = feeds.into_iter().map(Feed::stop).collect();
        assert!(!stranger.stop().is_empty());
        for ((listener, output), sent) in listeners.into_iter().zip(outputs).zip(&sent) {
            assert_same(output, &payloads(&heard_of(listener, sent.len())), sent);
        }
        drop(relay);
    });
}

/// A relay whose channel sends what `input` brings as UDP and as RTP, and routes for its peers.
fn relay_for_peers(network: &Network, input: &str) -> Relay {
    network.sender().ip("route add 224.0.0.0/4 dev tx0");
    let outputs = ["udp://rx1@239.2.3.1:1234", "rtp://rx1@239.2.3.2:1234"];
    start(&channel("iptv/one", input, &outputs), 1)
}

/// Starts to receive with multicat, raw into one file and RTP into another.
fn receive_with_multicat(network: &Network, relay: &Relay) -> Vec<(Peer, std::path::PathBuf)> {
    let sources = [("raw.ts", "239.2.3.1:1234", true), ("rtp.ts", "239.2.3.2:1234", false)];
    let start = |(file, group, is_raw): (&str, &str, bool)| {
        let path = relay.scratch().file(file);
        let place = format!("@{group}/ifaddr=10.72.0.2");
        let mut args = vec!["-u", &place, path.to_str().unwrap()];
        if !is_raw {
            args.remove(0);
        }
        (network.sender().spawn(relay.scratch(), "multicat", &args), path.clone())
    };
    sources.map(start).into()
}

#[test]
fn multicat_sends_and_receives() {
    netns::inside("multicat_sends_and_receives", |network: &Network| {
        let relay = relay_for_peers(network, "udp://rx0@239.1.3.1:1234");
        let receivers = receive_with_multicat(network, &relay);
        wait_until("multicat listens", LIMIT, || {
            network.sender().run(|| {
                let groups = std::fs::read_to_string("/proc/thread-self/net/igmp").unwrap();
                groups.contains("010302EF") && groups.contains("020302EF")
            })
        });
        // multicat needs an index beside the file, which ingests makes.
        let file = relay.scratch().file("news.ts");
        std::fs::copy(ts::path(), &file).unwrap();
        let path = file.to_str().unwrap();
        peer::run(relay.scratch(), "ingests", &["-p", "256", path], LIMIT);
        let args = ["-U", path, "239.1.3.1:1234@10.71.0.2"];
        let sender = network.sender().spawn(relay.scratch(), "multicat", &args);
        thread::sleep(Duration::from_millis(4_500));
        drop(sender);
        thread::sleep(Duration::from_millis(300));
        let sent = std::fs::read(&file).unwrap();
        for (receiver, path) in receivers {
            let said = receiver.stderr_so_far();
            drop(receiver);
            let got = std::fs::read(&path).unwrap();
            assert!(got.len() > 150_000, "{}: {} bytes: {said}", path.display(), got.len());
            assert_same(path.to_str().unwrap(), &got, &sent[..got.len()]);
        }
    });
}

/// Sends the test stream from the sending host with ffmpeg, in real time, over and over.
fn send_with_ffmpeg(network: &Network, relay: &Relay, format: &str, url: &str) -> Peer {
    let file = ts::path();
    let input = ["-re", "-stream_loop", "-1", "-i", file.to_str().unwrap(), "-map", "0"];
    let output = ["-c", "copy", "-f", format, url];
    let args = [&["-v", "error", "-nostdin"][..], &input, &output].concat();
    network.sender().spawn(relay.scratch(), "ffmpeg", &args)
}

/// What ffprobe finds at a URL on the sending host.
fn assert_probed_there(network: &Network, relay: &Relay, url: &str) {
    let args = ["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", url];
    let probed = network.sender().spawn(relay.scratch(), "ffprobe", &args).wait(LIMIT);
    assert!(probed.succeeded(), "{url}: {}", probed.output());
    for codec in ["h264", "aac"] {
        assert!(probed.stdout.contains(codec), "{url}: {}", probed.output());
    }
}

#[test]
fn ffmpeg_sends_udp_and_rtp_and_ffprobe_reads_what_leaves() {
    netns::inside("ffmpeg_sends_udp_and_rtp_and_ffprobe_reads_what_leaves", |network: &Network| {
        let relay = relay_for_peers(network, "udp://rx0@239.1.3.2:1234");
        for (format, port) in [("mpegts", 1234), ("rtp_mpegts", 1234)] {
            let scheme = if format == "mpegts" { "udp" } else { "rtp" };
            let size = if format == "mpegts" { 1_316 } else { 1_328 };
            let to =
                format!("{scheme}://239.1.3.2:{port}?pkt_size={size}&localaddr=10.71.0.2&ttl=2");
            let sender = send_with_ffmpeg(network, &relay, format, &to);
            let from = "udp://239.2.3.1:1234?localaddr=10.72.0.2";
            assert_probed_there(network, &relay, from);
            drop(sender);
        }
        let stream = relay.stream("iptv", "one").unwrap();
        let input = &stream["inputs"][0];
        assert_eq!(input["rtp"]["lost"], 0, "{input:#}");
    });
}

#[test]
fn gstreamer_sends_and_receives_rtp() {
    netns::inside("gstreamer_sends_and_receives_rtp", |network: &Network| {
        let relay = relay_for_peers(network, "rtp://rx0@239.1.3.3:1234");
        let got = relay.scratch().file("pictures.h264");
        let receiver = format!(
            "-q udpsrc address=239.2.3.2 port=1234 multicast-iface=tx1 \
             caps=application/x-rtp,media=video,encoding-name=MP2T,clock-rate=90000,payload=33 ! \
             rtpmp2tdepay ! tsparse ! tsdemux name=d d. ! queue ! h264parse ! \
             video/x-h264,stream-format=byte-stream ! filesink location={} sync=false \
             d. ! queue ! aacparse ! fakesink sync=false",
            got.display()
        );
        let args: Vec<&str> = receiver.split_whitespace().collect();
        let receiver = network.sender().spawn(relay.scratch(), "gst-launch-1.0", &args);
        thread::sleep(Duration::from_secs(1));
        let sender = format!(
            "-q filesrc location={} ! tsparse set-timestamps=true ! rtpmp2tpay pt=33 ! \
             udpsink host=239.1.3.3 port=1234 multicast-iface=tx0 auto-multicast=false \
             bind-address=10.71.0.2 sync=true",
            ts::path().display()
        );
        let args: Vec<&str> = sender.split_whitespace().collect();
        let sender = network.sender().spawn(relay.scratch(), "gst-launch-1.0", &args);
        wait_until("GStreamer receives pictures", LIMIT, || {
            std::fs::metadata(&got).is_ok_and(|file| file.len() > 100_000)
        });
        drop(sender);
        let said = receiver.stderr_so_far();
        assert!(!said.contains("WARN"), "{said}");
        let stream = relay.stream("iptv", "one").unwrap();
        assert_eq!(stream["inputs"][0]["rtp"]["lost"], 0, "{stream:#}");
    });
}

/// Whether the receiving host is a member of a group of IPv4.
fn is_member(group: [u8; 4]) -> bool {
    let [a, b, c, d] = group;
    let wanted = format!("{d:02X}{c:02X}{b:02X}{a:02X}");
    std::fs::read_to_string("/proc/net/igmp").unwrap().contains(&wanted)
}

/// Sockets of UDP on a port of the receiving host.
fn sockets_on(port: u16) -> usize {
    let wanted = format!(":{port:04X} ");
    let table = std::fs::read_to_string("/proc/net/udp").unwrap();
    table
        .lines()
        .filter(|line| line.split(" 0").next().is_some() && line[..22].contains(&wanted))
        .count()
}

#[test]
fn a_channel_on_demand_is_joined_while_it_is_watched() {
    netns::inside("a_channel_on_demand_is_joined_while_it_is_watched", |network: &Network| {
        let relay = Relay::start(
            "[[channel]]
             name = \"iptv/one\"
             input = [\"udp://rx0@239.1.4.1:1234\"]
             open = \"demand\"
             linger_ms = 800",
        );
        let feed = Feed::start(
            network.sender(),
            TX0,
            "239.1.4.1:1234",
            Carriage::Raw,
            headend(5, 3_000_000),
        );
        thread::sleep(Duration::from_millis(500));
        let is_joined = || is_member([239, 1, 4, 1]) && sockets_on(1234) == 1;
        assert!(!is_member([239, 1, 4, 1]) && sockets_on(1234) == 0, "nobody watches");
        let mut views = Vec::new();
        for _ in 0..2 {
            let mut viewer = http::Viewer::open(relay.http(), "/iptv/one.ts");
            assert!(is_joined(), "there with the first viewer");
            assert!(viewer.read_to(300_000), "the stream ended early");
            views.push(viewer.bytes.clone());
            let left = Instant::now();
            drop(viewer);
            thread::sleep(Duration::from_millis(300));
            assert!(is_joined() || left.elapsed().as_millis() > 700, "it lingers");
            wait_until("the group is left", LIMIT, || !is_member([239, 1, 4, 1]));
            assert!(left.elapsed() > Duration::from_millis(700), "{:?}", left.elapsed());
            assert!(left.elapsed() < Duration::from_secs(4), "{:?}", left.elapsed());
            assert_eq!(sockets_on(1234), 0);
        }
        let sent = feed.stop();
        views.iter().for_each(|view| assert_view(view, &sent));
    });
}

#[test]
fn groups_are_served_as_udpxy_does() {
    netns::inside("groups_are_served_as_udpxy_does", |network: &Network| {
        let settings = "http.play_wait_ms = 0
             iptv.linger_ms = 500
             iptv.udpxy.allow = [\"239.3.0.0/16\"]
             iptv.udpxy.interface = \"rx0\"
             ";
        let one = channel("iptv/one", "udp://rx0@239.1.5.1:4000", &[]);
        let relay = start(&format!("{settings}{one}"), 1);
        let sender = network.sender();
        let send =
            |to, carriage, seed| Feed::start(sender, TX0, to, carriage, headend(seed, 3_000_000));
        let feeds = [
            send("239.3.0.1:5000", Carriage::Raw, 1),
            send("239.3.0.2:5001", Carriage::Rtp, 2),
            send("239.1.5.1:4000", Carriage::Raw, 3),
        ];
        let address = relay.http();
        let watch = |path: &'static str| {
            thread::spawn(move || {
                let mut viewer = http::Viewer::open(address, path);
                assert_eq!(viewer.head.status, 200, "{path}");
                assert_eq!(viewer.head.header("content-type"), Some("video/mp2t"));
                viewer.read_to(500_000);
                viewer.bytes
            })
        };
        let paths = [
            "/udp/239.3.0.1:5000",
            "/udp/239.3.0.1:5000",
            "/rtp/239.3.0.2:5001",
            "/udp/239.1.5.1:4000",
        ];
        let viewers = paths.map(watch);
        wait_until("all are watched", LIMIT, || {
            let channels = relay.api("/api/v1/channels");
            let channels = channels["channels"].as_array().unwrap();
            channels.len() == 3 && channels.iter().all(|one| one["open"] == true)
        });
        wait_until("all viewers are there", LIMIT, || relay.connections() == 4);
        assert_eq!(sockets_on(5000), 1, "two viewers share one socket");
        assert_eq!((sockets_on(5001), sockets_on(4000)), (1, 1));
        let channels = relay.api("/api/v1/channels");
        let shown: Vec<_> = (channels["channels"].as_array().unwrap().iter())
            .map(|one| (one["name"].as_str().unwrap(), one["relay"] == true))
            .collect();
        let expected =
            [("iptv/one", false), ("rtp/239.3.0.2:5001", true), ("udp/239.3.0.1:5000", true)];
        assert_eq!(shown, expected);
        let status = http::get(relay.http(), "/status");
        assert_eq!(status.status, 200);
        // A connection shows the page of its core.
        assert!(status.text().contains("what its viewers watch"), "{}", status.text());
        for path in ["/udp/239.4.0.1:5000", "/udp/239.1.5.1:4001", "/rtp/224.0.0.1"] {
            assert_eq!(http::get(relay.http(), path).status, 403, "{path}");
        }
        assert_eq!(http::get(relay.http(), "/udp/nonsense").status, 400);
        let views = viewers.map(|viewer| viewer.join().unwrap());
        let [raw, rtp, configured] = feeds.map(Feed::stop);
        for (view, sent) in views.iter().zip([&raw, &raw, &rtp, &configured]) {
            assert_view(view, sent);
        }
        wait_until("the relays are gone", LIMIT, || {
            relay.api("/api/v1/channels")["total"] == 1 && sockets_on(5000) + sockets_on(5001) == 0
        });
        assert!(!is_member([239, 3, 0, 1]) && is_member([239, 1, 5, 1]));
    });
}

#[test]
fn what_is_published_leaves_paced() {
    netns::inside("what_is_published_leaves_paced", |network: &Network| {
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
        // Where the media begins anew it pauses by itself.
        let seams = settled[settled.len() - 1].at_us.saturating_sub(first) / ROUND_US + 1;
        let longest = gaps[gaps.len() - 1 - seams as usize];
        assert!(longest <= 50_000, "{longest} us between two datagrams");
        assert!(gaps[gaps.len() - 1] <= 120_000, "{gaps:?}");
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

/// Length of the test media.
const ROUND_US: u64 = media::SECONDS as u64 * 1_000_000;

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
    for method in ["POST", "PUT"] {
        let _publisher = post_with_ffmpeg(&relay, method, method);
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
    }
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
            assert_ne!(peer(&relay), before);
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

#[test]
fn an_interface_that_goes_and_returns_is_told_once_and_used_again() {
    netns::inside(
        "an_interface_that_goes_and_returns_is_told_once_and_used_again",
        |network: &Network| {
            let retry = "iptv.retry_min_ms = 100\niptv.retry_max_ms = 400\n";
            // Both directions of one cable stay, the other one goes.
            let stays =
                channel("iptv/stays", "udp://rx0@239.1.7.1:1234", &["udp://rx0@239.2.7.1:1234"]);
            let goes =
                channel("iptv/goes", "udp://rx1@239.1.7.2:1234", &["udp://rx0@239.2.7.2:1234"]);
            let sends =
                channel("iptv/sends", "udp://rx0@239.1.7.1:1234", &["udp://rx1@239.2.7.3:1234"]);
            let relay = start(&format!("{retry}{stays}{goes}{sends}"), 3);
            let sender = network.sender();
            let undisturbed = Listener::join(sender, "tx0", "239.2.7.1:1234");
            let steady =
                Feed::start(sender, TX0, "239.1.7.1:1234", Carriage::Raw, headend(1, 2_000_000));
            let feed =
                Feed::start(sender, TX1, "239.1.7.2:1234", Carriage::Raw, headend(2, 2_000_000));
            relay.await_log(&["channel iptv/goes input", "has packets"]);
            feed.stop();
            netns::ip("link del dev rx1");
            relay.await_log(&["channel iptv/goes input", "is lost", "rx1"]);
            relay.await_log(&["channel iptv/sends", "output udp://rx1@", "cannot send"]);
            thread::sleep(Duration::from_millis(1_500));
            let told = |words: &[&str]| {
                let log = relay.log();
                log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
            };
            assert_eq!(told(&["channel iptv/goes input", "is lost"]), 1, "once");
            assert_eq!(
                told(&["channel iptv/sends", "output udp://rx1@", "cannot send"]),
                1,
                "once"
            );

            network.lay_cable(1);
            wait_until("it is joined again", LIMIT, || {
                told(&["channel iptv/goes input", "is open"]) == 2
            });
            let out = Listener::join(sender, "tx0", "239.2.7.2:1234");
            let sent_again = Listener::join(sender, "tx1", "239.2.7.3:1234");
            let feed =
                Feed::start(sender, TX1, "239.1.7.2:1234", Carriage::Raw, headend(3, 2_000_000));
            wait_until("the output sends again", LIMIT, || sent_again.bytes() > 100_000);
            thread::sleep(Duration::from_secs(1));
            let sent = feed.stop();
            assert_same("after the return", &payloads(&heard_of(out, sent.len())), &sent);
            let sent = steady.stop();
            assert_same("the other channel", &payloads(&heard_of(undisturbed, sent.len())), &sent);
            let sent_again = payloads(&sent_again.stop());
            assert!(sent.ends_with(&sent_again), "from one packet on, everything");
        },
    );
}

#[test]
fn a_silent_group_is_diagnosed_within_five_seconds() {
    netns::inside("a_silent_group_is_diagnosed_within_five_seconds", |_: &Network| {
        let relay = start(&channel("iptv/one", "udp://rx1@239.1.8.1:1234", &[]), 1);
        let begun = Instant::now();
        let line = relay.await_log(&["joined 239.1.8.1 on rx1, and nothing came within"]);
        assert!(begun.elapsed() < Duration::from_millis(5_300), "{:?}", begun.elapsed());
        assert!(line.contains("WARN") && line.contains("channel iptv/one"), "{line}");
        let channels = relay.api("/api/v1/channels");
        assert_eq!(channels["channels"][0]["on_air"]["state"], "silent", "{channels:#}");
    });
}

#[test]
fn junk_in_a_channels_port_is_counted_and_changes_nothing() {
    netns::inside("junk_in_a_channels_port_is_counted_and_changes_nothing", |network: &Network| {
        let one = channel("iptv/one", "udp://rx0@239.1.9.1:1234", &["udp://rx1@239.2.9.1:1234"]);
        let rtp = channel("iptv/rtp", "rtp://rx0@239.1.9.2:1234", &["udp://rx1@239.2.9.2:1234"]);
        let relay = start(&format!("{one}{rtp}"), 2);
        let sender = network.sender();
        let groups = ["239.1.9.1:1234", "239.1.9.2:1234"];
        let listeners =
            ["239.2.9.1:1234", "239.2.9.2:1234"].map(|group| Listener::join(sender, "tx1", group));
        let feeds = [
            Feed::start(sender, TX0, groups[0], Carriage::Raw, headend(1, 3_000_000)),
            Feed::start(sender, TX0, groups[1], Carriage::Rtp, headend(2, 3_000_000)),
        ];
        thread::sleep(Duration::from_millis(500));
        let rss = relay.rss_kib();
        let mut sent_junk = [0_u64; 2];
        for (group, count) in groups.iter().zip(&mut sent_junk) {
            let socket = feed::open(sender, TX0_OTHER, group);
            for round in 0..20_u32 {
                for datagram in junk(round) {
                    socket.send(&datagram).unwrap();
                    *count += 1;
                    thread::sleep(Duration::from_millis(2));
                }
            }
        }
        thread::sleep(Duration::from_millis(300));
        let sent = feeds.map(Feed::stop);
        for ((listener, sent), group) in listeners.into_iter().zip(&sent).zip(groups) {
            assert_same(group, &payloads(&heard_of(listener, sent.len())), sent);
        }
        for (name, count) in ["one", "rtp"].into_iter().zip(sent_junk) {
            let stream = relay.stream("iptv", name).unwrap();
            let datagrams = &stream["inputs"][0]["socket"];
            assert_eq!(datagrams["foreign"], count, "{name}: {datagrams:#}");
            assert_eq!(datagrams["kernel_drops"], 0, "{name}: {datagrams:#}");
        }
        let grown = relay.rss_kib().saturating_sub(rss);
        assert!(grown < 12 << 10, "memory grew by {grown} KiB");
    });
}

/// Datagrams that are no transport stream, each in its own way; another `round`, other bytes.
fn junk(round: u32) -> Vec<Vec<u8>> {
    let mut random = round.wrapping_mul(0x9E37_79B9) | 1;
    let mut noise = |size: usize| -> Vec<u8> {
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            (random >> 16) as u8
        };
        (0..size).map(|_| next()).collect()
    };
    let mut with = |head: &[u8], size: usize| {
        let mut datagram = noise(size);
        // Neither a sync byte nor a version of RTP.
        datagram[0] &= 0x3F;
        datagram[..head.len()].copy_from_slice(head);
        if datagram[0] == 0x47 && head.is_empty() {
            datagram[0] = 0;
        }
        datagram
    };
    vec![
        with(&[], 1),
        with(&[], 1_316),
        with(&[], 1_000 + round as usize),
        // The largest there is.
        with(&[], 65_507),
        // Half a packet, and packets and a half.
        with(&[0x47], 94),
        with(&[0x47], 1_400),
        // RTP: cut in its header, 15 sources and no room, an extension longer than the datagram,
        // padding longer than the payload, a payload that is no packets.
        with(&[0x80, 33], 11),
        with(&[0x8F, 33], 40),
        with(&[0x90, 33, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0xBE, 0xDE, 0xFF, 0xFF], 200),
        {
            let mut datagram = with(&[0xA0, 33], 200);
            datagram[199] = 255;
            datagram
        },
    ]
}
