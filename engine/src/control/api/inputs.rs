//! The inputs of a stream in `/api/v1/streams`.

use std::net::SocketAddr;

use corelay_codecs::container::mpegts::analysis;
use serde::Serialize;

use super::sources::Source;
use crate::channel::input::{InputSnapshot, SocketSnapshot};
use crate::channel::select::Health;
use crate::clock::Micros;
use crate::probe::{RtpReport, StreamLook, StreamReport};

/// One input.
#[derive(Debug, Serialize)]
pub(super) struct Input<'a> {
    /// From 1, as in the log and in metrics.
    number: usize,
    url: &'a str,
    /// `closed`, `connecting`, `lost`, `silent` or `receiving`.
    state: &'static str,
    /// Why it is lost.
    why: Option<&'a str>,
    on_air: bool,
    /// Of an input that we connect to.
    link: Option<Connection>,
    /// Of UDP and RTP.
    socket: Option<Socket<'a>>,
    /// Of RTP, if there ever was any.
    rtp: Option<Rtp>,
    health: Condition,
    summary: Summary,
    /// What `corelay probe --json` has as `stream`; null in lists, and before there were packets.
    transport: Option<StreamReport>,
}

/// The connection of an input.
#[derive(Debug, Serialize)]
struct Connection {
    connected: bool,
    /// Times that it was there.
    connections: u64,
}

#[derive(Debug, Serialize)]
struct Socket<'a> {
    /// Where there is a particular one.
    interface: Option<&'a str>,
    /// Group or address, and port, while it is open.
    local: Option<SocketAddr>,
    /// Times that it was opened.
    openings: u64,
    receive_buffer_bytes: usize,
    datagrams: u64,
    bytes: u64,
    /// Datagrams that this machine dropped, for want of room in the receive buffer.
    kernel_drops: u64,
    /// Datagrams of packets alone.
    raw: u64,
    /// Datagrams with an RTP header.
    rtp: u64,
    /// Datagrams without packets.
    foreign: u64,
    /// Datagrams with packets of 204 bytes.
    with_parity: u64,
}

/// What a probe says of RTP, and what became of it.
#[derive(Debug, Serialize)]
struct Rtp {
    #[serde(flatten)]
    flow: RtpReport,
    /// Came after a later one, and were put in their place.
    recovered: u64,
    /// Came when they were waited for no longer, and were left out.
    too_late: u64,
}

/// What the choice between inputs is made by.
#[derive(Debug, PartialEq, Serialize)]
struct Condition {
    /// Milliseconds without a packet, to a quarter of a second; null for connections, before the
    /// first packet, and while it is closed.
    quiet_ms: Option<u64>,
    in_sync: bool,
    /// How old the newest PAT was when the newest packet came, in milliseconds.
    pat_age_ms: Option<u64>,
    /// The same of the program's PMT.
    pmt_age_ms: Option<u64>,
    /// The same of the video or audio PID that is missing longest.
    tracks_age_ms: Option<u64>,
    /// Of the last second.
    continuity_errors: u64,
    /// Pictures or sound were, in the last second.
    scrambled: bool,
    /// Of the last whole second.
    kbps: Option<u64>,
}

/// A transport stream in a few numbers.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// Of the last second.
    kbps: u64,
    continuity_errors: u64,
    /// Names of the indicators of TR 101 290 whose alarm is raised.
    alarms: Vec<&'static str>,
}

impl<'a> Input<'a> {
    /// `is_full`: with everything that is measured.
    pub(super) fn of(source: &Source<'a>, is_full: bool) -> Self {
        let input = source.input;
        Self {
            number: source.number,
            url: &input.url,
            state: source.state(),
            why: source.why(),
            on_air: source.is_on_air,
            link: source.link.map(|link| Connection {
                connected: link.is_connected,
                connections: link.connections,
            }),
            socket: input.socket.as_ref().map(Socket::of),
            rtp: input.rtp.map(|rtp| Rtp {
                flow: RtpReport::of(&rtp.flow),
                recovered: rtp.recovered,
                too_late: rtp.too_late,
            }),
            health: Condition::of(&input.health, source.quiet_ms()),
            summary: Summary::of(&input.analysis, source.kbps()),
            transport: is_full.then(|| transport(input, source.is_by_arrival())).flatten(),
        }
    }
}

impl<'a> Socket<'a> {
    fn of(socket: &'a SocketSnapshot) -> Self {
        let SocketSnapshot { counters, datagrams, .. } = socket;
        Self {
            interface: socket.interface.as_deref(),
            local: socket.local,
            openings: socket.openings,
            receive_buffer_bytes: socket.receive_buffer_bytes,
            datagrams: counters.datagrams,
            bytes: counters.bytes,
            kernel_drops: counters.kernel_drops,
            raw: datagrams.raw,
            rtp: datagrams.rtp,
            foreign: datagrams.foreign,
            with_parity: datagrams.with_parity,
        }
    }
}

impl Condition {
    fn of(health: &Health, quiet_ms: Option<u64>) -> Self {
        let age = |at: Option<Micros>| Some(health.last_packet?.millis_since(at?));
        Self {
            quiet_ms,
            in_sync: health.is_in_sync,
            pat_age_ms: age(health.last_pat),
            pmt_age_ms: age(health.last_pmt),
            tracks_age_ms: age(health.last_tracks),
            continuity_errors: health.continuity_errors,
            scrambled: health.is_scrambled,
            kbps: health.bitrate_kbps,
        }
    }
}

impl Summary {
    /// What was measured at so many kbit/s.
    pub(super) fn of(analysis: &analysis::Snapshot, kbps: u64) -> Self {
        let raised = analysis.alarms.iter().filter(|alarm| alarm.is_raised);
        Self {
            kbps,
            continuity_errors: analysis.totals.counter_errors,
            alarms: raised.map(|alarm| alarm.indicator.name()).collect(),
        }
    }
}

fn transport(input: &InputSnapshot, is_by_arrival: bool) -> Option<StreamReport> {
    if input.analysis.totals.packets == 0 {
        return None;
    }
    let look = StreamLook {
        snapshot: &input.analysis,
        pat: input.pat.as_ref(),
        programs: input.programs.iter().collect(),
        services: &input.services,
        is_by_arrival,
    };
    Some(look.report_of_window())
}
