//! Where media comes from and goes to, in the grammar that headend staff know:
//!
//! ```text
//! udp://[interface@]group[:port][#key=value&...]      a transport stream in datagrams
//! rtp://[interface@]group[:port][#key=value&...]      the same with RTP headers
//! tcp://host:port[#...]                               a transport stream over TCP
//! http://host[:port]/path.ts[#...]                    a transport stream over HTTP
//! rtmp://host[:port]/application/stream[?query]       access units
//! path, file://path                                   a file (for `corelay probe` only)
//! ```
//!
//! The interface is a name (`eth1`) or one of its addresses. IPv6 addresses stand in brackets. The
//! port of `udp` and `rtp` is 1234 when omitted; an omitted group (`udp://:5000`) is every address of
//! the machine. What each key of the fragment means: [`UrlOptions`].
//!
//! Invariants
//! - A [`MediaUrl`] holds no value out of range, and no option that its scheme and side do not have.
//! - Its text form ([`Display`](fmt::Display)) reads back as an equal value.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Serialize, Serializer};

mod options;
mod parse;
#[cfg(test)]
mod tests;

pub use options::{Pace, UrlOptions};

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaUrl {
    /// Scheme and place.
    pub endpoint: Endpoint,
    /// What the fragment says.
    pub options: UrlOptions,
}

/// How and where media is got or sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `udp://`: transport stream packets in datagrams.
    Udp(DatagramAddress),
    /// `rtp://`: transport stream packets in RTP (RFC 2250 2).
    Rtp(DatagramAddress),
    /// `tcp://`: transport stream packets over a connection.
    Tcp {
        /// Who is connected to.
        host: Host,
        /// 1 to 65535.
        port: u16,
    },
    /// `http://`: transport stream packets in a response, or in a request's body.
    Http {
        /// Who is connected to.
        host: Host,
        /// 1 to 65535; 80 when omitted.
        port: u16,
        /// Path and query as written, with the leading slash.
        path: String,
    },
    /// `rtmp://`.
    Rtmp {
        /// Who is connected to.
        host: Host,
        /// 1 to 65535; 1935 when omitted.
        port: u16,
        /// Application, which may have slashes in it.
        application: String,
        /// Stream name with its query, if any.
        stream: String,
    },
    /// A file.
    File(PathBuf),
}

/// Where datagrams come from or go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatagramAddress {
    /// The interface that is used; the routing table decides when there is none.
    pub interface: Option<Interface>,
    /// Group or unicast address, and port. Unspecified: every address of the machine.
    pub address: SocketAddr,
}

/// A network interface as it was named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Interface {
    /// By name: 1 to 15 bytes.
    Name(String),
    /// By one of its addresses.
    Address(IpAddr),
}

/// The peer of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// To be resolved.
    Name(String),
    /// An address as it stands.
    Address(IpAddr),
}

/// What a URL is used for: it decides which schemes and keys there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// An input of a channel.
    Input,
    /// An output of a channel.
    Output,
    /// A source that is looked at: an input, or a file.
    Probe,
}

/// What is wrong with a URL: which part, why, and what would be right. One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaUrlError {
    /// The part, as in `port` or `#ttl`.
    pub part: &'static str,
    /// What is wrong with it.
    pub what: String,
    /// What would be right.
    pub remedy: String,
}

impl MediaUrl {
    /// Reads a URL that is used on this side.
    ///
    /// # Errors
    /// The first thing that is wrong, with its remedy.
    pub fn parse(text: &str, side: Side) -> Result<Self, MediaUrlError> {
        parse::media_url(text, side)
    }

    /// Its text form for logs and the API: with `?...` in the place of a query, where keys and
    /// passwords are. What follows the `#` is shown.
    pub fn shown(&self) -> Shown<'_> {
        Shown(self)
    }
}

/// A URL without its secrets: see [`MediaUrl::shown`].
#[derive(Clone, Copy)]
pub struct Shown<'a>(&'a MediaUrl);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MediaUrl { endpoint, options } = self.0;
        let has_query = matches!(endpoint, Endpoint::Http { .. } | Endpoint::Rtmp { .. });
        let text = endpoint.to_string();
        match text.split_once('?').filter(|_| has_query) {
            Some((place, _)) => write!(f, "{place}?...{options}"),
            None => write!(f, "{text}{options}"),
        }
    }
}

impl Interface {
    /// Reads the name of an interface or one of its addresses; `None` when the text is empty.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, MediaUrlError> {
        parse::interface(text)
    }
}

impl fmt::Display for MediaUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.part, self.what, self.remedy)
    }
}

impl std::error::Error for MediaUrlError {}

impl fmt::Display for MediaUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.endpoint, self.options)
    }
}

impl Serialize for MediaUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Rtp(address) => write!(f, "rtp://{address}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Http { host, port, path } => write!(f, "http://{host}:{port}{path}"),
            Self::Rtmp { host, port, application, stream } => {
                write!(f, "rtmp://{host}:{port}/{application}/{stream}")
            }
            Self::File(path) => write!(f, "file://{}", path.display()),
        }
    }
}

impl fmt::Display for DatagramAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(interface) = &self.interface {
            write!(f, "{interface}@")?;
        }
        self.address.fmt(f)
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => write_address(f, *address),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => write_address(f, *address),
        }
    }
}

fn write_address(f: &mut fmt::Formatter<'_>, address: IpAddr) -> fmt::Result {
    match address {
        IpAddr::V4(address) => write!(f, "{address}"),
        IpAddr::V6(address) => write!(f, "[{address}]"),
    }
}
