//! The outputs and connections of a channel in `/api/v1/streams`.

use std::net::SocketAddr;

use corelay_codecs::container::mpegts::{analysis, pace};
use corelay_config::Pace;
use serde::Serialize;

use super::inputs::Summary;
use crate::channel::LinkSnapshot;
use crate::channel::output::OutputSnapshot;
use crate::probe::{StreamLook, StreamReport};

/// One output of datagrams.
#[derive(Debug, Serialize)]
pub(super) struct Output<'a> {
    /// From 1, as in metrics.
    number: usize,
    url: &'a str,
    /// `forward` or `paced`.
    mode: &'static str,
    /// `closed`, `lost` or `open`.
    state: &'static str,
    /// Why it is lost.
    why: Option<&'a str>,
    /// Where datagrams are sent from, while it is open.
    local: Option<SocketAddr>,
    /// Times that it was opened.
    openings: u64,
    /// Of RTP, in hexadecimal.
    ssrc: Option<String>,
    datagrams: u64,
    bytes: u64,
    dropped: Dropped,
    /// Times that the receiver's machine said that nobody listens there.
    refused: u64,
    /// Of a paced output.
    pacing: Option<Pacing>,
    /// Null where packets are not measured.
    summary: Option<Summary>,
    /// As in inputs; only what is known without tables.
    transport: Option<StreamReport>,
}

/// Datagrams that were not sent.
#[derive(Debug, Serialize)]
struct Dropped {
    /// The send buffer was full.
    full: u64,
    /// The interface's queue was full.
    no_buffers: u64,
    /// There was nothing to send on.
    lost: u64,
}

/// A jitter buffer.
#[derive(Debug, Serialize)]
struct Pacing {
    /// Until the newest packet leaves.
    buffered_ms: f64,
    buffered_bytes: usize,
    /// Datagrams whose time was over when it became known.
    late: u64,
    /// Times that packets came too late.
    underruns: u64,
    /// Times that the buffer was too full, and what was dropped for that.
    overruns: u64,
    overrun_bytes: u64,
    /// Times that the clock was set anew.
    reanchors: u64,
    /// Times that there was no PCR for half a second, and whether there is none now.
    free_runs: u64,
    free_running: bool,
    /// How much time is stretched to follow the sender's clock, in parts per million.
    stretch_ppm: f64,
}

/// A connection that we make: an input's, or one that is sent the stream.
#[derive(Debug, Serialize)]
pub(super) struct Link<'a> {
    /// From 1, as in metrics.
    number: usize,
    url: &'a str,
    /// `in` or `out`.
    direction: &'static str,
    connected: bool,
    /// Times that it was there.
    connections: u64,
    /// Why it is not, once it was lost or could not be had.
    why: Option<&'a str>,
}

impl<'a> Output<'a> {
    /// `is_full`: with everything that is measured.
    pub(super) fn of(number: usize, output: &'a OutputSnapshot, is_full: bool) -> Self {
        let OutputSnapshot { counters, drops, .. } = output;
        let analysis = output.analysis.as_ref();
        Self {
            number,
            url: &output.url,
            mode: match output.pace {
                Pace::Forward => "forward",
                Pace::Paced => "paced",
            },
            state: output.state.label(),
            why: output.why.as_deref(),
            local: output.local,
            openings: output.openings,
            ssrc: output.ssrc.map(|ssrc| format!("0x{ssrc:08x}")),
            datagrams: counters.datagrams,
            bytes: counters.bytes,
            dropped: Dropped { full: drops.full, no_buffers: drops.no_buffers, lost: drops.lost },
            refused: counters.refused,
            pacing: output.pacer.as_ref().map(Pacing::of),
            summary: analysis.map(|one| Summary::of(one, one.bitrate_bps / 1_000)),
            transport: analysis.filter(|_| is_full).and_then(transport),
        }
    }
}

impl Pacing {
    fn of(pacer: &pace::Counters) -> Self {
        Self {
            buffered_ms: pacer.buffered_us as f64 / 1e3,
            buffered_bytes: pacer.buffered_bytes,
            late: pacer.late,
            underruns: pacer.underruns,
            overruns: pacer.overruns,
            overrun_bytes: pacer.overrun_bytes,
            reanchors: pacer.reanchors,
            free_runs: pacer.free_runs,
            free_running: pacer.is_free_running,
            stretch_ppm: pacer.stretch_ppb as f64 / 1e3,
        }
    }
}

impl<'a> Link<'a> {
    pub(super) fn of(number: usize, link: &'a LinkSnapshot) -> Self {
        Self {
            number,
            url: &link.url,
            direction: if link.is_input() { "in" } else { "out" },
            connected: link.is_connected,
            connections: link.connections,
            why: link.why.as_deref(),
        }
    }
}

fn transport(analysis: &analysis::Snapshot) -> Option<StreamReport> {
    let look = StreamLook {
        snapshot: analysis,
        pat: None,
        programs: Vec::new(),
        services: &[],
        is_by_arrival: true,
    };
    (analysis.totals.packets > 0).then(|| look.report_of_window())
}
