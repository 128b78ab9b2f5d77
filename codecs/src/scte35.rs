//! SCTE-35 cues: where a programme is left for advertisements, and where it is joined again.
//!
//! Specification: ANSI/SCTE 35, Digital Program Insertion Cueing Message; sections are those of the
//! 2023 edition.
//!
//! ```text
//! | 8 table_id 0xFC | 1 syntax 0 | 1 private 0 | 2 sap_type | 12 length | 8 protocol version |
//! | 1 encrypted | 6 algorithm | 33 pts_adjustment | 8 cw_index | 12 tier |
//! | 12 command length | 8 command type | command |
//! | 16 descriptor loop length | descriptors | stuffing | 32 CRC |
//! ```
//!
//! Invariants
//! - Times are those of the splice, of 33 bits: `pts_adjustment` is in them.

use libmpegts::utils::crc32b;

/// One message: a splice_info_section (9.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpliceInfo {
    /// What is to be done.
    pub command: Command,
    /// The segmentation descriptors that go with it, in their order.
    pub segmentations: Vec<Segmentation>,
}

/// A splice command (9.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// splice_null: a sign of life, or a carrier of descriptors.
    Null,
    /// splice_schedule: splices at times of day. It is not read.
    Schedule,
    /// splice_insert.
    Insert(Insert),
    /// time_signal: the time of what the descriptors say; `None` when it says none, which means at
    /// once.
    TimeSignal {
        /// In ticks of 90 kHz, 33 bits.
        pts: Option<u64>,
    },
    /// bandwidth_reservation: nothing.
    BandwidthReservation,
    /// private_command, or one that is unknown, by its splice_command_type. It is not read.
    Other(u8),
}

/// splice_insert (9.7.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Insert {
    /// splice_event_id.
    pub event_id: u32,
    /// The event that was announced under this id will not be; what follows is not there.
    pub is_cancelled: bool,
    /// out_of_network_indicator: the programme is left. Otherwise it is joined again.
    pub is_out: bool,
    /// When, in ticks of 90 kHz, 33 bits; `None` for at once. Of a splice by components, the time of
    /// the first one.
    pub pts: Option<u64>,
    /// How long the break is to be.
    pub break_duration: Option<BreakDuration>,
}

/// break_duration (9.8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakDuration {
    /// In ticks of 90 kHz, 33 bits.
    pub ticks: u64,
    /// The break ends after that time without another message.
    pub auto_return: bool,
}

/// segmentation_descriptor (10.3.3), without what it says of components, restrictions and the
/// names of the content (UPID).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segmentation {
    /// segmentation_event_id: the beginning and the end of a segment have the same one.
    pub event_id: u32,
    /// The segment that was announced under this id will not be; what follows is not there.
    pub is_cancelled: bool,
    /// In ticks of 90 kHz, 40 bits.
    pub duration_ticks: Option<u64>,
    /// segmentation_type_id (table 23).
    pub type_id: u8,
    /// segment_num: which one of several.
    pub number: u8,
    /// segments_expected: of how many; 0 when that is not known.
    pub expected: u8,
}

/// What a message says, as a playlist has it: see [`SpliceInfo::cues`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cue {
    /// Beginning, end, or anything else.
    pub kind: CueKind,
    /// splice_event_id or segmentation_event_id; 0 for a time_signal without descriptors.
    pub event_id: u32,
    /// An event that was announced under the same id will not be. The kind is then
    /// [`CueKind::Command`].
    pub is_cancelled: bool,
    /// When, in ticks of 90 kHz, 33 bits; `None` for at once.
    pub pts: Option<u64>,
    /// How long the break or segment is to be, in ticks of 90 kHz.
    pub duration_ticks: Option<u64>,
    /// The break ends after `duration_ticks` without another cue.
    pub auto_return: bool,
}

