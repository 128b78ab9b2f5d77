//! The text is read back by a strict reader of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::super::api::certificates::Certificate;
use super::super::api::process::Usage;
use super::super::api::samples::{self, transport};
use super::*;

/// Labels, in the order of their names.
type Labels = BTreeMap<String, String>;

#[derive(Debug)]
struct Family {
    kind: String,
    samples: Vec<(String, Labels, f64)>,
}

/// Reads OpenMetrics text; panics on whatever is not allowed in it.
fn read(text: &str) -> BTreeMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").expect("the end is marked");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let (mut helped, mut open) = (String::new(), String::new());
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(help.ends_with('.') && help.len() > 5, "{line}");
            helped = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert_eq!(name, helped, "TYPE follows HELP");
            assert!(["counter", "gauge", "histogram", "info"].contains(&kind), "{line}");
            let family = Family { kind: kind.to_owned(), samples: vec![] };
            assert!(families.insert(name.to_owned(), family).is_none(), "{name} comes twice");
            open = name.to_owned();
        } else {
            let family = families.get_mut(&open).expect("samples follow their TYPE");
            let sample = read_sample(line);
            let suffix = sample.0.strip_prefix(&open).expect("samples stay in their family");
            let allowed: &[&str] = match family.kind.as_str() {
                "counter" => &["_total"],
                "gauge" => &[""],
                "info" => &["_info"],
                _ => &["_bucket", "_count", "_sum"],
            };
            assert!(allowed.contains(&suffix), "{line}");
            family.samples.push(sample);
        }
    }
    for (name, family) in &families {
        let sets: BTreeSet<_> = family.samples.iter().map(|(n, labels, _)| (n, labels)).collect();
        assert_eq!(sets.len(), family.samples.len(), "{name}: one sample per label set");
    }
    families
}

fn read_sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).expect("a value");
    let (name, mut rest) = line.split_at(end);
    let word = |text: &str| {
        text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !text.is_empty()
    };
    assert!(word(name), "{line}");
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (key, after) = rest.split_once("=\"").expect("a label");
            assert!(word(key), "{line}");
            let (value, after) = read_value(after);
            assert!(labels.insert(key.to_owned(), value).is_none(), "{line}: label twice");
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = after.strip_prefix('}').expect("the labels end");
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').expect("a blank before the value");
    (name.to_owned(), labels, value.parse().unwrap_or_else(|_| panic!("{line}: no number")))
}

/// A quoted label value, and what follows its closing quote.
fn read_value(text: &str) -> (String, &str) {
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match (escaped, c) {
            (true, 'n') => value.push('\n'),
            (true, '"' | '\\') => value.push(c),
            (true, _) => panic!("no such escape: \\{c}"),
            (false, '\\') => {}
            (false, '"') => return (value, &text[at + 1..]),
            (false, _) => value.push(c),
        }
        escaped = !escaped && c == '\\';
    }
    panic!("a quote is missing: {text}")
}

fn certificates() -> Vec<Certificate> {
    let one = |listener: &str, number, expires_s| Certificate {
        listener: listener.to_owned(),
        number,
        file: format!("{number}.pem"),
        expires_s,
    };
    vec![
        one("tls", 1, Some(1_800_000_000)),
        one("tls", 2, None),
        one("http.listen[1]", 1, Some(1_900_000_000)),
    ]
}

fn whole() -> Whole {
    Whole {
        stats: samples::stats(),
        shards: samples::relay(),
        usage: Usage { resident_bytes: 20 << 20, cpu_seconds: 1.5 },
        uptime_ms: 61_500,
        now_ms: 1_700_000_000_000,
        rescues: 2,
        budget_used: 300_000,
        budget_max: 1 << 30,
        certificates: certificates(),
    }
}

/// The value of the one sample with these labels.
fn value(families: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let wanted: Labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let mut samples = families.values().flat_map(|family| &family.samples);
    let found = samples.find(|(n, labels, _)| n == name && *labels == wanted);
    found.unwrap_or_else(|| panic!("no {name} with {labels:?}")).2
}

