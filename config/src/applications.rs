//! `[applications]`: which application names are served, and by which policy.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bytes;
use crate::document::{At, Layer, Node, quoted};
use crate::section::{Section, Value};

/// The applications: `rtmp://host/APPLICATION/stream`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Applications {
    /// Whether only the applications in `named` are served.
    pub strict: bool,
    /// The policy of every application that is not in `named`.
    pub default: Policy,
    /// The applications with a policy of their own, complete: what their table leaves out has been
    /// taken from `default`.
    pub named: BTreeMap<String, Policy>,
}

/// How the streams of an application are published, kept and played.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Policy {
    /// Whether anybody may publish.
    pub publish: bool,
    /// Whether anybody may play.
    pub play: bool,
    /// Who wins when a second publisher comes for a stream.
    pub takeover: Takeover,
    /// How long viewers are kept after the publisher left. Milliseconds, 0 (not at all) to
    /// 3600000.
    pub publisher_grace_ms: u64,
    /// A publisher that sends nothing for this long is closed. Milliseconds, 100 to 3600000.
    pub publisher_idle_timeout_ms: u64,
    /// How long an RTMP player waits for a stream that nobody publishes. Milliseconds, 0 (refused
    /// at once) to 86400000.
    pub play_wait_ms: u64,
    /// How long a core goes on receiving a stream after its last viewer there left. Milliseconds,
    /// 0 to 3600000.
    pub linger_ms: u64,
    /// Where a new viewer starts.
    pub start: Start,
    /// Length of one egress log. Milliseconds of stream time, 100 to 600000.
    pub log_ms_max: u64,
    /// Size of one egress log. Bytes, 256 KiB to 4 GiB, at least `rtmp.message_bytes_max`.
    #[serde(serialize_with = "bytes::serialize")]
    pub log_bytes_max: usize,
    /// A viewer further behind the live edge skips forward. Milliseconds of stream time, 100 to
    /// 600000, at most `log_ms_max`.
    pub behind_ms_max: u64,
    /// A viewer further behind the live edge skips forward. Bytes, 64 KiB to 4 GiB, at most
    /// `log_bytes_max`.
    #[serde(serialize_with = "bytes::serialize")]
    pub behind_bytes_max: usize,
    /// Skips within `skips_window_ms` that a viewer survives. 0 (the first one closes it) to
    /// 10000.
    pub skips_max: u32,
    /// The window in which skips are counted. Milliseconds, 1000 to 3600000.
    pub skips_window_ms: u64,
    /// A step of the publisher's timestamps beyond this is a discontinuity. Milliseconds, 100 to
    /// 3600000.
    pub jump_ms: u64,
    /// Metadata of one stream, as it is kept for late joiners. Bytes, 1 KiB to 4 MiB, at most
    /// `rtmp.message_bytes_max`.
    #[serde(serialize_with = "bytes::serialize")]
    pub metadata_bytes_max: usize,
    /// Tracks of one stream. 1 to 255.
    pub tracks_max: usize,
    /// How long media may wait to be sent together.
    pub flush: Flush,
}

/// The bounds of the adaptive flush interval: `min_ms` when the core is idle, growing toward
/// `max_ms` as it gets busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Flush {
    /// Milliseconds, 0 (every unit by itself) to 1000, at most `max_ms`.
    pub min_ms: u64,
    /// Milliseconds, 0 to 1000, less than `behind_ms_max`.
    pub max_ms: u64,
}

/// Who wins when a second publisher comes for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Takeover {
    /// The new one; the old one is closed and the viewers stay.
    NewestWins,
    /// The old one; the new one is refused.
    FirstWins,
}

/// Where a new viewer starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At the newest random-access point in the log: a picture at once.
    RandomAccess,
    /// At the live edge: the lowest latency, a picture with the next random-access point.
    LiveEdge,
}

