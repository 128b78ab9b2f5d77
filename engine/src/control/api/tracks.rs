//! The tracks of a transport stream: what is taken out of it for viewers that cannot take packets,
//! or else what its PMT names.

use std::borrow::Cow;

use corelay_codecs::container::mpegts::psi::EsFormat;
use corelay_codecs::{CodecId, TrackKind};

use super::sources::Source;
use crate::hub::{BridgeSnapshot, TrackSnapshot};

/// The tracks of a transport stream. `bridges` are those of all cores.
pub(super) fn of_transport<'a>(
    bridges: impl Iterator<Item = &'a BridgeSnapshot>,
    source: Option<Source<'_>>,
) -> Cow<'a, [TrackSnapshot]> {
    // One that has just begun knows fewer.
    match bridges.max_by_key(|bridge| bridge.tracks.len()) {
        Some(bridge) if !bridge.tracks.is_empty() => Cow::Borrowed(&bridge.tracks),
        _ => Cow::Owned(source.map_or(vec![], |source| named(&source.input.formats))),
    }
}

/// Pictures and sound that a PMT names: it tells no more of them than their coding.
fn named(formats: &[EsFormat]) -> Vec<TrackSnapshot> {
    let (mut videos, mut audios) = (0..=u8::MAX, 0..=u8::MAX);
    let track = |format: &EsFormat| {
        let (kind, index) = match format.kind() {
            TrackKind::Video => ("video", videos.next()?),
            TrackKind::Audio => ("audio", audios.next()?),
            _ => return None,
        };
        Some(TrackSnapshot {
            kind,
            index,
            codec: codec(*format),
            profile: String::new(),
            level: String::new(),
            width: 0,
            height: 0,
            frame_rate: 0.0,
            sample_rate: 0,
            channels: 0,
        })
    };
    formats.iter().filter_map(track).collect()
}

/// As for other streams where there is such a word.
fn codec(format: EsFormat) -> &'static str {
    match format.codec() {
        CodecId::Unknown => format.name(),
        codec => codec.api_name(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::transport;
    use super::super::sources;
    use super::*;
    use crate::shard::ShardSnapshot;

    fn codecs(
        shards: &[ShardSnapshot],
        bridges: &[BridgeSnapshot],
    ) -> Vec<(&'static str, u8, String)> {
        let all = sources::by_stream(shards);
        let tracks = of_transport(bridges.iter(), all.values().next().unwrap().main());
        tracks.iter().map(|one| (one.kind, one.index, one.codec.to_owned())).collect()
    }

    fn row(kind: &'static str, index: u8, codec: &str) -> (&'static str, u8, String) {
        (kind, index, codec.to_owned())
    }

    #[test]
    fn what_is_taken_out_of_it_is_known_best() {
        let bridges = [BridgeSnapshot { tracks: vec![], not_carried: vec![] }];
        let bridges: Vec<_> = bridges.into_iter().chain(transport::bridge()).collect();
        let tracks = codecs(&transport::headend(), &bridges);
        assert_eq!(tracks, [row("video", 0, "H264"), row("audio", 0, "AAC")]);
    }

    #[test]
    fn without_that_the_pmt_names_pictures_and_sound() {
        let tracks = codecs(&transport::headend(), &[]);
        assert_eq!(tracks, [row("video", 0, "H264"), row("audio", 0, "AC-4")]);
    }

    #[test]
    fn more_tracks_than_have_numbers_are_left_out() {
        let tracks = named(&[EsFormat::AacAdts; 300]);
        assert_eq!((tracks.len(), tracks[255].index), (256, 255));
    }
}