#[test]
fn the_names_are_these_and_stay() {
    let families = read(&text(whole()).unwrap());
    let names: Vec<String> =
        families.iter().map(|(name, family)| format!("{} {name}", family.kind)).collect();
    let mut expected = vec![
        "counter corelay_accepted",
        "counter corelay_blocked",
        "counter corelay_bytes",
        "counter corelay_failures",
        "counter corelay_heartbeats",
        "counter corelay_http2_connections",
        "gauge corelay_hls_shortened",
        "counter corelay_log_lines_lost",
        "counter corelay_malformed_tags",
        "counter corelay_process_cpu_seconds",
        "counter corelay_ring_drops",
        "counter corelay_sends",
        "counter corelay_skips",
        "counter corelay_stream_bytes_in",
        "counter corelay_tls_deferred",
        "counter corelay_tls_failures",
        "counter corelay_tls_handshakes",
        "counter corelay_units_in",
        "counter corelay_unknown_calls",
        "counter corelay_watchdog_rescues",
        "gauge corelay_connections",
        "gauge corelay_control_delayed",
        "gauge corelay_core_busy_ratio",
        "gauge corelay_core_up",
        "gauge corelay_flush_interval_seconds",
        "gauge corelay_log_bytes",
        "gauge corelay_memory_bytes",
        "gauge corelay_memory_limit_bytes",
        "gauge corelay_process_resident_memory_bytes",
        "gauge corelay_publishers",
        "gauge corelay_stream_live",
        "gauge corelay_stream_viewers",
        "gauge corelay_streams",
        "gauge corelay_streams_left_out",
        "gauge corelay_tls_certificate_expiry_seconds",
        "gauge corelay_tls_connections",
        "gauge corelay_tls_kernel",
        "gauge corelay_uptime_seconds",
        "gauge corelay_viewers",
        "histogram corelay_relay_latency_seconds",
        "info corelay_build",
        "counter corelay_channel_switches",
        "counter corelay_input_datagrams",
        "counter corelay_input_foreign_datagrams",
        "counter corelay_input_kernel_drops",
        "counter corelay_input_openings",
        "counter corelay_input_switches",
        "counter corelay_link_connections",
        "counter corelay_output_bytes",
        "counter corelay_output_datagrams",
        "counter corelay_output_dropped_datagrams",
        "counter corelay_output_late_datagrams",
        "counter corelay_output_overrun_bytes",
        "counter corelay_output_underruns",
        "counter corelay_rtp_duplicate_packets",
        "counter corelay_rtp_missing_packets",
        "counter corelay_rtp_received_packets",
        "counter corelay_rtp_recovered_packets",
        "counter corelay_rtp_reordered_packets",
        "counter corelay_rtp_too_late_packets",
        "counter corelay_ts_bytes",
        "counter corelay_ts_indicator_errors",
        "counter corelay_ts_null_packets",
        "counter corelay_ts_packets",
        "counter corelay_ts_scrambled_packets",
        "counter corelay_ts_section_errors",
        "gauge corelay_channel_open",
        "gauge corelay_input_on_air",
        "gauge corelay_input_up",
        "gauge corelay_link_up",
        "gauge corelay_output_buffer_seconds",
        "gauge corelay_output_up",
        "gauge corelay_rtp_jitter_seconds",
        "gauge corelay_rtp_lost_packets",
        "gauge corelay_transport_streams_left_out",
        "gauge corelay_ts_alarm_raised",
        "gauge corelay_ts_bitrate_bits_per_second",
        "gauge corelay_ts_in_sync",
        "gauge corelay_ts_null_ratio",
        "gauge corelay_ts_pat_interval_max_seconds",
        "gauge corelay_ts_pcr_accuracy_max_seconds",
        "gauge corelay_ts_pcr_interval_max_seconds",
        "gauge corelay_ts_pcr_jitter_max_seconds",
        "gauge corelay_ts_pmt_interval_max_seconds",
        "gauge corelay_ts_pts_interval_max_seconds",
    ];
    expected.sort_by_key(|name| name.split_once(' ').unwrap().1);
    assert_eq!(names, expected);
}

