//! Channels and transport streams: what comes in, what is wrong with it, what goes out.
//!
//! Invariants
//! - `input`, `output` (datagrams) and `link` (connections, of inputs too) are numbers from 1, each
//!   in the order of the configuration; the API says what they stand for. What is published under a
//!   stream's name has the numbers behind its channel's inputs.
//! - What was not measured has no sample: intervals before the first window, jitter of a
//!   connection.
//! - `indicator` is the number in TR 101 290: indicators that come later bring values, not names.

use std::fmt;

use corelay_codecs::container::mpegts::PACKET_SIZE;
use corelay_codecs::container::mpegts::analysis::{AlarmState, WorstClock};
use corelay_codecs::container::rtp::ReorderCounters;

use super::{Families, Whole};
use crate::channel::output::{OutputSnapshot, OutputState};
use crate::channel::{ChannelSnapshot, LinkSnapshot, is_relay};
use crate::control::api::sources::{self, Source, Sources};
use crate::hub::StreamKey;

/// Writes all of it.
pub(super) fn transport(whole: &Whole, families: &mut Families<'_>) -> fmt::Result {
    let mut streams: Vec<_> = sources::by_stream(&whole.shards).into_iter().collect();
    let all = streams.len();
    // Groups that viewers merely ask for must not push out what was configured or is published.
    streams.sort_by_key(|(key, sources)| (is_relay(key), sources.channel.is_none()));
    let mut room = LEGS_MAX;
    streams.retain(|(_, sources)| {
        let count = legs(sources);
        let fits = count <= room;
        room -= if fits { count } else { 0 };
        fits
    });
    channels(&streams, families)?;
    inputs(&streams, families)?;
    alarms(&streams, families)?;
    outputs(&streams, families)?;
    links(&streams, families)?;
    let help = "Transport streams that have no series of their own, because there are too many.";
    families.gauge("transport_streams_left_out", help, all - streams.len())
}

type Streams<'a> = [(&'a StreamKey, Sources<'a>)];

fn legs(sources: &Sources<'_>) -> usize {
    let outputs = sources.channel.map_or(0, |channel| channel.outputs.len() + channel.links.len());
    sources.inputs().len() + outputs
}

fn channels(streams: &Streams<'_>, families: &mut Families<'_>) -> fmt::Result {
    let all = || {
        streams
            .iter()
            .filter_map(|(key, sources)| Some(([("stream", key.to_string())], sources.channel?)))
    };
    let open = all().map(|(labels, channel)| (labels, u32::from(channel.is_open)));
    families.gauges("channel_open", "1 when the channel's inputs are open.", open)?;
    let switches = all().map(|(labels, channel)| (labels, channel.switch_count));
    families.counters("channel_switches", "Changes to another input.", switches)
}

fn inputs(streams: &Streams<'_>, families: &mut Families<'_>) -> fmt::Result {
    let all: Vec<_> = numbered_inputs(streams).collect();
    for (name, help, of) in GAUGES {
        let samples = all.iter().filter_map(|(labels, source)| Some((labels.clone(), of(source)?)));
        families.gauges(name, help, samples)?;
    }
    for (name, help, of) in COUNTERS {
        let samples = all.iter().filter_map(|(labels, source)| Some((labels.clone(), of(source)?)));
        families.counters(name, help, samples)?;
    }
    Ok(())
}

fn alarms(streams: &Streams<'_>, families: &mut Families<'_>) -> fmt::Result {
    let all: Vec<_> = numbered_inputs(streams)
        .flat_map(|(labels, source)| {
            let alarms = &source.input.analysis.alarms;
            alarms.iter().map(move |alarm| (labels.clone(), alarm))
        })
        .collect();
    let labels = |labels: &Labels, alarm: &AlarmState| {
        let [stream, input] = labels.clone();
        [stream, input, ("indicator", alarm.indicator.number().to_owned())]
    };
    let errors = all.iter().map(|(of, alarm)| (labels(of, alarm), alarm.errors));
    let help = "Errors by the indicators of TR 101 290: sync losses 1.1, continuity 1.4, transport \
                errors 2.1, CRC 2.2.";
    families.counters("ts_indicator_errors", help, errors)?;
    let raised = all.iter().map(|(of, alarm)| (labels(of, alarm), u32::from(alarm.is_raised)));
    let help = "1 while the alarm of an indicator of TR 101 290 is raised.";
    families.gauges("ts_alarm_raised", help, raised)
}

