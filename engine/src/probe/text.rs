//! The report for people.

use std::fmt::Write;

use super::report::{
    ClockReport, DatagramReport, PidReport, ProgramReport, Report, SourceReport, StreamReport,
};
use super::verdict::Level;

/// The whole report, with a line break at the end.
pub(super) fn text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write_report(&mut out, report);
    out
}

fn write_report(out: &mut String, report: &Report) -> std::fmt::Result {
    let alone = report.program_number.map(|number| format!("program {number} alone, "));
    let alone = alone.unwrap_or_default();
    write!(out, "{}  {alone}looked at for {:.1} s", report.url, report.seconds)?;
    match report.ended.as_str() {
        "" => writeln!(out)?,
        ended => writeln!(out, " ({ended})")?,
    }
    write_source(out, &report.source)?;
    if let Some(stream) = &report.stream {
        write_stream(out, stream)?;
    }
    let level = match report.verdict.level {
        Level::Ok => "OK",
        Level::Warning => "WARNING",
        Level::Error => "ERROR",
        Level::NoStream => "NO TRANSPORT STREAM",
        Level::Silent => "SILENT",
    };
    writeln!(out, "\nVerdict: {level}: {}", report.verdict.text)?;
    let check = match report.verdict.level {
        Level::Silent | Level::NoStream => "check: ",
        _ => "",
    };
    for advice in &report.verdict.advice {
        writeln!(out, "  - {check}{advice}")?;
    }
    Ok(())
}

fn write_source(out: &mut String, source: &SourceReport) -> std::fmt::Result {
    writeln!(out, "\nSource")?;
    let place = &source.place;
    match &source.datagrams {
        Some(datagrams) => {
            let on = datagrams.interface.as_ref().map(|name| format!(" on {name}"));
            row(out, source.kind, format!("{place}{}", on.unwrap_or_default()))?;
            write_datagrams(out, datagrams)?;
        }
        None => {
            row(out, source.kind, place)?;
            row(out, "bytes", grouped(source.bytes))?;
        }
    }
    if let Some(bytes) = source.packet_bytes {
        row(out, "packets", format!("of {bytes} bytes"))?;
    }
    if source.skipped_bytes > 0 {
        row(out, "garbage", format!("{} bytes outside of packets", grouped(source.skipped_bytes)))?;
    }
    if let Some(rtp) = &source.rtp {
        let of = format!("payload type {}, SSRC {}", rtp.payload_type, rtp.ssrc);
        row(out, "RTP", format!("{of}, jitter {:.2} ms", rtp.jitter_ms))?;
        let counts = format!(
            "{} received, {} lost, {} reordered, {} duplicates, {} restarts",
            grouped(rtp.received),
            grouped(rtp.lost),
            grouped(rtp.reordered),
            grouped(rtp.duplicates),
            grouped(rtp.restarts)
        );
        row(out, "", counts)?;
    }
    Ok(())
}

fn write_datagrams(out: &mut String, datagrams: &DatagramReport) -> std::fmt::Result {
    if !datagrams.wanted_senders.is_empty() {
        row(out, "only from", datagrams.wanted_senders.join(", "))?;
    }
    for (index, (sender, count)) in datagrams.senders.iter().take(SHOWN).enumerate() {
        let name = if index == 0 { "senders" } else { "" };
        row(out, name, format!("{sender}  {} datagrams", grouped(*count)))?;
    }
    if datagrams.count > 0 {
        let sizes = shares(&datagrams.sizes, datagrams.count, "bytes");
        let packets = shares(&datagrams.packets, datagrams.count, "packets");
        let framing = datagrams.framing;
        row(
            out,
            "datagrams",
            format!("{} {framing}; {sizes}; {packets}", grouped(datagrams.count)),
        )?;
    }
    if datagrams.foreign > 0 {
        row(out, "foreign", format!("{} datagrams without packets", grouped(datagrams.foreign)))?;
    }
    let buffer = datagrams.receive_buffer_bytes >> 10;
    row(out, "kernel drops", format!("{} (buffer {buffer} KiB)", grouped(datagrams.kernel_drops)))
}