#[test]
fn every_sample_says_what_was_counted() {
    let families = read(&text(whole()).unwrap());
    let value = |name, labels: &[(&str, &str)]| value(&families, name, labels);
    assert_eq!(value("corelay_build_info", &[("version", VERSION)]), 1.0);
    assert_eq!(value("corelay_uptime_seconds", &[]), 61.5);
    assert_eq!(value("corelay_process_resident_memory_bytes", &[]), 20_971_520.0);
    assert_eq!(value("corelay_process_cpu_seconds_total", &[]), 1.5);
    assert_eq!(value("corelay_watchdog_rescues_total", &[]), 2.0);
    let core = |name, core| value(name, &[("core", core)]);
    assert_eq!(core("corelay_core_up", "1"), 1.0);
    assert_eq!(core("corelay_connections", "0"), 2.0);
    assert_eq!(core("corelay_publishers", "0"), 1.0);
    assert_eq!(core("corelay_streams", "0"), 1.0);
    assert_eq!(core("corelay_accepted_total", "1"), 4.0);
    assert_eq!(core("corelay_sends_total", "1"), 900.0);
    assert_eq!(core("corelay_blocked_total", "1"), 5.0);
    assert_eq!(core("corelay_ring_drops_total", "1"), 6.0);
    assert_eq!(core("corelay_control_delayed", "1"), 7.0);
    assert_eq!(core("corelay_malformed_tags_total", "1"), 8.0);
    assert_eq!(core("corelay_log_lines_lost_total", "1"), 9.0);
    assert_eq!(core("corelay_core_busy_ratio", "1"), 0.25);
    assert_eq!(core("corelay_flush_interval_seconds", "1"), 0.0125);
    assert_eq!(core("corelay_log_bytes", "1"), 131_072.0);
    assert_eq!(core("corelay_heartbeats_total", "1"), 2_000.0);
    let bytes = |core, way| value("corelay_bytes_total", &[("core", core), ("direction", way)]);
    assert_eq!((bytes("0", "in"), bytes("1", "out")), (2_000_000.0, 350_000.0));
    let skips = |core, why| value("corelay_skips_total", &[("core", core), ("reason", why)]);
    assert_eq!((skips("1", "behind_time"), skips("0", "memory")), (3.0, 0.0));
    let failures = |core, why| value("corelay_failures_total", &[("core", core), ("reason", why)]);
    assert_eq!((failures("0", "protocol"), failures("1", "socket")), (1.0, 1.0));
    let shaken = |kind| value("corelay_tls_handshakes_total", &[("core", "1"), ("kind", kind)]);
    assert_eq!((shaken("full"), shaken("resumed")), (30.0, 10.0));
    let tls = |why| value("corelay_tls_failures_total", &[("core", "1"), ("reason", why)]);
    assert_eq!((tls("not_tls"), tls("timeout")), (1.0, 0.0));
    assert_eq!(core("corelay_tls_connections", "1"), 3.0);
    let expiry = |listener| {
        let labels = [("listener", listener), ("certificate", "1")];
        value("corelay_tls_certificate_expiry_seconds", &labels)
    };
    assert_eq!(expiry("tls"), 1_800_000_000.0);
    assert_eq!(expiry("http.listen[1]"), 1_900_000_000.0);
    assert_eq!(value("corelay_memory_bytes", &[("pool", "logs")]), 196_608.0);
    assert_eq!(value("corelay_memory_bytes", &[("pool", "gop")]), 103_392.0);
    assert_eq!(value("corelay_memory_limit_bytes", &[]), 1_073_741_824.0);
}

#[test]
fn viewers_are_counted_by_core_and_form_with_zeros() {
    let families = read(&text(whole()).unwrap());
    let viewers =
        |core, form| value(&families, "corelay_viewers", &[("core", core), ("form", form)]);
    assert_eq!(["rtmp", "http_flv", "ws_flv"].map(|form| viewers("0", form)), [1.0, 0.0, 0.0]);
    assert_eq!(["rtmp", "http_flv", "ws_flv"].map(|form| viewers("1", form)), [1.0, 2.0, 0.0]);
}

#[test]
fn latencies_are_a_histogram_whose_buckets_add_up() {
    let families = read(&text(whole()).unwrap());
    let bucket = |bound| value(&families, "corelay_relay_latency_seconds_bucket", &[("le", bound)]);
    assert_eq!((bucket("0.0001"), bucket("0.01"), bucket("0.025")), (90.0, 90.0, 100.0));
    assert_eq!((bucket("1.0"), bucket("+Inf")), (100.0, 100.0));
    assert_eq!(value(&families, "corelay_relay_latency_seconds_count", &[]), 100.0);
    let sum = value(&families, "corelay_relay_latency_seconds_sum", &[]);
    assert!((sum - 0.2081).abs() < 0.0021, "{sum}");
}

#[test]
fn latencies_are_left_out_when_a_core_does_not_answer() {
    let mut whole = whole();
    whole.shards.remove(1);
    let families = read(&text(whole).unwrap());
    assert!(!families.contains_key("corelay_relay_latency_seconds"));
    assert_eq!(value(&families, "corelay_core_up", &[("core", "1")]), 0.0);
    assert_eq!(value(&families, "corelay_connections", &[("core", "1")]), 1.0);
}