/// Which attribute of a date range the cue belongs in (RFC 8216 4.3.2.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CueKind {
    /// A break begins: `SCTE35-OUT`.
    Out,
    /// A break ends: `SCTE35-IN`.
    In,
    /// Anything else: `SCTE35-CMD`.
    Command,
}

/// Why a message was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes do not follow the grammar.
    #[error("malformed splice_info_section at byte {at}: {what}")]
    Malformed {
        /// Offset of the first byte that is missing or wrong.
        at: u64,
        /// The structure and field that was being read.
        what: &'static str,
    },
    /// Legal, and not read here.
    #[error("unsupported splice_info_section: {0}")]
    Unsupported(&'static str),
}

/// True for the bytes of one whole splice_info_section with a right CRC.
pub fn is_section(bytes: &[u8]) -> bool {
    section_size(bytes) == Ok(bytes.len()) && crc32b(bytes) == 0
}

impl SpliceInfo {
    /// Reads one section, which may have bytes behind it.
    ///
    /// # Errors
    /// [`Error::Malformed`] for bytes that end early, a wrong CRC, and lengths that contradict each
    /// other; [`Error::Unsupported`] for encrypted messages and later protocols.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let size = section_size(bytes)?;
        let ends = Error::Malformed { at: bytes.len() as u64, what: "splice_info_section" };
        let section = bytes.get(..size).ok_or(ends)?;
        let content_size = size - CRC_BYTES;
        if crc32b(section) != 0 {
            return Err(Error::Malformed { at: content_size as u64, what: "CRC_32" });
        }
        let mut reader = Reader { bytes: section.get(..content_size).unwrap_or_default(), at: 3 };
        if reader.u8("protocol_version")? != 0 {
            return Err(Error::Unsupported("protocol_version is not 0"));
        }
        let adjustment = reader.u40("pts_adjustment")?;
        if adjustment >> 39 != 0 {
            return Err(Error::Unsupported("encrypted_packet"));
        }
        let adjustment = adjustment & TIME_MASK;
        reader.u8("cw_index")?;
        let [_, middle, low] = reader.take("splice_command_length")?;
        let command_length = usize::from(u16::from_be_bytes([middle & 0x0F, low]));
        let command_type = reader.u8("splice_command_type")?;
        let command = if command_length == LENGTH_UNKNOWN {
            // As sent before 2013: the command's own fields tell where it ends.
            read_command(command_type, adjustment, &mut reader)?
        } else {
            let mut content = reader.split(command_length, "splice_command")?;
            read_command(command_type, adjustment, &mut content)?
        };
        let loop_length = usize::from(u16::from_be_bytes(reader.take("descriptor_loop_length")?));
        let descriptors = reader.split(loop_length, "splice_descriptors")?;
        Ok(Self { command, segmentations: read_descriptors(descriptors)? })
    }

    /// What the message says, as date ranges of a playlist: one for a splice_insert, whatever the
    /// descriptors; for a time_signal one for each segmentation descriptor, and one
    /// [`CueKind::Command`] when it has none. Nothing for the other commands.
    pub fn cues(&self) -> Vec<Cue> {
        match &self.command {
            Command::Insert(insert) => vec![insert.cue()],
            Command::TimeSignal { pts } if self.segmentations.is_empty() => {
                vec![Cue { pts: *pts, ..Cue::command(0) }]
            }
            Command::TimeSignal { pts } => {
                self.segmentations.iter().map(|segmentation| segmentation.cue(*pts)).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Cue {
    fn command(event_id: u32) -> Self {
        Self {
            kind: CueKind::Command,
            event_id,
            is_cancelled: false,
            pts: None,
            duration_ticks: None,
            auto_return: false,
        }
    }
}

impl Insert {
    fn cue(&self) -> Cue {
        let kind = match (self.is_cancelled, self.is_out) {
            (true, _) => CueKind::Command,
            (false, true) => CueKind::Out,
            (false, false) => CueKind::In,
        };
        Cue {
            kind,
            is_cancelled: self.is_cancelled,
            pts: self.pts,
            duration_ticks: self.break_duration.map(|duration| duration.ticks),
            auto_return: self.break_duration.is_some_and(|duration| duration.auto_return),
            ..Cue::command(self.event_id)
        }
    }
}

impl Segmentation {
    fn cue(&self, pts: Option<u64>) -> Cue {
        Cue {
            kind: if self.is_cancelled { CueKind::Command } else { kind_of(self.type_id) },
            is_cancelled: self.is_cancelled,
            pts,
            duration_ticks: self.duration_ticks,
            ..Cue::command(self.event_id)
        }
    }
}

/// Whether a segment leaves the programme (table 23): breaks, advertisements, placement
/// opportunities, overlays and blocks of them do, and end with the number behind. Programmes,
/// chapters, credits and the like do not leave anything.
fn kind_of(type_id: u8) -> CueKind {
    match type_id {
        0x22 | 0x30 | 0x32 | 0x34 | 0x36 | 0x38 | 0x3A | 0x44 | 0x46 => CueKind::Out,
        0x23 | 0x31 | 0x33 | 0x35 | 0x37 | 0x39 | 0x3B | 0x45 | 0x47 => CueKind::In,
        _ => CueKind::Command,
    }
}

/// Size of the section at the front, as its header says.
fn section_size(bytes: &[u8]) -> Result<usize, Error> {
    let what = "splice_info_section header";
    let Some(&[table_id, high, low]) = bytes.first_chunk() else {
        return Err(Error::Malformed { at: bytes.len() as u64, what });
    };
    if table_id != TABLE_ID {
        return Err(Error::Malformed { at: 0, what: "table_id" });
    }
    let size = 3 + usize::from(u16::from_be_bytes([high & 0x0F, low]));
    if size < SECTION_BYTES_MIN {
        return Err(Error::Malformed { at: 1, what: "section_length" });
    }
    Ok(size)
}

fn read_command(kind: u8, adjustment: u64, reader: &mut Reader<'_>) -> Result<Command, Error> {
    Ok(match kind {
        0x00 => Command::Null,
        0x04 => Command::Schedule,
        0x05 => Command::Insert(read_insert(adjustment, reader)?),
        0x06 => Command::TimeSignal { pts: read_time(adjustment, reader)? },
        0x07 => Command::BandwidthReservation,
        other => Command::Other(other),
    })
}

fn read_insert(adjustment: u64, reader: &mut Reader<'_>) -> Result<Insert, Error> {
    let event_id = reader.u32("splice_event_id")?;
    if reader.u8("splice_event_cancel_indicator")? & 0x80 != 0 {
        return Ok(Insert { event_id, is_cancelled: true, ..Insert::default() });
    }
    let flags = reader.u8("splice_insert flags")?;
    let (is_program, is_immediate) = (flags & 0x40 != 0, flags & 0x10 != 0);
    let mut pts = None;
    if is_program && !is_immediate {
        pts = read_time(adjustment, reader)?;
    }
    let components = if is_program { 0 } else { reader.u8("component_count")? };
    for _ in 0..components {
        reader.u8("component_tag")?;
        if !is_immediate {
            let time = read_time(adjustment, reader)?;
            pts = pts.or(time);
        }
    }
    let break_duration = match flags & 0x20 != 0 {
        true => Some(read_break_duration(reader)?),
        false => None,
    };
    let [_unique_program_id @ .., _avail_num, _avails_expected]: [u8; 4] =
        reader.take("unique_program_id and avails")?;
    let is_out = flags & 0x80 != 0;
    Ok(Insert { event_id, is_cancelled: false, is_out, pts, break_duration })
}

/// splice_time (9.8.1), adjusted.
fn read_time(adjustment: u64, reader: &mut Reader<'_>) -> Result<Option<u64>, Error> {
    let what = "splice_time";
    let first = reader.u8(what)?;
    if first & 0x80 == 0 {
        return Ok(None);
    }
    let time = u64::from(first & 1) << 32 | u64::from(reader.u32(what)?);
    Ok(Some((time + adjustment) & TIME_MASK))
}

fn read_break_duration(reader: &mut Reader<'_>) -> Result<BreakDuration, Error> {
    let bits = reader.u40("break_duration")?;
    Ok(BreakDuration { ticks: bits & TIME_MASK, auto_return: bits >> 39 != 0 })
}

fn read_descriptors(mut reader: Reader<'_>) -> Result<Vec<Segmentation>, Error> {
    let mut segmentations = Vec::new();
    while !reader.is_empty() {
        let [tag, length] = reader.take("splice_descriptor")?;
        let mut content = reader.split(usize::from(length), "splice_descriptor_length")?;
        let identifier: [u8; 4] = content.take("descriptor identifier")?;
        if (tag, &identifier) == (TAG_SEGMENTATION, b"CUEI") {
            segmentations.push(read_segmentation(&mut content)?);
        }
    }
    Ok(segmentations)
}

/// From the segmentation_event_id on. sub_segment_num and what follows it is not read: it may be
/// missing.
fn read_segmentation(reader: &mut Reader<'_>) -> Result<Segmentation, Error> {
    let event_id = reader.u32("segmentation_event_id")?;
    if reader.u8("segmentation_event_cancel_indicator")? & 0x80 != 0 {
        return Ok(Segmentation { event_id, is_cancelled: true, ..Segmentation::default() });
    }
    let flags = reader.u8("segmentation flags")?;
    if flags & 0x80 == 0 {
        let components = usize::from(reader.u8("component_count")?);
        reader.split(components * COMPONENT_BYTES, "segmentation components")?;
    }
    let duration_ticks = match flags & 0x40 != 0 {
        true => Some(reader.u40("segmentation_duration")?),
        false => None,
    };
    let [_upid_type, upid_length] = reader.take("segmentation_upid_length")?;
    reader.split(usize::from(upid_length), "segmentation_upid")?;
    let [type_id, number, expected] = reader.take("segmentation_type_id")?;
    Ok(Segmentation { event_id, is_cancelled: false, duration_ticks, type_id, number, expected })
}

/// Reads the section from the front; `at` counts from its beginning.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk());
        let bytes = *bytes.ok_or(Error::Malformed { at: self.bytes.len() as u64, what })?;
        self.at += N;
        Ok(bytes)
    }

    fn u8(&mut self, what: &'static str) -> Result<u8, Error> {
        self.take(what).map(|[byte]| byte)
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, Error> {
        self.take(what).map(u32::from_be_bytes)
    }

    fn u40(&mut self, what: &'static str) -> Result<u64, Error> {
        let [b0, b1, b2, b3, b4] = self.take(what)?;
        Ok(u64::from_be_bytes([0, 0, 0, b0, b1, b2, b3, b4]))
    }

    /// The next `size` bytes by themselves.
    fn split(&mut self, size: usize, what: &'static str) -> Result<Self, Error> {
        let (at, end) = (self.at, self.at + size);
        let malformed = Error::Malformed { at: self.bytes.len() as u64, what };
        let bytes = self.bytes.get(..end).ok_or(malformed)?;
        self.at = end;
        Ok(Self { bytes, at })
    }
}

const TABLE_ID: u8 = 0xFC;
const CRC_BYTES: usize = 4;
/// Header up to splice_command_type, descriptor_loop_length and CRC.
const SECTION_BYTES_MIN: usize = 20;
/// splice_command_length of senders that do not say it (9.6.1).
const LENGTH_UNKNOWN: usize = 0xFFF;
const TIME_MASK: u64 = (1 << 33) - 1;
const TAG_SEGMENTATION: u8 = 0x02;
/// component_tag, 7 reserved bits and pts_offset.
const COMPONENT_BYTES: usize = 6;

#[cfg(test)]
mod tests;