fn outputs(streams: &Streams<'_>, families: &mut Families<'_>) -> fmt::Result {
    let all: Vec<_> = of_channels(streams, |channel| &channel.outputs, "output").collect();
    let up = all
        .iter()
        .map(|(labels, output)| (labels.clone(), u32::from(output.state == OutputState::Open)));
    families.gauges("output_up", "1 when the output can send.", up)?;
    let buffered = all
        .iter()
        .filter_map(|(labels, output)| Some((labels.clone(), seconds(output.pacer?.buffered_us))));
    let help = "Time until the newest packet in the jitter buffer leaves; paced outputs.";
    families.gauges("output_buffer_seconds", help, buffered)?;
    for (name, help, of) in OUTPUT_COUNTERS {
        let samples = all.iter().filter_map(|(labels, output)| Some((labels.clone(), of(output)?)));
        families.counters(name, help, samples)?;
    }
    let dropped = all.iter().flat_map(|(labels, output)| {
        let drops = output.drops;
        [("full", drops.full), ("no_buffers", drops.no_buffers), ("lost", drops.lost)]
            .map(|(reason, count)| ((labels.clone(), [("reason", reason)]), count))
    });
    families.counters("output_dropped_datagrams", "Datagrams that were not sent.", dropped)
}

fn links(streams: &Streams<'_>, families: &mut Families<'_>) -> fmt::Result {
    let all: Vec<_> = of_channels(streams, |channel| &channel.links, "link").collect();
    let labels = |labels: &Labels, link: &LinkSnapshot| {
        (labels.clone(), [("direction", if link.is_input() { "in" } else { "out" })])
    };
    let up = all.iter().map(|(of, link)| (labels(of, link), u32::from(link.is_connected)));
    families.gauges("link_up", "1 when a connection of a channel is there.", up)?;
    let connections = all.iter().map(|(of, link)| (labels(of, link), link.connections));
    families.counters("link_connections", "Times that the connection was there.", connections)
}

type Labels = [(&'static str, String); 2];

fn numbered_inputs<'a>(streams: &Streams<'a>) -> impl Iterator<Item = (Labels, Source<'a>)> {
    streams.iter().flat_map(|(key, sources)| {
        let labels = |source: Source<'a>| (labels(key, "input", source.number), source);
        sources.inputs().into_iter().map(labels).collect::<Vec<_>>()
    })
}

/// The parts of a kind of all channels, with their numbers.
fn of_channels<'a, T: 'a>(
    streams: &Streams<'a>,
    parts: fn(&ChannelSnapshot) -> &Vec<T>,
    kind: &'static str,
) -> impl Iterator<Item = (Labels, &'a T)> {
    let channels = streams.iter().filter_map(|(key, sources)| Some((*key, sources.channel?)));
    channels.flat_map(move |(key, channel)| {
        (1..).zip(parts(channel)).map(move |(number, part)| (labels(key, kind, number), part))
    })
}

fn labels(key: &StreamKey, kind: &'static str, number: usize) -> Labels {
    [("stream", key.to_string()), (kind, number.to_string())]
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

/// What the last window says, while packets come.
fn window(source: &Source<'_>, value: u64, per_second: f64) -> Option<f64> {
    (source.is_up() && value > 0).then(|| value as f64 / per_second)
}

/// The worst of all clocks; 0 where there is none.
fn clock<'a>(source: &Source<'a>) -> &'a WorstClock {
    &source.input.analysis.worst_clock
}

fn rtp(source: &Source<'_>, of: fn(&ReorderCounters) -> u64) -> Option<u64> {
    source.input.rtp.as_ref().map(of)
}

