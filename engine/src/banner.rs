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
    let url = |scheme: &str, name: &str, usual_port| {
        Some(format!("{scheme}://{}", find(name, usual_port)?))
    };
    let rtmp = [url("rtmp", "rtmp", 1935), url("rtmps", "rtmps", 443)];
    let rtmp = || rtmp.iter().flatten().map(|base| format!("{base}/live/NAME"));
    let http = [url("http", "http", 80), url("https", "https", 443)];
    let http = || http.iter().flatten();
    let web_socket = [url("ws", "http", 80), url("wss", "https", 443)];
    let tcp = [url("tcp", "ts", 0), url("tls", "ts-tls", 0)];
    let admin = [url("http", "admin", 80), url("https", "admin-https", 443)];

    let publish = rtmp()
        .chain(tcp.iter().flatten().map(|base| format!("{base} (MPEG-TS)")))
        .chain(http().map(|base| format!("{base}/live/NAME.ts (POST or PUT)")));
    let hls = http().filter(|_| config.hls.enabled);
    let play = rtmp()
        .chain(hls.map(|base| format!("{base}/live/NAME.m3u8 (HLS)")))
        .chain(http().map(|base| format!("{base}/live/NAME.flv (or .ts)")))
        .chain(web_socket.iter().flatten().map(|base| format!("{base}/live/NAME.flv (or .ts)")))
        .chain(http().next().and_then(|base| channel(base, config)))
        .chain(http().next().and_then(|base| udpxy(base, config)));
    let look = admin.iter().flatten().map(|base| format!("{base}/api/v1/streams"));
    write(&mut text, "publish to", publish);
    write(&mut text, "play from", play);
    write(&mut text, "look into", look);
    text.push_str("ready\n");
    text
}

/// The first channel, and how many there are.
fn channel(base: &str, config: &Config) -> Option<String> {
    let first = config.channels.first()?;
    let what = match config.channels.len() {
        1 => "channel".to_owned(),
        count => format!("the first of {count} channels"),
    };
    Some(format!("{base}/{}/{}.ts ({what})", first.app, first.name))
}

/// The groups that may be asked for, if any.
fn udpxy(base: &str, config: &Config) -> Option<String> {
    let is_allowed = !config.iptv.udpxy.allow.is_empty();
    is_allowed.then(|| format!("{base}/udp/GROUP:PORT (or /rtp/)"))
}

/// Writes the lines, the first one behind `label`.
fn write(text: &mut String, label: &str, lines: impl Iterator<Item = String>) {
    let mut label = label;
    for line in lines {
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
        assert!(text.contains(" http://127.0.0.1:8080/live/NAME.m3u8 (HLS)\n"));
        assert!(text.contains(" http://127.0.0.1:8080/live/NAME.flv (or .ts)\n"));
        assert!(text.contains(" ws://127.0.0.1:8080/live/NAME.flv (or .ts)\n"));
        assert!(!text.contains("rtmps") && !text.contains("https"), "there is no TLS: {text}");
        assert!(text.contains("http://127.0.0.1:1985/api/v1/streams\n"));
        assert!(text.ends_with("\nready\n"));
    }

    #[test]
    fn listeners_with_tls_have_urls_of_their_own() {
        let at = |text: &str| text.parse().unwrap();
        let listening = [
            ("rtmps", at("0.0.0.0:1936")),
            ("https", at("[::1]:443")),
            ("ts-tls", at("0.0.0.0:9998")),
            ("admin-https", at("127.0.0.1:1985")),
        ];
        let config = Config::parse("hls.enabled = false", "relay.toml").expect("valid");
        let text = text(&listening, &config);
        assert!(text.contains("\npublish to   rtmps://127.0.0.1:1936/live/NAME\n"), "{text}");
        assert!(text.contains(" tls://127.0.0.1:9998 (MPEG-TS)\n"), "{text}");
        assert!(text.contains(" https://[::1]/live/NAME.ts (POST or PUT)\n"), "{text}");
        assert!(text.contains("\nplay from    rtmps://127.0.0.1:1936/live/NAME\n"), "{text}");
        assert!(text.contains(" https://[::1]/live/NAME.flv (or .ts)\n"), "{text}");
        assert!(text.contains(" wss://[::1]/live/NAME.flv (or .ts)\n"), "{text}");
        assert!(text.contains("\nlook into    https://127.0.0.1:1985/api/v1/streams\n"), "{text}");
        assert!(!text.contains(".m3u8"), "it is switched off: {text}");
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
        assert!(two.contains("\nplay from    http://192.0.2.1/live/NAME.m3u8"), "{two}");
    }
}
