//! The tracks of a transport stream: what is taken out of it for viewers that cannot take packets,
//! or else what its PMT names.

use std::borrow::Cow;

use corelay_codecs::container::mpegts::psi::{EsFormat, EsInfo, Program};
use corelay_codecs::{CodecId, TrackKind};
use corelay_config::{MediaUrl, Side};

use super::sources::Source;
use crate::channel::input::InputSnapshot;
use crate::hub::{BridgeSnapshot, TrackSnapshot};

/// The tracks of a transport stream. `bridges` are those of all cores.
pub(super) fn of_transport<'a>(
    bridges: impl Iterator<Item = &'a BridgeSnapshot>,
    source: Option<Source<'_>>,
) -> Cow<'a, [TrackSnapshot]> {
    // One that has just begun knows fewer.
    match bridges.max_by_key(|bridge| bridge.tracks.len()) {
        Some(bridge) if !bridge.tracks.is_empty() => Cow::Borrowed(&bridge.tracks),
        _ => Cow::Owned(source.and_then(|source| program(source.input)).map_or(vec![], named)),
    }
}

/// The program that viewers get: the one that the URL names, or the first one.
fn program(input: &InputSnapshot) -> Option<&Program> {
    let url = MediaUrl::parse(&input.url, Side::Input).ok();
    let wanted = url.and_then(|url| url.options.program_number);
    let is_wanted = |number: u16| wanted.is_none_or(|wanted| wanted == number);
    input.programs.iter().find(|program| is_wanted(program.program_number))
}

/// Pictures and sound that a PMT names: it tells no more of them than their coding.
fn named(program: &Program) -> Vec<TrackSnapshot> {
    let (mut videos, mut audios) = (0..=u8::MAX, 0..=u8::MAX);
    let track = |stream: &EsInfo| {
        let (kind, index) = match stream.format.kind() {
            TrackKind::Video => ("video", videos.next()?),
            TrackKind::Audio => ("audio", audios.next()?),
            _ => return None,
        };
        Some(TrackSnapshot {
            kind,
            index,
            codec: codec(stream.format),
            profile: String::new(),
            level: String::new(),
            width: 0,
            height: 0,
            frame_rate: 0.0,
            sample_rate: 0,
            channels: 0,
        })
    };
    program.streams.iter().filter_map(track).collect()
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
    fn the_program_is_the_one_of_the_url() {
        let mut shards = transport::headend();
        let input = &mut shards[0].channels[0].inputs[0];
        let first = Program { program_number: 1, streams: vec![], ..transport::program() };
        input.programs.insert(0, first);
        assert_eq!(codecs(&shards, &[]), []);
        shards[0].channels[0].inputs[0].url += "&pnr=3";
        assert_eq!(codecs(&shards, &[]).len(), 2);
    }

    #[test]
    fn more_tracks_than_have_numbers_are_left_out() {
        let mut program = transport::program();
        program.streams = vec![program.streams[1].clone(); 300];
        let tracks = named(&program);
        assert_eq!((tracks.len(), tracks[255].index), (256, 255));
    }
}
