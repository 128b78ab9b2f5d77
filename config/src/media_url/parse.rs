//! The parts of a media URL, each with its own complaint.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::options::decimal;
use super::{
    DatagramAddress, Endpoint, Host, Interface, MediaUrl, MediaUrlError, Side, UrlOptions,
};
use crate::document::quoted;
use crate::section::nearest;

pub(super) fn wrong(part: &'static str, what: String, remedy: String) -> MediaUrlError {
    MediaUrlError { part, what, remedy }
}

fn refuse<T>(
    part: &'static str,
    what: impl Into<String>,
    remedy: impl Into<String>,
) -> Result<T, MediaUrlError> {
    Err(wrong(part, what.into(), remedy.into()))
}

pub(super) fn media_url(text: &str, side: Side) -> Result<MediaUrl, MediaUrlError> {
    if text.len() > URL_BYTES_MAX {
        let what = format!("has {} bytes", text.len());
        return refuse("URL", what, format!("write at most {URL_BYTES_MAX}"));
    }
    let (scheme, rest) = match text.split_once("://") {
        Some(("file", path)) => return file(path, true, side),
        Some(parts) => parts,
        None => return file(text, false, side),
    };
    if let Some(found) = text.chars().find(|c| c.is_whitespace() || c.is_control()) {
        return refuse("URL", format!("{found:?} stands in it"), "write it without spaces");
    }
    let scheme = scheme.to_ascii_lowercase();
    let (place, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let endpoint = match scheme.as_str() {
        "udp" => Endpoint::Udp(datagram_address(place, side)?),
        "rtp" => Endpoint::Rtp(datagram_address(place, side)?),
        "tcp" => tcp(place)?,
        "http" => http(place)?,
        "rtmp" => rtmp(place)?,
        unknown => return Err(unknown_scheme(unknown, side)),
    };
    let options = UrlOptions::parse(fragment, &scheme, side)?;
    check_sources(&endpoint, &options, side)?;
    Ok(MediaUrl { endpoint, options })
}

fn file(text: &str, is_named: bool, side: Side) -> Result<MediaUrl, MediaUrlError> {
    if side != Side::Probe && is_named {
        return refuse("scheme", "file:// is not for channels", format!("write one of {SCHEMES}"));
    }
    if side != Side::Probe {
        let what = format!("{} has none", quoted(text));
        return refuse("scheme", what, format!("write one of {SCHEMES}"));
    }
    if text.is_empty() {
        return refuse("file", "is missing", "write a path, or a URL");
    }
    let endpoint = Endpoint::File(PathBuf::from(text));
    Ok(MediaUrl { endpoint, options: UrlOptions::default() })
}

fn unknown_scheme(scheme: &str, side: Side) -> MediaUrlError {
    let known = ["udp", "rtp", "tcp", "http", "rtmp"];
    let what = format!("{} is not one of ours", quoted(scheme));
    let remedy = match (nearest(scheme, known.into_iter()), side) {
        _ if scheme == "https" => "TLS is not spoken here: write http://".to_owned(),
        (Some(near), _) => format!("did you mean {near}://?"),
        (None, Side::Probe) => format!("write one of {SCHEMES}, or a path"),
        (None, _) => format!("write one of {SCHEMES}"),
    };
    wrong("scheme", what, remedy)
}

fn datagram_address(place: &str, side: Side) -> Result<DatagramAddress, MediaUrlError> {
    let (interface, place) = match place.split_once('@') {
        Some((interface, place)) => (interface, place),
        None => ("", place),
    };
    // A slash at the end is how some write it; a path makes no sense.
    let place = place.strip_suffix('/').unwrap_or(place);
    if let Some((_, path)) = place.split_once('/') {
        let what = format!("{} is a path", quoted(path));
        return refuse("group", what, "write udp://group:port without one");
    }
    let interface = self::interface(interface)?;
    let (group, port) = group_and_port(place)?;
    let address = match group {
        Some(address) => address,
        None if side == Side::Output => {
            return refuse(
                "group",
                "is missing",
                "write where to send, as in udp://239.1.1.1:1234",
            );
        }
        None if matches!(interface, Some(Interface::Address(IpAddr::V6(_)))) => {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        }
        None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    if side == Side::Output && address.is_unspecified() {
        let what = format!("{address} is no place to send to");
        return refuse("group", what, "write a group or the receiver's address");
    }
    Ok(DatagramAddress { interface, address: SocketAddr::new(address, port) })
}

pub(super) fn interface(text: &str) -> Result<Option<Interface>, MediaUrlError> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(Some(Interface::Address(IpAddr::V4(address))));
    }
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match address.parse::<Ipv6Addr>() {
            Ok(address) => Ok(Some(Interface::Address(IpAddr::V6(address)))),
            Err(_) => refuse(
                "interface",
                format!("{} is no IPv6 address", quoted(address)),
                "write the interface's name, as in eth1",
            ),
        };
    }
    let is_allowed = |c: char| !matches!(c, '/' | ':' | '[' | ']' | '#' | '@');
    if text.len() > INTERFACE_BYTES_MAX || !text.chars().all(is_allowed) {
        return refuse(
            "interface",
            format!("{} is no name of an interface", quoted(text)),
            format!("write up to {INTERFACE_BYTES_MAX} bytes, as in eth1, or an address of it"),
        );
    }
    Ok(Some(Interface::Name(text.to_owned())))
}

