//! Any text at all gives a configuration or problems, and never a panic.

use corelay_config::{Config, Problems};
use proptest::prelude::*;

/// Parses, and checks what must hold of every outcome.
fn survive(text: &str) -> Result<Config, Problems> {
    let outcome = Config::parse(text, "junk.toml");
    match &outcome {
        Ok(config) => assert_eq!(Config::parse(&config.dump(), "dump").as_ref(), Ok(config)),
        Err(problems) => {
            assert!(!problems.list().is_empty());
            let lines = text.split('\n').count();
            for problem in problems.list() {
                assert_eq!(problem.file, "junk.toml", "{problem}");
                assert!((1..=lines).contains(&problem.line), "{problem}");
                assert!(problem.column >= 1, "{problem}");
                assert!(!problem.what.is_empty() && !problem.remedy.is_empty(), "{problem}");
                assert!(!problem.to_string().contains('\n'), "{problem}");
            }
        }
    }
    outcome
}

/// Values of every kind, most of them wrong for any given key.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        (0..100_000_i64).prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| format!("{n:?}")),
        any::<bool>().prop_map(|b| b.to_string()),
        Just("1979-05-27T07:32:00Z".to_owned()),
        "[a-z0-9:. KMGiB/\\[\\]]{0,20}".prop_map(|s| format!("{s:?}")),
        Just("\"127.0.0.1:0\"".to_owned()),
        Just("\"64 KiB\"".to_owned()),
        Just("\"64 k\\nb\"".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[{}]", v.join(", "))),
            prop::collection::vec(inner, 0..3).prop_map(|v| {
                let keys = ["address", "tls", "client_ca"].iter().zip(v);
                let pairs: Vec<String> = keys.map(|(k, v)| format!("{k} = {v}")).collect();
                format!("{{ {} }}", pairs.join(", "))
            }),
        ]
    })
}

const CHANNEL_KEYS: [&str; 8] =
    ["name", "input", "output", "open", "standby", "linger_ms", "failover", "bananas"];

/// Values of the keys of a channel, many of them right for one.
fn channel_value() -> impl Strategy<Value = String> {
    let url = || {
        prop_oneof![
            "(udp|rtp)://(eth[12]@)?(239\\.1\\.1\\.[12]|127\\.0\\.0\\.1|)(:[56])?(#src=10\\.0\\.0\\.[12])?",
            "(tcp|http|rtmp|file)://host(:[0-9]{1,6})?(/[a-z?/]{0,5})?",
            "[a-z0-9:/@#&=.\\[\\]]{0,20}",
        ]
    };
    prop_oneof![
        prop::collection::vec(url(), 0..4).prop_map(|urls| format!("{urls:?}")),
        "(live|iptv|udp)/[a-c]{0,1}".prop_map(|name| format!("{name:?}")),
        "(always|demand|warm|cold)".prop_map(|word| format!("{word:?}")),
        value(),
    ]
}

const GROUP_KEYS: [&str; 3] = ["name", "members", "bananas"];

/// Values of the keys of a group, many of them right for one.
fn group_value() -> impl Strategy<Value = String> {
    prop_oneof![
        "(live|a/b)/[ab*]{1,2}".prop_map(|name| format!("{name:?}")),
        prop::collection::vec("[ab*]{1,2}", 0..4).prop_map(|names| format!("{names:?}")),
        prop::collection::vec("(live|a)/[a*]?", 0..3).prop_map(|names| format!("{names:?}")),
        value(),
    ]
}

/// The lines of the shipped file that are not comments.
fn shipped_lines() -> Vec<String> {
    let lines = Config::default_text().lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_text_never_panics(text in "\\PC{0,200}") {
        let _ = survive(&text);
    }

    #[test]
    fn random_toml_punctuation_never_panics(text in "[\\[\\]{}=\"'#,.\n a0ü_-]{0,200}") {
        let _ = survive(&text);
    }

    #[test]
    fn random_values_of_known_keys_never_panic(
        values in prop::collection::vec((0..300_usize, value()), 1..8),
    ) {
        let mut lines = shipped_lines();
        for (index, value) in values {
            let at = index % lines.len();
            if let Some((key, _)) = lines[at].split_once(" = ") {
                lines[at] = format!("{key} = {value}");
            }
        }
        let _ = survive(&lines.join("\n"));
    }

    #[test]
    fn random_channels_never_panic(
        values in prop::collection::vec((0..CHANNEL_KEYS.len(), channel_value()), 1..12),
        lines in prop::collection::vec(any::<bool>(), 12),
    ) {
        let mut text = String::new();
        let mut written = Vec::new();
        for ((key, value), is_next) in values.into_iter().zip(lines) {
            if written.is_empty() || is_next || written.contains(&key) {
                text += "[[channel]]\n";
                written.clear();
            }
            written.push(key);
            text += &format!("{} = {value}\n", CHANNEL_KEYS[key]);
        }
        let _ = survive(&text);
    }

    #[test]
    fn random_groups_and_certificates_never_panic(
        groups in prop::collection::vec((0..GROUP_KEYS.len(), group_value()), 0..9),
        certificates in prop::collection::vec((value(), value(), 0..3_usize), 0..4),
        admin in any::<bool>(),
    ) {
        let certificate = |(certificate, key, keys): &(String, String, usize)| {
            let pairs = [format!("certificate = {certificate}"), format!("key = {key}")];
            format!("{{ {} }}", pairs[..*keys].join(", "))
        };
        let list: Vec<String> = certificates.iter().map(certificate).collect();
        let list = list.join(", ");
        let mut text = format!(
            "tls.certificates = [{list}]\nadmin.tls = {admin}\nadmin.certificates = [{list}]\n"
        );
        let mut written = Vec::new();
        for (key, value) in groups {
            if written.is_empty() || written.contains(&key) {
                text += "[[hls.group]]\n";
                written.clear();
            }
            written.push(key);
            text += &format!("{} = {value}\n", GROUP_KEYS[key]);
        }
        if let Ok(config) = survive(&text) {
            for name in ["a", "b", "ab", "abab", "*", ""] {
                prop_assert!(config.hls_members("live", name).len() <= 33, "{name}");
            }
        }
    }

    #[test]
    fn the_shipped_file_with_a_part_cut_out_never_panics(
        start in 0..45_000_usize,
        length in 0..200_usize,
    ) {
        let text = Config::default_text();
        let cut = |at: usize| text.floor_char_boundary(at.min(text.len()));
        let _ = survive(&format!("{}{}", &text[..cut(start)], &text[cut(start + length)..]));
    }
}

#[test]
fn the_shipped_file_cut_at_every_byte_never_panics() {
    let text = shipped_lines().join("\n");
    for end in 0..text.len() {
        let _ = survive(&text[..end]);
    }
}

#[test]
fn nesting_beyond_all_measure_is_a_problem() {
    for bracket in ["[", "{a="] {
        let text = format!("a = {}", bracket.repeat(20_000));
        survive(&text).expect_err("it is not closed");
    }
    survive(&format!("{} = 1", vec!["a"; 20_000].join("."))).expect_err("an unknown key");
}
