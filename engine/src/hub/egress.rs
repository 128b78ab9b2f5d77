//! How one kind of viewer is fed: a container and its protocol framing. Viewers are grouped by it, and a
//! unit is muxed once per egress in use on a core, never per viewer.

use corelay_codecs::container::flv::header::TAG_BODY_BYTES_MAX;
use corelay_codecs::container::flv::{self, TagType};
use corelay_codecs::container::mpegts::mux as ts;
use corelay_codecs::{AccessUnit, ByteSink, Timestamp, TrackFilter, UnitKind};
use corelay_config::Config;
use corelay_protocols::http::websocket;
use corelay_protocols::rtmp::{MediaKind, MessageStreamId, chunk};

use super::unit::{Essence, Prologue, Unit};

/// The framing of an egress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// RTMP messages in chunks of the server's outgoing chunk size, on message stream 1.
    Rtmp,
    /// FLV tags.
    HttpFlv,
    /// One FLV tag per binary WebSocket message.
    WebSocketFlv,
    /// Transport-stream packets.
    HttpTs,
    /// The packets of one unit per binary WebSocket message.
    WebSocketTs,
}

impl Form {
    /// The name in the API and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::HttpFlv => "http_flv",
            Self::WebSocketFlv => "ws_flv",
            Self::HttpTs => "http_ts",
            Self::WebSocketTs => "ws_ts",
        }
    }
}

/// A form and the tracks it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Egress {
    /// The framing.
    pub form: Form,
    /// The tracks.
    pub tracks: TrackFilter,
    /// The viewer knows Enhanced RTMP's messages of several tracks, which most players do not.
    pub multitrack: bool,
}

impl Egress {
    /// An egress for players that know one track of each kind.
    pub fn new(form: Form, tracks: TrackFilter) -> Self {
        Self { form, tracks, multitrack: false }
    }

    /// It carries the packets of a transport stream as they are; others need access units.
    pub fn takes_packets(self) -> bool {
        matches!(self.form, Form::HttpTs | Form::WebSocketTs) && self.tracks == TrackFilter::ALL
    }
}

/// The message stream that all RTMP viewers share; another one is rewritten per viewer.
pub const SHARED_MESSAGE_STREAM: MessageStreamId = MessageStreamId(1);

/// What the muxers of a core have in common.
#[derive(Clone, Copy, Debug)]
pub struct MuxSettings {
    /// RTMP chunk size towards all viewers, in bytes.
    pub chunk_size: u32,
    /// Longest time between two PCRs of a transport stream, in milliseconds; 10 to 100.
    pub pcr_interval_ms: u32,
    /// Longest time between two PATs, and two PMTs, in milliseconds; 20 to 1,000.
    pub tables_interval_ms: u32,
}

impl MuxSettings {
    /// What the configuration says.
    pub fn from_config(config: &Config) -> Self {
        Self {
            chunk_size: config.rtmp.chunk_size_out,
            pcr_interval_ms: config.ts.pcr_interval_ms,
            tables_interval_ms: config.ts.tables_interval_ms,
        }
    }
}

/// Writes units in the form of an egress. Its output depends on nothing but the units.
#[derive(Debug)]
pub struct Muxer {
    /// The form and the tracks.
    pub egress: Egress,
    /// RTMP chunk size towards all viewers, in bytes.
    chunk_size: u32,
    /// See [`Self::set_bridged`].
    first_tracks_only: bool,
    /// The multiplex of the transport-stream forms.
    multiplex: Option<Box<Multiplex>>,
}

/// A transport stream under way.
#[derive(Debug)]
struct Multiplex {
    muxer: ts::Muxer,
    /// The packets of one unit: their number must be known before they are written.
    packets: Vec<u8>,
}

impl Muxer {
    /// A muxer for the stream `name`.
    pub fn new(egress: Egress, name: &str, settings: &MuxSettings) -> Self {
        let MuxSettings { chunk_size, pcr_interval_ms, tables_interval_ms } = *settings;
        let multiplex = matches!(egress.form, Form::HttpTs | Form::WebSocketTs).then(|| {
            let settings = ts::Settings {
                service_name: name.to_owned(),
                pcr_interval_ms,
                tables_interval_ms,
                ..ts::Settings::default()
            };
            Box::new(Multiplex { muxer: ts::Muxer::new(settings), packets: Vec::new() })
        });
        Self { egress, chunk_size, first_tracks_only: false, multiplex }
    }