/// `None`: no group, only a port or nothing.
fn group_and_port(place: &str) -> Result<(Option<IpAddr>, u16), MediaUrlError> {
    let (group, port) = split_port("group", place)?;
    let port = match port {
        Some(port) => port_number(port)?,
        None => DATAGRAM_PORT,
    };
    let address = match group {
        Authority::Bare("") => return Ok((None, port)),
        Authority::Bracketed(text) => IpAddr::V6(ipv6("group", text)?),
        Authority::Bare(text) => match text.parse::<Ipv4Addr>() {
            Ok(address) => IpAddr::V4(address),
            Err(_) if text.contains(':') => return Err(not_in_brackets("group")),
            Err(_) => {
                return refuse(
                    "group",
                    format!("{} is no address", quoted(text)),
                    "write an address, as in 239.1.1.1 or [ff3e::1]; names are not resolved here",
                );
            }
        },
    };
    Ok((Some(address), port))
}

fn tcp(place: &str) -> Result<Endpoint, MediaUrlError> {
    let place = place.strip_suffix('/').unwrap_or(place);
    if place.contains('/') {
        return refuse("host", "is followed by a path", "write tcp://host:port without one");
    }
    let (host, port) = host_and_port(place)?;
    match port {
        Some(port) => Ok(Endpoint::Tcp { host, port }),
        None => refuse("port", "is missing", "write tcp://host:port, as in tcp://10.0.0.5:9999"),
    }
}

fn http(place: &str) -> Result<Endpoint, MediaUrlError> {
    let path_at = place.find(['/', '?']).unwrap_or(place.len());
    let (authority, path) = place.split_at_checked(path_at).unwrap_or((place, ""));
    let (host, port) = host_and_port(authority)?;
    if !path.is_ascii() {
        let what = "has a character that is not ASCII";
        return refuse("path", what, "write it percent-encoded, as in %C3%A4");
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok(Endpoint::Http { host, port: port.unwrap_or(80), path: format!("{slash}{path}") })
}

fn rtmp(place: &str) -> Result<Endpoint, MediaUrlError> {
    let (authority, path) = place.split_once('/').unwrap_or((place, ""));
    let (host, port) = host_and_port(authority)?;
    let query_at = path.find('?').unwrap_or(path.len());
    let name_at = path.get(..query_at).and_then(|path| path.rfind('/'));
    let parts = name_at.and_then(|at| Some((path.get(..at)?, path.get(at + 1..)?)));
    match parts {
        Some((application, stream))
            if !application.is_empty() && !stream.is_empty() && !stream.starts_with('?') =>
        {
            let port = port.unwrap_or(RTMP_PORT);
            let (application, stream) = (application.to_owned(), stream.to_owned());
            Ok(Endpoint::Rtmp { host, port, application, stream })
        }
        _ => refuse(
            "stream",
            format!("{} is no application and stream", quoted(path)),
            "write rtmp://host/application/stream",
        ),
    }
}

/// What stands before the port.
enum Authority<'a> {
    Bare(&'a str),
    Bracketed(&'a str),
}

fn split_port<'a>(
    part: &'static str,
    place: &'a str,
) -> Result<(Authority<'a>, Option<&'a str>), MediaUrlError> {
    if let Some(rest) = place.strip_prefix('[') {
        let Some((address, rest)) = rest.split_once(']') else {
            return refuse(part, "has a [ without its ]", "write IPv6 addresses as in [ff3e::1]");
        };
        return match (rest, rest.strip_prefix(':')) {
            ("", _) => Ok((Authority::Bracketed(address), None)),
            (_, Some(port)) => Ok((Authority::Bracketed(address), Some(port))),
            _ => refuse(
                part,
                format!("{} follows the ]", quoted(rest)),
                "write the port behind a colon, as in [ff3e::1]:1234",
            ),
        };
    }
    match place.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(not_in_brackets(part)),
        Some((host, port)) => Ok((Authority::Bare(host), Some(port))),
        None => Ok((Authority::Bare(place), None)),
    }
}

