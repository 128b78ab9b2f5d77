//! The report in one sentence, and what to do about it.

use std::time::Duration;

use corelay_codecs::container::mpegts::psi::Pat;
use serde::Serialize;

use super::report::{ErrorReport, SourceReport, StreamReport};
use crate::net::udp::SilenceWatch;

/// How it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing is wrong.
    Ok,
    /// It can be decoded, and something should be better.
    Warning,
    /// Something is lost, missing or broken.
    Error,
    /// Something came, and it was no transport stream.
    NoStream,
    /// Nothing came.
    Silent,
}

/// In one sentence.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// How it looks.
    pub level: Level,
    /// In one sentence.
    pub text: String,
    /// What to check, or what it means; the most important first.
    pub advice: Vec<String>,
}

/// Sums up.
pub(super) fn of(
    source: &SourceReport,
    stream: Option<&StreamReport>,
    watch: &SilenceWatch,
    elapsed: Duration,
) -> Verdict {
    match stream {
        None if source.bytes == 0 && source.datagrams.as_ref().is_none_or(|d| d.count == 0) => {
            silent(source, watch, elapsed)
        }
        None => no_stream(source),
        Some(stream) => judge(source, stream),
    }
}

/// The program that was to be looked at alone did not come.
pub(super) fn of_missing_program(number: u16, pat: Option<&Pat>) -> Verdict {
    let entries = pat.map(|pat| pat.entries.as_slice()).unwrap_or_default();
    let numbers = entries.iter().map(|entry| entry.program_number).filter(|&number| number != 0);
    let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
    let text = match (pat, numbers.as_slice()) {
        (None, _) => format!("program {number} was not found: there is no PAT"),
        (_, []) => format!("there is no program {number}: the PAT names none"),
        (_, numbers) => format!("there is no program {number}: the PAT has {}", numbers.join(", ")),
    };
    let advice = vec!["write another #pnr=, or none to look at all of it".to_owned()];
    Verdict { level: Level::Error, text, advice }
}

fn silent(source: &SourceReport, watch: &SilenceWatch, elapsed: Duration) -> Verdict {
    let (text, advice) = match source.kind {
        "file" => ("the file is empty".to_owned(), Vec::new()),
        "tcp" | "http" => (
            format!("{} sent nothing within {} s", source.place, elapsed.as_secs()),
            vec!["whether the stream runs on that server".to_owned()],
        ),
        _ => watch.diagnosis(elapsed.as_secs()),
    };
    Verdict { level: Level::Silent, text, advice }
}

fn no_stream(source: &SourceReport) -> Verdict {
    let first = &source.foreign_bytes;
    let text = match &source.datagrams {
        Some(datagrams) => format!(
            "{} datagrams came, and none has transport stream packets; the first begins with {first}",
            datagrams.count
        ),
        None => format!(
            "{} bytes came, and there are no transport stream packets in them; they begin with {first}",
            source.bytes
        ),
    };
    Verdict { level: Level::NoStream, text, advice: Vec::new() }
}

fn judge(source: &SourceReport, stream: &StreamReport) -> Verdict {
    let mut found: Vec<(Level, String, String)> = Vec::new();
    let datagrams = source.datagrams.as_ref();
    if let Some(drops) = datagrams.map(|one| one.kernel_drops).filter(|&drops| drops > 0) {
        found.push((
            Level::Error,
            format!("this machine dropped {drops} datagrams"),
            "raise #rcvbuf= and net.core.rmem_max, or give the machine less to do".to_owned(),
        ));
    }
    if let Some(rtp) = source.rtp.as_ref().filter(|rtp| rtp.lost > 0) {
        let share = 100.0 * rtp.lost as f64 / (rtp.received + rtp.lost) as f64;
        found.push((
            Level::Error,
            format!("{} RTP packets are lost ({share:.2} %)", rtp.lost),
            "they are lost on the way: look at the switches between, or ask for a second path"
                .to_owned(),
        ));
    }
    if let Some(foreign) = datagrams.map(|one| one.foreign).filter(|&foreign| foreign > 0) {
        found.push((
            Level::Warning,
            format!("{foreign} datagrams have no transport stream packets"),
            "somebody else sends to this group and port, too".to_owned(),
        ));
    }
    if let Some(senders) = datagrams.map(|one| one.sender_count).filter(|&count| count > 1) {
        found.push((
            Level::Warning,
            format!("{senders} senders send to it"),
            "choose one with #src=".to_owned(),
        ));
    }
    found.extend(stream.errors.iter().map(of_indicator));
    if stream.programs.is_empty() {
        let advice = "the stream cannot be decoded without a PAT".to_owned();
        found.push((Level::Error, "no program was found".to_owned(), advice));
    }
    // The worst first, in their order.
    found.sort_by_key(|(level, ..)| *level != Level::Error);
    let Some((level, ..)) = found.first() else {
        let text = "the stream has no errors".to_owned();
        return Verdict { level: Level::Ok, text, advice: Vec::new() };
    };
    let level = *level;
    let texts: Vec<&str> = found.iter().map(|(_, text, _)| text.as_str()).collect();
    let text = match texts.split_at_checked(SHOWN) {
        Some((shown, more)) if !more.is_empty() => {
            format!("{}; and {} more", shown.join("; "), more.len())
        }
        _ => texts.join("; "),
    };
    let advice = found.into_iter().map(|(.., advice)| advice).filter(|advice| !advice.is_empty());
    Verdict { level, text, advice: advice.collect() }
}

fn of_indicator(error: &ErrorReport) -> (Level, String, String) {
    let ErrorReport { number, name, count, .. } = error;
    let on = error.pid.map(|pid| format!(" on PID {pid}")).unwrap_or_default();
    let text = format!("{number} {name} {count} x{on}");
    let advice = match *number {
        "1.1" | "1.2" => "damaged on the way, or two streams mixed",
        "1.3" | "1.5" => "receivers need longer to start: the tables come too rarely",
        "1.4" => "packets are lost, repeated or out of order before they reach this machine",
        "1.6" => "the PMT promises a stream that is not there",
        "2.1" => "a demodulator could not repair packets: look at the reception",
        "2.2" => "tables are damaged",
        "2.3a" => "clock references come too rarely",
        "2.3b" => "the clock jumps: a loop of a file, or a switch without a mark",
        "2.4" => "clock references are not where they should be: something between remultiplexed",
        "2.5" => "pictures or sound are paused, or their times too far apart",
        "2.6" => "packets are scrambled, and nothing says by what",
        "3.4" => "packets of PIDs that no table names",
        _ => "",
    };
    let level = if error.priority == 1 { Level::Error } else { Level::Warning };
    (level, text, advice.to_owned())
}

/// More in one sentence nobody reads.
const SHOWN: usize = 3;
