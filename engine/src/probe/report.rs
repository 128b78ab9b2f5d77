//! What a probe found, as one object: for JSON, and for the text.

use serde::Serialize;

use super::verdict::Verdict;

/// Everything that a probe found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was looked at.
    pub url: String,
    /// The program that was looked at alone: nothing of the others is in `stream`, and no null packet.
    /// Absent when all was looked at.
    pub program_number: Option<u16>,
    /// How long, in seconds of this machine's clock.
    pub seconds: f64,
    /// Why the look ended before its time; empty when it did not.
    pub ended: String,
    /// Where it came from.
    pub source: SourceReport,
    /// The transport stream; absent when there was none.
    pub stream: Option<StreamReport>,
    /// In a sentence.
    pub verdict: Verdict,
}

/// Where a stream came from.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SourceReport {
    /// `multicast`, `unicast`, `tcp`, `http` or `file`.
    pub kind: &'static str,
    /// Group and port, peer, or path.
    pub place: String,
    /// Bytes that came, RTP headers included.
    pub bytes: u64,
    /// 188, 204 or 192; absent without packets.
    pub packet_bytes: Option<usize>,
    /// Bytes outside of packets, of a connection or file.
    pub skipped_bytes: u64,
    /// What is known of datagrams.
    pub datagrams: Option<DatagramReport>,
    /// What is known of RTP.
    pub rtp: Option<RtpReport>,
    /// The first bytes that were no transport stream, in hexadecimal; empty when all was.
    pub foreign_bytes: String,
}

/// What is known of datagrams.
#[derive(Clone, Debug, Serialize)]
pub struct DatagramReport {
    /// The interface, where it is known.
    pub interface: Option<String>,
    /// The only senders that were asked for.
    pub wanted_senders: Vec<String>,
    /// Senders and how many datagrams came from each, the most first.
    pub senders: Vec<(String, u64)>,
    /// How many machines sent.
    pub sender_count: usize,
    /// Datagrams.
    pub count: u64,
    /// Payload bytes and how many datagrams have them, the most frequent first.
    pub sizes: Vec<(usize, u64)>,
    /// Packets and how many datagrams have so many, the most frequent first.
    pub packets: Vec<(usize, u64)>,
    /// Datagrams without a transport stream.
    pub foreign: u64,
    /// `raw`, `rtp`, or `raw and rtp`; empty when it was neither.
    pub framing: &'static str,
    /// Datagrams that this machine's kernel dropped, for want of room in the receive buffer.
    pub kernel_drops: u64,
    /// Size of that buffer, as the kernel counts.
    pub receive_buffer_bytes: usize,
}

/// What is known of RTP.
#[derive(Clone, Debug, Serialize)]
pub struct RtpReport {
    /// Of the last packet.
    pub payload_type: u8,
    /// Of the last packet, in hexadecimal.
    pub ssrc: String,
    /// Packets that arrived.
    pub received: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Times that the sender started anew, or another took over.
    pub restarts: u64,
    /// Interarrival jitter (RFC 3550 A.8), in milliseconds.
    pub jitter_ms: f64,
}

/// A transport stream, as a probe prints it and the API shows it.
///
/// Rates, shares and longest times are those of [`seconds`](Self::seconds); counts are those since
/// the look began, or since the input was made.
#[derive(Clone, Debug, Serialize)]
pub struct StreamReport {
    /// All of a probe's look; of what goes on running, the last complete second or so. By the
    /// stream's own clock for connections and files.
    pub seconds: f64,
    /// `arrival`, or `pcr` where the stream's own clock told the time.
    pub timed_by: &'static str,
    /// Packets, null packets included.
    pub packets: u64,
    /// Rate, in kbit/s.
    pub kbps: f64,
    /// Rate of the slowest second, in kbit/s; absent when there was none, and where only the last
    /// one is looked at.
    pub kbps_min: Option<f64>,
    /// Rate of the fastest second, in kbit/s.
    pub kbps_max: Option<f64>,
    /// Null packets, in percent.
    pub null_percent: f64,
    /// transport_stream_id, once a PAT was seen.
    pub transport_stream_id: Option<u16>,
    /// Programs in the order of their numbers.
    pub programs: Vec<ProgramReport>,
    /// PIDs in the order of their numbers.
    pub pids: Vec<PidReport>,
    /// Longest times between tables and time stamps.
    pub intervals: IntervalReport,
    /// One for each PID with a clock.
    pub clocks: Vec<ClockReport>,
    /// Indicators of TR 101 290 with errors, in the order of their numbers.
    pub errors: Vec<ErrorReport>,
    /// Packets that came twice, which is legal.
    pub repeated_packets: u64,
    /// Sections that were cut or had nonsense in them.
    pub section_errors: u64,
}