    /// True when this egress carries the unit at all.
    pub fn carries(&self, unit: &AccessUnit) -> bool {
        let is_plain = unit.track.index == 0 || !self.first_tracks_only;
        self.egress.tracks.passes(unit.track.kind) && is_plain
    }

    /// Of what a bridge takes out of a transport stream, only players of multitrack messages get more than
    /// the first track of each kind; what a publisher of RTMP sends is its own affair.
    pub fn set_bridged(&mut self, is_bridged: bool) {
        self.first_tracks_only = is_bridged && !self.egress.multitrack && self.multiplex.is_none();
    }

    /// Writes one unit as one or no whole message. False when it has none: its track is filtered out, it
    /// travels with another unit, or the container cannot express it.
    pub fn write(&mut self, unit: &Unit, out: &mut impl ByteSink) -> bool {
        match &unit.essence {
            Essence::Elementary(unit) => self.write_access_unit(unit, unit.dts, out),
            Essence::Transport(packets) => self.write_as_is(packets.block.bytes(), out),
        }
    }

    fn write_access_unit(
        &mut self,
        unit: &AccessUnit,
        at: Timestamp,
        out: &mut impl ByteSink,
    ) -> bool {
        if !self.carries(unit) {
            return false;
        }
        match self.egress.form {
            Form::HttpTs | Form::WebSocketTs => self.write_packets(out, |muxer, packets| {
                muxer.write(unit, packets);
            }),
            Form::Rtmp | Form::HttpFlv | Form::WebSocketFlv => self.write_tag(unit, at, out),
        }
    }

    /// Writes what is still waiting for more, and forgets the tracks: another publisher starts.
    pub fn restart(&mut self, out: &mut impl ByteSink) -> bool {
        self.write_packets(out, |muxer, packets| {
            muxer.restart(packets);
        })
    }

    /// Takes configurations that stand in front of the first unit, for muxers that must know them.
    pub fn learn(&mut self, prologue: &Prologue) {
        let egress = self.egress;
        let Some(multiplex) = &mut self.multiplex else { return };
        for unit in prologue.access_units().filter(|unit| egress.tracks.passes(unit.track.kind)) {
            // A configuration has no packets of its own.
            multiplex.muxer.write(unit, &mut multiplex.packets);
        }
    }

    /// Writes what a decoder must know before a frame at `at`, for a viewer that starts there.
    ///
    /// `at_picture`: the frame is a picture at which decoding can start; a transport stream says all
    /// that is needed in front of it.
    pub fn write_prologue(
        &mut self,
        prologue: &Prologue,
        at: Timestamp,
        at_picture: bool,
        out: &mut impl ByteSink,
    ) {
        if !prologue.tables().is_empty() {
            self.write_as_is(prologue.tables(), out);
            return;
        }
        if self.multiplex.is_some() {
            if !at_picture {
                self.write_packets(out, |muxer, packets| muxer.write_prologue(packets));
            }
            return;
        }
        let is_metadata = |unit: &&AccessUnit| unit.kind == UnitKind::Metadata;
        let (metadata, others): (Vec<_>, Vec<_>) = prologue.access_units().partition(is_metadata);
        for unit in metadata.into_iter().chain(others) {
            self.write_access_unit(unit, at, out);
        }
    }

    fn write_tag(&self, unit: &AccessUnit, at: Timestamp, out: &mut impl ByteSink) -> bool {
        let Some(tag) = flv::mux::tag_body(unit) else { return false };
        // Neither framing can say more than 24 bits of length; nothing may be written by halves.
        if tag.len() > TAG_BODY_BYTES_MAX {
            return false;
        }
        // FLV and RTMP times are 32 bits of milliseconds and wrap by definition. Metadata has no time:
        // it stands at 0, because players take later metadata for a data track.
        let time = if unit.kind == UnitKind::Metadata { 0 } else { at.as_millis() as u32 };
        if self.egress.form == Form::Rtmp {
            let kind = media_kind(tag.tag_type);
            let (stream, size) = (SHARED_MESSAGE_STREAM, self.chunk_size);
            chunk::write_media(kind, time, stream, &tag.header, &tag.payload, size, out);
            return true;
        }
        if self.egress.form == Form::WebSocketFlv {
            out.put(&websocket::frame_header(tag.len() + TAG_OVERHEAD_BYTES));
        }
        flv::mux::write_tag(tag.tag_type, time, &tag.header, &tag.payload, out);
        true
    }

