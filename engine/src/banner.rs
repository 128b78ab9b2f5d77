//! What is printed on standard output once the server listens.

use std::fmt::Write;
use std::net::SocketAddr;

/// One line `listening PROTOCOL ADDRESS` per listener, the URLs to use, and `ready`.
pub fn text(listening: &[(&'static str, SocketAddr)]) -> String {
    let mut text = String::new();
    for (protocol, address) in listening {
        let _ = writeln!(text, "listening {protocol} {address}");
    }
    let first = |name| listening.iter().find(|(protocol, _)| *protocol == name).map(|(_, at)| at);
    if let Some(rtmp) = first("rtmp") {
        let host = host(*rtmp, 1935);
        let _ = writeln!(text, "publish to   rtmp://{host}/live/NAME");
    }
    if let Some(ts) = first("ts") {
        let _ = writeln!(text, "             tcp://{} (MPEG-TS)", host(*ts, 0));
    }
    if let Some(rtmp) = first("rtmp") {
        let _ = writeln!(text, "play from    rtmp://{}/live/NAME", host(*rtmp, 1935));
    }
    if let Some(http) = first("http") {
        let host = host(*http, 80);
        let _ = writeln!(text, "             http://{host}/live/NAME.flv (or .ts)");
        let _ = writeln!(text, "             ws://{host}/live/NAME.flv (or .ts)");
    }
    if let Some(admin) = first("admin") {
        let _ = writeln!(text, "look into    http://{}/api/v1/streams", host(*admin, 80));
    }
    text.push_str("ready\n");
    text
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
        let text = text(&listening);
        assert!(text.contains("listening rtmp 0.0.0.0:1935\n"));
        assert!(text.contains("publish to   rtmp://127.0.0.1/live/NAME\n"));
        assert!(text.contains("play from    rtmp://127.0.0.1/live/NAME\n"));
        assert!(text.contains(" tcp://127.0.0.1:9999 (MPEG-TS)\n"));
        assert!(text.contains(" http://127.0.0.1:8080/live/NAME.flv (or .ts)\n"));
        assert!(text.contains("http://127.0.0.1:1985/api/v1/streams\n"));
        assert!(text.ends_with("\nready\n"));
    }
}
