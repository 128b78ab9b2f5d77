use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use super::*;

fn input(text: &str) -> MediaUrl {
    MediaUrl::parse(text, Side::Input).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn output(text: &str) -> MediaUrl {
    MediaUrl::parse(text, Side::Output).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn datagrams(interface: Option<Interface>, address: &str) -> DatagramAddress {
    DatagramAddress { interface, address: address.parse::<SocketAddr>().unwrap() }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn groups_are_read_with_interface_and_port() {
    let name = |name: &str| Some(Interface::Name(name.to_owned()));
    let by_address = |address: &str| Some(Interface::Address(ip(address)));
    for (text, interface, address) in [
        ("udp://239.1.1.1:5000", None, "239.1.1.1:5000"),
        ("udp://239.1.1.1", None, "239.1.1.1:1234"),
        ("udp://239.1.1.1/", None, "239.1.1.1:1234"),
        ("UDP://@239.1.1.1:1234", None, "239.1.1.1:1234"),
        ("udp://eth1@239.1.1.1", name("eth1"), "239.1.1.1:1234"),
        ("udp://bond0.100@239.1.1.1:7", name("bond0.100"), "239.1.1.1:7"),
        ("udp://10.0.0.1@239.1.1.1:7", by_address("10.0.0.1"), "239.1.1.1:7"),
        ("udp://eth1@[ff3e::1]:1234", name("eth1"), "[ff3e::1]:1234"),
        ("udp://[fd00::1]@[ff3e::1]", by_address("fd00::1"), "[ff3e::1]:1234"),
        ("udp://:5000", None, "0.0.0.0:5000"),
        ("udp://@:5000", None, "0.0.0.0:5000"),
        ("udp://eth1@:5000", name("eth1"), "0.0.0.0:5000"),
        ("udp://[fd00::1]@:5000", by_address("fd00::1"), "[::]:5000"),
        ("udp://[::]:5000", None, "[::]:5000"),
    ] {
        assert_eq!(input(text).endpoint, Endpoint::Udp(datagrams(interface, address)), "{text}");
    }
    let rtp = input("rtp://eth2@239.1.1.2").endpoint;
    assert_eq!(rtp, Endpoint::Rtp(datagrams(name("eth2"), "239.1.1.2:1234")));
}

#[test]
fn connections_are_read_with_their_ports() {
    let host = Host::Name("head-end.example".to_owned());
    let six = Host::Address(ip("::1"));
    for (text, endpoint) in [
        ("tcp://head-end.example:9999", Endpoint::Tcp { host: host.clone(), port: 9999 }),
        ("tcp://[::1]:9999", Endpoint::Tcp { host: six.clone(), port: 9999 }),
        (
            "http://head-end.example/news.ts?token=a/b",
            Endpoint::Http { host: host.clone(), port: 80, path: "/news.ts?token=a/b".to_owned() },
        ),
        ("http://[::1]:8080", Endpoint::Http { host: six, port: 8080, path: "/".to_owned() }),
        (
            "rtmp://head-end.example/live/inner/news?key=a/b",
            Endpoint::Rtmp {
                host,
                port: 1935,
                application: "live/inner".to_owned(),
                stream: "news?key=a/b".to_owned(),
            },
        ),
    ] {
        assert_eq!(input(text).endpoint, endpoint, "{text}");
    }
}

#[test]
fn files_are_for_the_probe_only() {
    for (text, path) in
        [("clip.ts", "clip.ts"), ("/a b/x#1.ts", "/a b/x#1.ts"), ("file:///x.ts", "/x.ts")]
    {
        let url = MediaUrl::parse(text, Side::Probe).unwrap();
        assert_eq!(url.endpoint, Endpoint::File(path.into()));
        let error = MediaUrl::parse(text, Side::Input).unwrap_err();
        assert_eq!(error.part, "scheme", "{error}");
    }
}

#[test]
fn every_key_of_an_input_is_read() {
    let url =
        input("udp://eth1@232.1.1.1#src=10.0.0.5,10.0.0.6&renew=30&rcvbuf=8MiB&pnr=5&pid=0,0x1fFf");
    let wanted = UrlOptions {
        sources: vec![ip("10.0.0.5"), ip("10.0.0.6")],
        renew_s: Some(30),
        receive_buffer_bytes: Some(8 << 20),
        program_number: Some(5),
        pids: vec![0, 0x1FFF],
        ..UrlOptions::default()
    };
    assert_eq!(url.options, wanted);
    let six = input("udp://[ff3e::1]#src=[fd00::5]").options.sources;
    assert_eq!(six, [ip("fd00::5")]);
}

#[test]
fn every_key_of_an_output_is_read() {
    let url = output(
        "rtp://239.2.0.1:1234#ttl=16&dscp=af41&loop=0&src=10.0.0.9&sndbuf=65536&pace=paced&depth=200",
    );
    let wanted = UrlOptions {
        sources: vec![ip("10.0.0.9")],
        ttl: Some(16),
        dscp: Some(34),
        multicast_loop: Some(false),
        send_buffer_bytes: Some(65_536),
        pace: Some(Pace::Paced),
        depth_ms: Some(200),
        ..UrlOptions::default()
    };
    assert_eq!(url.options, wanted);
    for (text, dscp) in [("ef", 46), ("EF", 46), ("cs5", 40), ("0", 0), ("63", 63), ("af13", 14)] {
        assert_eq!(output(&format!("udp://1.2.3.4#dscp={text}")).options.dscp, Some(dscp));
    }
}

#[test]
fn what_is_wrong_is_named_with_the_part_and_the_remedy() {
    let long = format!("udp://239.1.1.1#{}", "x".repeat(3_000));
    for (text, message) in [
        ("", "scheme: \"\" has none; write one of udp://, rtp://, tcp://, http://, rtmp://"),
        (
            "239.1.1.1:1234",
            "scheme: \"239.1.1.1:1234\" has none; write one of udp://, rtp://, tcp://, http://, rtmp://",
        ),
        ("rmtp://x/y/z", "scheme: \"rmtp\" is not one of ours; did you mean rtmp://?"),
        (
            "https://x/y.ts",
            "scheme: \"https\" is not one of ours; TLS is not spoken here: write http://",
        ),
        ("udp://239.1.1.1 ", "URL: ' ' stands in it; write it without spaces"),
        (long.as_str(), "URL: has 3016 bytes; write at most 2048"),
        (
            "udp://239.1.1.256",
            "group: \"239.1.1.256\" is no address; write an address, as in 239.1.1.1 or [ff3e::1]; names are not resolved here",
        ),
        (
            "udp://ff3e::1",
            "group: has more than one colon; write IPv6 addresses in brackets, as in [ff3e::1]:1234",
        ),
        (
            "udp://[ff02::1%eth0]",
            "group: names its interface behind a %; write the interface in front, as in eth1@[ff02::1]",
        ),
        ("udp://[ff3e::1", "group: has a [ without its ]; write IPv6 addresses as in [ff3e::1]"),
        (
            "udp://[ff3e::1]1234",
            "group: \"1234\" follows the ]; write the port behind a colon, as in [ff3e::1]:1234",
        ),
        (
            "udp://[239.1.1.1]",
            "group: \"239.1.1.1\" is no IPv6 address; write one in the brackets, as in [ff3e::1]",
        ),
        ("udp://239.1.1.1/x", "group: \"x\" is a path; write udp://group:port without one"),
        ("udp://239.1.1.1:", "port: \"\" is none; write 1 to 65535"),
        ("udp://239.1.1.1:0", "port: \"0\" is none; write 1 to 65535"),
        ("udp://239.1.1.1:65536", "port: \"65536\" is none; write 1 to 65535"),
        ("udp://239.1.1.1:+80", "port: \"+80\" is none; write 1 to 65535"),
        (
            "udp://a-very-long-interface@239.1.1.1",
            "interface: \"a-very-long-interface\" is no name of an interface; write up to 15 bytes, as in eth1, or an address of it",
        ),
        (
            "udp://[x]@239.1.1.1",
            "interface: \"x\" is no IPv6 address; write the interface's name, as in eth1",
        ),
        (
            "udp://239.1.1.1#cbr=1",
            "fragment: \"cbr\" is no key; the keys here are src, renew, rcvbuf, pnr, pid",
        ),
        ("udp://239.1.1.1#rcvbuff=1", "fragment: \"rcvbuff\" is no key; did you mean `rcvbuf`?"),
        (
            "udp://239.1.1.1#ttl=4",
            "#ttl: is not for inputs; the keys here are src, renew, rcvbuf, pnr, pid",
        ),
        ("http://x/y.ts#src=1.2.3.4", "#src: is not for http://; the keys here are pnr, pid"),
        ("rtmp://x/y/z#pnr=1", "#pnr: is not for rtmp://; there is no key to write here"),
        ("udp://239.1.1.1#pnr=1&pnr=1", "#pnr: stands here a second time; write it once"),
        ("udp://239.1.1.1#pnr", "#pnr: has no value; write 1 to 65535"),
        ("udp://239.1.1.1#pnr=0", "#pnr: \"0\" is not a value of it; write 1 to 65535"),
        (
            "udp://239.1.1.1#pid=8192",
            "#pid: \"8192\" is not a value of it; write up to 64 PIDs of 0 to 8191 with commas between, as in 256,0x101",
        ),
        (
            "udp://239.1.1.1#pid=0x+1",
            "#pid: \"0x+1\" is not a value of it; write up to 64 PIDs of 0 to 8191 with commas between, as in 256,0x101",
        ),
        (
            "udp://239.1.1.1#src=239.1.1.2",
            "#src: \"239.1.1.2\" is not a value of it; write up to 8 sender addresses with commas between, as in 10.0.0.5",
        ),
        (
            "udp://239.1.1.1#src=fd00::1",
            "#src: fd00::1 is of another family than 239.1.1.1; write an IPv4 address",
        ),
        (
            "udp://10.0.0.1#src=10.0.0.2",
            "#src: 10.0.0.1 is no multicast group; leave src out, or write a group",
        ),
        (
            "udp://10.0.0.1#renew=5",
            "#renew: 10.0.0.1 is no multicast group; leave renew out, or write a group",
        ),
        (
            "udp://239.1.1.1#rcvbuf=1KiB",
            "#rcvbuf: \"1KiB\" is not a value of it; write 4KiB to 1GiB, as in 8MiB",
        ),
        ("tcp://host", "port: is missing; write tcp://host:port, as in tcp://10.0.0.5:9999"),
        ("tcp://host:1/x", "host: is followed by a path; write tcp://host:port without one"),
        ("tcp://:9999", "host: is missing; write a name or an address"),
        (
            "http://10.0.0.300/x",
            "host: \"10.0.0.300\" is no name of a host; write letters, digits, dots, hyphens and underscores",
        ),
        (
            "http://me:secret@host/x",
            "host: has a user name in front; leave it out: passwords are not supported in URLs",
        ),
        (
            "http://host/ä.ts",
            "path: has a character that is not ASCII; write it percent-encoded, as in %C3%A4",
        ),
        (
            "rtmp://host/live",
            "stream: \"live\" is no application and stream; write rtmp://host/application/stream",
        ),
        (
            "rtmp://host/live/?x",
            "stream: \"live/?x\" is no application and stream; write rtmp://host/application/stream",
        ),
    ] {
        let error = MediaUrl::parse(text, Side::Input).expect_err(text);
        assert_eq!(error.to_string(), message, "{text}");
    }
}

#[test]
fn an_output_has_a_place_to_send_to_and_the_keys_of_outputs() {
    for (text, message) in [
        ("udp://:1234", "group: is missing; write where to send, as in udp://239.1.1.1:1234"),
        (
            "udp://0.0.0.0",
            "group: 0.0.0.0 is no place to send to; write a group or the receiver's address",
        ),
        ("udp://1.2.3.4#ttl=256", "#ttl: \"256\" is not a value of it; write 0 to 255"),
        (
            "udp://1.2.3.4#dscp=64",
            "#dscp: \"64\" is not a value of it; write 0 to 63, or a name as in ef, af41, cs5",
        ),
        ("udp://1.2.3.4#loop=yes", "#loop: \"yes\" is not a value of it; write 0 to 1"),
        ("udp://1.2.3.4#pace=fast", "#pace: \"fast\" is not a value of it; write forward or paced"),
        (
            "udp://1.2.3.4#depth=5",
            "#depth: \"5\" is not a value of it; write 10 to 10000 milliseconds",
        ),
        (
            "udp://1.2.3.4#src=1.2.3.4,1.2.3.5",
            "#src: \"1.2.3.4,1.2.3.5\" is not a value of it; write the address to send from, as in 10.0.0.5",
        ),
        (
            "udp://1.2.3.4#renew=5",
            "#renew: is not for outputs; the keys here are src, ttl, dscp, loop, sndbuf, pace, depth",
        ),
        ("tcp://1.2.3.4:1#ttl=5", "#ttl: is not for tcp://; the keys here are pace, depth"),
    ] {
        let error = MediaUrl::parse(text, Side::Output).expect_err(text);
        assert_eq!(error.to_string(), message, "{text}");
    }
}

#[test]
fn a_probe_takes_the_keys_of_inputs_but_for_single_pids() {
    let probe = |text: &str| MediaUrl::parse(text, Side::Probe);
    let url = "udp://eth1@232.1.1.1#src=10.0.0.5&renew=30&rcvbuf=8MiB&pnr=5";
    assert_eq!(probe(url), Ok(input(url)));
    for (text, message) in [
        (
            "udp://239.1.1.1#pid=256",
            "#pid: is not for probes; the keys here are src, renew, rcvbuf, pnr",
        ),
        ("http://x/y.ts#pid=256", "#pid: is not for probes; the keys here are pnr"),
        (
            "udp://239.1.1.1#ttl=4",
            "#ttl: is not for probes; the keys here are src, renew, rcvbuf, pnr",
        ),
    ] {
        assert_eq!(probe(text).expect_err(text).to_string(), message, "{text}");
    }
}

#[test]
fn a_query_is_not_shown_and_settings_are() {
    for (side, text, shown) in [
        (Side::Input, "http://h:81/x.ts?token=a&b=c?d#pnr=3", "http://h:81/x.ts?...#pnr=3"),
        (Side::Input, "http://h:81/x.ts#pnr=3", "http://h:81/x.ts#pnr=3"),
        (Side::Output, "rtmp://h/live/a/b?key=secret", "rtmp://h:1935/live/a/b?..."),
        (Side::Output, "rtmp://h/live/b?", "rtmp://h:1935/live/b?..."),
        (
            Side::Input,
            "udp://eth1@239.1.1.1#src=10.0.0.5",
            "udp://eth1@239.1.1.1:1234#src=10.0.0.5",
        ),
        (Side::Probe, "a b?.ts", "file://a b?.ts"),
    ] {
        assert_eq!(MediaUrl::parse(text, side).unwrap().shown().to_string(), shown);
    }
}

#[test]
fn the_text_form_is_canonical() {
    for (side, text, canonical) in [
        (Side::Input, "UDP://@239.1.1.1", "udp://239.1.1.1:1234"),
        (
            Side::Input,
            "udp://[fd00::1]@[ff3e:0:0::1]#pid=0x10&src=fd00::2",
            "udp://[fd00::1]@[ff3e::1]:1234#src=fd00::2&pid=16",
        ),
        (Side::Output, "rtp://1.2.3.4#dscp=ef&ttl=1", "rtp://1.2.3.4:1234#ttl=1&dscp=46"),
        (Side::Input, "http://x.tv/a?b#pnr=1", "http://x.tv:80/a?b#pnr=1"),
        (Side::Input, "rtmp://x.tv/a/b?c", "rtmp://x.tv:1935/a/b?c"),
        (Side::Probe, "a b.ts", "file://a b.ts"),
    ] {
        let url = MediaUrl::parse(text, side).unwrap();
        assert_eq!(url.to_string(), canonical);
        assert_eq!(MediaUrl::parse(canonical, side), Ok(url));
    }
}

/// Parses for every side, and checks what must hold of every outcome.
fn survive(text: &str) {
    for side in [Side::Input, Side::Output, Side::Probe] {
        match MediaUrl::parse(text, side) {
            Ok(url) => {
                assert_eq!(MediaUrl::parse(&url.to_string(), side).as_ref(), Ok(&url), "{text}");
            }
            Err(error) => {
                assert!(!error.what.is_empty() && !error.remedy.is_empty(), "{error}");
                assert!(!error.to_string().contains('\n') && error.to_string().len() < 600);
            }
        }
    }
}

const GOOD: [&str; 8] = [
    "udp://eth1@239.1.1.1:1234#src=10.0.0.5&pnr=5&pid=256,0x101&rcvbuf=8MiB&renew=60",
    "rtp://[fd00::1]@[ff3e::1]:1234#src=[fd00::5]",
    "rtp://239.2.0.1:1234#ttl=16&dscp=ef&loop=1&src=10.0.0.9&sndbuf=1MiB&pace=forward&depth=80",
    "udp://:1234",
    "tcp://head-end.example:9999",
    "http://[::1]:8080/a/b.ts?c=d#pid=1",
    "rtmp://origin/live/inner/stream?token=x",
    "file:///clip.ts",
];

#[test]
fn good_urls_cut_or_changed_at_every_byte_never_panic() {
    for good in GOOD {
        for at in 0..=good.len() {
            survive(&good[..at]);
            survive(&good[at..]);
            for junk in ["#", "&", "=", "@", "[", "]", ":", "/", "?", ",", "%", "0", "ä", "\0"] {
                let end = good.len().min(at + 1);
                survive(&format!("{}{junk}{}", &good[..at], &good[at..]));
                survive(&format!("{}{junk}{}", &good[..at], &good[end..]));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn random_text_never_panics(text in "\\PC{0,100}") {
        survive(&text);
    }

    #[test]
    fn random_urls_never_panic(
        text in "(udp|rtp|tcp|http|rtmp|file)://[a-f0-9.:@/\\[\\]%-]{0,30}(#[a-z=&,0-9.x]{0,40})?",
    ) {
        survive(&text);
    }
}