#[test]
fn streams_have_series_of_their_own() {
    let mut whole = whole();
    let mut late = samples::stream(8, "live", "late");
    late.publisher = None;
    whole.shards[1].streams.push(late);
    let families = read(&text(whole).unwrap());
    let of = |name, stream| value(&families, name, &[("app", "live"), ("name", stream)]);
    assert_eq!(of("corelay_stream_live", "test"), 1.0);
    assert_eq!(of("corelay_stream_live", "late"), 0.0);
    assert_eq!(of("corelay_stream_viewers", "test"), 4.0);
    assert_eq!(of("corelay_stream_viewers", "late"), 0.0);
    assert_eq!(of("corelay_stream_bytes_in_total", "test"), 2_000_000.0);
    assert_eq!(value(&families, "corelay_streams_left_out", &[]), 0.0);
}

#[test]
fn a_stream_may_be_called_anything() {
    let mut whole = whole();
    let name = "Ō \"x\"} 1\\\n{app=\"y\",";
    whole.shards[0].streams.push(samples::stream(9, "a,b", name));
    let families = read(&text(whole).unwrap());
    let labels = [("app", "a,b"), ("name", name)];
    assert_eq!(value(&families, "corelay_stream_live", &labels), 1.0);
}

#[test]
fn beyond_a_thousand_streams_the_published_ones_stay() {
    let mut whole = whole();
    for number in 0..1_200 {
        let mut asked_for = samples::stream(100 + number, "a", &format!("junk{number}"));
        asked_for.publisher = None;
        whole.shards[0].streams.push(asked_for);
    }
    let families = read(&text(whole).unwrap());
    assert_eq!(families["corelay_stream_live"].samples.len(), 1_000);
    assert_eq!(value(&families, "corelay_streams_left_out", &[]), 201.0);
    let labels = [("app", "live"), ("name", "test")];
    assert_eq!(value(&families, "corelay_stream_live", &labels), 1.0);
}

#[test]
fn no_label_names_a_connection() {
    let allowed = [
        "app",
        "certificate",
        "core",
        "direction",
        "form",
        "indicator",
        "input",
        "kind",
        "le",
        "link",
        "listener",
        "name",
        "output",
        "pool",
        "reason",
        "stream",
        "version",
    ];
    let mut whole = whole();
    whole.shards[0].channels.push(transport::channel());
    whole.shards[1].published.push(transport::publication("cam"));
    for (name, family) in read(&text(whole).unwrap()) {
        for (_, labels, _) in &family.samples {
            assert!(labels.keys().all(|key| allowed.contains(&key.as_str())), "{name}: {labels:?}");
        }
    }
}

/// The value of a sample of `iptv/news`.
fn of_news(families: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let labels = [&[("stream", "iptv/news")], labels].concat();
    value(families, &format!("corelay_{name}"), &labels)
}

fn with_headend() -> BTreeMap<String, Family> {
    let mut whole = whole();
    whole.shards[0].channels.push(transport::channel());
    whole.stats[1].input_switches.set(2);
    read(&text(whole).unwrap())
}

#[test]
fn channels_and_their_inputs_have_series_by_number() {
    let families = with_headend();
    let first = |name| of_news(&families, name, &[("input", "1")]);
    assert_eq!(value(&families, "corelay_input_switches_total", &[("core", "1")]), 2.0);
    assert_eq!(of_news(&families, "channel_switches_total", &[]), 2.0);
    assert_eq!(of_news(&families, "channel_open", &[]), 1.0);
    assert_eq!((first("input_up"), first("input_on_air")), (1.0, 1.0));
    assert_eq!(of_news(&families, "input_up", &[("input", "2")]), 0.0);
    assert_eq!(of_news(&families, "input_on_air", &[("input", "2")]), 0.0);
    assert_eq!((first("ts_packets_total"), first("ts_bytes_total")), (62_979.0, 11_840_052.0));
    assert_eq!((first("ts_null_packets_total"), first("ts_null_ratio")), (6_297.0, 0.125));
    assert_eq!((first("ts_bitrate_bits_per_second"), first("ts_in_sync")), (4e6, 1.0));
    assert_eq!(first("ts_scrambled_packets_total"), 9.0);
    assert_eq!(first("ts_section_errors_total"), 1.0);
    assert_eq!(first("ts_pat_interval_max_seconds"), 0.1);
    assert_eq!(first("ts_pmt_interval_max_seconds"), 0.101);
    assert_eq!(first("ts_pts_interval_max_seconds"), 0.04);
    assert_eq!(first("ts_pcr_interval_max_seconds"), 0.04);
    assert_eq!(first("ts_pcr_jitter_max_seconds"), 0.0025);
    assert_eq!(first("ts_pcr_accuracy_max_seconds"), 300.0 / 1e9);
    assert_eq!((first("input_datagrams_total"), first("input_openings_total")), (9_004.0, 1.0));
    assert_eq!(first("input_foreign_datagrams_total"), 4.0);
    assert_eq!(first("input_kernel_drops_total"), 5.0);
    assert_eq!((first("rtp_received_packets_total"), first("rtp_lost_packets")), (9_000.0, 3.0));
    assert_eq!(first("rtp_missing_packets_total"), 5.0);
    assert_eq!(first("rtp_reordered_packets_total"), 2.0);
    assert_eq!(first("rtp_duplicate_packets_total"), 1.0);
    assert_eq!(first("rtp_recovered_packets_total"), 2.0);
    assert_eq!((first("rtp_too_late_packets_total"), first("rtp_jitter_seconds")), (0.0, 0.0015));
}

