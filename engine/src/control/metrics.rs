//! `/metrics`: OpenMetrics text for Prometheus, made anew for every scrape.
//!
//! Invariants
//! - Labels are bounded: core, form, direction, reason, kind, pool, indicator; application and name for
//!   streams that exist, up to a limit; a stream with the number of an input, output or link, up to
//!   a limit; never the address of a peer.
//! - A counter never goes back: a scrape in which a core did not answer has no latencies.

pub(super) mod latency;
#[cfg(test)]
mod tests;
mod tls;
mod transport;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::api::summaries::{VERSION, Whole};
use crate::hub::hls::HlsSnapshot;
use crate::hub::{Form, StreamKey};
use crate::stats::{Cell, CoreStats, Failure, SkipReason};

/// What the text is, for the reply's header.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text of one scrape.
///
/// # Errors
/// None in practice: text is written to memory.
pub(super) fn text(whole: Whole) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("corelay");
    registry.register_collector(Box::new(Scrape(whole)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Scrape(Whole);

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (whole, mut families) = (&self.0, Families(encoder));
        process(whole, &mut families)?;
        cores(whole, &mut families)?;
        drops(whole, &mut families)?;
        viewers(whole, &mut families)?;
        memory(whole, &mut families)?;
        latencies(whole, &mut families)?;
        streams(whole, &mut families)?;
        tls::tls(whole, &mut families)?;
        transport::transport(whole, &mut families)
    }
}

/// Writes families of samples.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        samples
            .into_iter()
            .try_for_each(|(labels, value)| family.encode_family(&labels)?.encode_gauge(&value))
    }

    /// The encoder adds `_total` to the name of each sample.
    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        samples.into_iter().try_for_each(|(labels, value)| {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
        })
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn counter(&mut self, name: &str, help: &str, value: impl EncodeCounterValue) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }
}

fn process(whole: &Whole, families: &mut Families<'_>) -> fmt::Result {
    families
        .0
        .encode_descriptor("build", "The program.", None, MetricType::Info)?
        .encode_info(&[("version", VERSION)])?;
    let uptime = whole.uptime_ms as f64 / 1e3;
    families.gauge("uptime_seconds", "Time since the server started.", uptime)?;
    let usage = &whole.usage;
    families.gauge("process_resident_memory_bytes", "Resident memory.", usage.resident_bytes)?;
    families.counter("process_cpu_seconds", "Processor time, all threads.", usage.cpu_seconds)?;
    let help = "Times that a core whose heartbeat stood still was rung.";
    families.counter("watchdog_rescues", help, whole.rescues)
}

fn cores(whole: &Whole, families: &mut Families<'_>) -> fmt::Result {
    let answers = |core: u16| u32::from(whole.shards.iter().any(|shard| shard.core == core));
    let up = each_core(whole).map(|(core, _)| ([("core", core)], answers(core)));
    families.gauges("core_up", "1 when the core answered this scrape within a second.", up)?;
    for (name, help, of) in GAUGES {
        let samples = each_core(whole).map(|(core, stats)| ([("core", core)], of(stats).load()));
        families.gauges(name, help, samples)?;
    }
    for (name, help, of, per_unit) in SCALED_GAUGES {
        let value = |stats| of(stats).load() as f64 / per_unit;
        let samples = each_core(whole).map(|(core, stats)| ([("core", core)], value(stats)));
        families.gauges(name, help, samples)?;
    }
    for (name, help, of) in COUNTERS {
        let samples = each_core(whole).map(|(core, stats)| ([("core", core)], of(stats).load()));
        families.counters(name, help, samples)?;
    }
    let bytes = each_core(whole).flat_map(|(core, stats)| {
        [("in", &stats.bytes_in), ("out", &stats.bytes_out)]
            .map(|(direction, cell)| (([("core", core)], [("direction", direction)]), cell.load()))
    });
    families.counters("bytes", "Bytes received from and sent to clients.", bytes)
}

