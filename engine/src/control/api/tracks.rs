//! The tracks of a transport stream: what is taken out of it for viewers that cannot take packets, or
//! else what its PMT names.

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
    let (mut videos, mut audios) = (0_u8.., 0_u8..);
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