#[test]
fn every_indicator_is_counted_and_has_an_alarm() {
    let families = with_headend();
    let of =
        |name, indicator| of_news(&families, name, &[("input", "1"), ("indicator", indicator)]);
    let name = "ts_indicator_errors_total";
    assert_eq!((of(name, "1.4"), of(name, "1.1"), of(name, "2.3a")), (2.0, 0.0, 0.0));
    assert_eq!((of("ts_alarm_raised", "1.4"), of("ts_alarm_raised", "3.4")), (1.0, 0.0));
    let indicators = corelay_codecs::container::mpegts::analysis::Indicator::ALL.len();
    assert_eq!(families["corelay_ts_alarm_raised"].samples.len(), 2 * indicators);
}

#[test]
fn outputs_and_connections_have_series_by_number() {
    let families = with_headend();
    let output = |name| of_news(&families, name, &[("output", "1")]);
    assert_eq!((output("output_up"), output("output_buffer_seconds")), (1.0, 0.1875));
    assert_eq!(output("output_datagrams_total"), 8_990.0);
    assert_eq!(output("output_bytes_total"), 11_880_000.0);
    assert_eq!(output("output_late_datagrams_total"), 4.0);
    let dropped = |reason| {
        let labels = [("output", "1"), ("reason", reason)];
        of_news(&families, "output_dropped_datagrams_total", &labels)
    };
    assert_eq!(["full", "no_buffers", "lost"].map(dropped), [1.0, 2.0, 3.0]);
    let link = |name, link, way| of_news(&families, name, &[("link", link), ("direction", way)]);
    assert_eq!((link("link_up", "1", "in"), link("link_up", "2", "out")), (1.0, 0.0));
    assert_eq!(link("link_connections_total", "2", "out"), 3.0);
}

#[test]
fn what_was_not_measured_has_no_sample() {
    let mut whole = whole();
    let mut channel = transport::channel();
    let silent = &mut channel.inputs[0];
    silent.state = crate::channel::input::InputState::Silent;
    silent.health.bitrate_kbps = Some(0);
    whole.shards[0].channels.push(channel);
    // A connection knows no arrivals.
    let (key, mut published) = transport::publication("cam");
    published.analysis = transport::channel().inputs[0].analysis.clone();
    whole.shards[1].published.push((key, published));
    let families = read(&text(whole).unwrap());
    let streams = |name: &str| {
        let samples = &families[&format!("corelay_{name}")].samples;
        samples.iter().map(|(_, labels, _)| labels["stream"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(streams("ts_null_ratio"), ["live/cam"]);
    assert_eq!(streams("ts_pcr_interval_max_seconds"), ["live/cam"]);
    assert_eq!(streams("ts_pcr_jitter_max_seconds"), [""; 0]);
    assert_eq!(streams("ts_bitrate_bits_per_second").len(), 3);
    assert_eq!(streams("input_datagrams"), ["iptv/news"]);
}

#[test]
fn beyond_five_hundred_inputs_and_outputs_relays_are_left_out() {
    let mut whole = whole();
    for number in 0..200 {
        let key = StreamKey::new("udp", &format!("239.1.1.{number}:1234"));
        let channel = crate::channel::ChannelSnapshot { key, ..transport::channel() };
        whole.shards[0].channels.push(channel);
        whole.shards[0].published.push(transport::publication(&format!("a{number}")));
    }
    whole.shards[1].channels.push(transport::channel());
    let families = read(&text(whole).unwrap());
    // A channel has five; what is published has one.
    assert_eq!(families["corelay_channel_open"].samples.len(), 1 + (500 - 200 - 5) / 5);
    assert_eq!(value(&families, "corelay_transport_streams_left_out", &[]), 141.0);
    assert_eq!(of_news(&families, "channel_open", &[]), 1.0);
}