fn host_and_port(authority: &str) -> Result<(Host, Option<u16>), MediaUrlError> {
    if authority.contains('@') {
        let what = "has a user name in front";
        return refuse("host", what, "leave it out: passwords are not supported in URLs");
    }
    let (host, port) = split_port("host", authority)?;
    let port = port.map(port_number).transpose()?;
    let host = match host {
        Authority::Bracketed(text) => Host::Address(IpAddr::V6(ipv6("host", text)?)),
        Authority::Bare("") => return refuse("host", "is missing", "write a name or an address"),
        Authority::Bare(text) => match text.parse::<Ipv4Addr>() {
            Ok(address) => Host::Address(IpAddr::V4(address)),
            Err(_) if is_host_name(text) => Host::Name(text.to_owned()),
            Err(_) => {
                return refuse(
                    "host",
                    format!("{} is no name of a host", quoted(text)),
                    "write letters, digits, dots, hyphens and underscores",
                );
            }
        },
    };
    Ok((host, port))
}

fn is_host_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    // A last label of digits only is a mistyped address.
    let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    text.len() <= HOST_BYTES_MAX
        && text.chars().all(allowed)
        && !last.is_empty()
        && !last.chars().all(|c| c.is_ascii_digit())
}

fn ipv6(part: &'static str, text: &str) -> Result<Ipv6Addr, MediaUrlError> {
    if text.contains('%') {
        let what = "names its interface behind a %";
        return refuse(part, what, "write the interface in front, as in eth1@[ff02::1]");
    }
    match text.parse() {
        Ok(address) => Ok(address),
        Err(_) => refuse(
            part,
            format!("{} is no IPv6 address", quoted(text)),
            "write one in the brackets, as in [ff3e::1]",
        ),
    }
}

fn not_in_brackets(part: &'static str) -> MediaUrlError {
    let what = "has more than one colon".to_owned();
    wrong(part, what, "write IPv6 addresses in brackets, as in [ff3e::1]:1234".to_owned())
}

fn port_number(text: &str) -> Result<u16, MediaUrlError> {
    let port = decimal(text).and_then(|port| u16::try_from(port).ok()).filter(|&port| port > 0);
    port.map_or_else(|| refuse("port", format!("{} is none", quoted(text)), "write 1 to 65535"), Ok)
}

/// Senders of another address family than the group's are never heard, and can send nothing.
fn check_sources(
    endpoint: &Endpoint,
    options: &UrlOptions,
    side: Side,
) -> Result<(), MediaUrlError> {
    let (Endpoint::Udp(place) | Endpoint::Rtp(place)) = endpoint else {
        return Ok(());
    };
    let ip = place.address.ip();
    if let Some(source) = options.sources.iter().find(|source| source.is_ipv4() != ip.is_ipv4()) {
        let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        let what = format!("{source} is of another family than {ip}");
        return refuse("#src", what, format!("write an {family} address"));
    }
    if side != Side::Output && !options.sources.is_empty() && !ip.is_multicast() {
        let what = format!("{ip} is no multicast group");
        return refuse("#src", what, "leave src out, or write a group");
    }
    if options.renew_s.is_some() && !ip.is_multicast() {
        let what = format!("{ip} is no multicast group");
        return refuse("#renew", what, "leave renew out, or write a group");
    }
    Ok(())
}

const SCHEMES: &str = "udp://, rtp://, tcp://, http://, rtmp://";
/// What VLC, ffmpeg's examples and most set-top boxes use.
const DATAGRAM_PORT: u16 = 1234;
const RTMP_PORT: u16 = 1935;
/// Longer ones are mistakes, and drown a message.
const URL_BYTES_MAX: usize = 2_048;
/// IFNAMSIZ without its zero byte.
const INTERFACE_BYTES_MAX: usize = 15;
/// RFC 1035 2.3.4.
const HOST_BYTES_MAX: usize = 253;
