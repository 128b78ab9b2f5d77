//! `[iptv]`: what every channel does unless it says otherwise, and relays that are asked for by
//! URL.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Serialize, Serializer};

use crate::document::quoted;
use crate::listener::Listener;
use crate::media_url::Interface;
use crate::section::{Section, Value};

/// Settings of channels and of transport streams that are carried whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Iptv {
    /// What the inputs of a channel do that are not the one in use.
    pub standby: Standby,
    /// How long a channel or relay that is open on demand stays open after its last viewer.
    /// Milliseconds, 0 (closed at once) to 3600000.
    pub linger_ms: u64,
    /// How long packets are gathered before they are handed to viewers; outputs do not wait.
    /// Milliseconds, 0 (as they arrive) to 100.
    pub block_ms: u64,
    /// Depth of the jitter buffer of a paced output whose URL names none. Milliseconds, 10 to
    /// 10000.
    pub pace_depth_ms: u32,
    /// How often a group is joined anew whose URL does not say. Seconds, 0 (never) to 86400.
    pub rejoin_s: u32,
    /// The shortest wait before a connection to a peer, or a failed socket, is tried again; the
    /// first try comes at once. Milliseconds, 10 to 600000, at most `retry_max_ms`.
    pub retry_min_ms: u64,
    /// The longest such wait. Milliseconds, 10 to 3600000.
    pub retry_max_ms: u64,
    /// From the first attempt at an address of a peer to its connection. Milliseconds, 100 to
    /// 600000.
    pub connect_timeout_ms: u64,
    /// What an HTTP server may take for its answer, or an RTMP server for its consent, counted from
    /// the end of `connect_timeout_ms`. Milliseconds, 100 to 600000.
    pub answer_timeout_ms: u64,
    /// How long a connection that is pulled from may bring nothing. Milliseconds, 0 (for ever) to
    /// 600000.
    pub silence_timeout_ms: u64,
    /// When an input is left for another.
    pub failover: Failover,
    /// Relays by URL: `http://host/udp/group:port`.
    pub udpxy: Udpxy,
}

/// What makes an input unfit, and when another takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Failover {
    /// No packets for this long. Milliseconds, 100 to 60000.
    pub silence_ms: u64,
    /// No PAT or PMT for this long. Milliseconds, 0 (not looked at) to 60000.
    pub tables_ms: u64,
    /// More continuity errors than this in a second. 0 (not looked at) to 100000.
    pub continuity_errors_max: u32,
    /// Whether scrambled packets make an input unfit.
    pub scrambled: bool,
    /// No packet of a video or audio PID of the program for this long. Milliseconds, 0 (not looked
    /// at) to 60000.
    pub tracks_ms: u64,
    /// Less than this many kilobits (1000 bits) a second. 0 (not looked at) to 10000000.
    pub bitrate_min_kbps: u32,
    /// How long a switch waits for a random-access point of the new input. Milliseconds, 0 (no
    /// wait) to 10000.
    pub entry_wait_ms: u64,
    /// How long a preferred input must have been fit before it is switched back to. Milliseconds,
    /// 0 (never switched back to) to 3600000.
    pub return_ms: u64,
}

/// Relays that viewers ask for by URL (`/udp/group:port`, `/rtp/group:port`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Udpxy {
    /// Where they are served beside the listeners of `[http]`.
    pub listen: Vec<Listener>,
    /// What may be asked for beside the inputs of the configured channels.
    pub allow: Vec<Groups>,
    /// The interface that groups are joined on; `None` (`""` in the file): by the routing table.
    #[serde(serialize_with = "or_empty")]
    pub interface: Option<Interface>,
    /// Groups relayed at once, those of configured channels not counted. 0 (none) to 10000.
    pub channels_max: usize,
}

/// What the inputs of a channel do that are not the one in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standby {
    /// They are received and watched, so that a switch goes to one that is known to be fit.
    Warm,
    /// They are opened when they are needed.
    Cold,
}

/// A range of multicast groups: `239.0.0.0/8`, `ff3e::/32`, or one group, with or without a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// The first address: the bits beyond `prefix_bits` are 0.
    network: IpAddr,
    /// How many leading bits of an address count: 4 to 32 for IPv4, 8 to 128 for IPv6.
    prefix_bits: u8,
    port: Option<u16>,
}

