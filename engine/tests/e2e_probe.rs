//! `corelay probe` on what real senders send: ffmpeg, GStreamer and multicat, over every way.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::netns::{self, Network};
use support::peer::{Finished, Peer};
use support::{LIMIT, Scratch, ts, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_corelay");

fn probe(scratch: &Scratch, args: &[&str]) -> Finished {
    Peer::spawn(scratch, PROGRAM, &[&["probe"][..], args].concat()).wait(LIMIT)
}

/// The report as JSON, and the exit code.
fn probe_json(scratch: &Scratch, args: &[&str]) -> (Value, i32) {
    let finished = probe(scratch, &[args, &["--json"]].concat());
    let report = serde_json::from_str(&finished.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {}", finished.output()));
    (report, finished.status.and_then(|status| status.code()).expect("it ended"))
}

/// What must be true of every report on the test stream.
fn assert_news(report: &Value) {
    assert_eq!(report["stream"]["programs"][0]["number"], 7, "{report:#}");
    let pids = report["stream"]["pids"].as_array().unwrap();
    assert!(pids.iter().any(|pid| pid["language"] == "deu"), "{report:#}");
    assert_stream(report);
}

/// The same without what ffmpeg's RTP leaves out: the program number and the language.
fn assert_stream(report: &Value) {
    let stream = &report["stream"];
    let program = &stream["programs"][0];
    let names = (program["name"].as_str(), program["provider"].as_str());
    assert_eq!(names, (Some(ts::SERVICE.0), Some(ts::SERVICE.1)), "{report:#}");
    let pid = |codec: &str| {
        let pids = stream["pids"].as_array().unwrap();
        pids.iter()
            .find(|pid| pid["codec"] == codec)
            .unwrap_or_else(|| panic!("{codec}: {report:#}"))
    };
    let (video, audio) = (pid("H.264"), pid("AAC (ADTS)"));
    assert_eq!((video["kind"].as_str(), audio["kind"].as_str()), (Some("video"), Some("audio")));
    assert!((100.0..500.0).contains(&video["kbps"].as_f64().unwrap()), "{video}");
    assert!((70.0..150.0).contains(&audio["kbps"].as_f64().unwrap()), "{audio}");
    assert_eq!(video["continuity_errors"], 0);
    assert_eq!(program["pcr_pid"], video["pid"]);
    let clock = &stream["clocks"][0];
    assert_eq!(clock["pid"], video["pid"]);
    assert!((10.0..100.0).contains(&clock["interval_ms"].as_f64().unwrap()), "{clock}");
    assert!((1.0..500.0).contains(&stream["intervals"]["pat_ms"].as_f64().unwrap()));
    assert!((1.0..500.0).contains(&stream["intervals"]["pmt_ms"].as_f64().unwrap()));
}

/// Sends the test stream from the sending host, in real time, over and over.
fn send_with_ffmpeg(network: &Network, scratch: &Scratch, format: &str, url: &str) -> Peer {
    let file = ts::path();
    let args = [
        "-hide_banner",
        "-loglevel",
        "error",
        "-nostdin",
        "-re",
        "-stream_loop",
        "-1",
        "-i",
        file.to_str().unwrap(),
        "-map",
        "0",
        "-c",
        "copy",
        "-mpegts_service_id",
        "7",
        "-metadata",
        "service_name=News One",
        "-metadata",
        "service_provider=Corelay",
        "-muxrate",
        "600k",
        "-f",
        format,
        url,
    ];
    network.sender().spawn(scratch, "ffmpeg", &args)
}

#[test]
fn a_group_that_ffmpeg_feeds_is_described() {
    netns::inside("a_group_that_ffmpeg_feeds_is_described", |network: &Network| {
        let scratch = Scratch::new("probe-udp");
        let to = "udp://239.71.1.1:1234?pkt_size=1316&localaddr=10.71.0.2&ttl=2";
        let sender = send_with_ffmpeg(network, &scratch, "mpegts", to);
        let url = "udp://rx0@239.71.1.1#src=10.71.0.2";
        let (report, code) = probe_json(&scratch, &[url, "--seconds", "6"]);
        assert_news(&report);
        let source = &report["source"];
        assert_eq!(
            (source["kind"].as_str(), source["place"].as_str()),
            (Some("multicast"), Some("239.71.1.1:1234"))
        );
        let datagrams = &source["datagrams"];
        assert_eq!(
            (datagrams["interface"].as_str(), datagrams["framing"].as_str()),
            (Some("rx0"), Some("raw"))
        );
        let sender_seen = datagrams["senders"][0][0].as_str().unwrap();
        assert!(sender_seen.starts_with("10.71.0.2:"), "{sender_seen}");
        assert_eq!(
            (&datagrams["sizes"][0][0], &datagrams["packets"][0][0]),
            (&1_316.into(), &7.into())
        );
        assert_eq!(datagrams["kernel_drops"], 0);
        assert_eq!(source["packet_bytes"], 188);
        let kbps = report["stream"]["kbps"].as_f64().unwrap();
        assert!((500.0..700.0).contains(&kbps), "{kbps}");
        assert!(report["seconds"].as_f64().unwrap() >= 6.0);
        assert!(code == 0 || report["verdict"]["level"] == "error", "{report:#}");

        // The same for people.
        let text = probe(&scratch, &[url, "--seconds", "3"]).stdout;
        for wanted in [
            "multicast     239.71.1.1:1234 on rx0",
            "only from     10.71.0.2",
            "1316 bytes",
            "7 packets",
            "Program 7  \"News One\" by Corelay",
            "H.264",
            "deu",
            "Errors (TR 101 290)",
            "Verdict: ",
        ] {
            assert!(text.contains(wanted), "no `{wanted}` in\n{text}");
        }
        drop(sender);
    });
}

#[test]
fn rtp_of_ffmpeg_is_described() {
    netns::inside("rtp_of_ffmpeg_is_described", |network: &Network| {
        let scratch = Scratch::new("probe-rtp");
        let to = "rtp://239.71.1.2:5004?pkt_size=1328&localaddr=10.71.0.2&ttl=2";
        let sender = send_with_ffmpeg(network, &scratch, "rtp_mpegts", to);
        let (report, _) = probe_json(&scratch, &["rtp://rx0@239.71.1.2:5004", "--seconds", "5"]);
        assert_stream(&report);
        let rtp = &report["source"]["rtp"];
        assert_eq!((&rtp["payload_type"], &rtp["lost"]), (&33.into(), &0.into()), "{rtp}");
        assert_eq!((&rtp["duplicates"], &rtp["restarts"]), (&0.into(), &0.into()), "{rtp}");
        assert!(rtp["received"].as_u64().unwrap() > 50, "{rtp}");
        assert_eq!(report["source"]["datagrams"]["framing"], "rtp");
        drop(sender);
    });
}

#[test]
fn rtp_of_gstreamer_is_described() {
    netns::inside("rtp_of_gstreamer_is_described", |network: &Network| {
        let scratch = Scratch::new("probe-gst");
        let file = ts::path();
        let pipeline = format!(
            "-q filesrc location={} ! tsparse set-timestamps=true ! rtpmp2tpay pt=33 ! \
             udpsink host=239.71.1.3 port=5004 multicast-iface=tx0 auto-multicast=false \
             bind-address=10.71.0.2 sync=true",
            file.display()
        );
        network.sender().ip("route add 224.0.0.0/4 dev tx0");
        let args: Vec<&str> = pipeline.split_whitespace().collect();
        let sender = network.sender().spawn(&scratch, "gst-launch-1.0", &args);
        let (report, _) = probe_json(&scratch, &["rtp://rx0@239.71.1.3:5004", "--seconds", "6"]);
        assert_news(&report);
        let rtp = &report["source"]["rtp"];
        assert_eq!((&rtp["payload_type"], &rtp["lost"]), (&33.into(), &0.into()), "{rtp}");
        drop(sender);
    });
}

#[test]
fn a_group_that_multicat_feeds_is_described() {
    netns::inside("a_group_that_multicat_feeds_is_described", |network: &Network| {
        let scratch = Scratch::new("probe-multicat");
        // multicat needs an index beside the file, which ingests makes.
        let file = scratch.file("news.ts");
        std::fs::copy(ts::path(), &file).unwrap();
        let file = file.to_str().unwrap();
        let index = Peer::spawn(&scratch, "ingests", &["-p", "256", file]).wait(LIMIT);
        assert!(index.succeeded(), "{}", index.output());
        network.sender().ip("route add 224.0.0.0/4 dev tx0");
        let args = ["-U", file, "239.71.1.4:1234@10.71.0.2"];
        let sender = network.sender().spawn(&scratch, "multicat", &args);
        let (report, _) = probe_json(&scratch, &["udp://rx0@239.71.1.4", "--seconds", "6"]);
        assert_news(&report);
        assert_eq!(report["source"]["datagrams"]["packets"][0][0], 7, "{report:#}");
        drop(sender);
    });
}

#[test]
fn a_silent_group_is_diagnosed_within_five_seconds() {
    netns::inside("a_silent_group_is_diagnosed_within_five_seconds", |network: &Network| {
        let scratch = Scratch::new("probe-silent");
        let begun = Instant::now();
        let (report, code) = probe_json(&scratch, &["udp://rx0@239.71.1.5"]);
        // Those 5 s are also what the report says; programs start slowly on a busy machine.
        assert!(begun.elapsed().as_secs() >= 5, "{:?}", begun.elapsed());
        assert_eq!((code, report["verdict"]["level"].as_str()), (1, Some("silent")));
        let text = report["verdict"]["text"].as_str().unwrap();
        assert_eq!(text, "joined 239.71.1.5 on rx0, and nothing came within 5 s");
        let advice = report["verdict"]["advice"].to_string();
        assert!(advice.contains("sends to 239.71.1.5 port 1234"), "{advice}");

        // Other traffic on the wire is told from none.
        let to = "udp://239.71.1.6:1234?pkt_size=1316&localaddr=10.71.0.2&ttl=2";
        let sender = send_with_ffmpeg(network, &scratch, "mpegts", to);
        let (report, _) = probe_json(&scratch, &["udp://rx0@239.71.1.5"]);
        let advice = report["verdict"]["advice"].to_string();
        assert!(
            advice.contains("rx0 received ") && advice.contains(" frames in that time"),
            "{advice}"
        );
        drop(sender);

        netns::ip("link set dev rx0 down");
        netns::ip("route add 224.0.0.0/4 dev rx1");
        let (report, code) = probe_json(&scratch, &["udp://rx0@239.71.1.5", "--seconds", "2"]);
        assert_eq!(code, 1);
        let advice = report["verdict"]["advice"].to_string();
        assert!(advice.contains("rx0: it is down"), "{advice}");
        let text = probe(&scratch, &["udp://239.71.1.5", "--seconds", "2"]).stdout;
        assert!(text.contains("joined 239.71.1.5 on rx1, and nothing came within 2 s"), "{text}");
        assert!(text.contains("check: whether rx1 is the right interface"), "{text}");

        let finished = probe(&scratch, &["udp://rx9@239.71.1.5"]);
        assert_eq!(finished.status.unwrap().code(), Some(1));
        let wanted = "corelay probe: there is no interface rx9; this machine has ";
        assert!(finished.stderr.starts_with(wanted), "{}", finished.stderr);
    });
}

#[test]
fn a_file_is_described_whole_and_errors_have_an_exit_code() {
    let scratch = Scratch::new("probe-file");
    let path = ts::path();
    let (report, code) = probe_json(&scratch, &[path.to_str().unwrap()]);
    assert_news(&report);
    assert_eq!((code, report["verdict"]["level"].as_str()), (0, Some("ok")), "{report:#}");
    let seconds = report["stream"]["seconds"].as_f64().unwrap();
    assert!((ts::SECONDS as f64 - 1.0..ts::SECONDS as f64 + 1.0).contains(&seconds), "{seconds}");
    assert!((590.0..610.0).contains(&report["stream"]["kbps"].as_f64().unwrap()));
    let bytes = std::fs::metadata(&path).unwrap().len();
    assert_eq!(report["stream"]["packets"], bytes / 188);

    // Every 500th packet is missing, and a flipped bit in between.
    let whole = std::fs::read(&path).unwrap();
    let kept = whole.chunks(188).enumerate().filter(|(index, _)| index % 500 != 499);
    let damaged: Vec<u8> = kept.flat_map(|(_, packet)| packet.iter().copied()).collect();
    let file = scratch.file("damaged.ts");
    std::fs::write(&file, &damaged).unwrap();
    let (report, code) = probe_json(&scratch, &[file.to_str().unwrap()]);
    assert_eq!((code, report["verdict"]["level"].as_str()), (3, Some("error")), "{report:#}");
    let errors = report["stream"]["errors"].as_array().unwrap();
    let continuity = errors.iter().find(|error| error["number"] == "1.4").unwrap();
    assert_eq!(continuity["name"], "Continuity_count_error");
    let lost = whole.len() / 188 / 500;
    let count = continuity["count"].as_u64().unwrap() as usize;
    assert!((1..=lost).contains(&count), "{count} of {lost}");

    // With parity behind each packet.
    let long: Vec<u8> =
        whole.chunks(188).flat_map(|packet| [packet, &[0xEE; 16]].concat()).collect();
    let file = scratch.file("parity.ts");
    std::fs::write(&file, long).unwrap();
    let (report, code) = probe_json(&scratch, &[file.to_str().unwrap(), "--seconds", "5"]);
    assert_eq!((code, &report["source"]["packet_bytes"]), (0, &204.into()), "{report:#}");
    assert!((4.5..6.0).contains(&report["stream"]["seconds"].as_f64().unwrap()));
}

#[test]
fn connections_are_described() {
    let scratch = Scratch::new("probe-tcp");
    let path = ts::path();
    std::fs::copy(&path, scratch.file("news.ts")).unwrap();
    let port = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port().to_string()
    };
    let http = port();
    let folder = scratch.path().to_str().unwrap();
    let serve = ["-m", "http.server", &http, "--bind", "127.0.0.1", "--directory", folder];
    let server = Peer::spawn(&scratch, "python3", &serve);
    let is_up = |port: &str| std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_ok();
    wait_until("python3 serves", LIMIT, || is_up(&http));
    let (report, code) =
        probe_json(&scratch, &[&format!("http://127.0.0.1:{http}/news.ts"), "--seconds", "60"]);
    assert_news(&report);
    assert_eq!((code, report["ended"].as_str()), (0, Some("the source ended")), "{report:#}");
    let finished = probe(&scratch, &[&format!("http://127.0.0.1:{http}/old.ts")]);
    let wanted =
        format!("corelay probe: 127.0.0.1:{http} answered 404 File not found; check the path\n");
    assert_eq!(finished.stderr, wanted);
    drop(server);

    let tcp = port();
    let url = format!("tcp://127.0.0.1:{tcp}?listen=1");
    let file = path.to_str().unwrap();
    let args = [
        "-hide_banner",
        "-loglevel",
        "error",
        "-nostdin",
        "-re",
        "-i",
        file,
        "-map",
        "0",
        "-c",
        "copy",
        "-metadata",
        "service_name=News One",
        "-metadata",
        "service_provider=Corelay",
        "-mpegts_service_id",
        "7",
        "-f",
        "mpegts",
        &url,
    ];
    let _sender = Peer::spawn(&scratch, "ffmpeg", &args);
    let table = || std::fs::read_to_string("/proc/net/tcp").unwrap();
    let listening = format!(":{:04X} 00000000:0000 0A", tcp.parse::<u16>().unwrap());
    wait_until("ffmpeg listens", LIMIT, || table().contains(&listening));
    let (report, _) = probe_json(&scratch, &[&format!("tcp://127.0.0.1:{tcp}"), "--seconds", "5"]);
    assert_news(&report);
    assert_eq!(report["source"]["kind"], "tcp");
    let finished = probe(&scratch, &[&format!("tcp://127.0.0.1:{}", port())]);
    assert!(finished.stderr.contains("cannot connect to 127.0.0.1:"), "{}", finished.stderr);
}

#[test]
fn an_interrupt_ends_the_look_and_prints_the_report() {
    let scratch = Scratch::new("probe-interrupt");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    drop(socket);
    let url = format!("udp://127.0.0.1:{port}");
    let looking = Peer::spawn(&scratch, PROGRAM, &["probe", &url, "--seconds", "600"]);
    wait_until("it listens", LIMIT, || waiting_at(port).is_some());
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for chunk in std::fs::read(ts::path()).unwrap().chunks(1_316).take(150) {
        sender.send_to(chunk, ("127.0.0.1", port)).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    wait_until("it has read all", LIMIT, || waiting_at(port) == Some(0));
    let finished = looking.stop();
    assert!(finished.stdout.contains("(interrupted)"), "{}", finished.output());
    assert!(finished.stdout.contains("News One"), "{}", finished.output());
    assert!(finished.status.is_some_and(|status| status.code().is_some()), "it ended by itself");
}

/// Bytes that wait in the socket of UDP at a port; `None` when there is none.
fn waiting_at(port: u16) -> Option<u64> {
    let table = std::fs::read_to_string("/proc/net/udp").expect("procfs");
    let place = format!(":{port:04X}");
    // proc_net: number, local and remote address, state, bytes to send and received in hexadecimal.
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.get(1).is_some_and(|local| local.ends_with(&place)))?;
    let (_, received) = row.get(4)?.split_once(':')?;
    u64::from_str_radix(received, 16).ok()
}

#[test]
fn a_wrong_url_is_refused_with_the_part_and_the_remedy() {
    let output = Command::new(PROGRAM).args(["probe", "udp://239.1.1.1:70000"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("port: \"70000\" is none; write 1 to 65535"), "{error}");
    let output = Command::new(PROGRAM).args(["probe", "--help"]).output().unwrap();
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(help.contains("--seconds") && help.contains("--json"), "{help}");
}
