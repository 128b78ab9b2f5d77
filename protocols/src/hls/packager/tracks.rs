//! What is known of the tracks of a stream of access units.

use bytes::Bytes;
use corelay_codecs::codec::{self, CodecId};
use corelay_codecs::{AccessUnit, TrackId, TrackInfo, TrackKind, UnitKind};

/// The tracks seen since the last discontinuity, in the order of their ids: pictures, then sound.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    all: Vec<Track>,
}

/// What a unit tells of its track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learned {
    /// Nothing new.
    Nothing,
    /// What a first frame tells.
    Details,
    /// The track is new, or has another codec or configuration.
    Track,
}

/// A track.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) id: TrackId,
    pub(super) codec: CodecId,
    /// The newest decoder configuration record; empty before it and for codecs without one.
    pub(super) config: Bytes,
    /// The front of the first frame that belongs to the configuration; empty before it.
    pub(super) frame: Bytes,
    pub(super) info: TrackInfo,
}

impl Tracks {
    /// Looks at a unit.
    ///
    /// Cost: nothing but a search among the tracks, for all frames but a track's first.
    pub(super) fn learn(&mut self, unit: &AccessUnit) -> Learned {
        if unit.track.kind == TrackKind::Data {
            return Learned::Nothing;
        }
        match unit.kind {
            UnitKind::Config => self.learn_config(unit),
            UnitKind::Frame { .. } => self.learn_frame(unit),
            _ => Learned::Nothing,
        }
    }

    pub(super) fn forget(&mut self) {
        self.all.clear();
    }

    pub(super) fn get(&self, id: TrackId) -> Option<&Track> {
        self.all.iter().find(|track| track.id == id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Track> {
        self.all.iter()
    }

    fn learn_config(&mut self, unit: &AccessUnit) -> Learned {
        let (track, is_new) = self.track(unit);
        if track.config == unit.payload && !is_new {
            return Learned::Nothing;
        }
        track.config = unit.payload.clone();
        track.frame = Bytes::new();
        track.describe(unit);
        Learned::Track
    }

    fn learn_frame(&mut self, unit: &AccessUnit) -> Learned {
        let (track, is_new) = self.track(unit);
        // Only a picture at which decoding can start tells of its sequence.
        let tells =
            track.frame.is_empty() && unit.kind == (UnitKind::Frame { random_access: true });
        if tells {
            // A copy: a slice would hold the whole picture for as long as the stream lasts.
            let front = unit.payload.get(..FRAME_BYTES_MAX).unwrap_or(&unit.payload);
            track.frame = Bytes::copy_from_slice(front);
            track.describe(unit);
        }
        match (is_new, tells) {
            (true, _) => Learned::Track,
            (false, true) => Learned::Details,
            (false, false) => Learned::Nothing,
        }
    }

    /// The unit's track, and whether it was made for it: it is new, or its codec is.
    fn track(&mut self, unit: &AccessUnit) -> (&mut Track, bool) {
        let at = self.all.partition_point(|track| track.id < unit.track);
        let known = self.all.get(at).filter(|track| track.id == unit.track);
        let is_new = known.is_none_or(|track| track.codec != unit.codec);
        match known {
            None => self.all.insert(at, Track::new(unit)),
            // `at` is that of the known track.
            Some(_) if is_new => self.all[at] = Track::new(unit),
            Some(_) => {}
        }
        (&mut self.all[at], is_new)
    }
}

impl Track {
    fn new(unit: &AccessUnit) -> Self {
        Self {
            id: unit.track,
            codec: unit.codec,
            config: Bytes::new(),
            frame: Bytes::new(),
            info: TrackInfo { codec: unit.codec, ..TrackInfo::default() },
        }
    }

    fn describe(&mut self, unit: &AccessUnit) {
        if let Some(info) = codec::track_info(unit) {
            self.info.update(info);
        }
    }
}

/// More than any frame of sound whose header tells what others have a record for.
const FRAME_BYTES_MAX: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use corelay_codecs::{FlvBody, Timestamp};

    fn unit(kind: UnitKind, codec: CodecId, payload: &'static [u8]) -> AccessUnit {
        AccessUnit {
            track: TrackId { kind: codec.kind(), index: 0 },
            kind,
            codec,
            dts: Timestamp(0),
            pts_offset: 0,
            payload: Bytes::from_static(payload),
            flv: FlvBody::Build,
        }
    }

    #[test]
    fn a_track_is_another_one_with_another_codec_or_configuration() {
        let frame = |codec| unit(UnitKind::Frame { random_access: true }, codec, &[0xFF; 5_000]);
        let config = |payload| unit(UnitKind::Config, CodecId::Aac, payload);
        let mut tracks = Tracks::default();
        for (unit, learned) in [
            (config(&[0x11, 0x90]), Learned::Track),
            (config(&[0x11, 0x90]), Learned::Nothing),
            (frame(CodecId::Aac), Learned::Details),
            (frame(CodecId::Aac), Learned::Nothing),
            (config(&[0x12, 0x10]), Learned::Track),
            (frame(CodecId::Aac), Learned::Details),
            (frame(CodecId::Mp3), Learned::Track),
            (frame(CodecId::Mp3), Learned::Nothing),
            (frame(CodecId::H264), Learned::Track),
            (unit(UnitKind::Metadata, CodecId::Amf0, &[]), Learned::Nothing),
        ] {
            assert_eq!(tracks.learn(&unit), learned, "{unit:?}");
        }
        let ids: Vec<_> = tracks.iter().map(|track| (track.id, track.frame.len())).collect();
        assert_eq!(ids, [(TrackId::VIDEO, 4_096), (TrackId::AUDIO, 4_096)]);
    }

    #[test]
    fn a_picture_in_the_middle_of_a_sequence_tells_nothing() {
        let mut tracks = Tracks::default();
        let frame =
            |random_access| unit(UnitKind::Frame { random_access }, CodecId::Vp9, &[0x82; 10]);
        assert_eq!(tracks.learn(&frame(false)), Learned::Track);
        assert!(tracks.get(TrackId::VIDEO).is_some_and(|track| track.frame.is_empty()));
        assert_eq!(tracks.learn(&frame(true)), Learned::Details);
    }
}