impl Applications {
    pub(crate) fn read(section: &mut Section<'_>) -> Applications {
        Applications {
            strict: section.boolean("strict"),
            default: section.section("default", Policy::read),
            named: section.section("named", read_named),
        }
    }
}

fn read_named(section: &mut Section<'_>) -> BTreeMap<String, Policy> {
    let read = |(name, at, value): (&str, At, Value<'_>)| {
        if let Err(what) = check_name(name) {
            let remedy = "use 1 to 128 letters, digits, `-`, `_`, `.` or `~`, the first not a `.`";
            value.reject_at(at, format!("the application name {} {what}", quoted(name)), remedy);
        }
        (name.to_owned(), value.section(Policy::read))
    };
    section.entries().into_iter().map(read).collect()
}

/// An application is one segment of a URL path, so its name is made of the characters that need
/// no escaping there (RFC 3986 2.3).
fn check_name(name: &str) -> Result<(), String> {
    const NAME_BYTES_MAX: usize = 128;
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
    match name.chars().find(|c| !allowed(c)) {
        Some(c) => Err(format!("holds the character {c:?}")),
        None if name.is_empty() => Err("is empty".to_owned()),
        None if name.starts_with('.') => Err("starts with a dot".to_owned()),
        None if name.len() > NAME_BYTES_MAX => Err("is too long".to_owned()),
        None => Ok(()),
    }
}

/// Completes the table of each named application from the default policy, before it is read.
pub(crate) fn inherit_default(root: &mut Node) {
    let applications = root.table_mut().and_then(|root| root.get_mut("applications"));
    let Some(applications) = applications.and_then(|entry| entry.value.table_mut()) else { return };
    let Some(default) = applications.get("default").map(|entry| entry.value.clone()) else {
        return;
    };
    let named = applications.get_mut("named").and_then(|entry| entry.value.table_mut());
    for entry in named.into_iter().flat_map(|named| named.values_mut()) {
        entry.value.raise(Layer::Named);
        let own = std::mem::replace(&mut entry.value, default.clone());
        entry.value.overlay(own);
    }
}

impl Policy {
    pub(crate) fn read(section: &mut Section<'_>) -> Policy {
        const TAKEOVER: [(&str, Takeover); 2] =
            [("newest_wins", Takeover::NewestWins), ("first_wins", Takeover::FirstWins)];
        const START: [(&str, Start); 2] =
            [("random_access", Start::RandomAccess), ("live_edge", Start::LiveEdge)];
        Policy {
            publish: section.boolean("publish"),
            play: section.boolean("play"),
            takeover: section.choice("takeover", TAKEOVER),
            publisher_grace_ms: section.integer("publisher_grace_ms", 0..=3_600_000),
            publisher_idle_timeout_ms: section
                .integer("publisher_idle_timeout_ms", 100..=3_600_000),
            play_wait_ms: section.integer("play_wait_ms", 0..=86_400_000),
            linger_ms: section.integer("linger_ms", 0..=3_600_000),
            start: section.choice("start", START),
            log_ms_max: section.integer("log_ms_max", 100..=600_000),
            log_bytes_max: section.bytes("log_bytes_max", 256 << 10..=4 << 30),
            behind_ms_max: section.integer("behind_ms_max", 100..=600_000),
            behind_bytes_max: section.bytes("behind_bytes_max", 64 << 10..=4 << 30),
            skips_max: section.integer("skips_max", 0..=10_000),
            skips_window_ms: section.integer("skips_window_ms", 1_000..=3_600_000),
            jump_ms: section.integer("jump_ms", 100..=3_600_000),
            metadata_bytes_max: section.bytes("metadata_bytes_max", 1 << 10..=4 << 20),
            tracks_max: section.integer("tracks_max", 1..=255),
            flush: section.section("flush", Flush::read),
        }
    }
}

impl Flush {
    fn read(section: &mut Section<'_>) -> Flush {
        Flush {
            min_ms: section.integer("min_ms", 0..=1_000),
            max_ms: section.integer("max_ms", 0..=1_000),
        }
    }
}
