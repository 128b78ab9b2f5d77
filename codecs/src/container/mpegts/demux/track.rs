//! One elementary stream on its way to access units: continuity, PES, and the parser of its coding.

use bytes::Bytes;

use super::audio::{FrameStream, Syntax};
use super::packet_unit::PacketStream;
use super::stream::{Found, Unit};
use super::timeline::{Jump, Place, Timeline, Times};
use super::video::NalStream;
use super::{Counters, Event, Output, Reason, Settings, StreamFault, TrackState};
use crate::access_unit::{AccessUnit, FlvBody, Timestamp, TrackId, TrackKind, UnitKind};
use crate::codec::{CodecId, latm, opus};
use crate::container::mpegts::pes::{self, Part};
use crate::container::mpegts::psi::{EsFormat, EsInfo};
use crate::container::mpegts::{Packet, Pid};

#[derive(Debug)]
pub(super) struct Track {
    pub(super) id: TrackId,
    pub(super) pid: Pid,
    pub(super) format: EsFormat,
    pub(super) opus_channel_config: Option<u8>,
    continuity: Continuity,
    reader: pes::Reader,
    parser: Parser,
    is_scrambled: bool,
    /// The PES packet that is being read is scrambled inside.
    is_pes_scrambled: bool,
    /// Where the last PES packet with times was on the timeline.
    place: Option<Place>,
    given: Given,
    /// When its last packet came, on the stream's clock, in ticks of 27 MHz.
    last_seen: Option<u64>,
    is_vanished: bool,
}

/// What was handed out last.
#[derive(Debug)]
struct Given {
    /// Decoding time of a frame.
    dts: Option<i64>,
    /// As the frames tell; before the first one as the PMT does.
    codec: CodecId,
}

#[derive(Debug)]
enum Parser {
    Nal(NalStream),
    Frames(FrameStream),
    Packets(PacketStream),
}

/// What [`Continuity::check`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Good,
    /// The packet was sent twice.
    Duplicate,
    /// Packets are missing in front of this one.
    Lost {
        expected: u8,
    },
}

/// Follows a continuity counter: ISO/IEC 13818-1 2.4.3.3.
#[derive(Clone, Copy, Debug, Default)]
struct Continuity {
    last: Option<u8>,
    was_duplicate: bool,
}

impl Continuity {
    /// A damaged packet, whose counter may be right: then it is not missed as well.
    fn pass(&mut self, packet: Packet<'_>) {
        let found = packet.continuity_counter();
        if self.last.is_some_and(|last| (last + 1) & 0x0F == found) {
            self.last = Some(found);
        }
    }

    fn check(&mut self, packet: Packet<'_>) -> Check {
        let found = packet.continuity_counter();
        let Some(last) = self.last.replace(found) else {
            return Check::Good;
        };
        if packet.is_discontinuity() {
            self.was_duplicate = false;
            return Check::Good;
        }
        let expected = if packet.has_payload() { (last + 1) & 0x0F } else { last };
        let is_duplicate = packet.has_payload() && found == last && !self.was_duplicate;
        self.was_duplicate = is_duplicate;
        match () {
            () if found == expected => Check::Good,
            () if is_duplicate => Check::Duplicate,
            () => Check::Lost { expected },
        }
    }
}

/// What a track is given with each packet.
pub(super) struct Context<'a> {
    pub(super) timeline: &'a mut Timeline,
    pub(super) counters: &'a mut Counters,
    pub(super) out: &'a mut Vec<Output>,
    /// The stream's clock, in ticks of 27 MHz.
    pub(super) clock: Option<u64>,
}

impl Context<'_> {
    fn event(&mut self, event: Event) {
        self.out.push(Output::Event(event));
    }
}

impl Track {
    /// The track of a stream, or why there is none.
    pub(super) fn new(id: TrackId, stream: &EsInfo, settings: &Settings) -> Result<Self, Reason> {
        Ok(Self {
            id,
            pid: stream.pid,
            format: stream.format,
            opus_channel_config: stream.opus_channel_config,
            continuity: Continuity::default(),
            reader: pes::Reader::default(),
            parser: Parser::new(stream, settings)?,
            is_scrambled: false,
            is_pes_scrambled: false,
            place: None,
            given: Given { dts: None, codec: stream.format.codec() },
            last_seen: None,
            is_vanished: false,
        })
    }