    /// Lets the multiplex write, and frames it as the form wants. True when it wrote anything.
    fn write_packets(
        &mut self,
        out: &mut impl ByteSink,
        write: impl FnOnce(&mut ts::Muxer, &mut Vec<u8>),
    ) -> bool {
        let Some(multiplex) = &mut self.multiplex else { return false };
        let Multiplex { muxer, packets } = &mut **multiplex;
        packets.clear();
        write(muxer, packets);
        frame_packets(self.egress.form, packets, out)
    }

    /// Passes packets on as they came.
    fn write_as_is(&self, packets: &[u8], out: &mut impl ByteSink) -> bool {
        self.egress.takes_packets() && frame_packets(self.egress.form, packets, out)
    }
}

/// Frames packets as the form wants. True when there were any.
fn frame_packets(form: Form, packets: &[u8], out: &mut impl ByteSink) -> bool {
    if packets.is_empty() {
        return false;
    }
    if form == Form::WebSocketTs {
        out.put(&websocket::frame_header(packets.len()));
    }
    out.put(packets);
    true
}

/// FLV's tag header and the previous-tag-size behind the body (Adobe FLV 10.1, E.4.1).
const TAG_OVERHEAD_BYTES: usize = 11 + 4;

fn media_kind(tag_type: TagType) -> MediaKind {
    match tag_type {
        TagType::Audio => MediaKind::Audio,
        TagType::Video => MediaKind::Video,
        TagType::Script => MediaKind::Data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Micros;
    use bytes::Bytes;
    use corelay_codecs::{CodecId, FlvBody, TrackFilter, TrackId};

    fn unit(kind: UnitKind, body: Bytes) -> AccessUnit {
        AccessUnit {
            track: TrackId::VIDEO,
            kind,
            codec: CodecId::H264,
            dts: Timestamp(0),
            pts_offset: 0,
            payload: body.clone(),
            flv: FlvBody::Verbatim(body),
        }
    }

    const FORMS: [Form; 3] = [Form::Rtmp, Form::HttpFlv, Form::WebSocketFlv];

    fn written(form: Form, tracks: TrackFilter, unit: &AccessUnit) -> Option<usize> {
        let settings = MuxSettings::from_config(&Config::shipped());
        let mut muxer = Muxer::new(Egress::new(form, tracks), "test", &settings);
        let mut out = Vec::new();
        let unit = Unit::new(unit.clone(), Micros(0));
        muxer.write(&unit, &mut out).then_some(out.len())
    }

    #[test]
    fn what_no_framing_can_carry_is_left_out_whole() {
        let fits = unit(UnitKind::Opaque, vec![0x27; TAG_BODY_BYTES_MAX].into());
        let is_too_large = unit(UnitKind::Opaque, vec![0x27; TAG_BODY_BYTES_MAX + 1].into());
        let carried_by_another = AccessUnit { flv: FlvBody::Covered, ..fits.clone() };
        for form in FORMS {
            assert!(written(form, TrackFilter::ALL, &fits).unwrap() > TAG_BODY_BYTES_MAX);
            assert_eq!(written(form, TrackFilter::ALL, &is_too_large), None);
            assert_eq!(written(form, TrackFilter::ALL, &carried_by_another), None);
        }
    }

    #[test]
    fn tracks_that_are_not_wanted_are_left_out() {
        let picture = unit(UnitKind::Frame { random_access: true }, Bytes::from_static(b"\x17"));
        for form in FORMS {
            let without = TrackFilter { video: false, audio: true };
            assert_eq!(written(form, without, &picture), None);
            assert!(written(form, TrackFilter { video: true, audio: false }, &picture).is_some());
        }
    }
}