fn drops(whole: &Whole, families: &mut Families<'_>) -> fmt::Result {
    let skips = each_core(whole).flat_map(|(core, stats)| {
        SkipReason::ALL.map(|reason| {
            let labels = ([("core", core)], [("reason", reason.label())]);
            (labels, stats.skips[reason as usize].load())
        })
    });
    families.counters("skips", "Skips of viewers that fell behind.", skips)?;
    let failures = each_core(whole).flat_map(|(core, stats)| {
        Failure::ALL.map(|reason| {
            let labels = ([("core", core)], [("reason", reason.label())]);
            (labels, stats.failures[reason as usize].load())
        })
    });
    families.counters("failures", "Connections ended for a fault, or refused.", failures)
}

fn viewers(whole: &Whole, families: &mut Families<'_>) -> fmt::Result {
    // Several egresses may have one form: with all tracks, and with one.
    let mut counts: BTreeMap<(u16, &str), u64> = BTreeMap::new();
    for shard in &whole.shards {
        for form in FORMS {
            counts.insert((shard.core, form.name()), 0);
        }
        for (form, count) in shard.viewers.iter().flat_map(|viewers| &viewers.by_form) {
            *counts.entry((shard.core, form)).or_default() += *count as u64;
        }
    }
    let mut sessions = HashSet::new();
    for shard in &whole.shards {
        for form in HLS_FORMS {
            counts.insert((shard.core, form), 0);
        }
        for hls in shard.viewers.iter().flat_map(|viewers| &viewers.hls) {
            // A session on several cores is one viewer.
            let new = hls.viewers.iter().filter(|viewer| sessions.insert(**viewer)).count();
            *counts.entry((shard.core, hls.form)).or_default() += new as u64;
        }
    }
    let samples = counts
        .into_iter()
        .map(|((core, form), count)| (([("core", core)], [("form", form)]), count));
    families.gauges("viewers", "Viewers, by the form in which they are fed.", samples)
}

fn memory(whole: &Whole, families: &mut Families<'_>) -> fmt::Result {
    let logs: u64 = whole.stats.iter().map(|core| core.log_bytes.load()).sum();
    let hls: u64 = whole.stats.iter().map(|core| core.hls_bytes.load()).sum();
    // The ceiling counts all; what is neither in logs nor in segments is in groups of pictures.
    let gop = whole.budget_used.saturating_sub(logs + hls);
    let pools = [("logs", logs), ("hls", hls), ("gop", gop)];
    let pools = pools.map(|(pool, bytes)| ([("pool", pool)], bytes));
    families.gauges("memory_bytes", "Memory that holds media, all cores.", pools)?;
    let help = "What all pools together may take (memory.logs_bytes_max).";
    families.gauge("memory_limit_bytes", help, whole.budget_max)
}

fn latencies(whole: &Whole, families: &mut Families<'_>) -> fmt::Result {
    if whole.shards.len() != whole.stats.len() {
        return Ok(());
    }
    let all = latency::merged(&whole.shards);
    let help = "From the last byte of a unit received to the end of the flush that sent it.";
    families
        .0
        .encode_descriptor("relay_latency_seconds", help, None, MetricType::Histogram)?
        .encode_histogram::<NoLabelSet>(
        latency::sum_seconds(&all),
        all.len(),
        &latency::buckets(&all),
        None,
    )
}

