//! Puts the measurement of a transport stream into its report: of all that a probe has looked at,
//! or of an input or output that is running.

use std::time::Duration;

use corelay_codecs::TrackKind;
use corelay_codecs::container::mpegts::analysis::{AlarmState, PidSnapshot, Role, Snapshot};
use corelay_codecs::container::mpegts::psi::{EsInfo, Pat, Program, Service};
use corelay_codecs::container::mpegts::{PACKET_SIZE, Pid};

use crate::probe::measure::{Worst, WorstClock};
use crate::probe::report::{
    ClockReport, ErrorReport, IntervalReport, PidReport, ProgramReport, StreamReport,
};

/// What a report is made of.
#[derive(Clone, Debug)]
pub(crate) struct StreamLook<'a> {
    /// The measurement.
    pub(crate) snapshot: &'a Snapshot,
    /// The PAT, if it was seen.
    pub(crate) pat: Option<&'a Pat>,
    /// The programs whose PMT was read.
    pub(crate) programs: Vec<&'a Program>,
    /// The services of the SDT.
    pub(crate) services: &'a [Service],
    /// Arrival tells the time; otherwise the stream's own clock does.
    pub(crate) is_by_arrival: bool,
}

/// The time that rates and maxima are of, and what is known of it.
struct Span<'a> {
    seconds: f64,
    /// Of the slowest and of the fastest second, in bit/s.
    rates_bps: Option<(u64, u64)>,
    worst: &'a Worst,
    /// Rates are those of all packets; otherwise those of the last window.
    is_of_all: bool,
}

impl StreamLook<'_> {
    /// Rates and maxima of the last complete window: for what goes on running.
    pub(crate) fn report_of_window(&self) -> StreamReport {
        let worst = last_window(self.snapshot);
        let seconds = self.snapshot.window_us as f64 / 1e6;
        self.report(&Span { seconds, rates_bps: None, worst: &worst, is_of_all: false })
    }

    /// Rates and maxima of all that was seen, in so much time.
    pub(in crate::probe) fn report_of_all(&self, elapsed: Duration, worst: &Worst) -> StreamReport {
        let rates_bps = worst.bitrate_min_bps.map(|min| (min, worst.bitrate_max_bps));
        let seconds = elapsed.as_secs_f64();
        self.report(&Span { seconds, rates_bps, worst, is_of_all: true })
    }

    fn report(&self, span: &Span<'_>) -> StreamReport {
        let Self { snapshot, is_by_arrival, .. } = *self;
        let (totals, worst) = (&snapshot.totals, span.worst);
        let null_share = match span.is_of_all {
            true => totals.null_packets as f64 / totals.packets.max(1) as f64,
            false => snapshot.null_share,
        };
        let clock = |pid: &PidSnapshot| {
            let worst = worst.clocks.get(&pid.pid).copied().unwrap_or_default();
            Some(clock_report(pid.pid, pid.pcr?.count, worst, is_by_arrival))
        };
        StreamReport {
            seconds: span.seconds,
            timed_by: if is_by_arrival { "arrival" } else { "pcr" },
            packets: totals.packets,
            kbps: span.kbps(totals.packets, snapshot.bitrate_bps),
            kbps_min: span.rates_bps.map(|(min, _)| round(min as f64 / 1_000.0)),
            kbps_max: span.rates_bps.map(|(_, max)| round(max as f64 / 1_000.0)),
            null_percent: round(100.0 * null_share),
            transport_stream_id: self.pat.map(|pat| pat.transport_stream_id),
            programs: self.program_reports(),
            pids: snapshot.pids.iter().map(|pid| self.pid_report(pid, span)).collect(),
            intervals: IntervalReport {
                pat_ms: ms(worst.pat_us),
                pmt_ms: ms(worst.pmt_us),
                pts_ms: ms(worst.pts_us),
            },
            clocks: snapshot.pids.iter().filter_map(clock).collect(),
            errors: snapshot.alarms.iter().filter(|one| one.errors > 0).map(error_report).collect(),
            repeated_packets: totals.repeated_packets,
            section_errors: totals.section_errors,
        }
    }

    fn program_reports(&self) -> Vec<ProgramReport> {
        let entries = self.pat.map(|pat| pat.entries.as_slice()).unwrap_or_default();
        let mut programs: Vec<ProgramReport> = entries
            .iter()
            .filter(|entry| entry.program_number != 0)
            .map(|entry| {
                let number = entry.program_number;
                let service = self.services.iter().find(|service| service.service_id == number);
                program_report(number, entry.pid, self.program(number), service)
            })
            .collect();
        programs.sort_by_key(|program| program.number);
        programs
    }

    fn program(&self, number: u16) -> Option<&Program> {
        self.programs.iter().copied().find(|program| program.program_number == number)
    }

    fn pid_report(&self, pid: &PidSnapshot, span: &Span<'_>) -> PidReport {
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
        // An output has roles, and no tables.
        let (codec, stream_type, language) = match pid.role {
            Role::Stream { format, stream_type, language, .. } => {
                (format.name(), Some(stream_type), language_code(language))
            }
            _ => ("", None, String::new()),
        };
        let program_of = program.and_then(|number| self.program(number));
        let stream = program_of.and_then(|of| of.streams.iter().find(|one| one.pid == pid.pid));
        PidReport {
            pid: pid.pid.value(),
            kind,
            codec,
            stream_type,
            program,
            language,
            kbps: span.kbps(pid.packets, pid.bitrate_bps),
            packets: pid.packets,
            continuity_errors: pid.counter_errors,
            scrambled_packets: pid.scrambled_packets,
            is_missing: pid.is_missing,
            descriptors: stream.map(descriptors).unwrap_or_default(),
        }
    }
}

