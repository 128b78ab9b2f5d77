//! The text is read back by a strict reader of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::super::api::process::Usage;
use super::super::api::samples;
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
        "counter corelay_log_lines_lost",
        "counter corelay_malformed_tags",
        "counter corelay_process_cpu_seconds",
        "counter corelay_ring_drops",
        "counter corelay_sends",
        "counter corelay_skips",
        "counter corelay_stream_bytes_in",
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
        "gauge corelay_uptime_seconds",
        "gauge corelay_viewers",
        "histogram corelay_relay_latency_seconds",
        "info corelay_build",
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
    let allowed = ["app", "core", "direction", "form", "le", "name", "pool", "reason", "version"];
    for (name, family) in read(&text(whole()).unwrap()) {
        for (_, labels, _) in &family.samples {
            assert!(labels.keys().all(|key| allowed.contains(&key.as_str())), "{name}: {labels:?}");
        }
    }
}