fn streams(whole: &Whole, families: &mut Families<'_>) -> fmt::Result {
    let mut viewers: HashMap<&StreamKey, u64> = HashMap::new();
    let mut sessions: HashSet<(&StreamKey, u64)> = HashSet::new();
    for here in whole.shards.iter().flat_map(|shard| &shard.viewers) {
        let count: usize = here.by_form.iter().map(|(_, count)| count).sum();
        let new = |hls: &HlsSnapshot| {
            hls.viewers.iter().filter(|viewer| sessions.insert((&here.key, **viewer))).count()
        };
        let by_hls: usize = here.hls.iter().map(new).sum();
        *viewers.entry(&here.key).or_default() += (count + by_hls) as u64;
    }
    let mut all: Vec<_> = whole.shards.iter().flat_map(|shard| &shard.streams).collect();
    // Names that viewers merely ask for must not push out streams that are there.
    all.sort_unstable_by_key(|stream| (stream.publisher.is_none(), &stream.key));
    let left_out = all.len().saturating_sub(STREAMS_MAX);
    all.truncate(STREAMS_MAX);
    let labels = |key: &StreamKey| [("app", key.app.to_string()), ("name", key.name.to_string())];
    let live = all.iter().map(|of| (labels(&of.key), u32::from(of.publisher.is_some())));
    families.gauges("stream_live", "1 when the stream has a publisher.", live)?;
    let watched = |key| viewers.get(key).copied().unwrap_or(0);
    let viewers = all.iter().map(|of| (labels(&of.key), watched(&of.key)));
    families.gauges("stream_viewers", "Viewers of the stream on all cores.", viewers)?;
    let bytes = all.iter().map(|of| (labels(&of.key), of.bytes));
    families.counters("stream_bytes_in", "Payload received from publishers.", bytes)?;
    let help = "Streams that have no series of their own, because there are too many.";
    families.gauge("streams_left_out", help, left_out)
}

fn each_core(whole: &Whole) -> impl Iterator<Item = (u16, &CoreStats)> {
    (0..).zip(whole.stats.iter().map(|stats| &**stats))
}

type Number = fn(&CoreStats) -> &Cell;

const GAUGES: [(&str, &str, Number); 8] = [
    ("connections", "Connections open.", |core| &core.connections),
    ("publishers", "Publications running.", |core| &core.publishers),
    ("streams", "Streams owned.", |core| &core.streams),
    ("control_delayed", "Control messages waiting for room in a ring.", |core| {
        &core.control_delayed
    }),
    ("log_bytes", "Memory of egress logs.", |core| &core.log_bytes),
    ("hls_shortened", "HLS windows shortened because memory is short.", |core| &core.hls_shortened),
    ("tls_connections", "TLS connections open.", |core| &core.tls_connections),
    ("tls_kernel", "1 when the kernel encrypts TLS.", |core| &core.tls_kernel),
];

/// The last field is how many of the counted unit make one of the shown unit.
const SCALED_GAUGES: [(&str, &str, Number, f64); 2] = [
    (
        "core_busy_ratio",
        "Share of time that the core's thread ran.",
        |core| &core.busy_permille,
        1e3,
    ),
    (
        "flush_interval_seconds",
        "How long media waits to be sent together, as chosen from the load.",
        |core| &core.flush_interval_us,
        1e6,
    ),
];

const COUNTERS: [(&str, &str, Number); 12] = [
    ("accepted", "Connections accepted.", |core| &core.accepted),
    ("units_in", "Frames received from publishers.", |core| &core.units_in),
    ("sends", "Gathered sends to viewers.", |core| &core.sends),
    ("blocked", "Sends that the socket did not take whole.", |core| &core.blocked),
    ("ring_drops", "Frames that found a ring between cores full.", |core| &core.ring_drops),
    ("input_switches", "Channels' changes to another input.", |core| &core.input_switches),
    ("malformed_tags", "Media messages that could not be read.", |core| &core.malformed_tags),
    ("unknown_calls", "RTMP calls that nobody knows.", |core| &core.unknown_calls),
    ("log_lines_lost", "Log lines lost.", |core| &core.log_lines_lost),
    ("http2_connections", "Connections that chose HTTP/2.", |core| &core.http2_connections),
    ("tls_deferred", "TLS handshakes that waited for the next turn of the core.", |core| {
        &core.tls_deferred
    }),
    ("heartbeats", "Ticks of the core; stand still when it does.", |core| &core.heartbeat),
];

/// As [`FORMS`], of HLS.
const HLS_FORMS: [&str; 2] = ["hls_ts", "hls_fmp4"];
/// Forms that are shown as 0 while they have no viewers; another one is shown when it has some.
const FORMS: [Form; 5] =
    [Form::Rtmp, Form::HttpFlv, Form::WebSocketFlv, Form::HttpTs, Form::WebSocketTs];

/// Three series each. More would make every scrape, and Prometheus itself, pay for it.
const STREAMS_MAX: usize = 1_000;