type Gauge = fn(&Source<'_>) -> Option<f64>;
type Counter = fn(&Source<'_>) -> Option<u64>;
type OutputCounter = fn(&OutputSnapshot) -> Option<u64>;

const GAUGES: [(&str, &str, Gauge); 13] = [
    ("input_up", "1 when packets come.", |one| Some(f64::from(u8::from(one.is_up())))),
    ("input_on_air", "1 when the input is what viewers get.", |one| {
        Some(f64::from(u8::from(one.is_on_air)))
    }),
    ("ts_bitrate_bits_per_second", "Rate of the last second, null packets included.", |one| {
        Some(one.kbps() as f64 * 1e3)
    }),
    ("ts_null_ratio", "Share of null packets in the last second.", |one| {
        let analysis = &one.input.analysis;
        (one.is_up() && analysis.window_us > 0).then_some(analysis.null_share)
    }),
    ("ts_pat_interval_max_seconds", "Longest time between PATs in the last second.", |one| {
        window(one, one.input.analysis.pat_interval_max_us, US)
    }),
    ("ts_pmt_interval_max_seconds", "Longest time between PMTs in the last second.", |one| {
        window(one, one.input.analysis.pmt_interval_max_us, US)
    }),
    ("ts_pts_interval_max_seconds", "Longest time between PTS in the last second.", |one| {
        window(one, one.input.analysis.pts_interval_max_us, US)
    }),
    ("ts_pcr_interval_max_seconds", "Longest step between PCRs in the last second.", |one| {
        window(one, clock(one).interval_max_us, US)
    }),
    (
        "ts_pcr_jitter_max_seconds",
        "Variation of arrival against the clock in the last second; datagrams.",
        |one| {
            let jitter_us = one.is_by_arrival().then_some(clock(one).jitter_us);
            window(one, jitter_us?, US)
        },
    ),
    (
        "ts_pcr_accuracy_max_seconds",
        "Largest distance of a PCR from a constant rate in the last second; constant rates.",
        |one| window(one, clock(one).accuracy_ns?, NS),
    ),
    ("ts_in_sync", "1 when most sync bytes are right.", |one| {
        one.is_up().then(|| f64::from(u8::from(one.input.health.is_in_sync)))
    }),
    ("rtp_lost_packets", "RTP packets that have not come; falls when one comes late.", |one| {
        rtp(one, |rtp| rtp.flow.lost).map(|lost| lost as f64)
    }),
    ("rtp_jitter_seconds", "Interarrival jitter of RTP.", |one| {
        rtp(one, |rtp| rtp.flow.jitter_us).map(seconds)
    }),
];

const COUNTERS: [(&str, &str, Counter); 15] = [
    ("ts_packets", "Transport stream packets received.", |one| {
        Some(one.input.analysis.totals.packets)
    }),
    ("ts_bytes", "Bytes of transport stream packets received.", |one| {
        Some(one.input.analysis.totals.packets.saturating_mul(PACKET_SIZE as u64))
    }),
    ("ts_null_packets", "Null packets received.", |one| {
        Some(one.input.analysis.totals.null_packets)
    }),
    ("ts_scrambled_packets", "Scrambled packets received.", |one| {
        Some(one.input.analysis.totals.scrambled_packets)
    }),
    ("ts_section_errors", "Sections that are cut, too long or nonsense.", |one| {
        Some(one.input.analysis.totals.section_errors)
    }),
    ("input_datagrams", "Datagrams received.", |one| {
        one.input.socket.as_ref().map(|socket| socket.counters.datagrams)
    }),
    ("input_foreign_datagrams", "Datagrams without transport stream packets.", |one| {
        one.input.socket.as_ref().map(|socket| socket.datagrams.foreign)
    }),
    (
        "input_kernel_drops",
        "Datagrams that this machine dropped, for want of room in the receive buffer.",
        |one| one.input.socket.as_ref().map(|socket| socket.counters.kernel_drops),
    ),
    ("input_openings", "Times that the input's socket was opened.", |one| {
        one.input.socket.as_ref().map(|socket| socket.openings)
    }),
    ("rtp_received_packets", "RTP packets received.", |one| rtp(one, |rtp| rtp.flow.received)),
    (
        "rtp_missing_packets",
        "RTP packets that were not there when a later one came; some come late, as reordered.",
        // What is lost goes back by one for each that is reordered.
        |one| rtp(one, |rtp| rtp.flow.lost.saturating_add(rtp.flow.reordered)),
    ),
    ("rtp_reordered_packets", "RTP packets that came after a later one.", |one| {
        rtp(one, |rtp| rtp.flow.reordered)
    }),
    ("rtp_duplicate_packets", "RTP packets that came again.", |one| {
        rtp(one, |rtp| rtp.flow.duplicates)
    }),
    ("rtp_recovered_packets", "RTP packets that were put in their place again.", |one| {
        rtp(one, |rtp| rtp.recovered)
    }),
    ("rtp_too_late_packets", "RTP packets that came too late to be used.", |one| {
        rtp(one, |rtp| rtp.too_late)
    }),
];

const OUTPUT_COUNTERS: [(&str, &str, OutputCounter); 5] = [
    ("output_datagrams", "Datagrams sent.", |one| Some(one.counters.datagrams)),
    ("output_bytes", "Payload bytes of datagrams sent, RTP headers included.", |one| {
        Some(one.counters.bytes)
    }),
    ("output_late_datagrams", "Datagrams whose time was over; paced outputs.", |one| {
        one.pacer.map(|pacer| pacer.late)
    }),
    ("output_underruns", "Times that packets came too late to be paced.", |one| {
        one.pacer.map(|pacer| pacer.underruns)
    }),
    ("output_overrun_bytes", "Bytes dropped because the jitter buffer was too full.", |one| {
        one.pacer.map(|pacer| pacer.overrun_bytes)
    }),
];

const US: f64 = 1e6;
const NS: f64 = 1e9;
/// Inputs, outputs and connections with series of their own; an input has about 55. More would make
/// every scrape, and Prometheus itself, pay for it.
const LEGS_MAX: usize = 500;