impl Iptv {
    pub(crate) fn read(section: &mut Section<'_>) -> Iptv {
        Iptv {
            standby: Standby::read(section),
            linger_ms: read_linger_ms(section),
            block_ms: section.integer("block_ms", 0..=100),
            pace_depth_ms: section.integer("pace_depth_ms", 10..=10_000),
            rejoin_s: section.integer("rejoin_s", 0..=86_400),
            retry_min_ms: section.integer("retry_min_ms", 10..=600_000),
            retry_max_ms: section.integer("retry_max_ms", 10..=3_600_000),
            connect_timeout_ms: section.integer("connect_timeout_ms", 100..=600_000),
            answer_timeout_ms: section.integer("answer_timeout_ms", 100..=600_000),
            silence_timeout_ms: section.integer("silence_timeout_ms", 0..=600_000),
            failover: section.section("failover", Failover::read),
            udpxy: section.section("udpxy", Udpxy::read),
        }
    }
}

/// Reads `linger_ms`, which `[iptv]` and each channel have.
pub(crate) fn read_linger_ms(section: &mut Section<'_>) -> u64 {
    section.integer("linger_ms", 0..=3_600_000)
}

impl Standby {
    /// Reads `standby`, which `[iptv]` and each channel have.
    pub(crate) fn read(section: &mut Section<'_>) -> Standby {
        section.choice("standby", [("warm", Standby::Warm), ("cold", Standby::Cold)])
    }
}

impl Failover {
    pub(crate) fn read(section: &mut Section<'_>) -> Failover {
        Failover {
            silence_ms: section.integer("silence_ms", 100..=60_000),
            tables_ms: section.integer("tables_ms", 0..=60_000),
            continuity_errors_max: section.integer("continuity_errors_max", 0..=100_000),
            scrambled: section.boolean("scrambled"),
            tracks_ms: section.integer("tracks_ms", 0..=60_000),
            bitrate_min_kbps: section.integer("bitrate_min_kbps", 0..=10_000_000),
            entry_wait_ms: section.integer("entry_wait_ms", 0..=10_000),
            return_ms: section.integer("return_ms", 0..=3_600_000),
        }
    }
}

impl Udpxy {
    fn read(section: &mut Section<'_>) -> Udpxy {
        const ALLOW: &str = "write a list of groups, as in [\"239.0.0.0/8\"]";
        let allow = section.value("allow").and_then(|value| value.items(ALLOW));
        Udpxy {
            listen: Listener::read_list(section),
            allow: allow.into_iter().flatten().filter_map(|item| Groups::read(&item)).collect(),
            interface: interface(section),
            channels_max: section.integer("channels_max", 0..=10_000),
        }
    }

    /// Whether `group` may be asked for though no channel has it as its input.
    pub fn allows(&self, group: SocketAddr) -> bool {
        self.allow.iter().any(|groups| groups.contains(group))
    }
}

fn interface(section: &mut Section<'_>) -> Option<Interface> {
    const REMEDY: &str = "write the name of an interface, as in \"eth1\", one of its addresses, or \
                          \"\" to let the routing table decide";
    let value = section.value("interface")?;
    let text = value.text(REMEDY)?;
    Interface::parse(text).unwrap_or_else(|error| {
        value.reject(error.what, REMEDY);
        None
    })
}

fn or_empty<S: Serializer>(interface: &Option<Interface>, to: S) -> Result<S::Ok, S::Error> {
    match interface {
        Some(interface) => to.collect_str(interface),
        None => to.serialize_str(""),
    }
}

impl Groups {
    /// Whether `address` is one of these groups, at the port if one is named.
    pub fn contains(&self, address: SocketAddr) -> bool {
        self.port.is_none_or(|port| port == address.port())
            && masked(address.ip(), self.prefix_bits) == Some(self.network)
    }

    fn read(value: &Value<'_>) -> Option<Groups> {
        const REMEDY: &str = "write groups as in \"239.0.0.0/8\" or \"ff3e::/32\", or one as in \
                              \"239.1.1.1\", \"239.1.1.1:1234\" or \"[ff3e::1]:1234\"";
        let text = value.text(REMEDY)?;
        let groups = match Groups::parse(text) {
            Ok(groups) => groups,
            Err(what) => {
                value.reject(format!("{} {what}", quoted(text)), REMEDY);
                return None;
            }
        };
        match masked(groups.network, groups.prefix_bits) {
            Some(network) if network == groups.network => Some(groups),
            network => {
                let network = network.unwrap_or(groups.network);
                let what = format!("{} has bits beyond its prefix", quoted(text));
                value.reject(what, format!("write \"{network}/{}\"", groups.prefix_bits));
                None
            }
        }
    }