    /// What the track is like; `language` is in the PMT.
    pub(super) fn state<'a>(&self, language: &'a str) -> TrackState<'a> {
        TrackState {
            id: self.id,
            pid: self.pid,
            format: self.format,
            codec: self.given.codec,
            language,
            has_units: self.given.dts.is_some(),
            is_scrambled: self.is_scrambled || self.is_pes_scrambled,
            is_vanished: self.is_vanished,
        }
    }

    /// Takes the next packet of the PID.
    pub(super) fn push(&mut self, packet: Packet<'_>, context: &mut Context<'_>) {
        let pid = self.pid;
        self.see(context);
        if packet.has_transport_error() || packet.is_malformed() {
            context.counters.transport_errors += 1;
            self.continuity.pass(packet);
            self.lose(context);
            context.event(match packet.has_transport_error() {
                true => Event::TransportError { pid },
                false => Event::Fault { pid, fault: StreamFault::Packet },
            });
            return;
        }
        match self.continuity.check(packet) {
            Check::Good => {}
            Check::Duplicate => return,
            Check::Lost { expected } => {
                let found = packet.continuity_counter();
                context.counters.continuity_errors += 1;
                context.event(Event::Continuity { pid, expected, found });
                self.lose(context);
            }
        }
        if !packet.has_payload() {
            return;
        }
        if packet.is_scrambled() != self.is_scrambled {
            self.is_scrambled = packet.is_scrambled();
            context.event(Event::Scrambled { pid, is_scrambled: self.is_scrambled });
        }
        if self.is_scrambled {
            context.counters.scrambled_packets += 1;
            return self.lose(context);
        }
        let mut reader = std::mem::take(&mut self.reader);
        reader.push(packet, |part| self.take_part(part, context));
        self.reader = reader;
    }

    /// The stream ended: what is complete is handed out.
    pub(super) fn finish(&mut self, context: &mut Context<'_>) {
        let mut reader = std::mem::take(&mut self.reader);
        reader.finish(|part| self.take_part(part, context));
        let mut out = Outlet { track: self.id, pid: self.pid, given: &mut self.given, context };
        if let Parser::Nal(stream) = &mut self.parser {
            stream.finish(&mut |found| out.take(found));
        }
    }

    /// Reports the track when it has been silent for too long.
    pub(super) fn watch(&mut self, timeout: u64, context: &mut Context<'_>) {
        let Some(clock) = context.clock else { return };
        let last_seen = *self.last_seen.get_or_insert(clock);
        if !self.is_vanished && clock.saturating_sub(last_seen) > timeout {
            self.is_vanished = true;
            context.event(Event::Vanished { pid: self.pid });
        }
    }

    fn see(&mut self, context: &mut Context<'_>) {
        self.last_seen = context.clock;
        if self.is_vanished {
            self.is_vanished = false;
            context.event(Event::Returned { pid: self.pid });
        }
    }

    /// Leaves out what is being read.
    fn lose(&mut self, context: &mut Context<'_>) {
        let had_packet = self.reader.lose();
        if self.parser.lose() || had_packet {
            context.counters.units_damaged += 1;
        }
    }

    fn take_part(&mut self, part: Part<'_>, context: &mut Context<'_>) {
        match part {
            Part::Start(header) => self.start(&header, context),
            Part::Fault(fault) => {
                context.event(Event::Fault { pid: self.pid, fault: StreamFault::Pes(fault) });
                if self.parser.lose() {
                    context.counters.units_damaged += 1;
                }
            }
            Part::Data(_) | Part::End if self.is_pes_scrambled => {}
            Part::Data(data) => {
                let (track, pid, given) = (self.id, self.pid, &mut self.given);
                let mut out = Outlet { track, pid, given, context };
                self.parser.data(data, &mut |found| out.take(found));
            }
            Part::End => {
                let (track, pid, given) = (self.id, self.pid, &mut self.given);
                let mut out = Outlet { track, pid, given, context };
                self.parser.end(&mut |found| out.take(found));
            }
        }
    }

    fn start(&mut self, header: &pes::Header, context: &mut Context<'_>) {
        let pid = self.pid;
        if header.is_scrambled != self.is_pes_scrambled {
            self.is_pes_scrambled = header.is_scrambled;
            context.event(Event::Scrambled { pid, is_scrambled: header.is_scrambled });
        }
        if header.is_scrambled {
            self.parser.lose();
            return;
        }
        let times = header.pts.map(|pts| {
            let dts = header.decoding_time().unwrap_or(pts);
            let (times, place, jump) = context.timeline.map(pts, dts, self.place);
            self.place = Some(place);
            if let Some(Jump { ticks }) = jump {
                context.counters.time_jumps += 1;
                context.event(Event::TimeJump { pid, ticks });
            }
            times
        });
        self.parser.start(times, header.is_random_access);
    }
}