/// One program with its service.
#[derive(Clone, Debug, Serialize)]
pub struct ProgramReport {
    /// program_number, which is the service_id.
    pub number: u16,
    /// Name of the service; empty when not said.
    pub name: String,
    /// Its provider; empty when not said.
    pub provider: String,
    /// What kind of service it is; empty when not said.
    pub service_type: &'static str,
    /// PID of its PMT.
    pub pmt_pid: u16,
    /// PID of its clock; absent when it has none.
    pub pcr_pid: Option<u16>,
    /// version_number of the PMT; absent when no PMT was seen.
    pub pmt_version: Option<u8>,
    /// A conditional access system is announced.
    pub has_conditional_access: bool,
    /// PIDs of its streams, in the order of the PMT.
    pub streams: Vec<u16>,
}

/// One PID.
#[derive(Clone, Debug, Serialize)]
pub struct PidReport {
    /// The PID.
    pub pid: u16,
    /// What it carries: `video`, `audio`, `data`, `PAT`, `PMT` and so on.
    pub kind: &'static str,
    /// The coding by name; empty for tables.
    pub codec: &'static str,
    /// stream_type of the PMT.
    pub stream_type: Option<u8>,
    /// Program that it belongs to.
    pub program: Option<u16>,
    /// ISO 639; empty when not said.
    pub language: String,
    /// Rate, in kbit/s.
    pub kbps: f64,
    /// Packets.
    pub packets: u64,
    /// Counters that were not the expected ones.
    pub continuity_errors: u64,
    /// Scrambled packets.
    pub scrambled_packets: u64,
    /// It does not occur, although it must.
    pub is_missing: bool,
    /// Descriptors of the PMT, by name with what they say.
    pub descriptors: Vec<String>,
}

/// Longest times in milliseconds; 0 when the stream was seen for less than a second.
#[derive(Clone, Debug, Serialize)]
pub struct IntervalReport {
    /// Between two PATs.
    pub pat_ms: f64,
    /// Between two PMTs of a program.
    pub pmt_ms: f64,
    /// Between two PTS of a video or audio stream.
    pub pts_ms: f64,
}

/// One clock.
#[derive(Clone, Debug, Serialize)]
pub struct ClockReport {
    /// Its PID.
    pub pid: u16,
    /// PCRs that were seen.
    pub count: u64,
    /// Longest step from one PCR to the next, in milliseconds.
    pub interval_ms: f64,
    /// Variation of arrival against the clock, in milliseconds; absent where arrival means nothing.
    pub jitter_ms: Option<f64>,
    /// Largest distance from a constant rate, in ns; absent for variable rates.
    pub accuracy_ns: Option<u64>,
}

/// One indicator of TR 101 290 with errors.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorReport {
    /// Its number: `1.4`.
    pub number: &'static str,
    /// Its name: `Continuity_count_error`.
    pub name: &'static str,
    /// 1: not decodable; 2: to be watched; 3: depends on the use.
    pub priority: u8,
    /// Errors.
    pub count: u64,
    /// Where the newest was.
    pub pid: Option<u16>,
    /// The alarm is raised: there were errors within the last seconds.
    pub is_raised: bool,
}