    /// The error completes the sentence that begins with the text.
    fn parse(text: &str) -> Result<Groups, &'static str> {
        let (network, prefix_bits, port) = if let Ok(address) = text.parse::<SocketAddr>() {
            (address.ip(), None, Some(address.port()))
        } else if let Some((network, bits)) = text.split_once('/') {
            (network.parse().map_err(|_| "is no range of addresses")?, Some(bits), None)
        } else {
            (text.parse().map_err(|_| "is no address")?, None, None)
        };
        if !network.is_multicast() {
            return Err("is no multicast group");
        }
        if port == Some(0) {
            return Err("has the port 0");
        }
        let (min, max) = if network.is_ipv4() { (4, 32) } else { (8, 128) };
        let is_number = |bits: &&str| bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = |bits: &str| Some(bits).filter(is_number)?.parse().ok();
        let prefix_bits = match prefix_bits {
            Some(text) => bits(text).filter(|bits| (min..=max).contains(bits)),
            None => Some(max),
        };
        let prefix_bits = prefix_bits.ok_or("has no prefix that leaves only groups")?;
        Ok(Groups { network, prefix_bits, port })
    }
}

/// The first `bits` bits of `address`, the others 0; `None` when it has fewer.
fn masked(address: IpAddr, bits: u8) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(address) => {
            let beyond = 32_u32.checked_sub(bits.into())?;
            let mask = u32::MAX.checked_shl(beyond).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let beyond = 128_u32.checked_sub(bits.into())?;
            let mask = u128::MAX.checked_shl(beyond).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    })
}

impl fmt::Display for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.network, port).fmt(f),
            None => write!(f, "{}/{}", self.network, self.prefix_bits),
        }
    }
}

impl Serialize for Groups {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(text: &str) -> Groups {
        Groups::parse(text).unwrap_or_else(|what| panic!("{text} {what}"))
    }

    #[test]
    fn a_range_has_its_first_and_last_group_and_not_those_beside_it() {
        for (range, inside, outside) in [
            (
                "239.0.0.0/8",
                ["239.0.0.0:1", "239.255.255.255:9"],
                ["238.255.255.255:1", "240.0.0.0:1"],
            ),
            (
                "224.0.0.0/4",
                ["224.0.0.0:1", "239.255.255.255:9"],
                ["223.255.255.255:1", "240.0.0.0:1"],
            ),
            ("239.1.1.1", ["239.1.1.1:1", "239.1.1.1:2"], ["239.1.1.0:1", "239.1.1.2:1"]),
            ("239.1.1.1:1234", ["239.1.1.1:1234"; 2], ["239.1.1.1:1235", "239.1.1.2:1234"]),
            ("ff3e::/32", ["[ff3e::1]:1", "[ff3e:0:ffff::]:1"], ["[ff3e:1::]:1", "239.1.1.1:1"]),
            ("ff00::/8", ["[ff00::]:1", "[ffff::1]:1"], ["[fe80::1]:1", "224.0.0.1:1"]),
            ("[ff3e::1]:1234", ["[ff3e::1]:1234"; 2], ["[ff3e::1]:1", "[ff3e::2]:1234"]),
        ] {
            let contains = |text: &str| groups(range).contains(text.parse().unwrap());
            assert!(inside.into_iter().all(contains), "{range}");
            assert!(!outside.into_iter().any(contains), "{range}");
            assert_eq!(groups(&groups(range).to_string()), groups(range), "{range}");
        }
    }

    #[test]
    fn what_is_no_range_of_groups_is_refused_with_the_reason() {
        for (text, what) in [
            ("", "is no address"),
            ("news", "is no address"),
            ("239.0.0.0/", "has no prefix that leaves only groups"),
            ("239.0.0.0/+8", "has no prefix that leaves only groups"),
            ("239.0.0.0/33", "has no prefix that leaves only groups"),
            ("224.0.0.0/3", "has no prefix that leaves only groups"),
            ("239.0.0.0/8:1234", "has no prefix that leaves only groups"),
            ("ff00::/7", "has no prefix that leaves only groups"),
            ("239/8", "is no range of addresses"),
            ("10.0.0.0/8", "is no multicast group"),
            ("0.0.0.0/0", "is no multicast group"),
            ("127.0.0.1:1234", "is no multicast group"),
            ("239.1.1.1:0", "has the port 0"),
        ] {
            assert_eq!(Groups::parse(text), Err(what), "{text}");
        }
    }
}
