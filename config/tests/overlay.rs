//! What a file changes when it is laid over the defaults, and what it leaves alone.

use std::path::Path;

use corelay_config::{
    Config, Endpoint, Flush, HlsEncryption, HlsForm, Idle, Listener, ListenerClientCa, ListenerTls,
    Opening, Standby, Start, Takeover, TlsCertificate, TlsVersion,
};

fn parse(text: &str) -> Config {
    Config::parse(text, "relay.toml").unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn a_file_changes_only_what_it_names() {
    let config = parse("[rtmp]\nhandshake_timeout_ms = 1234\n");
    let mut expected = Config::shipped();
    expected.rtmp.handshake_timeout_ms = 1234;
    assert_eq!(config, expected);
}

#[test]
fn an_inline_table_merges_like_a_written_out_one() {
    let config = parse("applications.default.flush = { max_ms = 100 }");
    assert_eq!(config.applications.default.flush, Flush { min_ms: 0, max_ms: 100 });
}

#[test]
fn a_list_replaces_the_default_list() {
    let config = parse("[http]\nlisten = [\"127.0.0.1:0\"]\n");
    let address = "127.0.0.1:0".parse().expect("an address");
    assert_eq!(config.http.listen, [Listener { address, cores: vec![], tls: None }]);
}

#[test]
fn a_listener_may_name_its_cores() {
    let config = parse(
        "[cores]\ndata = [4, 5, 6]\n[rtmp]\nlisten = [{ address = \"[::1]:1935\", cores = [2] }]\n",
    );
    assert_eq!(config.rtmp.listen[0].cores, [2]);
    assert_eq!(config.cores.data, [4, 5, 6]);
}

const CERTIFICATE: &str = "[tls]\ncertificates = [{ certificate = \"c.pem\", key = \"k.pem\" }]\n";

#[test]
fn a_listener_speaks_tls_when_it_says_so() {
    let plain = parse(CERTIFICATE);
    assert!(!plain.uses_tls(), "a certificate alone opens nothing");
    assert_eq!(plain.rtmp.listen[0].tls, None);

    for listener in [
        "[rtmp]\nlisten = [\"0.0.0.0:1935\", { address = \"0.0.0.0:1936\", tls = true }]\n",
        "[http]\nlisten = [{ address = \"[::]:8443\", tls = true, cores = [0] }]\n",
        "[ts]\nlisten = [{ address = \"127.0.0.1:0\", tls = true }]\n",
        "[iptv.udpxy]\nlisten = [{ address = \"127.0.0.1:0\", tls = true }]\n",
        "[admin]\ntls = true\n",
    ] {
        assert!(parse(&format!("{CERTIFICATE}{listener}")).uses_tls(), "{listener}");
    }
    let said_no = "[rtmp]\nlisten = [{ address = \"0.0.0.0:1936\", tls = false }]\n";
    assert!(!parse(said_no).uses_tls());
    // An API that is switched off needs no certificate.
    assert!(!parse("[admin]\nlisten = \"\"\ntls = true\n").uses_tls());
}

#[test]
fn a_listener_may_have_certificates_and_authorities_of_its_own() {
    let config = parse(&format!(
        "{CERTIFICATE}client_ca = \"ca.pem\"\n\
         [http]\nlisten = [\"0.0.0.0:80\", {{ address = \"0.0.0.0:443\", tls = true, \
         client_ca = \"\" }}, {{ address = \"0.0.0.0:444\", tls = true, client_ca = \"own.pem\", \
         certificates = [{{ certificate = \"a.pem\", key = \"a.key\" }}] }}]\n\
         [ts]\nlisten = [{{ address = \"0.0.0.0:9998\", tls = true }}]\n\
         [admin]\ntls = true\nclient_ca = \"operators.pem\"\n"
    ));
    let own = |path: &str| ListenerClientCa::Of(path.into());
    let certificate = TlsCertificate { certificate: "a.pem".into(), key: "a.key".into() };
    let expected = [
        ("http.listen[1]", vec![], ListenerClientCa::NotAsked),
        ("http.listen[2]", vec![certificate], own("own.pem")),
        ("ts.listen[0]", vec![], ListenerClientCa::AsTls),
        ("admin", vec![], own("operators.pem")),
    ];
    let secure = config.secure_listeners();
    assert_eq!(secure.len(), expected.len());
    for ((key, tls), (at, certificates, client_ca)) in secure.into_iter().zip(expected) {
        assert_eq!(tls.is_as_tls(), at == "ts.listen[0]");
        assert_eq!((key.as_str(), tls), (at, &ListenerTls { certificates, client_ca }));
    }
    // Certificates of its own are all that one needs.
    let alone = "[admin]\ntls = true\ncertificates = [{ certificate = \"a\", key = \"k\" }]\n";
    assert!(parse(alone).uses_tls());
}

#[test]
fn certificates_stay_in_the_order_of_the_file() {
    let tls = parse(
        "[tls]\nversion_min = \"1.3\"\nclient_ca = \"ca.pem\"\n\
         certificates = [{ certificate = \"a.pem\", key = \"a.key\" }, \
         { key = \"b.key\", certificate = \"/etc/b.pem\" }]\n",
    )
    .tls;
    let paths: Vec<_> = tls.certificates.iter().map(|c| (&*c.certificate, &*c.key)).collect();
    let path = |text| Path::new(text);
    assert_eq!(paths, [(path("a.pem"), path("a.key")), (path("/etc/b.pem"), path("b.key"))]);
    assert_eq!(tls.version_min, TlsVersion::V13);
    assert!(tls.version_min > Config::shipped().tls.version_min);
    assert_eq!(tls.client_ca.as_deref(), Some(path("ca.pem")));
    assert_eq!(Config::shipped().tls.client_ca, None);
}

#[test]
fn hls_takes_what_the_file_says_of_it() {
    let hls = parse(
        "[hls]\nform = \"fmp4\"\nkey = \"hls.key\"\nkey_uri = \"https://keys/news?a=b\"\n\
         [[hls.group]]\nname = \"live/news\"\nmembers = [\"news_1080\"]\n",
    )
    .hls;
    assert_eq!(hls.form, HlsForm::Fmp4);
    assert_eq!(hls.key.as_deref(), Some(Path::new("hls.key")));
    assert_eq!(hls.key_uri, "https://keys/news?a=b");
    assert_eq!((hls.groups[0].app.as_str(), hls.groups[0].name.as_str()), ("live", "news"));
    assert_eq!((Config::shipped().hls.key, Config::shipped().hls.groups), (None, vec![]));
    assert_eq!(hls.segment_ms, Config::shipped().hls.segment_ms);
    assert_eq!(hls.encryption, HlsEncryption::Aes128);
    // Frames are encrypted in parts too.
    let samples = "[hls]\nkey = \"hls.key\"\nencryption = \"sample-aes\"\nlow_latency = true\n";
    assert_eq!(parse(samples).hls.encryption, HlsEncryption::SampleAes);
}

#[test]
fn the_control_thread_is_pinned_only_when_a_cpu_is_named() {
    assert_eq!(Config::shipped().cores.control, None);
    assert_eq!(parse("[cores]\ncontrol = 3\nidle = \"spin\"\n").cores.control, Some(3));
    assert_eq!(parse("[cores]\nidle = \"spin\"\n").cores.idle, Idle::Spin);
}

#[test]
fn sizes_are_numbers_or_text_with_a_unit() {
    assert_eq!(parse("[rtmp]\nmessage_bytes_max = 1_000_000\n").rtmp.message_bytes_max, 1_000_000);
    assert_eq!(parse("[rtmp]\nmessage_bytes_max = 0x10_0000\n").rtmp.message_bytes_max, 1 << 20);
    assert_eq!(parse("[rtmp]\nmessage_bytes_max = \"1 MiB\"\n").rtmp.message_bytes_max, 1 << 20);
}

#[test]
fn an_empty_text_switches_off_what_is_optional() {
    let config = parse("[admin]\nlisten = \"\"\n[logging]\nfile = \"\"\n");
    assert_eq!(config.admin.listen, None);
    assert_eq!(config.logging.file, None);
    assert!(Config::shipped().admin.listen.is_some());
}

#[test]
fn a_named_application_inherits_the_default_policy_of_the_file() {
    let config = parse(
        "[applications.default]\nstart = \"live_edge\"\ntakeover = \"first_wins\"\n\
         [applications.named.studio]\ntakeover = \"newest_wins\"\nflush = { max_ms = 0 }\n",
    );
    let studio = config.application("studio").expect("it is named");
    assert_eq!(studio.start, Start::LiveEdge);
    assert_eq!(studio.takeover, Takeover::NewestWins);
    assert_eq!(studio.flush.max_ms, 0);
    assert_eq!(studio.log_ms_max, Config::shipped().applications.default.log_ms_max);
    assert_eq!(config.applications.default.takeover, Takeover::FirstWins);
    assert_eq!(config.applications.default.flush.max_ms, 60);
}

#[test]
fn any_application_is_served_unless_strict() {
    let named = "[applications.named.studio]\nplay = false\n";
    let open = parse(named);
    assert_eq!(open.application("live"), Some(&open.applications.default));
    assert!(!open.application("studio").expect("it is named").play);

    let strict = parse(&format!("applications.strict = true\n{named}"));
    assert_eq!(strict.application("live"), None);
    assert!(strict.application("studio").is_some());
}

#[test]
fn files_from_other_systems_are_read() {
    let config = parse("\u{feff}[rtmp]\r\nhandshake_timeout_ms = 1234\r\n");
    assert_eq!(config.rtmp.handshake_timeout_ms, 1234);
}

#[test]
fn ipv4_and_ipv6_listeners_share_a_port() {
    let config = parse("[rtmp]\nlisten = [\"0.0.0.0:5000\", \"[::]:5000\"]\n");
    assert_eq!(config.rtmp.listen.len(), 2);
}

#[test]
fn port_zero_may_be_named_any_number_of_times() {
    let config = parse(
        "[rtmp]\nlisten = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\n\
         [http]\nlisten = [\"127.0.0.1:0\"]\n[admin]\nlisten = \"127.0.0.1:0\"\n",
    );
    assert_eq!(config.rtmp.listen.len(), 2);
}

#[test]
fn a_channel_takes_from_iptv_what_it_does_not_say_itself() {
    let config = parse(
        "[iptv]\nlinger_ms = 1\n[iptv.failover]\nsilence_ms = 700\nscrambled = true\n\
         [[channel]]\nname = \"iptv/a\"\ninput = [\"udp://eth1@239.1.1.1\"]\n\
         [[channel]]\nname = \"iptv/inner/b\"\noutput = [\"rtmp://origin2/live/b\"]\n\
         standby = \"cold\"\nfailover = { silence_ms = 200 }\n",
    );
    let [a, b] = config.channels.as_slice() else { panic!("{:?}", config.channels) };
    assert_eq!((a.app.as_str(), a.name.as_str()), ("iptv", "a"));
    assert_eq!((a.standby, a.linger_ms, a.opening), (Standby::Warm, 1, Opening::Always));
    assert_eq!(a.failover, config.iptv.failover);
    assert!(matches!(a.inputs[0].endpoint, Endpoint::Udp(_)));
    assert!(a.outputs.is_empty());

    assert_eq!((b.app.as_str(), b.name.as_str()), ("iptv/inner", "b"));
    assert_eq!((b.standby, b.linger_ms), (Standby::Cold, 1));
    let mut failover = config.iptv.failover;
    assert!(failover.scrambled);
    failover.silence_ms = 200;
    assert_eq!(b.failover, failover);
    assert!(b.inputs.is_empty());
    assert!(matches!(b.outputs[0].endpoint, Endpoint::Rtmp { .. }));
}

#[test]
fn a_server_without_channels_has_none() {
    assert_eq!(Config::shipped().channels, []);
    assert_eq!(parse("channel = []\n").channels, []);
}

#[test]
fn groups_are_asked_for_only_as_far_as_the_file_allows() {
    let allows = |config: &Config, group: &str| config.iptv.udpxy.allows(group.parse().unwrap());
    assert!(!allows(&Config::shipped(), "239.1.1.1:1234"));
    let config = parse("[iptv.udpxy]\nallow = [\"239.1.0.0/16\", \"[ff3e::1]:5\"]\n");
    assert!(allows(&config, "239.1.255.1:9"));
    assert!(!allows(&config, "239.2.0.1:9"));
    assert!(allows(&config, "[ff3e::1]:5"));
    assert!(!allows(&config, "[ff3e::1]:6"));
}
