//! The group that a relay is asked for: `/udp/[SOURCE@]GROUP[:PORT]`, as udpxy has it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::event::Scheme;

/// What a path below `/udp/` or `/rtp/` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RelayTarget {
    pub(super) scheme: Scheme,
    pub(super) address: SocketAddr,
    pub(super) sources: Vec<IpAddr>,
    pub(super) query: String,
}

/// Reads `[SOURCE[,SOURCE...]@]GROUP[:PORT]`. A group of IPv6 stands in brackets, a source may. The
/// error says what is wrong with it.
pub(super) fn parse_place(place: &str) -> Result<(SocketAddr, Vec<IpAddr>), &'static str> {
    let (sources, group) = match place.split_once('@') {
        Some((sources, group)) => (Some(sources), group),
        None => (None, place),
    };
    let address = parse_group(group)?;
    let sources = sources.map_or(Ok(Vec::new()), |sources| parse_sources(sources, address.ip()))?;
    Ok((address, sources))
}

fn parse_group(group: &str) -> Result<SocketAddr, &'static str> {
    const NO_ADDRESS: &str = "the group is no address";
    let (ip, port) = match group.strip_prefix('[') {
        Some(rest) => {
            let (ip, port) = rest.split_once(']').ok_or("the group has a [ without its ]")?;
            (ip.parse::<Ipv6Addr>().map(IpAddr::V6), port)
        }
        None => {
            let colon = group.find(':').unwrap_or(group.len());
            let (ip, port) = group.split_at(colon);
            (ip.parse::<Ipv4Addr>().map(IpAddr::V4), port)
        }
    };
    let ip = ip.map_err(|_| NO_ADDRESS)?;
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => PORT,
        None => return Err("something other than a port follows the group"),
        Some(digits) => parse_port(digits).ok_or("the port is none of 1 to 65535")?,
    };
    Ok(SocketAddr::new(ip, port))
}

/// Digits only: no sign, no space.
fn parse_port(digits: &str) -> Option<u16> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| *port > 0 && is_number)
}

fn parse_sources(text: &str, group: IpAddr) -> Result<Vec<IpAddr>, &'static str> {
    if !group.is_multicast() {
        return Err("a source stands in front of an address that is no multicast group");
    }
    let source = |text: &str| {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        let source: IpAddr = bare.parse().map_err(|_| "the source is no address")?;
        if source.is_multicast() || source.is_unspecified() {
            return Err("the source is no address of a sender");
        }
        if source.is_ipv4() != group.is_ipv4() {
            return Err("source and group are of two address families");
        }
        Ok(source)
    };
    if text.split(',').count() > SOURCES_MAX {
        return Err("there are more than 8 sources");
    }
    text.split(',').map(source).collect()
}

/// What udpxy's users, VLC and set-top boxes take for granted.
const PORT: u16 = 1234;
/// As many as a socket takes for one group by default (net.ipv4.igmp_max_msf is 10).
const SOURCES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_group_with_or_without_sources_and_a_port() {
        for (place, address, sources) in [
            ("239.1.1.1:5000", "239.1.1.1:5000", ""),
            ("239.1.1.1", "239.1.1.1:1234", ""),
            ("127.0.0.1:1", "127.0.0.1:1", ""),
            ("[ff3e::1]", "[ff3e::1]:1234", ""),
            ("[ff3e::1]:65535", "[ff3e::1]:65535", ""),
            ("10.0.0.5@232.1.1.1:7", "232.1.1.1:7", "10.0.0.5"),
            ("10.0.0.5,10.0.0.6@232.1.1.1", "232.1.1.1:1234", "10.0.0.5 10.0.0.6"),
            ("fd00::5@[ff3e::1]", "[ff3e::1]:1234", "fd00::5"),
            ("[fd00::5],fd00::6@[ff3e::1]:7", "[ff3e::1]:7", "fd00::5 fd00::6"),
        ] {
            let sources: Vec<IpAddr> =
                sources.split_whitespace().map(|source| source.parse().unwrap()).collect();
            assert_eq!(parse_place(place), Ok((address.parse().unwrap(), sources)), "{place}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_the_reason() {
        let many = format!("{}@232.1.1.1", ["10.0.0.5"; 9].join(","));
        for (place, what) in [
            ("", "the group is no address"),
            (":1234", "the group is no address"),
            ("news.ts", "the group is no address"),
            ("239.1.1.256:1234", "the group is no address"),
            ("ff3e::1", "the group is no address"),
            ("[239.1.1.1]:1234", "the group is no address"),
            ("[ff02::1%eth0]:1234", "the group is no address"),
            ("[ff3e::1:1234", "the group has a [ without its ]"),
            ("[ff3e::1]1234", "something other than a port follows the group"),
            ("239.1.1.1:", "the port is none of 1 to 65535"),
            ("239.1.1.1:0", "the port is none of 1 to 65535"),
            ("239.1.1.1:65536", "the port is none of 1 to 65535"),
            ("239.1.1.1:+80", "the port is none of 1 to 65535"),
            ("239.1.1.1:12:34", "the port is none of 1 to 65535"),
            ("@239.1.1.1", "the source is no address"),
            ("eth1@239.1.1.1", "the source is no address"),
            ("10.0.0.5,@239.1.1.1", "the source is no address"),
            ("10.0.0.5@10.0.0.6@239.1.1.1", "the group is no address"),
            ("239.1.1.2@239.1.1.1", "the source is no address of a sender"),
            ("0.0.0.0@239.1.1.1", "the source is no address of a sender"),
            ("fd00::5@239.1.1.1", "source and group are of two address families"),
            (
                "10.0.0.5@10.0.0.6",
                "a source stands in front of an address that is no multicast group",
            ),
            (many.as_str(), "there are more than 8 sources"),
        ] {
            assert_eq!(parse_place(place), Err(what), "{place}");
        }
    }
}