impl Parser {
    fn new(stream: &EsInfo, settings: &Settings) -> Result<Self, Reason> {
        let bytes_max = settings.access_unit_bytes_max;
        Ok(match stream.format {
            EsFormat::H264 => Self::Nal(NalStream::new(CodecId::H264, bytes_max)),
            EsFormat::H265 => Self::Nal(NalStream::new(CodecId::H265, bytes_max)),
            EsFormat::Av1 => Self::Packets(PacketStream::new(CodecId::Av1, None, bytes_max)),
            EsFormat::Opus => {
                let head = stream.opus_channel_config.and_then(opus::head_of_channel_config);
                let head = head.ok_or(Reason::Unsupported(NO_OPUS_HEAD))?;
                Self::Packets(PacketStream::new(CodecId::Opus, Some(Bytes::from(head)), bytes_max))
            }
            EsFormat::AacAdts => Self::Frames(FrameStream::new(Syntax::Adts)),
            EsFormat::AacLatm => {
                Self::Frames(FrameStream::new(Syntax::Loas(latm::Reader::default())))
            }
            EsFormat::MpegAudio => Self::Frames(FrameStream::new(Syntax::MpegAudio)),
            EsFormat::Ac3 | EsFormat::Eac3 => Self::Frames(FrameStream::new(Syntax::Ac3)),
            _ => return Err(Reason::Unsupported(NO_FORM)),
        })
    }

    fn start(&mut self, times: Option<Times>, is_random_access: bool) {
        match self {
            Self::Nal(stream) => stream.start(times, is_random_access),
            Self::Frames(stream) => stream.start(times),
            Self::Packets(stream) => stream.start(times),
        }
    }

    fn data(&mut self, data: &[u8], on_found: &mut impl FnMut(Found)) {
        match self {
            Self::Nal(stream) => stream.data(data, on_found),
            Self::Frames(stream) => stream.data(data, on_found),
            Self::Packets(stream) => stream.data(data, on_found),
        }
    }

    fn end(&mut self, on_found: &mut impl FnMut(Found)) {
        match self {
            // Its units end where the next ones begin.
            Self::Nal(_) => {}
            Self::Frames(stream) => stream.end(on_found),
            Self::Packets(stream) => stream.end(on_found),
        }
    }

    fn lose(&mut self) -> bool {
        match self {
            Self::Nal(stream) => stream.lose(),
            Self::Frames(stream) => stream.lose(),
            Self::Packets(stream) => stream.lose(),
        }
    }
}

/// Gives what a parser found its track, and its place on the timeline.
struct Outlet<'a, 'b> {
    track: TrackId,
    pid: Pid,
    given: &'a mut Given,
    context: &'a mut Context<'b>,
}

impl Outlet<'_, '_> {
    fn take(&mut self, found: Found) {
        match found {
            Found::Unit(unit) => self.hand_out(unit),
            Found::Fault(fault) => {
                self.context.counters.units_damaged += 1;
                self.context.event(Event::Fault { pid: self.pid, fault });
            }
        }
    }

    fn hand_out(&mut self, unit: Unit) {
        let Times { mut dts, pts } = unit.times;
        let earliest = self.given.dts.map_or(i64::MIN, |last| last + 1);
        if unit.kind == UnitKind::Config {
            dts = dts.max(earliest);
        } else {
            if dts < earliest {
                self.context.counters.times_corrected += 1;
                dts = earliest;
            }
            *self.given = Given { dts: Some(dts), codec: unit.codec };
            self.context.counters.units += 1;
        }
        // Sound is presented when it is decoded.
        let is_picture = self.track.kind == TrackKind::Video && unit.kind != UnitKind::Config;
        let pts_offset = if is_picture { i32::try_from(pts - dts).unwrap_or(0) } else { 0 };
        self.context.out.push(Output::Unit(AccessUnit {
            track: self.track,
            kind: unit.kind,
            codec: unit.codec,
            dts: Timestamp(dts),
            pts_offset,
            payload: unit.payload,
            flv: FlvBody::Build,
        }));
    }
}

/// Whoever asks for access units sends them on as RTMP or FLV.
const NO_FORM: &str = "RTMP and FLV have no form for it";
const NO_OPUS_HEAD: &str = "its Opus channel configuration is missing or unknown";
