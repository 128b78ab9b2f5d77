//! Puts what was measured into the report.

mod stream;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use corelay_codecs::container::mpegts::PACKET_SIZE;
use corelay_codecs::container::mpegts::analysis::Snapshot;
use corelay_codecs::container::rtp;
use corelay_config::{Endpoint, MediaUrl};

use super::End;
use super::chosen::Chosen;
use super::measure::Measurement;
use super::report::{DatagramReport, Report, RtpReport, SourceReport, StreamReport};
use super::source::Source;
use super::verdict;
use crate::net::udp::SilenceWatch;

pub(crate) use stream::StreamLook;

/// The report of a look that has ended.
pub(super) fn report(
    url: &MediaUrl,
    source: &Source,
    mut measurement: Measurement,
    watch: &SilenceWatch,
    elapsed: Duration,
    end: End,
) -> Report {
    measurement.tick();
    let snapshot = measurement.finish();
    let source_report = source_report(url, source, &measurement);
    let has_packets = measurement.packet_count() > 0;
    let missing = measurement.chosen.as_ref().filter(|chosen| has_packets && !chosen.has_passed());
    let has_stream = has_packets && missing.is_none();
    let stream = has_stream.then(|| stream_report(&measurement, &snapshot));
    let verdict = match missing {
        Some(chosen) => verdict::of_missing_program(chosen.number(), chosen.pat()),
        None => verdict::of(&source_report, stream.as_ref(), watch, elapsed),
    };
    Report {
        url: url.to_string(),
        program_number: measurement.chosen.as_ref().map(Chosen::number),
        seconds: elapsed.as_secs_f64(),
        ended: match end {
            End::Over => String::new(),
            End::Interrupted => "interrupted".to_owned(),
            End::Closed => "the source ended".to_owned(),
            End::Failed(why) => why,
        },
        source: source_report,
        stream,
        verdict,
    }
}

fn source_report(url: &MediaUrl, source: &Source, measurement: &Measurement) -> SourceReport {
    let foreign = match measurement.packet_count() {
        0 => measurement.foreign.as_slice(),
        _ if measurement.datagrams.foreign > 0 => measurement.foreign.as_slice(),
        _ => &[],
    };
    let foreign_bytes: Vec<String> = foreign.iter().map(|byte| format!("{byte:02x}")).collect();
    let common = SourceReport { foreign_bytes: foreign_bytes.join(" "), ..SourceReport::default() };
    let of_stream = |kind, place| SourceReport {
        kind,
        place,
        bytes: measurement.bytes,
        packet_bytes: measurement.aligner.packet_distance(),
        skipped_bytes: measurement.aligner.counters().skipped_bytes,
        ..common.clone()
    };
    match source {
        Source::Datagrams { .. } => datagram_source(source, measurement, common),
        Source::Stream { peer, .. } => {
            let is_http = matches!(url.endpoint, Endpoint::Http { .. });
            of_stream(if is_http { "http" } else { "tcp" }, peer.clone())
        }
        Source::File { path, .. } => of_stream("file", path.display().to_string()),
    }
}

fn datagram_source(
    source: &Source,
    measurement: &Measurement,
    common: SourceReport,
) -> SourceReport {
    let Source::Datagrams { input, .. } = source else { return common };
    let facts = &measurement.datagrams;
    let counters = measurement.rtp.counters();
    let is_group = input.local_address().ip().is_multicast();
    let mut senders: Vec<(String, u64)> =
        facts.senders.iter().map(|(sender, &count)| (sender.to_string(), count)).collect();
    senders.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    if facts.other_senders > 0 {
        senders.push(("others".to_owned(), facts.other_senders));
    }
    let datagrams = DatagramReport {
        interface: input.link().map(|link| link.name.clone()),
        wanted_senders: input.source().senders.iter().map(ToString::to_string).collect(),
        senders,
        sender_count: facts.senders.keys().map(SocketAddr::ip).collect::<BTreeSet<_>>().len(),
        count: facts.count,
        sizes: most_frequent(facts.sizes.iter()),
        packets: most_frequent(facts.packets.iter()),
        foreign: facts.foreign,
        framing: match (facts.raw > 0, facts.rtp > 0) {
            (true, true) => "raw and rtp",
            (true, false) => "raw",
            (false, true) => "rtp",
            (false, false) => "",
        },
        kernel_drops: input.counters().kernel_drops,
        receive_buffer_bytes: input.receive_buffer_bytes(),
    };
    let rtp = (facts.rtp > 0).then(|| RtpReport::of(&counters));
    let has_packets = measurement.packet_count() > 0;
    SourceReport {
        kind: if is_group { "multicast" } else { "unicast" },
        place: input.local_address().to_string(),
        bytes: facts.bytes,
        packet_bytes: has_packets.then_some(if facts.with_parity > 0 { 204 } else { PACKET_SIZE }),
        datagrams: Some(datagrams),
        rtp,
        ..common
    }
}

fn stream_report(measurement: &Measurement, snapshot: &Snapshot) -> StreamReport {
    let tables = measurement.analyser.tables();
    let look = StreamLook {
        snapshot,
        pat: tables.pat(),
        programs: tables.programs().collect(),
        services: tables.services(),
        is_by_arrival: !measurement.datagrams.packets.is_empty(),
    };
    look.report_of_all(measurement.elapsed(), &measurement.worst)
}

impl RtpReport {
    /// What a receiver has counted.
    pub(crate) fn of(counters: &rtp::Counters) -> Self {
        Self {
            payload_type: counters.payload_type,
            ssrc: format!("0x{:08x}", counters.ssrc),
            received: counters.received,
            lost: counters.lost,
            reordered: counters.reordered,
            duplicates: counters.duplicates,
            restarts: counters.restarts + counters.ssrc_changes,
            jitter_ms: stream::ms(counters.jitter_us),
        }
    }
}

fn most_frequent<'a>(table: impl Iterator<Item = (&'a usize, &'a u64)>) -> Vec<(usize, u64)> {
    let mut rows: Vec<(usize, u64)> = table.map(|(&value, &count)| (value, count)).collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    rows
}
