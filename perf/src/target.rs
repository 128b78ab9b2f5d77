//! Where to play from or publish to.

use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, bail};
use corelay_protocols::rtmp::url::StreamUrl;

/// A URL that can be played, and for RTMP published to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `rtmp://host[:port]/app/stream`.
    Rtmp(StreamUrl),
    /// `http://host[:port]/path`.
    Http(HttpTarget),
    /// `ws://host[:port]/path`.
    WebSocket(HttpTarget),
    /// Any of these by TLS: `rtmps://`, `https://`, `wss://`.
    Secure(Box<Self>),
}

/// Host and path of an HTTP or WebSocket URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    /// Host and port as the `Host` header says them.
    pub authority: String,
    /// Host alone, without brackets.
    pub host: String,
    /// TCP port; 80 if the URL has none.
    pub port: u16,
    /// Path and query.
    pub path: String,
    /// The body is FLV: the path ends in `.flv`. Anything else is counted and not parsed.
    pub is_flv: bool,
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// The scheme is none of `rtmp`, `http` and `ws`, with or without TLS, or a part is missing.
    pub fn parse(url: &str) -> anyhow::Result<Self> {
        for (scheme, plain, port) in SECURE {
            let Some(rest) = url.strip_prefix(scheme) else { continue };
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
            let port = if has_port { String::new() } else { format!(":{port}") };
            let target = Self::parse(&format!("{plain}{authority}{port}{path}"))?;
            return Ok(Self::Secure(Box::new(target)));
        }
        if url.starts_with("rtmp://") {
            let parsed = StreamUrl::parse(url);
            return parsed.map(Self::Rtmp).with_context(|| {
                format!("`{url}` is not of the form rtmp://host[:port]/app/stream")
            });
        }
        if let Some(rest) = url.strip_prefix("http://") {
            return HttpTarget::parse(url, rest).map(Self::Http);
        }
        if let Some(rest) = url.strip_prefix("ws://") {
            return HttpTarget::parse(url, rest).map(Self::WebSocket);
        }
        bail!("`{url}`: only rtmp, http and ws can be played, and these by TLS")
    }

    /// Looks the host up and returns its first address.
    ///
    /// # Errors
    /// The name is not known.
    pub fn resolve(&self) -> anyhow::Result<SocketAddr> {
        let (host, port) = (self.host(), self.port());
        let mut addresses = (host, port)
            .to_socket_addrs()
            .with_context(|| format!("the host `{host}` cannot be found"))?;
        addresses.next().with_context(|| format!("the host `{host}` has no address"))
    }

    /// Name or address of the server, without brackets.
    pub fn host(&self) -> &str {
        match self {
            Self::Rtmp(url) => &url.host,
            Self::Http(target) | Self::WebSocket(target) => &target.host,
            Self::Secure(target) => target.host(),
        }
    }

    fn port(&self) -> u16 {
        match self {
            Self::Rtmp(url) => url.port,
            Self::Http(target) | Self::WebSocket(target) => target.port,
            Self::Secure(target) => target.port(),
        }
    }

    /// What goes through TLS, and whether there is TLS around it.
    pub fn plain(&self) -> (&Self, bool) {
        match self {
            Self::Secure(target) => (target, true),
            target => (target, false),
        }
    }

    /// The name of the protocol in reports.
    pub fn protocol(&self) -> &'static str {
        match self {
            Self::Secure(target) => match target.protocol() {
                "rtmp" => "rtmps",
                "http-flv" => "https-flv",
                "ws-flv" => "wss-flv",
                _ => "https",
            },
            Self::Rtmp(_) => "rtmp",
            Self::Http(target) if target.is_flv => "http-flv",
            Self::Http(_) => "http",
            Self::WebSocket(_) => "ws-flv",
        }
    }
}

impl HttpTarget {
    fn parse(url: &str, rest: &str) -> anyhow::Result<Self> {
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().with_context(|| format!("`{url}` has a wrong port"))?)
            }
            _ => (authority, 80),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || path.len() < 2 {
            bail!("`{url}` lacks a host or a path");
        }
        let (name, _) = path.split_at(path.find('?').unwrap_or(path.len()));
        Ok(Self {
            authority: authority.to_owned(),
            host: host.to_owned(),
            port,
            path: path.to_owned(),
            is_flv: name.ends_with(".flv"),
        })
    }
}

/// Schemes of TLS, what they are without it, and their ports.
const SECURE: [(&str, &str, u16); 3] =
    [("rtmps://", "rtmp://", 443), ("https://", "http://", 443), ("wss://", "ws://", 443)];

/// The URLs of `streams` streams: `{}` in the template is their number from 0; without it, more
/// than one get their number appended to the name.
pub fn numbered(template: &str, streams: usize) -> Vec<String> {
    let number = |index: usize| {
        if template.contains("{}") {
            return template.replace("{}", &index.to_string());
        }
        if streams <= 1 {
            return template.to_owned();
        }
        let (name, query) = template.split_at(template.find('?').unwrap_or(template.len()));
        let extension = [".flv", ".ts"].into_iter().find(|extension| name.ends_with(extension));
        let (stem, extension) = name.split_at(name.len() - extension.map_or(0, str::len));
        format!("{stem}{index}{extension}{query}")
    };
    (0..streams.max(1)).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let Target::Http(http) = Target::parse("http://[::1]:8080/live/a.flv?t=1").unwrap() else {
            panic!("not http");
        };
        assert_eq!((http.host.as_str(), http.port), ("::1", 8080));
        assert_eq!((http.path.as_str(), http.is_flv), ("/live/a.flv?t=1", true));
        assert_eq!(http.authority, "[::1]:8080");
        let target = Target::parse("ws://h/live/a.flv").unwrap();
        assert_eq!(target.protocol(), "ws-flv");
        assert_eq!(Target::parse("http://h/a.ts").unwrap().protocol(), "http");
        assert_eq!(Target::parse("rtmp://h/live/a").unwrap().protocol(), "rtmp");
        for wrong in ["", "rtmp://h/live", "http://h", "http://:80/a", "http://h:x/a", "udp://h/a"]
        {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn urls_of_tls_are_those_without_it_at_other_ports() {
        let target = |url: &str| Target::parse(url).unwrap();
        let ports = ["https://h/a.flv", "https://[::1]/a.flv", "wss://h:8443/a.flv"]
            .map(|url| (target(url).port(), target(url).protocol()));
        assert_eq!(ports, [(443, "https-flv"), (443, "https-flv"), (8443, "wss-flv")]);
        let rtmps = target("rtmps://h:1936/live/a");
        assert_eq!(rtmps.plain(), (&target("rtmp://h:1936/live/a"), true));
        assert_eq!((rtmps.host(), rtmps.protocol()), ("h", "rtmps"));
        assert!(Target::parse("https://").is_err() && Target::parse("rtmps://h/live").is_err());
    }

    #[test]
    fn several_streams_are_told_apart_by_number() {
        assert_eq!(numbered("rtmp://h/live/a", 1), ["rtmp://h/live/a"]);
        assert_eq!(
            numbered("rtmp://h/live/a?t=1", 2),
            ["rtmp://h/live/a0?t=1", "rtmp://h/live/a1?t=1"]
        );
        assert_eq!(numbered("http://h/live/a.flv", 2)[1], "http://h/live/a1.flv");
        assert_eq!(numbered("http://h/live/a.ts?t=1", 2)[1], "http://h/live/a1.ts?t=1");
        assert_eq!(numbered("http://h/{}/a.flv", 2)[1], "http://h/1/a.flv");
    }
}