impl Span<'_> {
    fn kbps(&self, packets: u64, bitrate_bps: u64) -> f64 {
        let bits = packets as f64 * PACKET_SIZE as f64 * 8.0;
        match self.is_of_all {
            true if self.seconds > 0.0 => round(bits / self.seconds / 1_000.0),
            true => 0.0,
            false => round(bitrate_bps as f64 / 1_000.0),
        }
    }
}

/// The worst of one window alone.
fn last_window(snapshot: &Snapshot) -> Worst {
    let clocks = snapshot.pids.iter().filter_map(|pid| {
        let clock = pid.pcr?;
        let worst = WorstClock {
            interval_us: clock.interval_max_us,
            jitter_us: clock.jitter_us,
            accuracy_ns: clock.accuracy_ns,
        };
        Some((pid.pid, worst))
    });
    Worst {
        pat_us: snapshot.pat_interval_max_us,
        pmt_us: snapshot.pmt_interval_max_us,
        pts_us: snapshot.pts_interval_max_us,
        bitrate_min_bps: None,
        bitrate_max_bps: 0,
        clocks: clocks.collect(),
    }
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

fn clock_report(pid: Pid, count: u64, worst: WorstClock, is_by_arrival: bool) -> ClockReport {
    ClockReport {
        pid: pid.value(),
        count,
        interval_ms: ms(worst.interval_us),
        jitter_ms: is_by_arrival.then_some(ms(worst.jitter_us)),
        accuracy_ns: worst.accuracy_ns,
    }
}

fn error_report(alarm: &AlarmState) -> ErrorReport {
    ErrorReport {
        number: alarm.indicator.number(),
        name: alarm.indicator.name(),
        priority: alarm.indicator.priority(),
        count: alarm.errors,
        pid: alarm.pid.map(Pid::value),
        is_raised: alarm.is_raised,
    }
}

/// By name, with what they say.
fn descriptors(stream: &EsInfo) -> Vec<String> {
    let text = |name: &str, detail: &str| match detail {
        "" => name.to_owned(),
        detail => format!("{name}: {detail}"),
    };
    stream.descriptors.iter().map(|one| text(one.name, &one.detail)).collect()
}

/// ISO 639; zeros are none.
fn language_code(code: [u8; 3]) -> String {
    let letters = code.iter().filter(|&&letter| letter != 0);
    letters.map(|&letter| char::from(letter)).collect()
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

/// Milliseconds.
pub(super) fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

/// One decimal is enough for people, and for programs.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
