//! Foreign programs as senders and receivers: multicat, ffmpeg, GStreamer.

use std::path::PathBuf;

use super::support::netns::{self, Network};
use super::support::peer::{self, Peer};
use super::support::relay::Relay;
use super::support::{LIMIT, await_bytes, ts, wait_until};
use super::{assert_probed_there, assert_same, channel, start};

/// A relay whose channel sends what `input` brings as UDP and as RTP, and routes for its peers.
fn relay_for_peers(network: &Network, input: &str) -> Relay {
    network.sender().ip("route add 224.0.0.0/4 dev tx0");
    let outputs = ["udp://rx1@239.2.3.1:1234", "rtp://rx1@239.2.3.2:1234"];
    start(&channel("iptv/one", input, &outputs), 1)
}

/// Waits until programs of the sending host are members of groups, in the words of the kernel.
fn await_member<const N: usize>(network: &Network, wanted: [&str; N]) {
    wait_until("they listen", LIMIT, || {
        network.sender().run(|| {
            let groups = std::fs::read_to_string("/proc/thread-self/net/igmp").unwrap();
            wanted.iter().all(|group| groups.contains(group))
        })
    });
}

/// Starts to receive with multicat, raw into one file and RTP into another.
fn receive_with_multicat(network: &Network, relay: &Relay) -> Vec<(Peer, PathBuf)> {
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
    netns::inside("peers::multicat_sends_and_receives", |network: &Network| {
        let relay = relay_for_peers(network, "udp://rx0@239.1.3.1:1234");
        let receivers = receive_with_multicat(network, &relay);
        await_member(network, ["010302EF", "020302EF"]);
        // multicat needs an index beside the file, which ingests makes.
        let file = relay.scratch().file("news.ts");
        std::fs::copy(ts::path(), &file).unwrap();
        let path = file.to_str().unwrap();
        peer::run(relay.scratch(), "ingests", &["-p", "256", path], LIMIT);
        let args = ["-U", path, "239.1.3.1:1234@10.71.0.2"];
        let sender = network.sender().spawn(relay.scratch(), "multicat", &args);
        receivers.iter().for_each(|(_, path)| await_bytes(path, 250_000));
        drop(sender);
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

#[test]
fn ffmpeg_sends_udp_and_rtp_and_ffprobe_reads_what_leaves() {
    netns::inside(
        "peers::ffmpeg_sends_udp_and_rtp_and_ffprobe_reads_what_leaves",
        |network: &Network| {
            let relay = relay_for_peers(network, "udp://rx0@239.1.3.2:1234");
            for (format, port) in [("mpegts", 1234), ("rtp_mpegts", 1234)] {
                let scheme = if format == "mpegts" { "udp" } else { "rtp" };
                let size = if format == "mpegts" { 1_316 } else { 1_328 };
                let to = format!(
                    "{scheme}://239.1.3.2:{port}?pkt_size={size}&localaddr=10.71.0.2&ttl=2"
                );
                let sender = send_with_ffmpeg(network, &relay, format, &to);
                let from = "udp://239.2.3.1:1234?localaddr=10.72.0.2";
                assert_probed_there(network, &relay, from);
                drop(sender);
            }
            let stream = relay.stream("iptv", "one").unwrap();
            let input = &stream["inputs"][0];
            assert_eq!(input["rtp"]["lost"], 0, "{input:#}");
        },
    );
}

#[test]
fn gstreamer_sends_and_receives_rtp() {
    netns::inside("peers::gstreamer_sends_and_receives_rtp", |network: &Network| {
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
        await_member(network, ["020302EF"]);
        let sender = format!(
            "-q filesrc location={} ! tsparse set-timestamps=true ! rtpmp2tpay pt=33 ! \
             udpsink host=239.1.3.3 port=1234 multicast-iface=tx0 auto-multicast=false \
             bind-address=10.71.0.2 sync=true",
            ts::path().display()
        );
        let args: Vec<&str> = sender.split_whitespace().collect();
        let sender = network.sender().spawn(relay.scratch(), "gst-launch-1.0", &args);
        await_bytes(&got, 100_000);
        drop(sender);
        let said = receiver.stderr_so_far();
        assert!(!said.contains("WARN"), "{said}");
        let stream = relay.stream("iptv", "one").unwrap();
        assert_eq!(stream["inputs"][0]["rtp"]["lost"], 0, "{stream:#}");
    });
}
