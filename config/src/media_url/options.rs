//! The fragment of a media URL: `#key=value&key=value`.

use std::fmt;
use std::net::IpAddr;

use super::parse::wrong;
use super::{MediaUrlError, Side};
use crate::document::quoted;
use crate::section::nearest;

/// What the fragment of a URL says; `None` and empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UrlOptions {
    /// `src=IP[,IP...]`: the source address of the datagrams. Of an input: the only senders that are
    /// heard (source-specific multicast), at most 8. Of an output: the address to send from, one.
    pub sources: Vec<IpAddr>,
    /// `renew=S`: the group is joined anew every so many seconds, 1 to 86,400.
    pub renew_s: Option<u32>,
    /// `rcvbuf=BYTES`: receive buffer of the socket, 4 KiB to 1 GiB.
    pub receive_buffer_bytes: Option<usize>,
    /// `pnr=N`: the program, 1 to 65,535.
    pub program_number: Option<u16>,
    /// `pid=N[,N...]`: the PIDs, 0 to 8,191, at most 64, decimal or 0x hexadecimal. Not for a probe.
    pub pids: Vec<u16>,
    /// `ttl=N`: time to live or hop limit of the datagrams, 0 to 255.
    pub ttl: Option<u8>,
    /// `dscp=N`: traffic class of the datagrams, 0 to 63; also by name (`ef`, `af41`, `cs5`).
    pub dscp: Option<u8>,
    /// `loop=0` or `1`: whether this machine hears the group too.
    pub multicast_loop: Option<bool>,
    /// `sndbuf=BYTES`: send buffer of the socket, 4 KiB to 1 GiB.
    pub send_buffer_bytes: Option<usize>,
    /// `pace=forward` or `paced`: how datagrams leave.
    pub pace: Option<Pace>,
    /// `depth=MS`: depth of the jitter buffer of a paced output, 10 to 10,000 milliseconds.
    pub depth_ms: Option<u32>,
}

/// How the packets of an output leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As they arrive.
    Forward,
    /// When their position between clock references says.
    Paced,
}

impl UrlOptions {
    /// Reads what follows the `#`.
    pub(super) fn parse(fragment: &str, scheme: &str, side: Side) -> Result<Self, MediaUrlError> {
        let mut options = Self::default();
        let mut seen: Vec<&'static str> = Vec::new();
        for pair in fragment.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let key = find(name, scheme, side)?;
            if seen.contains(&key.name) {
                let what = "stands here a second time".to_owned();
                return Err(wrong(key.part, what, "write it once".to_owned()));
            }
            seen.push(key.name);
            (key.set)(&mut options, value, side).map_err(|remedy| {
                let what = match value {
                    "" => "has no value".to_owned(),
                    value => format!("{} is not a value of it", quoted(value)),
                };
                wrong(key.part, what, remedy)
            })?;
        }
        Ok(options)
    }
}

/// A key: where it may stand, and how its value is read. The error of `set` is the remedy.
struct Key {
    name: &'static str,
    /// The name with its `#`, for messages.
    part: &'static str,
    schemes: &'static [&'static str],
    sides: &'static [Side],
    set: fn(&mut UrlOptions, &str, Side) -> Result<(), String>,
}

const DATAGRAMS: &[&str] = &["udp", "rtp"];
const STREAMS: &[&str] = &["udp", "rtp", "tcp", "http"];

const fn key(
    part: &'static str,
    schemes: &'static [&'static str],
    sides: &'static [Side],
    set: fn(&mut UrlOptions, &str, Side) -> Result<(), String>,
) -> Key {
    let (_, name) = part.split_at(1);
    Key { name, part, schemes, sides, set }
}

const INPUT: &[Side] = &[Side::Input, Side::Probe];
/// A probe without the tables of what it looks at would call every stream broken.
const CHANNEL_INPUT: &[Side] = &[Side::Input];
const OUTPUT: &[Side] = &[Side::Output];
const BOTH: &[Side] = &[Side::Input, Side::Output, Side::Probe];

const KEYS: [Key; 11] = [
    key("#src", DATAGRAMS, BOTH, |options, value, side| {
        options.sources = sources(value, side)?;
        Ok(())
    }),
    key("#renew", DATAGRAMS, INPUT, |options, value, _| {
        options.renew_s = Some(number(value, 1, 86_400, " seconds")?);
        Ok(())
    }),
    key("#rcvbuf", DATAGRAMS, INPUT, |options, value, _| {
        options.receive_buffer_bytes = Some(bytes(value)?);
        Ok(())
    }),
    key("#pnr", STREAMS, INPUT, |options, value, _| {
        options.program_number = Some(number(value, 1, 65_535, "")?);
        Ok(())
    }),
    key("#pid", STREAMS, CHANNEL_INPUT, |options, value, _| {
        options.pids = pids(value)?;
        Ok(())
    }),
    key("#ttl", DATAGRAMS, OUTPUT, |options, value, _| {
        options.ttl = Some(number(value, 0, 255, "")?);
        Ok(())
    }),
    key("#dscp", DATAGRAMS, OUTPUT, |options, value, _| {
        options.dscp = Some(dscp(value)?);
        Ok(())
    }),
    key("#loop", DATAGRAMS, OUTPUT, |options, value, _| {
        options.multicast_loop = Some(number::<u8>(value, 0, 1, "")? == 1);
        Ok(())
    }),
    key("#sndbuf", DATAGRAMS, OUTPUT, |options, value, _| {
        options.send_buffer_bytes = Some(bytes(value)?);
        Ok(())
    }),
    key("#pace", STREAMS, OUTPUT, |options, value, _| {
        let pace = PACES.iter().find(|(word, _)| *word == value);
        let (_, pace) = pace.ok_or("write forward or paced")?;
        options.pace = Some(*pace);
        Ok(())
    }),
    key("#depth", STREAMS, OUTPUT, |options, value, _| {
        options.depth_ms = Some(number(value, 10, 10_000, " milliseconds")?);
        Ok(())
    }),
];

