//! The shipped file against the structs and against its own comments.

use std::collections::BTreeSet;

use corelay_config::Config;
use toml::{Table, Value};

/// The dotted keys of every value in `table` that is not a table itself.
fn keys(table: &Table, prefix: &str, found: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = format!("{prefix}{key}");
        match value {
            Value::Table(below) => keys(below, &format!("{path}."), found),
            _ => drop(found.insert(path)),
        }
    }
}

fn keys_of(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    keys(&text.parse::<Table>().expect("valid TOML"), "", &mut found);
    found
}

#[test]
fn the_shipped_file_parses_without_a_problem() {
    let parsed = Config::parse(Config::default_text(), "corelay.toml").expect("no problem");
    assert_eq!(parsed, Config::shipped());
    assert_eq!(Config::load(None).expect("no problem"), Config::shipped());
}

#[test]
fn every_field_stands_in_the_shipped_file_and_every_key_there_is_a_field() {
    let fields = keys_of(&Config::shipped().dump());
    assert!(fields.len() > 110, "{fields:?}");
    assert_eq!(fields, keys_of(Config::default_text()));
}

#[test]
fn the_dump_parses_back_to_the_same_configuration() {
    let shipped = Config::shipped();
    assert_eq!(Config::parse(&shipped.dump(), "dump").expect("no problem"), shipped);

    let text = r#"
        [cores]
        data = [2, 3]
        control = 0
        idle = "spin"
        [memory]
        logs_bytes_max = 20_000_001
        [rtmp]
        listen = [{ address = "127.0.0.1:0", cores = [1] }, "[::1]:1935"]
        [http]
        listen = [{ address = "127.0.0.1:0", tls = true }, { address = "[::1]:0", tls = false }]
        [hls]
        form = "ts"
        key = "/etc/corelay/hls.key"
        encryption = "sample-aes"
        key_uri = "https://keys.example.net/?a=b"
        group = [{ name = "a.b/*", members = ["*", "*_720"] }, { name = "c/d", members = ["e"] }]
        [ts]
        listen = [
            { address = "127.0.0.1:0", tls = true, client_ca = "own.pem", certificates = [
                { certificate = "a.pem", key = "a.key" },
            ] },
            { address = "127.0.0.1:0", tls = true, client_ca = "" },
        ]
        [tls]
        certificates = [{ certificate = "c.pem", key = "k.pem" }]
        version_min = "1.3"
        client_ca = "ca.pem"
        [admin]
        listen = ""
        tls = true
        certificates = [{ certificate = "admin.pem", key = "admin.key" }]
        client_ca = ""
        [logging]
        format = "json"
        file = "/var/log/\"relay\".log"
        [applications]
        strict = true
        [applications.default]
        start = "live_edge"
        [iptv]
        standby = "cold"
        failover = { return_ms = 0 }
        udpxy = { allow = ["239.1.0.0/16", "[ff3e::1]:5"], interface = "eth1" }
        [[channel]]
        name = "a.b/news"
        input = ["udp://eth1@239.1.1.1:1234#src=10.0.0.5", "http://host/news.ts?a=b#pnr=3"]
        output = ["udp://eth3@239.2.0.1:1234#ttl=16&pace=paced", "rtmp://origin2/live/news"]
        open = "demand"
        linger_ms = 0
        failover = { silence_ms = 200 }
        [[channel]]
        name = "a.b/sport"
        output = ["tcp://[::1]:9999"]
        [applications.named.c]
        [applications.named."a.b"]
        publish = false
        takeover = "first_wins"
        flush = { max_ms = 0 }
    "#;
    let changed = Config::parse(text, "relay.toml").expect("no problem");
    assert_eq!(Config::parse(&changed.dump(), "dump").expect("no problem"), changed);
}

/// A key of the shipped file with the comment line that states unit, range and default.
struct Documented {
    section: String,
    key: String,
    value: String,
    statement: String,
}

