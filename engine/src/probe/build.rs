//! Puts what was measured into the report.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use corelay_codecs::TrackKind;
use corelay_codecs::container::mpegts::analysis::{Indicator, PidSnapshot, Role, Snapshot};
use corelay_codecs::container::mpegts::psi::{Program, Service};
use corelay_codecs::container::mpegts::{PACKET_SIZE, Pid};
use corelay_config::{Endpoint, MediaUrl};

use super::End;
use super::measure::{Measurement, WorstClock};
use super::report::{
    ClockReport, DatagramReport, ErrorReport, IntervalReport, PidReport, ProgramReport, Report,
    RtpReport, SourceReport, StreamReport,
};
use super::silence;
use super::source::Source;
use super::verdict;

/// The report of a look that has ended.
pub(super) fn report(
    url: &MediaUrl,
    source: &Source,
    mut measurement: Measurement,
    watch: &silence::Watch,
    elapsed: Duration,
    end: End,
) -> Report {
    measurement.tick();
    let snapshot = measurement.finish();
    let source_report = source_report(url, source, &measurement);
    let stream = (measurement.packet_count() > 0).then(|| stream_report(&measurement, &snapshot));
    let verdict = verdict::of(&source_report, stream.as_ref(), watch, elapsed);
    Report {
        url: url.to_string(),
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
    let rtp = (facts.rtp > 0).then(|| RtpReport {
        payload_type: counters.payload_type,
        ssrc: format!("0x{:08x}", counters.ssrc),
        received: counters.received,
        lost: counters.lost,
        reordered: counters.reordered,
        duplicates: counters.duplicates,
        restarts: counters.restarts + counters.ssrc_changes,
        jitter_ms: ms(counters.jitter_us),
    });
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
    let seconds = measurement.elapsed().as_secs_f64();
    let kbps = |packets: u64| match seconds > 0.0 {
        true => round(packets as f64 * PACKET_SIZE as f64 * 8.0 / seconds / 1_000.0),
        false => 0.0,
    };
    let worst = &measurement.worst;
    let totals = &snapshot.totals;
    let is_by_arrival = !measurement.datagrams.packets.is_empty();
    StreamReport {
        seconds,
        timed_by: if is_by_arrival { "arrival" } else { "pcr" },
        packets: totals.packets,
        kbps: kbps(totals.packets),
        kbps_min: worst.bitrate_min_bps.map(|rate| round(rate as f64 / 1_000.0)),
        kbps_max: worst.bitrate_min_bps.map(|_| round(worst.bitrate_max_bps as f64 / 1_000.0)),
        null_percent: round(100.0 * totals.null_packets as f64 / totals.packets.max(1) as f64),
        transport_stream_id: measurement.analyser.tables().pat().map(|pat| pat.transport_stream_id),
        programs: programs(measurement),
        pids: snapshot
            .pids
            .iter()
            .map(|pid| pid_report(measurement, pid, kbps(pid.packets)))
            .collect(),
        intervals: IntervalReport {
            pat_ms: ms(worst.pat_us),
            pmt_ms: ms(worst.pmt_us),
            pts_ms: ms(worst.pts_us),
        },
        clocks: snapshot
            .pids
            .iter()
            .filter_map(|pid| {
                let worst = worst.clocks.get(&pid.pid).copied().unwrap_or_default();
                Some(clock_report(pid.pid, pid.pcr?.count, worst, is_by_arrival))
            })
            .collect(),
        errors: snapshot
            .alarms
            .iter()
            .filter(|alarm| alarm.errors > 0)
            .map(|alarm| error_report(alarm.indicator, alarm.errors, alarm.pid))
            .collect(),
        repeated_packets: totals.repeated_packets,
        section_errors: totals.section_errors,
    }
}

fn programs(measurement: &Measurement) -> Vec<ProgramReport> {
    let tables = measurement.analyser.tables();
    let entries = tables.pat().map(|pat| pat.entries.as_slice()).unwrap_or_default();
    let mut programs: Vec<ProgramReport> = entries
        .iter()
        .filter(|entry| entry.program_number != 0)
        .map(|entry| {
            let number = entry.program_number;
            program_report(number, entry.pid, tables.program(number), tables.service(number))
        })
        .collect();
    programs.sort_by_key(|program| program.number);
    programs
}

fn program_report(
    number: u16,
    pmt_pid: Pid,
    program: Option<&Program>,
    service: Option<&Service>,
) -> ProgramReport {
    let pcr_pid = program.map(|program| program.pcr_pid).filter(|&pid| pid != Pid::NULL);
    let streams = program.map(|program| program.streams.as_slice()).unwrap_or_default();
    ProgramReport {
        number,
        name: service.map(|service| service.name.clone()).unwrap_or_default(),
        provider: service.map(|service| service.provider.clone()).unwrap_or_default(),
        service_type: service.map_or("", |service| service_type(service.service_type)),
        pmt_pid: pmt_pid.value(),
        pcr_pid: pcr_pid.map(Pid::value),
        pmt_version: program.map(|program| program.version),
        has_conditional_access: program.is_some_and(|program| program.has_conditional_access),
        streams: streams.iter().map(|stream| stream.pid.value()).collect(),
    }
}

fn pid_report(measurement: &Measurement, pid: &PidSnapshot, kbps: f64) -> PidReport {
    let (kind, program) = match pid.role {
        Role::Unreferenced => ("unreferenced", None),
        Role::Table => (table_name(pid.pid), None),
        Role::Pmt { program_number } => ("PMT", Some(program_number)),
        Role::Stream { program_number, format, .. } => match format.kind() {
            TrackKind::Video => ("video", Some(program_number)),
            TrackKind::Audio => ("audio", Some(program_number)),
            _ => ("data", Some(program_number)),
        },
        Role::Pcr { program_number } => ("PCR", Some(program_number)),
        Role::ConditionalAccess => ("CA messages", None),
        Role::Null => ("null", None),
    };
    let tables = measurement.analyser.tables();
    let stream = program
        .and_then(|number| tables.program(number))
        .and_then(|program| program.streams.iter().find(|stream| stream.pid == pid.pid));
    let descriptor = |name: &str, detail: &str| match detail {
        "" => name.to_owned(),
        detail => format!("{name}: {detail}"),
    };
    PidReport {
        pid: pid.pid.value(),
        kind,
        codec: stream.map_or("", |stream| stream.format.name()),
        stream_type: stream.map(|stream| stream.stream_type),
        program,
        language: stream.map(|stream| stream.language.clone()).unwrap_or_default(),
        kbps,
        packets: pid.packets,
        continuity_errors: pid.counter_errors,
        scrambled_packets: pid.scrambled_packets,
        is_missing: pid.is_missing,
        descriptors: stream
            .map(|stream| stream.descriptors.iter().map(|one| descriptor(one.name, &one.detail)))
            .into_iter()
            .flatten()
            .collect(),
    }
}

fn clock_report(pid: Pid, count: u64, worst: WorstClock, is_by_arrival: bool) -> ClockReport {
    ClockReport {
        pid: pid.value(),
        count,
        interval_ms: ms(worst.interval_us),
        jitter_ms: is_by_arrival.then_some(ms(worst.jitter_us)),
        accuracy_ns: worst.accuracy_ns,
    }
}

fn error_report(indicator: Indicator, count: u64, pid: Option<Pid>) -> ErrorReport {
    ErrorReport {
        number: indicator.number(),
        name: indicator.name(),
        priority: indicator.priority(),
        count,
        pid: pid.map(Pid::value),
    }
}

/// ETSI EN 300 468 table 1.
fn table_name(pid: Pid) -> &'static str {
    match pid.value() {
        0x00 => "PAT",
        0x01 => "CAT",
        0x02 => "TSDT",
        0x10 => "NIT",
        0x11 => "SDT, BAT",
        0x12 => "EIT",
        0x13 => "RST",
        0x14 => "TDT, TOT",
        _ => "table",
    }
}

/// ETSI EN 300 468 table 87, the ones in use.
fn service_type(service_type: u8) -> &'static str {
    match service_type {
        0x00 => "",
        0x01 => "television",
        0x02 | 0x0A => "radio",
        0x03 => "teletext",
        0x0C => "data",
        0x11 | 0x16 | 0x19 => "television (HD or H.264)",
        0x1F => "television (HEVC)",
        _ => "other",
    }
}

fn most_frequent<'a>(table: impl Iterator<Item = (&'a usize, &'a u64)>) -> Vec<(usize, u64)> {
    let mut rows: Vec<(usize, u64)> = table.map(|(&value, &count)| (value, count)).collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    rows
}

fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

/// One decimal is enough for people, and for programs.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