fn write_stream(out: &mut String, stream: &StreamReport) -> std::fmt::Result {
    writeln!(out, "\nTransport stream")?;
    let range = match (stream.kbps_min, stream.kbps_max) {
        (Some(min), Some(max)) => format!(" ({min:.0} to {max:.0} per second)"),
        _ => String::new(),
    };
    row(out, "rate", format!("{:.1} kbit/s{range}", stream.kbps))?;
    let by = if stream.timed_by == "pcr" { " by its own clock" } else { "" };
    row(out, "seen", format!("{:.1} s{by}, {} packets", stream.seconds, grouped(stream.packets)))?;
    row(out, "null packets", format!("{:.1} %", stream.null_percent))?;
    if let Some(id) = stream.transport_stream_id {
        row(out, "stream id", id)?;
    }
    for program in &stream.programs {
        write_program(out, program)?;
    }
    write_pids(out, &stream.pids)?;
    writeln!(out, "\nTiming, longest")?;
    let intervals = &stream.intervals;
    for (name, value) in
        [("PAT", intervals.pat_ms), ("PMT", intervals.pmt_ms), ("PTS", intervals.pts_ms)]
    {
        let text = if value > 0.0 { format!("{value:.0} ms") } else { "not measured".to_owned() };
        row(out, name, text)?;
    }
    for clock in &stream.clocks {
        row(out, &format!("PCR, PID {}", clock.pid), clock_text(clock))?;
    }
    writeln!(out, "\nErrors (TR 101 290)")?;
    for error in &stream.errors {
        let on = error.pid.map(|pid| format!("  PID {pid}")).unwrap_or_default();
        let count = grouped(error.count);
        writeln!(out, "  {:<5}{:<36}{count:>8}{on}", error.number, error.name)?;
    }
    if stream.errors.is_empty() {
        writeln!(out, "  none")?;
    }
    Ok(())
}

fn write_program(out: &mut String, program: &ProgramReport) -> std::fmt::Result {
    write!(out, "\nProgram {}", program.number)?;
    if !program.name.is_empty() {
        write!(out, "  \"{}\"", shown(&program.name))?;
    }
    if !program.provider.is_empty() {
        write!(out, " by {}", shown(&program.provider))?;
    }
    if !program.service_type.is_empty() {
        write!(out, ", {}", program.service_type)?;
    }
    write!(out, "; PMT {}", program.pmt_pid)?;
    match program.pmt_version {
        Some(version) => write!(out, " (version {version})")?,
        None => write!(out, " (not seen)")?,
    }
    if let Some(pid) = program.pcr_pid {
        write!(out, ", PCR {pid}")?;
    }
    let access = if program.has_conditional_access { ", conditional access" } else { "" };
    writeln!(out, "{access}")
}

fn write_pids(out: &mut String, pids: &[PidReport]) -> std::fmt::Result {
    writeln!(out)?;
    let head = ("PID", "type", "codec", "lang", "kbit/s", "CC err", "state");
    let (pid, kind, codec, lang, kbps, errors, state) = head;
    writeln!(out, "  {pid:>5} {kind:<13}{codec:<18}{lang:<5}{kbps:>9} {errors:>7}  {state}")?;
    for pid in pids {
        let state = match (pid.is_missing, pid.scrambled_packets) {
            (true, _) => "missing",
            (_, 0) if pid.packets == 0 => "not seen",
            (_, 0) => "",
            (_, scrambled) if scrambled == pid.packets => "scrambled",
            _ => "partly scrambled",
        };
        let (number, kind, codec) = (pid.pid, pid.kind, pid.codec);
        let (lang, kbps, errors) = (shown(&pid.language), pid.kbps, pid.continuity_errors);
        let line =
            format!("  {number:>5} {kind:<13}{codec:<18}{lang:<5}{kbps:>9.1} {errors:>7}  {state}");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn clock_text(clock: &ClockReport) -> String {
    let mut text = format!("{:.0} ms apart", clock.interval_ms);
    if clock.interval_ms == 0.0 {
        text = "not measured".to_owned();
    }
    if let Some(jitter) = clock.jitter_ms {
        text += &format!(", jitter of arrival {jitter:.1} ms");
    }
    if let Some(accuracy) = clock.accuracy_ns {
        text += &format!(", accuracy {accuracy} ns");
    }
    text
}

fn row(out: &mut String, name: &str, value: impl std::fmt::Display) -> std::fmt::Result {
    writeln!(out, "  {name:<13} {value}")
}

/// `1316 bytes (99.9 %), 188 bytes (0.1 %)`.
fn shares(rows: &[(usize, u64)], total: u64, unit: &str) -> String {
    let share = |&(value, count): &(usize, u64)| match rows.len() {
        1 => format!("{value} {unit}"),
        _ => format!("{value} {unit} ({:.1} %)", 100.0 * count as f64 / total.max(1) as f64),
    };
    let shown: Vec<String> = rows.iter().take(SHOWN).map(share).collect();
    shown.join(", ")
}

/// Names come from the stream: nothing that moves the cursor.
fn shown(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).take(NAME_CHARS_MAX).collect()
}

/// `9,512`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

const SHOWN: usize = 4;
const NAME_CHARS_MAX: usize = 80;
