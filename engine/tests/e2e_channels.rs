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

#[path = "channels/demand.rs"]
mod demand;
#[path = "channels/faults.rs"]
mod faults;
#[path = "channels/peers.rs"]
mod peers;
#[path = "channels/publishing.rs"]
mod publishing;

use std::thread;
use std::time::{Duration, Instant};

use feed::{Carriage, Feed, TX0, TX0_OTHER, TX0_V6};
use headend::{Headend, PACKET_SIZE, Role, Settings, digest_per_pid};
use listener::{Heard, Listener, payloads};
use packets::{cut, is_random_access, pid};
use support::netns::{self, Network};
use support::relay::Relay;
use support::{LIMIT, Scratch, ffmpeg, http, wait_until};

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
    let deadline = Instant::now() + LIMIT;
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
    let (mut packets, mut late_us) = (Vec::new(), Vec::new());
    for (number, one) in heard.iter().enumerate() {
        assert_eq!(one.payload[..2], [0x80, 33], "version 2, payload type 33, nothing else");
        assert_eq!(sequence(one), sequence(first).wrapping_add(number as u16), "no gap");
        assert_eq!(field(one, 8), field(first, 8), "one source");
        let clock_us = i64::from(field(one, 4).wrapping_sub(field(first, 4)) as i32) * 100 / 9;
        late_us.push((one.at_us - first.at_us) as i64 - clock_us);
        packets.extend_from_slice(&one.payload[12..]);
    }
    assert_clock_of_arrival(&mut late_us);
    packets
}

/// Fails unless the clock of RTP goes as time does. A busy machine makes single datagrams late, none of
/// them early, and in every part of a stream some are in time.
fn assert_clock_of_arrival(late_us: &mut [i64]) {
    let least = *late_us.iter().min().expect("datagrams");
    let part = late_us.len().div_ceil(4);
    for part in late_us.chunks_mut(part) {
        part.sort_unstable();
        let (first, half) = (part[0] - least, part[part.len() / 2] - least);
        assert!(half < 60_000, "the first of them {first} us late, half of them {half} us");
    }
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

/// What ffprobe finds at a URL on the sending host.
fn assert_probed_there(network: &Network, relay: &Relay, url: &str) {
    let args = ["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", url];
    let probed = network.sender().spawn(relay.scratch(), "ffprobe", &args).wait(LIMIT);
    assert!(probed.succeeded(), "{url}: {}", probed.output());
    for codec in ["h264", "aac"] {
        assert!(probed.stdout.contains(codec), "{url}: {}", probed.output());
    }
}
