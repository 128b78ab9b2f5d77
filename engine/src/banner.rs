//! What is printed on standard output once the server listens.

use std::fmt::Write;
use std::net::SocketAddr;

use corelay_config::Config;

/// One line `listening PROTOCOL ADDRESS` per listener, the URLs to use, and `ready`.
pub fn text(listening: &[(&'static str, SocketAddr)], config: &Config) -> String {
    let mut text = String::new();
    for (protocol, address) in listening {
        let _ = writeln!(text, "listening {protocol} {address}");
    }
    let find = |name: &str, usual_port| {
        let (_, at) = listening.iter().find(|(protocol, _)| *protocol == name)?;
        Some(host(*at, usual_port))
    };
    let (rtmp, ts, http) = (find("rtmp", 1935), find("ts", 0), find("http", 80));
    let (rtmp, http) = (rtmp.as_deref(), http.as_deref());
    let publish = [
        rtmp.map(|host| format!("rtmp://{host}/live/NAME")),
        ts.map(|host| format!("tcp://{host} (MPEG-TS)")),
        http.map(|host| format!("http://{host}/live/NAME.ts (POST or PUT)")),
    ];
    let play = [
        rtmp.map(|host| format!("rtmp://{host}/live/NAME")),
        http.map(|host| format!("http://{host}/live/NAME.flv (or .ts)")),
        http.map(|host| format!("ws://{host}/live/NAME.flv (or .ts)")),
        http.and_then(|host| channel(host, config)),
        http.filter(|_| !config.iptv.udpxy.allow.is_empty())
            .map(|host| format!("http://{host}/udp/GROUP:PORT (or /rtp/)")),
    ];
    let look = find("admin", 80).map(|host| format!("http://{host}/api/v1/streams"));
    write(&mut text, "publish to", publish);
    write(&mut text, "play from", play);
    write(&mut text, "look into", [look]);
    text.push_str("ready\n");
    text
}

/// The first channel, and how many there are.
fn channel(host: &str, config: &Config) -> Option<String> {
    let first = config.channels.first()?;
    let what = match config.channels.len() {
        1 => "channel".to_owned(),
        count => format!("the first of {count} channels"),
    };
    Some(format!("http://{host}/{}/{}.ts ({what})", first.app, first.name))
}

/// Writes the lines that there are, the first one behind `label`.
fn write<const N: usize>(text: &mut String, label: &str, lines: [Option<String>; N]) {
    let mut label = label;
    for line in lines.into_iter().flatten() {
        let _ = writeln!(text, "{label:<12} {line}");
        label = "";
    }
}

/// How a URL names an address: a wildcard is reached as this machine, the usual port is left out.
fn host(address: SocketAddr, usual_port: u16) -> String {
    let ip = match address.ip() {
        ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
        std::net::IpAddr::V6(v6) => format!("[{v6}]"),
        ip => ip.to_string(),
    };
    if address.port() == usual_port { ip } else { format!("{ip}:{}", address.port()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_listeners_give_urls_that_work_on_this_machine() {
        let at = |text: &str| text.parse().unwrap();
        let listening = [
            ("rtmp", at("0.0.0.0:1935")),
            ("http", at("[::]:8080")),
            ("ts", at("0.0.0.0:9999")),
            ("admin", at("127.0.0.1:1985")),
        ];
        let text = text(&listening, &Config::shipped());
        assert!(text.contains("listening rtmp 0.0.0.0:1935\n"));
        assert!(text.contains("publish to   rtmp://127.0.0.1/live/NAME\n"));
        assert!(text.contains("play from    rtmp://127.0.0.1/live/NAME\n"));
        assert!(text.contains(" tcp://127.0.0.1:9999 (MPEG-TS)\n"));
        assert!(text.contains(" http://127.0.0.1:8080/live/NAME.ts (POST or PUT)\n"));
        assert!(!text.contains("channel") && !text.contains("/udp/"), "there is none: {text}");
        assert!(text.contains(" http://127.0.0.1:8080/live/NAME.flv (or .ts)\n"));
        assert!(text.contains("http://127.0.0.1:1985/api/v1/streams\n"));
        assert!(text.ends_with("\nready\n"));
    }
    #[test]
    fn channels_and_groups_are_named_where_there_are_some() {
        let channel =
            |name| format!("[[channel]]\nname = \"{name}\"\ninput = [\"udp://{name}\"]\n");
        let udpxy = "[iptv.udpxy]\nallow = [\"239.0.0.0/8\"]\n";
        let http = [("http", "192.0.2.1:80".parse().unwrap())];
        let shown = |settings: &str| {
            let settings = settings.replace("udp://iptv/", "udp://239.1.1.1:1");
            text(&http, &Config::parse(&settings, "relay.toml").expect("valid"))
        };
        let one = shown(&channel("iptv/2"));
        assert!(one.contains(" http://192.0.2.1/iptv/2.ts (channel)\n") && !one.contains("/udp/"));
        let two = shown(&[udpxy.to_owned(), channel("iptv/2"), channel("iptv/3")].concat());
        assert!(two.contains(" http://192.0.2.1/iptv/2.ts (the first of 2 channels)\n"), "{two}");
        assert!(two.contains(" http://192.0.2.1/udp/GROUP:PORT (or /rtp/)\n"), "{two}");
        // Without RTMP the labels stand in front of what there is.
        assert!(two.contains("\npublish to   http://192.0.2.1/live/NAME.ts"), "{two}");
        assert!(two.contains("\nplay from    http://192.0.2.1/live/NAME.flv"), "{two}");
    }
}
