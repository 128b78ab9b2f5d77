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
    /// The scheme is none of `rtmp`, `http` and `ws`, or a part is missing.
    pub fn parse(url: &str) -> anyhow::Result<Self> {
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
        bail!("`{url}`: only rtmp://, http:// and ws:// can be played")
    }

    /// Looks the host up and returns its first address.
    ///
    /// # Errors
    /// The name is not known.
    pub fn resolve(&self) -> anyhow::Result<SocketAddr> {
        let (host, port) = match self {
            Self::Rtmp(url) => (&url.host, url.port),
            Self::Http(target) | Self::WebSocket(target) => (&target.host, target.port),
        };
        let mut addresses = (host.as_str(), port)
            .to_socket_addrs()
            .with_context(|| format!("the host `{host}` cannot be found"))?;
        addresses.next().with_context(|| format!("the host `{host}` has no address"))
    }

    /// The name of the protocol in reports.
    pub fn protocol(&self) -> &'static str {
        match self {
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