fn documented() -> Vec<Documented> {
    let (mut section, mut comment, mut found) = (String::new(), String::new(), Vec::new());
    for line in Config::default_text().lines() {
        if let Some(header) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = header.to_owned();
        } else if let Some((key, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#'))
        {
            let statement = comment.trim_start_matches("# ").to_owned();
            let (key, value) = (key.to_owned(), value.to_owned());
            found.push(Documented { section: section.clone(), key, value, statement });
        }
        comment = line.to_owned();
    }
    found
}

impl Documented {
    fn range(&self) -> Option<(&str, &str)> {
        let range = self.statement.split("; ").nth(1)?.split(", ").next()?;
        range.split_once(" to ").filter(|(low, _)| low.starts_with(|c: char| c.is_ascii_digit()))
    }

    /// What is wrong with this key when it is set to `value`.
    fn problem_with(&self, value: &str) -> Option<String> {
        let text = format!("[{}]\n{} = {value}\n", self.section, self.key);
        let key = format!("{}.{}", self.section, self.key);
        let problems = Config::parse(&text, "f").err()?;
        let own = |p: &&corelay_config::Problem| p.key == key && !p.what.contains("which is");
        problems.list().iter().find(own).map(|p| format!("{}; {}", p.what, p.remedy))
    }
}

#[test]
fn every_key_states_the_default_that_the_file_sets() {
    let documented = documented();
    assert_eq!(documented.len(), keys_of(Config::default_text()).len());
    for key in documented {
        let stated = key.statement.rsplit_once("; default ").map(|(_, value)| value);
        assert_eq!(stated, Some(format!("{}.", key.value).as_str()), "{}", key.key);
    }
}

#[test]
fn the_range_that_a_comment_states_is_the_range_that_is_checked() {
    let mut ranges = 0;
    for key in documented().iter().filter(|key| !key.value.starts_with('[')) {
        let Some((low, high)) = key.range() else { continue };
        ranges += 1;
        let is_bytes = key.statement.starts_with("bytes;");
        let written = |text: &str| if is_bytes { format!("{text:?}") } else { text.to_owned() };
        assert_eq!(key.problem_with(&written(low)), None, "{}", key.key);
        assert_eq!(key.problem_with(&written(high)), None, "{}", key.key);
        let above = key.problem_with(&beyond(high, 1)).unwrap_or_default();
        assert!(above.contains(&format!("to {}", written(high))), "{}: {above}", key.key);
        let below = key.problem_with(&beyond(low, -1)).unwrap_or_default();
        assert!(below.contains(&format!("use {} to", written(low))), "{}: {below}", key.key);
    }
    assert!(ranges > 80, "only {ranges} keys state a range");
}

/// The number `text`, which may have a unit, plus `step`.
fn beyond(text: &str, step: i64) -> String {
    let (number, unit) = text.split_once(' ').unwrap_or((text, "B"));
    let factor = match unit {
        "GiB" => 1 << 30,
        "MiB" => 1 << 20,
        "KiB" => 1 << 10,
        _ => 1,
    };
    (number.parse::<i64>().expect("a number") * factor + step).to_string()
}

#[test]
fn the_examples_in_the_comments_are_valid() {
    let example = |line: &str| line.strip_prefix("#   ").map(str::to_owned);
    let lines = Config::default_text().lines().skip_while(|l| !l.starts_with("[cores]"));
    let text: Vec<String> = lines.filter_map(example).collect();
    let config = Config::parse(&text.join("\n"), "example").expect("no problem");
    assert!(config.applications.named.contains_key("studio"));

    // Channels and groups have no line of their own in the file: their keys are those of the examples.
    let examples = text.join("\n").parse::<Table>().expect("valid TOML");
    let dump = config.dump().parse::<Table>().expect("valid TOML");
    for list in [|t: &Table| t["channel"].clone(), |t: &Table| t["hls"]["group"].clone()] {
        let written = list(&examples).to_string();
        for key in list(&dump)[0].as_table().expect("a table").keys() {
            assert!(written.contains(&format!("{key} = ")), "{key} is in no example");
            assert!(Config::default_text().contains(key.as_str()), "{key} is not described");
        }
    }
}