const PACES: [(&str, Pace); 2] = [("forward", Pace::Forward), ("paced", Pace::Paced)];

fn find(name: &str, scheme: &str, side: Side) -> Result<&'static Key, MediaUrlError> {
    let fits = |key: &&Key| key.schemes.contains(&scheme) && key.sides.contains(&side);
    let names = || KEYS.iter().filter(fits).map(|key| key.name);
    let Some(key) = KEYS.iter().find(|key| key.name == name) else {
        let remedy = match nearest(name, names()) {
            Some(known) => format!("did you mean `{known}`?"),
            None => possible(names().collect()),
        };
        return Err(wrong("fragment", format!("{} is no key", quoted(name)), remedy));
    };
    if fits(&key) {
        return Ok(key);
    }
    let direction = match side {
        Side::Input => "inputs",
        Side::Output => "outputs",
        Side::Probe => "probes",
    };
    let what = if key.schemes.contains(&scheme) {
        format!("is not for {direction}")
    } else {
        format!("is not for {scheme}://")
    };
    Err(wrong(key.part, what, possible(names().collect())))
}

fn possible(names: Vec<&str>) -> String {
    match names.is_empty() {
        true => "there is no key to write here".to_owned(),
        false => format!("the keys here are {}", names.join(", ")),
    }
}

/// Reads a whole number within a range.
fn number<T: TryFrom<u64>>(text: &str, min: u64, max: u64, unit: &str) -> Result<T, String> {
    let number = decimal(text).filter(|number| (min..=max).contains(number));
    number
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| format!("write {min} to {max}{unit}"))
}

/// Digits only: no sign, no space.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

fn bytes(text: &str) -> Result<usize, String> {
    let bytes = decimal(text).or_else(|| crate::bytes::parse(text).ok());
    bytes
        .filter(|bytes| (4 << 10..=1 << 30).contains(bytes))
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| "write 4KiB to 1GiB, as in 8MiB".to_owned())
}

fn sources(text: &str, side: Side) -> Result<Vec<IpAddr>, String> {
    let count_max = if side == Side::Output { 1 } else { SOURCES_MAX };
    let address = |text: &str| text.trim_start_matches('[').trim_end_matches(']').parse().ok();
    let sources: Option<Vec<IpAddr>> = text.split(',').map(address).collect();
    let usable = |source: &IpAddr| !source.is_multicast() && !source.is_unspecified();
    sources.filter(|sources| sources.len() <= count_max && sources.iter().all(usable)).ok_or_else(
        || match side {
            Side::Output => "write the address to send from, as in 10.0.0.5".to_owned(),
            _ => format!(
                "write up to {SOURCES_MAX} sender addresses with commas between, as in 10.0.0.5"
            ),
        },
    )
}

fn pids(text: &str) -> Result<Vec<u16>, String> {
    let pid = |text: &str| {
        let value = match text.strip_prefix("0x") {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                u64::from_str_radix(digits, 16).ok()
            }
            Some(_) => None,
            None => decimal(text),
        };
        value.and_then(|value| u16::try_from(value).ok()).filter(|&pid| pid <= PID_MAX)
    };
    let pids: Option<Vec<u16>> = text.split(',').map(pid).collect();
    pids.filter(|pids| pids.len() <= PIDS_MAX).ok_or_else(|| {
        format!(
            "write up to {PIDS_MAX} PIDs of 0 to {PID_MAX} with commas between, as in 256,0x101"
        )
    })
}

/// A number, or a name of RFC 2474, 2597 or 3246.
fn dscp(text: &str) -> Result<u8, String> {
    let by_name = |name: &str| match name.as_bytes() {
        b"ef" => Some(46),
        [b'c', b's', class @ b'0'..=b'7'] => Some((class - b'0') * 8),
        [b'a', b'f', class @ b'1'..=b'4', drop @ b'1'..=b'3'] => {
            Some((class - b'0') * 8 + (drop - b'0') * 2)
        }
        _ => None,
    };
    match by_name(&text.to_ascii_lowercase()) {
        Some(dscp) => Ok(dscp),
        None => number(text, 0, 63, ", or a name as in ef, af41, cs5"),
    }
}

impl fmt::Display for UrlOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pace = self.pace.and_then(|pace| PACES.iter().find(|(_, one)| *one == pace));
        let values = [
            ("src", list(&self.sources)),
            ("renew", one(self.renew_s)),
            ("rcvbuf", one(self.receive_buffer_bytes)),
            ("pnr", one(self.program_number)),
            ("pid", list(&self.pids)),
            ("ttl", one(self.ttl)),
            ("dscp", one(self.dscp)),
            ("loop", one(self.multicast_loop.map(u8::from))),
            ("sndbuf", one(self.send_buffer_bytes)),
            ("pace", one(pace.map(|(word, _)| word))),
            ("depth", one(self.depth_ms)),
        ];
        let mut before = '#';
        for (key, value) in values {
            if let Some(value) = value {
                write!(f, "{before}{key}={value}")?;
                before = '&';
            }
        }
        Ok(())
    }
}

fn one<T: ToString>(value: Option<T>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn list<T: ToString>(values: &[T]) -> Option<String> {
    let words: Vec<String> = values.iter().map(ToString::to_string).collect();
    (!words.is_empty()).then(|| words.join(","))
}

/// The kernel takes ten sources for a group and socket (net.ipv4.igmp_max_msf).
const SOURCES_MAX: usize = 8;
const PIDS_MAX: usize = 64;
const PID_MAX: u16 = 0x1FFF;
